// The messages of one pipe: small pages are gathered into one, a large page is cut into parts. What a message holds is what a pipe
// that began there would hold, so that a loader may begin with any message that is not the rest of a page.

import type { Checkpoint } from '../../checkpoint.ts'
import type { Page, StreamInfo } from '../../source.ts'
import type { PipeState } from '../state.ts'
import { PipeWriter } from '../write.ts'
import type { MessageHead } from './message.ts'

export interface CutterParts {
  readonly stream: StreamInfo
  /** Where it begins, with what the first line of a pipe says. */
  readonly start: PipeState
  readonly after?: MessageHead['after']
  readonly session: string
  readonly messageBytes: number
  /** Told of a message; those of a page that was cut come while it is written. */
  readonly put: (headers: MessageHead, body: Buffer) => void
  /** Before a part is put: resolves when there is room for it, once all that is whole is put. */
  readonly overflows: () => Promise<void>
  readonly failed: (error: unknown) => void
}

/** `open`, then for each page `page`, `mark` and `border`; one call at a time. */
export class Cutter {
  readonly #parts: CutterParts
  readonly #lines: PipeWriter
  /** Behind the last page that is whole. */
  #state: PipeState
  /** The message that is gathered: the lines with which a pipe begins, and the pages that are whole. */
  #whole: Buffer[] = []
  /** Pages of the run before it. */
  #from: number
  /** The page that has not ended, as far as it was not put as parts. */
  #page: Buffer[] = []
  #part = 0

  constructor(parts: CutterParts) {
    const { stream, start, failed } = parts
    this.#parts = parts
    this.#state = start
    this.#from = start.page
    this.#lines = new PipeWriter({ write: (bytes) => this.#take(bytes) }, 'singer', stream, start, { failed })
  }

  /** Behind the last page that is whole. */
  get state(): PipeState {
    return this.#state
  }

  /** Bytes that wait and are whole. */
  get bytes(): number {
    return sizeOf(this.#whole)
  }

  /** Parts of the page under way were put. */
  get isCut(): boolean {
    return this.#part > 0
  }

  async open(): Promise<void> {
    await this.#lines.open()
  }

  async page(page: Page): Promise<void> {
    await this.#lines.write(page)
  }

  /** The line behind a page. */
  async mark(checkpoint: Checkpoint): Promise<void> {
    await this.#lines.write(checkpoint)
    await this.#lines.settle()
  }

  /** The page has ended, and all of its lines are here. */
  border({ page, rows, end, position, watermark, reading }: Checkpoint): void {
    const { begin, run, at, of, previous } = this.#parts.start
    this.#state = {
      ...{ run, at, page, rows, end, position },
      ...(of && { of }),
      ...(previous !== undefined && { previous }),
      ...(watermark !== undefined && { watermark }),
      ...(reading !== undefined && { reading }),
      ...(begin && { begin }),
    }
    if (this.#part === 0) {
      this.keep()
      return
    }
    this.#put(this.#page, { to: page, last: true })
    this.#page = []
    this.#next()
  }

  /** What waits belongs to the message that is gathered. */
  keep(): void {
    this.#whole.push(...this.#page)
    this.#page = []
  }

  /** Puts what is whole, if there is anything. */
  putWhole(): void {
    if (this.#whole.length === 0) return
    const whole = this.#whole
    this.#whole = []
    this.#put(whole, { to: this.#state.page, last: true })
    this.#next()
  }

  async #take(bytes: Uint8Array): Promise<void> {
    this.#page.push(Buffer.from(bytes))
    const { messageBytes, overflows } = this.#parts
    if (sizeOf(this.#whole) + sizeOf(this.#page) <= messageBytes) return
    // What is whole goes first, for a message begins with a page or goes on with one, and never does both.
    await overflows()
    while (sizeOf(this.#page) > messageBytes) {
      await overflows()
      const all = Buffer.concat(this.#page)
      this.#page = [all.subarray(messageBytes)]
      this.#put([all.subarray(0, messageBytes)], { to: this.#from + 1, last: false })
      this.#part += 1
    }
  }

  /** What follows is another message. Of a page that is under way, the beginning is there already. */
  #next(): void {
    this.#from = this.#state.page
    this.#part = 0
    this.#page.unshift(Buffer.from(this.#lines.opening(this.#state)))
  }

  #put(body: readonly Buffer[], { to, last }: Pick<MessageHead, 'to' | 'last'>): void {
    const { start, after, session } = this.#parts
    const { pipeline = '', source = '', stream = '', partition } = start.begin ?? {}
    const { run, at } = start
    const place = { session, from: this.#from, to, part: this.#part, last, end: last && this.#state.end }
    this.#parts.put({ pipeline, source, stream, partition, run, at, after, ...place }, Buffer.concat(body))
  }
}

const sizeOf = (pieces: readonly Buffer[]): number => pieces.reduce((sum, { length }) => sum + length, 0)
