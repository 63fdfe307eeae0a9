// Messages that make the next page.

import type { Page } from '../../../lib/source.ts'
import type { Messages } from '../../kafka/messages.ts'
import type { Records } from './records.ts'
import type { Span } from './span.ts'

export interface PageOptions {
  readonly batch_size: number
  readonly page_bytes: number
}

export class Gathering {
  readonly #options: PageOptions
  #spans: Span[] = []
  #count = 0
  #bytes = 0

  constructor(options: PageOptions) {
    this.#options = options
  }

  /** Takes messages from one on, until they are a page, or there are no more before `end`. Returns the first that it left. */
  add(topic: string, partition: number, messages: Messages, start: number, end = messages.length): number {
    const { batch_size: mostMessages, page_bytes: mostBytes } = this.#options
    let at = start
    while (at < end && this.#count < mostMessages && this.#bytes < mostBytes) {
      this.#bytes += messages.size(at++)
      this.#count += 1
    }
    if (at > start) this.#spans.push({ topic, partition, messages, start, end: at })
    return at
  }

  /** Whether there are enough for a page. */
  get full(): boolean {
    return this.#count >= this.#options.batch_size || this.#bytes >= this.#options.page_bytes
  }

  get empty(): boolean {
    return this.#count === 0
  }

  /** The records of what was gathered, which is then forgotten. */
  take(records: Records, signal: AbortSignal): Promise<Pick<Page, 'records' | 'bytes' | 'release'>> {
    const spans: readonly Span[] = this.#spans
    this.#spans = []
    this.#count = 0
    this.#bytes = 0
    return records.of(spans, signal)
  }
}
