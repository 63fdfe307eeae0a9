// Lines to pages: what the readers of all dialects (own.ts, singer.ts, ndjson.ts) share.

import { isUtf8 } from 'node:buffer'
import { BizonError } from '../errors.ts'
import { skipWhitespace } from '../json.ts'
import type { Log } from '../log.ts'
import type { RawJson, SourceRecord } from '../record.ts'
import type { Page, Position, StreamInfo } from '../source.ts'
import type { Lines } from './lines.ts'
import type { Message } from './messages.ts'

/** Of one page so much is held; the rest of it follows in another. */
const PAGE_BYTES = 1 << 20
const PAGE_RECORDS = 5000
const LF = 0x0a
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
  /** `buffer[start, end)` is one line without its end; `number` counts from 1. */
  line(buffer: Buffer, start: number, end: number, number: number): void
  /** Pages that are due. */
  take(): PipePage[]
  /** After the last line: what is left. Throws when the pipe may not end here. */
  finish(): PipePage[]
}

/** Gives every line of the block to `each`, without line ends. Blank lines are passed over. */
export function eachLine(
  { buffer, start, end }: Lines,
  first: number,
  each: (start: number, end: number, number: number) => void,
): number {
  if (!isUtf8(buffer.subarray(start, end))) throw notUtf8(buffer, start, end, first)
  let number = first
  for (let at = start; at < end; number++) {
    let stop = buffer.indexOf(LF, at)
    if (stop < 0 || stop > end) stop = end
    const after = stop + 1
    if (stop > at && buffer[stop - 1] === CR) stop--
    if (skipWhitespace(buffer, at, stop) < stop) each(at, stop, number)
    at = after
  }
  return number
}

function notUtf8(buffer: Buffer, start: number, end: number, first: number): BizonError {
  let number = first
  for (let at = start; at < end; number++) {
    let stop = buffer.indexOf(LF, at)
    if (stop < 0 || stop > end) stop = end
    if (!isUtf8(buffer.subarray(at, stop))) break
    at = stop + 1
  }
  return new BizonError('invalid_record', `line ${number} of the pipe is not UTF-8`)
}

/** Records of a page that has not ended. */
export class Gathering {
  #records: SourceRecord[] = []
  #bytes = 0
  #due: PipePage[] = []

  add(record: SourceRecord, bytes: number, stream: StreamInfo | undefined): void {
    this.#records.push(record)
    this.#bytes += bytes
    if (this.#bytes >= PAGE_BYTES || this.#records.length >= PAGE_RECORDS) this.spill(stream)
  }

  /** What is there goes on; the page does not end with it. */
  spill(stream: StreamInfo | undefined): void {
    if (this.#records.length === 0) return
    this.#due.push({ page: { ...this.#page(stream), next: MORE, more: true } })
  }

  /** Ends the page. */
  end(stream: StreamInfo | undefined, rest: Pick<Page, 'next' | 'watermark'>, value?: RawJson): void {
    this.#due.push({ page: { ...this.#page(stream), ...rest }, ...(value && { value }) })
  }

  take(): PipePage[] {
    const due = this.#due
    this.#due = []
    return due
  }

  #page(stream: StreamInfo | undefined): Omit<Page, 'next'> {
    const page = { records: this.#records, bytes: this.#bytes, ...(stream && { stream }) }
    this.#records = []
    this.#bytes = 0
    return page
  }
}

const MORE: Position = {}

/** A line that cannot be what the producer wrote. */
export function broken(number: number, what: string): BizonError {
  return new BizonError('source', `line ${number} of the pipe: ${what}`, {
    hint: 'Something between the two programs changed the lines. Nothing of this page was loaded; run the same line again.',
  })
}

/** Lines are missing. */
export function lost(number: number, missing: number, why: string, what = 'record'): BizonError {
  const many = missing === 1 ? `1 ${what} is` : `${missing} ${what}s are`
  return new BizonError('source', `line ${number} of the pipe: ${why}, so that ${many} missing`, {
    hint:
      what === 'record'
        ? 'If a program between is to drop records, add --allow-edited; else nothing of this page was loaded: run the same line again.'
        : 'Something between the two programs dropped lines; run the same line again without it.',
  })
}

/** A line that is no message. */
export function refuse(message: Message, buffer: Buffer, start: number, end: number, number: number): never {
  if (message.type === 'INVALID') throw notJson(buffer, start, end, number, message.why, message.at)
  throw broken(
    number,
    `a message of type ${message.type === 'OTHER' ? message.name : message.type} is not expected here`,
  )
}

export function notJson(
  buffer: Buffer,
  start: number,
  end: number,
  number: number,
  why = 'it is not JSON',
  at?: number,
): BizonError {
  const where = at === undefined ? '' : `, from byte ${at + 1} on`
  const text = buffer.toString('utf8', start, Math.min(end, start + SHOWN_BYTES))
  const shown = end - start > SHOWN_BYTES ? `${text}…` : text
  return new BizonError('invalid_record', `line ${number} of the pipe: ${why}${where}: ${shown}`, {
    hint: 'Logs belong on standard error; what comes through the pipe must be data.',
  })
}

const SHOWN_BYTES = 100
