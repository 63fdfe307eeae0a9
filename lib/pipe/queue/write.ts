// Pages to messages: small pages are gathered into one, a large page is cut into parts. What a message holds is what a pipe that
// began there would hold, so that a loader may begin with any message that is not the rest of a page.

import type { Channel, ChannelProducer } from '../../channel.ts'
import { type Item, isPage } from '../../checkpoint.ts'
import { faultPoint } from '../../fault.ts'
import type { StreamInfo } from '../../source.ts'
import { newId } from '../../state.ts'
import { never } from '../../wait.ts'
import type { PipeEnd } from '../forms.ts'
import { type PipeState, writeState } from '../state.ts'
import { PipeWriter } from '../write.ts'
import { type MessageHead, writeHead } from './message.ts'

export interface QueueWriterParts {
  readonly producer: ChannelProducer
  readonly channel: Pick<Channel, 'messageBytes' | 'lingerSeconds'>
  readonly stream: StreamInfo
  /** Where it begins, with what the first line of a pipe says. */
  readonly start: PipeState
  /** See `Standing`. */
  readonly after?: MessageHead['after']
  /** Told as soon as a message could not be put. */
  readonly failed: (error: unknown) => void
  readonly signal?: AbortSignal
}

/** A message that is so full is put without waiting for more pages. */
const FULL = 0.75

/** `open`, then pages and checkpoints, then `close`; one call at a time. */
export class QueueWriter {
  readonly #parts: QueueWriterParts
  readonly #lines: PipeWriter
  readonly #session = newId()
  /** Behind the last page that is whole. */
  #state: PipeState
  /** The message that is gathered: the lines with which a pipe begins, and the pages that are whole. */
  #whole: Buffer[] = []
  /** Pages of the run before it. */
  #from: number
  /** The page that has not ended, as far as it was not put as parts. */
  #page: Buffer[] = []
  #part = 0
  #timer: NodeJS.Timeout | undefined
  /** Never rejects. */
  #putting: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined
  #isClosed = false

  constructor(parts: QueueWriterParts) {
    const { stream, start } = parts
    this.#parts = parts
    this.#state = start
    this.#from = start.page
    this.#lines = new PipeWriter({ write: (bytes) => this.#take(bytes) }, 'singer', stream, start, {
      failed: (error) => this.#fail(error),
    })
  }

  async open(): Promise<void> {
    await this.#lines.open()
  }

  /** A page that is whole is put when this resolves, or soon after. */
  async write(item: Item): Promise<void> {
    this.#check()
    await this.#lines.write(item)
    if (isPage(item)) return
    await this.#lines.settle()
    const { begin } = this.#parts.start
    const { run, at, of, previous } = this.#parts.start
    const { page, rows, end, position, watermark } = item
    this.#state = {
      ...{ run, at, page, rows, end, position },
      ...(of && { of }),
      ...(previous !== undefined && { previous }),
      ...(watermark !== undefined && { watermark }),
      ...(begin && { begin }),
    }
    await this.#border()
  }

  /** A queue has no reader that could be gone. */
  async idle(): Promise<void> {}

  /** Puts what is whole; the rest of a page that has not ended is left out. */
  async close(end: PipeEnd): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    // What the destination holds is at its end already: whoever loads has only to publish it.
    const isOnlyEnd = end === 'complete' && this.#parts.start.end && this.#state === this.#parts.start
    if (isOnlyEnd) this.#keep()
    if (this.#whole.length > 0) this.#putWhole()
    await this.#putting
    this.#check()
  }

  async #take(bytes: Uint8Array): Promise<void> {
    this.#page.push(Buffer.from(bytes))
    const { messageBytes } = this.#parts.channel
    if (sizeOf(this.#whole) + sizeOf(this.#page) <= messageBytes) return
    await this.#room()
    // What is whole goes first, for a message begins with a page or goes on with one, and never does both.
    if (this.#whole.length > 0) this.#putWhole()
    while (sizeOf(this.#page) > messageBytes) {
      await this.#room()
      const all = Buffer.concat(this.#page)
      this.#page = [all.subarray(messageBytes)]
      this.#put([all.subarray(0, messageBytes)], { to: this.#from + 1, last: false })
      this.#part += 1
    }
  }

  /** Behind a page. */
  async #border(): Promise<void> {
    if (this.#part > 0) {
      await this.#room()
      this.#put(this.#page, { to: this.#state.page, last: true })
      this.#page = []
      this.#next()
      return
    }
    this.#keep()
    const isFull = sizeOf(this.#whole) >= FULL * this.#parts.channel.messageBytes
    const { lingerSeconds } = this.#parts.channel
    if (isFull || this.#state.end || lingerSeconds === 0) {
      await this.#room()
      if (this.#whole.length > 0) this.#putWhole()
    } else {
      this.#timer ??= setTimeout(() => this.#overdue(), lingerSeconds * 1000)
    }
  }

  /** The page has ended. */
  #keep(): void {
    this.#whole.push(...this.#page)
    this.#page = []
  }

  #overdue(): void {
    if (this.#whole.length > 0 && !this.#isClosed) this.#putWhole()
  }

  #putWhole(): void {
    const whole = this.#whole
    this.#whole = []
    this.#put(whole, { to: this.#state.page, last: true })
    this.#next()
  }

  /** What follows is another message. Of a page that is under way, the beginning is there already. */
  #next(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#from = this.#state.page
    this.#part = 0
    this.#page.unshift(Buffer.from(this.#lines.opening(this.#state)))
  }

  #put(body: readonly Buffer[], { to, last }: Pick<MessageHead, 'to' | 'last'>): void {
    const { producer, start, after, signal = never } = this.#parts
    const { pipeline = '', source = '', stream = '' } = start.begin ?? {}
    const { run, at } = start
    const end = last && this.#state.end
    const place = { session: this.#session, from: this.#from, to, part: this.#part, last, end }
    const message = {
      headers: writeHead({ pipeline, source, stream, run, at, after, ...place }),
      body: Buffer.concat(body),
      ...(last && { last: writeState(this.#state) }),
    }
    this.#putting = this.#putting.then(async () => {
      if (this.#failure) return
      try {
        faultPoint('put.before')
        await producer.put(message, signal)
        faultPoint('put.after')
      } catch (error) {
        this.#fail(error)
      }
    })
  }

  /** One message may be on its way while the next one is made. */
  async #room(): Promise<void> {
    await this.#putting
    this.#check()
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error
  }

  #fail(error: unknown): void {
    if (this.#failure) return
    this.#failure = { error }
    this.#parts.failed(error)
  }
}

const sizeOf = (pieces: readonly Buffer[]): number => pieces.reduce((sum, { length }) => sum + length, 0)
