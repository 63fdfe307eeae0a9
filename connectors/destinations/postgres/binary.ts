// Rows as the binary format of COPY, for columns of a few types: lengths and bytes, so that nothing is escaped here, and the
// server neither splits lines nor reads times. https://www.postgresql.org/docs/current/sql-copy.html

import { BizonError } from '../../../lib/errors.ts'
import { type Format, WaitingRows } from './copy.ts'

const HEAD = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const TAIL = Buffer.from([0xff, 0xff])
const BINARY: Format = { options: ' (FORMAT binary)', head: [HEAD], tail: [TAIL] }

/** Of the format of jsonb, which else is its text. */
const JSONB_VERSION = 1
const TIME_BYTES = 8
/** 2000-01-01, from where PostgreSQL counts microseconds. */
const EPOCH_MS = 946_684_800_000
const CANONICAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{6}))?\+00:00$/

export class BinaryRows extends WaitingRows {
  /** The times that rows have in common, in the form of a value. */
  readonly #times = new Map<string, Buffer>()

  constructor() {
    super(BINARY)
  }

  /** Begins a row with so many columns, of at most so many bytes: of each column 4 more. */
  begin(id: string, columns: number, bytes: number): void {
    this.reserve(id, 2 + 4 * columns + bytes)
    this.chunk[this.used++] = columns >>> 8
    this.chunk[this.used++] = columns
  }

  /** Of a column of text, where all of it is ASCII. */
  ascii(text: string): void {
    this.#length(text.length)
    this.used += this.chunk.write(text, this.used, 'latin1')
  }

  text(text: string): void {
    const bytes = this.chunk.write(text, this.used + 4)
    this.#length(bytes)
    this.used += bytes
  }

  /** As timestampText() writes it; `record` is for the message. */
  time(text: string, record: string): void {
    let bytes = this.#times.get(text)
    if (!bytes) {
      bytes = timeBytes(text, record)
      // Those of a page come again at each of its rows; those of records need not.
      if (this.#times.size === MOST_TIMES) this.#times.clear()
      this.#times.set(text, bytes)
    }
    for (let at = 0; at < bytes.length; at++) this.chunk[this.used++] = bytes[at] as number
  }

  jsonb(source: Buffer, start: number, end: number): void {
    this.#length(1 + end - start)
    this.chunk[this.used++] = JSONB_VERSION
    this.used += source.copy(this.chunk, this.used, start, end)
  }

  bigint(value: number): void {
    this.#length(8)
    this.used = this.chunk.writeBigInt64BE(BigInt(value), this.used)
  }

  #length(bytes: number): void {
    this.chunk[this.used++] = bytes >>> 24
    this.chunk[this.used++] = bytes >>> 16
    this.chunk[this.used++] = bytes >>> 8
    this.chunk[this.used++] = bytes
  }
}

const MOST_TIMES = 1000

function timeBytes(text: string, record: string): Buffer {
  const [, micros = '0'] = CANONICAL.exec(text) ?? []
  const millis = Date.parse(`${text.slice(0, 19)}Z`)
  // A year of another length, or one that the server has not.
  if (!CANONICAL.test(text) || text.startsWith('0000') || Number.isNaN(millis)) {
    throw new BizonError(
      'invalid_record',
      `record ${JSON.stringify(record)}: its timestamp ${text} is not within the years 1 to 9999`,
      { hint: 'Correct it in a transform.' },
    )
  }
  const bytes = Buffer.alloc(4 + TIME_BYTES)
  bytes.writeInt32BE(TIME_BYTES)
  bytes.writeBigInt64BE(BigInt(millis - EPOCH_MS) * 1000n + BigInt(micros), 4)
  return bytes
}
