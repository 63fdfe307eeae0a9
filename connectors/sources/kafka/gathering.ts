// Messages that make the next page.

import type { Page } from '../../../lib/source.ts'
import type { Message } from '../../kafka/reader.ts'
import type { Messages, Records } from './records.ts'

export interface PageOptions {
  readonly batch_size: number
  readonly page_bytes: number
}

export class Gathering {
  readonly #options: PageOptions
  #batches: { topic: string; partition: number; messages: Message[] }[] = []
  #count = 0
  #bytes = 0

  constructor(options: PageOptions) {
    this.#options = options
  }

  add(topic: string, partition: number, message: Message): void {
    const last = this.#batches.at(-1)
    if (last?.topic === topic && last.partition === partition) last.messages.push(message)
    else this.#batches.push({ topic, partition, messages: [message] })
    this.#count += 1
    this.#bytes += (message.key?.length ?? 0) + (message.value?.length ?? 0)
    for (const name in message.headers) this.#bytes += name.length + bytesOf(message.headers[name])
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
    const batches: readonly Messages[] = this.#batches
    this.#batches = []
    this.#count = 0
    this.#bytes = 0
    return records.of(batches, signal)
  }
}

function bytesOf(header: Message['headers'][string] | undefined): number {
  if (!header) return 0
  if (Buffer.isBuffer(header)) return header.length
  return (header as readonly (Buffer | null)[]).reduce((sum, value) => sum + (value?.length ?? 0), 0)
}
