// Of a producer of ours. What it says of each page is checked, so that a line that was lost, doubled or moved on the way
// is found before anything of its page is durable.

import { isDeepStrictEqual } from 'node:util'
import { BizonError, Unloadable } from '../errors.ts'
import { RawJson, type SourceRecord } from '../record.ts'
import type { Page, Position, StreamInfo } from '../source.ts'
import { envelopeReader, timeOf } from './envelope.ts'
import { type RecordMessage, readMessage } from './messages.ts'
import {
  broken,
  Gathering,
  lost,
  notUtf8,
  type PipePage,
  type PipeReader,
  type PipeReaderOptions,
  refuse,
} from './read.ts'
import { streamOf } from './schema.ts'
import { type PipeState, plain, readState } from './state.ts'

/** What the destination holds. */
export interface Held {
  readonly page: number
  readonly position: Position | null
  /** See `Page`. */
  readonly reading?: string | undefined
}

/** Whether both are known, and are two. */
export const isOther = (one: string | undefined, two: string | undefined): boolean =>
  one !== undefined && two !== undefined && one !== two

/** Pages that the destination holds are not those that are given now: what follows them may be in neither, or in both. */
export function readAnew(place: string, page: number): Unloadable {
  return new Unloadable(
    'source',
    `${place}: the source was read once more and gave other pages, so that it cannot be gone on behind page ${page}`,
    {
      hint: 'Start over: set source.force_ignore_checkpoint to true for one run (incremental: bizon-extract --reset). Of a queue: with --to-queue --ignore-queue, then bizon-load FILE --from-queue --skip-broken.',
    },
  )
}

/** The checks, whatever the lines are written in. */
export class OwnPages {
  readonly #options: PipeReaderOptions
  readonly #gathering = new Gathering()
  readonly #held: Held
  readonly #endless: boolean
  #state: PipeState
  /** The last page, held back until it is sure that nothing follows it. */
  #end: [Pick<Page, 'next' | 'watermark' | 'reading'>, RawJson] | undefined
  #stream: StreamInfo | undefined
  #n: number

  /** `start`: what the first line said. `held`: the loader holds the pages up to this one already. */
  constructor(start: PipeState, held: Held, options: PipeReaderOptions) {
    this.#options = options
    this.#state = start
    this.#n = start.rows
    this.#held = held
    this.#endless = start.begin?.mode === 'stream'
  }

  /** Where the pipe stands. */
  get state(): PipeState {
    return this.#state
  }

  /** The stream of the records that follow. */
  schema(stream: StreamInfo, number: number): void {
    this.#expectMore(number)
    this.#stream = stream
  }

  /** Whether nobody has said yet when the page was asked for. */
  get lacksTime(): boolean {
    return this.#gathering.extractedAt === undefined
  }

  /** When the page was asked for, as its first record says. */
  asked(at: Date): void {
    if (!Number.isNaN(at.getTime())) this.#gathering.extractedAt = at
  }

  take(): PipePage[] {
    return this.#gathering.take()
  }

  finish(torn: boolean): PipePage[] {
    if (this.#end) {
      this.#gathering.end(...this.#end)
      return this.take()
    }
    // A stream has no end; behind a page it may stop.
    if (this.#endless && !torn && this.#n === this.#state.rows) return this.take()
    const { page, rows } = this.#state
    throw new BizonError(
      'incomplete',
      `the pipe ended without the end of the run, behind page ${page} (${rows} rows): the program before it was cut off, or stopped`,
      {
        hint: `Run the same line again: it goes on from the last checkpoint. ${this.#endless ? 'What came before is loaded.' : 'Nothing was published.'}`,
      },
    )
  }

  record({ stream, record, extractedAt, bizon }: Omit<RecordMessage, 'type'>, number: number): void {
    if (this.#stream === undefined) throw broken(number, `a RECORD of ${stream} comes before its SCHEMA`)
    if (stream !== this.#stream.name)
      throw broken(number, `a RECORD of ${stream} behind the SCHEMA of ${this.#stream.name}`)
    if (!bizon) throw broken(number, 'a RECORD has lost its key bizon')
    const { n, id, at, to } = bizon
    if (extractedAt !== undefined && this.lacksTime) this.asked(new Date(extractedAt))
    const timed = at === undefined ? {} : { timestamp: at }
    this.add(
      n,
      { id, data: record, ...timed, ...(to !== undefined && { destinationId: to }) },
      record.byteLength,
      number,
    )
  }

  /** A record of the stream; `n`: its number in the run. */
  add(n: number, record: SourceRecord, bytes: number, number: number): void {
    this.#expectMore(number)
    const missing = n - this.#n - 1
    if (missing < 0) throw broken(number, `record ${n} comes behind record ${this.#n}`)
    if (missing > 0 && !this.#options.allowEdited) throw lost(number, missing, `record ${n} follows record ${this.#n}`)
    this.#n = n
    if (this.#state.page >= this.#held.page) this.#gathering.add(record, bytes, this.#stream)
  }

  #expectMore(number: number): void {
    if (this.#state.end) throw broken(number, 'more follows the end of the run')
  }

  /** A page that the destination holds. The last of them must end where it stands, or it held other pages. */
  #passOver({ page, position, end, reading }: PipeState, number: number): void {
    const held = this.#held
    if (page < held.page && !end) return
    const isSame = page === held.page && isDeepStrictEqual(plain(position), plain(held.position))
    if (!isSame || isOther(reading, held.reading)) throw readAnew(`line ${number} of the pipe`, held.page)
  }

  /** `told`: what is printed once everything before is durable, if it is not the value. */
  pageEnd(value: RawJson, number: number, told: RawJson = value): void {
    this.#expectMore(number)
    const state = readState(value)
    const before = this.#state
    if (!state) throw broken(number, 'a STATE is not one of bizon')
    if (state.run !== before.run)
      throw broken(number, `a STATE is of run ${state.run}, and the pipe is of ${before.run}`)
    const pages = state.page - before.page
    // A source that is exhausted with nothing more to give says so behind the page before.
    if (pages < 1) throw broken(number, `page ${state.page} comes behind page ${before.page}`)
    if (pages > 1) throw lost(number, pages - 1, `page ${state.page} follows page ${before.page}`, 'page')
    const missing = state.rows - this.#n
    if (missing < 0) throw broken(number, `page ${state.page} ends with record ${state.rows}, behind record ${this.#n}`)
    if (missing > 0 && !this.#options.allowEdited)
      throw lost(number, missing, `page ${state.page} ends with record ${state.rows}, and the last one was ${this.#n}`)
    this.#n = state.rows
    this.#state = state
    if (before.page < this.#held.page) {
      this.#passOver(state, number)
      return
    }
    const { end, position, watermark, reading } = state
    const kept = new RawJson(Buffer.from(told.bytes()))
    const rest = {
      next: end ? null : (position ?? {}),
      ...(watermark !== undefined && { watermark }),
      ...(reading !== undefined && { reading }),
    }
    if (end) this.#end = [rest, kept]
    else this.#gathering.end(rest, kept)
  }
}

/** Of ours in Singer messages. */
export class OwnReader implements PipeReader {
  readonly #pages: OwnPages
  /** Of the lines as our writer writes them. */
  #quick: ReturnType<typeof envelopeReader> | undefined

  /** Behind the first line: see OwnPages. */
  constructor(start: PipeState, held: Held, options: PipeReaderOptions) {
    this.#pages = new OwnPages(start, held, options)
  }

  line(buffer: Buffer, start: number, end: number, number: number): undefined {
    const found = this.#quick?.(buffer, start, end)
    if (found) {
      if (this.#pages.lacksTime) this.#pages.asked(timeOf(found, buffer))
      this.#pages.add(found.n, { id: found.id, data: found.record }, found.record.byteLength, number)
      return
    }
    const message = readMessage(buffer, start, end)
    if (message.type === 'RECORD') this.#pages.record(message, number)
    else if (message.type === 'STATE') this.#pages.pageEnd(message.value, number)
    else if (message.type === 'SCHEMA') {
      this.#pages.schema(streamOf(message, number), number)
      this.#quick = envelopeReader(message.stream)
    } else refuse(message, buffer, start, end, number)
  }

  notUtf8(buffer: Buffer, start: number, end: number, number: number): void {
    throw notUtf8(buffer, start, end, number)
  }

  take(): PipePage[] {
    return this.#pages.take()
  }

  finish(torn: boolean): PipePage[] {
    return this.#pages.finish(torn)
  }
}
