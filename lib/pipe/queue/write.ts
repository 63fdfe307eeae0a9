// Pages to messages at a broker. Where there are several partitions, each record goes to that of its key, and each of them has every
// page, though it be an empty one: the messages of a group reach to the same page in all of them.
//
//                       ┌─▶ cutter ─▶ messages of partition 0 ─┐
//   page ──▶ split ─────┼─▶ cutter ─▶ messages of partition 1 ─┼──▶ one group ──put──▶ broker
//                       └─▶ cutter ─▶ messages of partition 2 ─┘

import type { Channel, ChannelProducer, Message, Outgoing } from '../../channel.ts'
import { type Checkpoint, type Item, isPage } from '../../checkpoint.ts'
import { faultPoint } from '../../fault.ts'
import { partRun } from '../../partition.ts'
import type { Page, StreamInfo } from '../../source.ts'
import { newId } from '../../state.ts'
import { never } from '../../wait.ts'
import type { PipeEnd } from '../forms.ts'
import type { After } from '../standing.ts'
import { type Beginning, type PipeState, writeState } from '../state.ts'
import { Cutter } from './cut.ts'
import { writeHead } from './message.ts'
import { Splitter } from './split.ts'

export interface QueueWriterParts {
  readonly producer: ChannelProducer
  readonly channel: Pick<Channel, 'messageBytes' | 'lingerSeconds' | 'partitions'>
  readonly stream: StreamInfo
  /** Where it begins, with what the first line of a pipe says. */
  readonly start: PipeState
  /** See `Standing`. */
  readonly after?: After | undefined
  /** Told as soon as a message could not be put. */
  readonly failed: (error: unknown) => void
  readonly signal?: AbortSignal
}

/** A message that is so full is put without waiting for more pages. */
const FULL = 0.75

/** `open`, then pages and checkpoints, then `close`; one call at a time. */
export class QueueWriter {
  readonly #parts: QueueWriterParts
  readonly #cutters: readonly Cutter[]
  readonly #splitter: Splitter | undefined
  /** Records of the page under way, by partition. */
  #counts: number[]
  /** Behind the last page that is whole. */
  #state: PipeState
  /** Messages of the group that is about to end. */
  #ending: Outgoing[] | undefined
  #timer: NodeJS.Timeout | undefined
  /** Never rejects. */
  #putting: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined
  #isClosed = false

  constructor(parts: QueueWriterParts) {
    const { partitions = 1, messageBytes } = parts.channel
    const { stream, start, after } = parts
    this.#parts = parts
    this.#state = start
    this.#counts = new Array<number>(partitions).fill(0)
    this.#splitter = partitions > 1 ? new Splitter(partitions, start) : undefined
    const session = newId()
    this.#cutters = this.#counts.map(
      (_, partition) =>
        new Cutter({
          ...{ stream, session, messageBytes },
          start: partitions > 1 ? startOf(start, partition, partitions) : start,
          after: partitions > 1 ? afterOf(after, partition) : after,
          put: (head, body) => this.#put({ partition, headers: writeHead(head, body), body }),
          overflows: () => this.#overflows(),
          failed: (error) => this.#fail(error),
        }),
    )
  }

  async open(): Promise<void> {
    for (const cutter of this.#cutters) await cutter.open()
  }

  /** A page that is whole is put when this resolves, or soon after. */
  async write(item: Item): Promise<void> {
    this.#check()
    await (isPage(item) ? this.#page(item) : this.#mark(item))
  }

  /** A queue has no reader that could be gone. */
  async idle(): Promise<void> {}

  /** Puts what is whole; the rest of a page that has not ended is left out. */
  async close(end: PipeEnd): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    // What the destination holds is at its end already: whoever loads has only to publish it.
    const isOnlyEnd = end === 'complete' && this.#parts.start.end && this.#state === this.#parts.start
    if (isOnlyEnd) for (const cutter of this.#cutters) cutter.keep()
    this.#endGroup(() => {})
    await this.#putting
    this.#check()
  }

  async #page(page: Page): Promise<void> {
    const pages = this.#splitter?.split(page, this.#parts.stream) ?? [page]
    for (const [at, cutter] of this.#cutters.entries()) {
      const part = pages[at] as Page
      this.#counts[at] = (this.#counts[at] ?? 0) + part.records.length
      await cutter.page(part)
    }
  }

  /** Behind a page: in all partitions at once. */
  async #mark(checkpoint: Checkpoint): Promise<void> {
    const { reading } = this.#splitter ?? {}
    const marks = this.#cutters.map(({ state }, at) =>
      this.#splitter
        ? { ...checkpoint, rows: state.rows + (this.#counts[at] ?? 0), ...(reading !== undefined && { reading }) }
        : checkpoint,
    )
    this.#counts.fill(0)
    for (const [at, cutter] of this.#cutters.entries()) await cutter.mark(marks[at] as Checkpoint)
    const { messageBytes, lingerSeconds } = this.#parts.channel
    const isCut = this.#cutters.some((cutter) => cutter.isCut)
    const border = (): void => {
      const { page, rows, end, position, watermark } = checkpoint
      const { watermark: _, reading: __, ...before } = this.#state
      this.#state = {
        ...{ ...before, page, rows, end, position },
        ...(watermark !== undefined && { watermark }),
        ...(reading !== undefined && { reading }),
      }
      for (const [at, cutter] of this.#cutters.entries()) cutter.border(marks[at] as Checkpoint)
    }
    if (isCut) await this.#room()
    else border()
    const isFull = this.#cutters.some(({ bytes }) => bytes >= FULL * messageBytes)
    if (isCut || isFull || checkpoint.end || lingerSeconds === 0) {
      await this.#room()
      this.#endGroup(isCut ? border : () => {})
    } else {
      this.#timer ??= setTimeout(() => this.#overdue(), lingerSeconds * 1000)
    }
  }

  #overdue(): void {
    if (!this.#isClosed) this.#endGroup(() => {})
  }

  /** The page under way does not fit behind what waits. */
  async #overflows(): Promise<void> {
    await this.#room()
    this.#endGroup(() => {})
  }

  /** Puts what is whole, in all partitions, if there is anything. `first`: may put more. */
  #endGroup(first: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#ending = []
    first()
    for (const cutter of this.#cutters) cutter.putWhole()
    const messages = this.#ending
    this.#ending = undefined
    const state = this.#splitter ? { ...this.#state, ...this.#rows() } : this.#cutters[0]?.state
    // The first partition's come last: what stands behind a group is then always found there.
    const isFirst = ({ partition = 0 }: Outgoing): boolean => partition === 0
    const ordered = [...messages.filter((one) => !isFirst(one)), ...messages.filter(isFirst)]
    for (const [at, message] of ordered.entries()) {
      const isLast = at === ordered.length - 1
      this.#send({ ...message, ...(isLast && state && { last: writeState(state) }) })
    }
  }

  /** How many records each partition has, where that is known. */
  #rows(): Pick<PipeState, 'partitions'> {
    if (!this.#parts.start.partitions) return {}
    return { partitions: this.#cutters.map(({ state }) => state.rows) }
  }

  #put(message: Message & { readonly partition: number }): void {
    if (this.#ending) this.#ending.push(message)
    else this.#send(message)
  }

  #send(message: Outgoing): void {
    const { producer, signal = never } = this.#parts
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

/** Where the pipe of a partition begins. */
function startOf({ partitions, previous, begin, ...state }: PipeState, index: number, of: number): PipeState {
  const { partitions: _, ...beginning } = begin ?? {}
  return {
    ...state,
    run: partRun(state.run, index),
    rows: partitions?.[index] ?? 0,
    ...(previous !== undefined && { previous: partRun(previous, index) }),
    ...(begin && { begin: { ...(beginning as Beginning), partition: { index, of } } }),
  }
}

function afterOf(after: After | undefined, index: number): { page: number; rows: number } | undefined {
  const rows = after?.partitions?.[index]
  return after && rows !== undefined ? { page: after.page, rows } : undefined
}
