// Lines to pages: what the readers of all dialects (own.ts, singer.ts, ndjson.ts) share.

import { isUtf8 } from 'node:buffer'
import { type BizonError, Damaged } from '../errors.ts'
import { skipWhitespace } from '../json.ts'
import type { Log } from '../log.ts'
import type { RawJson, SourceRecord } from '../record.ts'
import type { Page, Position, StreamInfo } from '../source.ts'
import { type Lines, lineEnd } from './lines.ts'
import type { Message } from './messages.ts'

/** Of one page so much is held; the rest of it follows in another. */
const PAGE_BYTES = 1 << 20
const PAGE_RECORDS = 5000
const CR = 0x0d

/** A page, and the STATE value behind it, if it is whole. */
export interface PipePage {
  readonly page: Page
  readonly value?: RawJson
}

export interface PipeReaderOptions {
  readonly log: Log
  /** Records that a program between has dropped are no error. */
  readonly allowEdited: boolean
}

/** Takes lines, gives pages. One for each dialect. */
export interface PipeReader {
  /**
   * `buffer[start, end)` is one line without its end; `number` counts from 1. Returns true when `referred` must be read
   * before the next line.
   */
  line(buffer: Buffer, start: number, end: number, number: number): boolean | undefined
  /** A line that is not UTF-8. */
  notUtf8(buffer: Buffer, start: number, end: number, number: number): void
  /** The pages of what the last line only refers to. */
  referred?(signal: AbortSignal): AsyncGenerator<readonly PipePage[], void, void>
  /** Instead of `line`: whole lines, as many as came. Of a dialect whose records may be longer than a line. */
  block?(lines: Lines): void
  /** Pages that are due. */
  take(): PipePage[]
  /** After the last line: what is left. Throws when the pipe may not end here. `torn`: the last line was cut off. */
  finish(torn: boolean): PipePage[]
}

export type LineTaker = Pick<PipeReader, 'line' | 'notUtf8'>

/**
 * Gives the lines of the block to the taker, without line ends, until it wants no more. Blank lines are passed over.
 * Returns the number of the next line, and what is left of the block.
 */
export function eachLine(
  { buffer, start, end }: Lines,
  first: number,
  taker: LineTaker,
): { number: number; rest: Lines | undefined } {
  const utf8 = isUtf8(buffer.subarray(start, end))
  let number = first
  for (let at = start; at < end; number++) {
    let stop = lineEnd(buffer, at, end)
    const after = stop + 1
    if (stop > at && buffer[stop - 1] === CR) stop--
    if (!utf8 && !isUtf8(buffer.subarray(at, stop))) taker.notUtf8(buffer, at, stop, number)
    else if (skipWhitespace(buffer, at, stop) < stop && taker.line(buffer, at, stop, number)) {
      return { number: number + 1, rest: after < end ? { buffer, start: after, end } : undefined }
    }
    at = after
  }
  return { number, rest: undefined }
}

interface Bucket {
  readonly stream: StreamInfo | undefined
  records: SourceRecord[]
  bytes: number
}

/** Records of a page that has not ended, by their streams, which may come in turns. */
export class Gathering {
  /** In the order in which the streams came up; within each, in the order of the records. */
  #buckets: Bucket[] = []
  #current: Bucket | undefined
  #bytes = 0
  #records = 0
  #due: PipePage[] = []
  /** When the page was asked for, if that is said; until its end. */
  extractedAt: Date | undefined

  add(record: SourceRecord, bytes: number, stream: StreamInfo | undefined): void {
    const current = this.#current
    const bucket = current && current.stream === stream ? current : this.#bucketOf(stream)
    bucket.records.push(record)
    bucket.bytes += bytes
    this.#bytes += bytes
    this.#records += 1
    if (this.#bytes >= PAGE_BYTES || this.#records >= PAGE_RECORDS) this.spill()
  }

  /** The stream is part of what comes, whether or not it has records. */
  name(stream: StreamInfo): void {
    this.#bucketOf(stream)
  }

  /** What is there goes on; the page does not end with it. */
  spill(): void {
    for (const bucket of this.#empty()) this.#due.push({ page: { ...this.#pageOf(bucket), next: MORE, more: true } })
  }

  /** Ends the page. */
  end(rest: Pick<Page, 'next' | 'watermark' | 'reading'>, value?: RawJson): void {
    const last = this.#buckets.at(-1)
    const before = this.#empty().slice(0, -1)
    for (const bucket of before) this.#due.push({ page: { ...this.#pageOf(bucket), next: MORE, more: true } })
    const page = last ? this.#pageOf(last) : { records: [], bytes: 0 }
    this.#due.push({ page: { ...page, ...rest }, ...(value && { value }) })
    this.extractedAt = undefined
  }

  take(): PipePage[] {
    const due = this.#due
    this.#due = []
    return due
  }

  #bucketOf(stream: StreamInfo | undefined): Bucket {
    const known = this.#buckets.find((each) => each.stream === stream)
    const bucket = known ?? { stream, records: [], bytes: 0 }
    if (!known) this.#buckets.push(bucket)
    this.#current = bucket
    return bucket
  }

  #pageOf({ stream, records, bytes }: Bucket): Omit<Page, 'next'> {
    const { extractedAt } = this
    return { records, bytes, ...(stream && { stream }), ...(extractedAt && { extractedAt }) }
  }

  #empty(): Bucket[] {
    const buckets = this.#buckets
    this.#buckets = []
    this.#current = undefined
    this.#bytes = 0
    this.#records = 0
    return buckets
  }
}

const MORE: Position = {}

/** A line that cannot be what the producer wrote. */
export function broken(number: number, what: string): BizonError {
  return new Damaged('source', `line ${number} of the pipe: ${what}`, {
    hint: 'Something between the two programs changed the lines. Nothing of this page was loaded; run the same line again.',
  })
}

/** Lines are missing. */
export function lost(number: number, missing: number, why: string, what = 'record'): BizonError {
  const many = missing === 1 ? `1 ${what} is` : `${missing} ${what}s are`
  return new Damaged('source', `line ${number} of the pipe: ${why}, so that ${many} missing`, {
    hint:
      what === 'record'
        ? 'Nothing of this page was loaded: run the same line again. If a program between is to drop records: bizon-load FILE --allow-edited.'
        : 'Something between the two programs dropped lines; run the same line again without it.',
  })
}

/** A line that is no message. */
export function refuse(message: Message, buffer: Buffer, start: number, end: number, number: number): never {
  if (message.type === 'INVALID') throw notJson(buffer, start, end, number, message)
  throw broken(
    number,
    `a message of type ${message.type === 'OTHER' ? message.name : message.type} is not expected here`,
  )
}

/** What is wrong with a line. */
export interface Unfit {
  readonly why?: string | undefined
  /** The byte that is wrong, counted from the start of the line. */
  readonly at?: number | undefined
  /** Where it stands. Default: the pipe. */
  readonly file?: string
  readonly hint?: string
}

export function notJson(
  buffer: Buffer,
  start: number,
  end: number,
  number: number,
  {
    why = 'it is not JSON',
    at,
    file = 'the pipe',
    hint = 'Logs belong on standard error; what comes through the pipe must be data.',
  }: Unfit = {},
): BizonError {
  const where = at === undefined ? '' : `, from byte ${at + 1} on`
  const long = end - start > SHOWN_BYTES
  // A character may be cut in two.
  const text = buffer.toString('utf8', start, long ? start + SHOWN_BYTES : end).replace(/\p{Cc}/gu, '·')
  const shown = long ? `${text.replace(/\ufffd$/, '')}…` : text
  return new Damaged('invalid_record', `line ${number} of ${file}: ${why}${where}: ${shown}`, {
    hint,
  })
}

export function notUtf8(buffer: Buffer, start: number, end: number, number: number, file?: string): BizonError {
  const hint = 'Let it be written as UTF-8, or convert it: iconv -f latin1 -t utf-8.'
  return notJson(buffer, start, end, number, { why: 'it is not UTF-8', hint, ...(file !== undefined && { file }) })
}

const SHOWN_BYTES = 100
