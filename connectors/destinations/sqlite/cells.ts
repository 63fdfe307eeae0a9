// Rows on their way to the database: the bytes of all their values, one behind the other, and where each begins and how
// long it is, as digits of a fixed width. One statement takes them apart in SQLite itself, which costs half of binding
// each value (docs/decisions.md). A value is text; the type of its column makes a number of it.

import { quoteName } from './names.ts'

const DIGITS = 10
const CELL = 2 * DIGITS
const ZERO = 0x30
const SPACE = 0x20
const MINUS = 0x2d
const FIRST_BYTES = 1 << 12

/** What was gathered. Its memory is its own. */
export interface Segment {
  readonly data: Buffer
  readonly index: Buffer
  /** Bytes of the index that count. */
  readonly end: number
  readonly rows: number
}

export class Cells {
  readonly #rowBytes: number
  #data: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #used = 0
  #index: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #end = 0

  constructor(columns: number) {
    this.#rowBytes = columns * CELL
  }

  get bytes(): number {
    return this.#used + this.#end
  }

  get rows(): number {
    return this.#end / this.#rowBytes
  }

  /** Begins a row of at most so many bytes. Each of its cells must follow. */
  begin(bytes: number): void {
    if (this.#used + bytes > this.#data.length) this.#data = grown(this.#data, this.#used, bytes)
    if (this.#end + this.#rowBytes > this.#index.length) this.#index = grown(this.#index, this.#end, this.#rowBytes)
  }

  /** ASCII. */
  plain(text: string): void {
    this.#close(this.#data.write(text, this.#used, 'latin1'))
  }

  text(text: string): void {
    this.#close(this.#data.write(text, this.#used))
  }

  bytesOf(source: Buffer, start: number, end: number): void {
    this.#close(source.copy(this.#data, this.#used, start, end))
  }

  nothing(): void {
    this.#index.fill(SPACE, this.#end, this.#end + CELL)
    this.#end += CELL
    this.#index[this.#end - 2] = MINUS
    this.#index[this.#end - 1] = ZERO + 1
  }

  /** What has gathered since the last call. */
  take(): Segment {
    const segment = { data: this.#data, index: this.#index, end: this.#end, rows: this.rows }
    this.#data = Buffer.allocUnsafeSlow(Math.min(segment.data.length, 2 * Math.max(this.#used, FIRST_BYTES)))
    this.#index = Buffer.allocUnsafeSlow(Math.min(segment.index.length, 2 * Math.max(this.#end, FIRST_BYTES)))
    this.#used = 0
    this.#end = 0
    return segment
  }

  #close(length: number): void {
    // The first byte is 1 in SQL.
    putDigits(this.#index, this.#end, this.#used + 1)
    putDigits(this.#index, this.#end + DIGITS, length)
    this.#used += length
    this.#end += CELL
  }
}

function putDigits(target: Buffer, at: number, value: number): void {
  let rest = value
  for (let i = at + DIGITS - 1; i >= at; i--) {
    const tenth = Math.floor(rest / 10)
    target[i] = ZERO + rest - 10 * tenth
    rest = tenth
  }
}

function grown(buffer: Buffer, used: number, more: number): Buffer {
  const next = Buffer.allocUnsafeSlow(Math.max(2 * buffer.length, used + more))
  buffer.copy(next, 0, 0, used)
  return next
}

/** Inserts a segment, `@data`, `@index` and `@end`, in its order. `more`: what follows the SELECT. */
export function insertOf(table: string, columns: readonly string[], nullable: boolean, more = ''): string {
  const width = columns.length * CELL
  const number = (at: number): string => `CAST(substr(@index, i + ${at}, ${DIGITS}) AS INTEGER)`
  const cells = columns.map((_, at) => {
    const length = number(at * CELL + DIGITS + 1)
    return `CAST(substr(@data, ${number(at * CELL + 1)}, ${nullable ? `nullif(${length}, -1)` : length}) AS TEXT)`
  })
  return `WITH RECURSIVE cell(i) AS (SELECT 0 UNION ALL SELECT i + ${width} FROM cell WHERE i + ${width} < @end)
    INSERT INTO ${quoteName(table)} (${columns.map(quoteName).join(', ')}) SELECT ${cells.join(', ')} FROM cell ${more}`
}
