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
const MOST_SPARE_BYTES = 8 << 20
/** Bytes that are sooner copied here than by a call. */
const SHORT = 40

/** What was gathered. Its memory is its own. */
export interface Segment {
  readonly data: Buffer
  readonly index: Buffer
  /** Bytes of the index that count. */
  readonly end: number
  readonly rows: number
  /** Where its memory goes afterwards. */
  readonly spare: Spare
}

/** Memory of segments that were sent, for the next ones: as garbage, it would be much before the collector looks. */
export class Spare {
  #data: Buffer[] = []
  #index: Buffer[] = []

  /** The memory of one segment. What a large record needed is not kept. */
  keep([data, index]: readonly ArrayBuffer[] = []): void {
    if (!data || !index || data.byteLength + index.byteLength > MOST_SPARE_BYTES) return
    this.#data.push(Buffer.from(data))
    this.#index.push(Buffer.from(index))
  }

  data(bytes: number): Buffer {
    return this.#data.pop() ?? Buffer.allocUnsafeSlow(bytes)
  }

  index(bytes: number): Buffer {
    return this.#index.pop()?.fill(ZERO) ?? zeros(bytes)
  }
}

export class Cells {
  readonly #rowBytes: number
  readonly #spare: Spare
  #data: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #used = 0
  #index: Buffer = zeros(FIRST_BYTES)
  #end = 0

  constructor(columns: number, spare: Spare) {
    this.#rowBytes = columns * CELL
    this.#spare = spare
  }

  get bytes(): number {
    return this.#used + this.#end
  }

  get rows(): number {
    return this.#end / this.#rowBytes
  }

  /** Begins a row of at most so many bytes. Each of its cells must follow. */
  begin(bytes: number): void {
    if (this.#used + bytes > this.#data.length) {
      const room = Math.max(2 * this.#data.length, this.#used + bytes)
      this.#data = moved(this.#data, this.#used, Buffer.allocUnsafeSlow(room))
    }
    if (this.#end + this.#rowBytes > this.#index.length)
      this.#index = moved(this.#index, this.#end, zeros(2 * this.#index.length + this.#rowBytes))
  }

  /** ASCII. */
  plain(text: string): void {
    this.#close(this.#data.write(text, this.#used, 'latin1'))
  }

  text(text: string): void {
    this.#close(this.#data.write(text, this.#used))
  }

  bytesOf(source: Buffer, start: number, end: number): void {
    const length = end - start
    if (length > SHORT) source.copy(this.#data, this.#used, start, end)
    else for (let i = 0; i < length; i++) this.#data[this.#used + i] = source[start + i] as number
    this.#close(length)
  }

  nothing(): void {
    this.#index.fill(SPACE, this.#end, this.#end + CELL)
    this.#end += CELL
    this.#index[this.#end - 2] = MINUS
    this.#index[this.#end - 1] = ZERO + 1
  }

  /** What has gathered since the last call. */
  take(): Segment {
    const segment = { data: this.#data, index: this.#index, end: this.#end, rows: this.rows, spare: this.#spare }
    this.#data = this.#spare.data(Math.min(segment.data.length, 2 * Math.max(this.#used, FIRST_BYTES)))
    this.#index = this.#spare.index(Math.min(segment.index.length, 2 * Math.max(this.#end, FIRST_BYTES)))
    this.#used = 0
    this.#end = 0
    return segment
  }

  #close(length: number): void {
    // The first byte is 1 in SQL.
    putDigits(this.#index, this.#end + DIGITS, this.#used + 1)
    putDigits(this.#index, this.#end + CELL, length)
    this.#used += length
    this.#end += CELL
  }
}

/** Over zeros. */
function putDigits(target: Buffer, end: number, value: number): void {
  for (let rest = value, i = end; rest > 0; ) {
    const tenth = (rest / 10) | 0
    target[--i] = ZERO + rest - 10 * tenth
    rest = tenth
  }
}

function moved(from: Buffer, used: number, to: Buffer): Buffer {
  from.copy(to, 0, 0, used)
  return to
}

function zeros(length: number): Buffer {
  return Buffer.allocUnsafeSlow(length).fill(ZERO)
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
