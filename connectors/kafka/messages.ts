// Messages as they stand in the answer of a broker: columns that say where each is, so that nothing is copied, and nothing
// made, of what nobody looks at.

import { Cursor } from './wire.ts'

export interface Message {
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** In ms since 1970; -1 where there is none. */
  readonly timestamp: number
  /** A name that stands there several times has a list. */
  readonly headers: Headers
  /** With `markers`: of a message of a transaction, and of the end of one. */
  readonly transaction?: Transaction
}

export type Headers = Readonly<Record<string, Buffer | null | readonly (Buffer | null)[]>>

/** A header of which there is one, as text. */
export function headerText({ headers }: Pick<Message, 'headers'>, name: string): string | undefined {
  const value = headers[name]
  return Buffer.isBuffer(value) ? value.toString() : undefined
}

export interface Transaction {
  readonly producerId: string
  readonly end?: 'commit' | 'abort'
}

/** Where a message is in the bytes. -1: it has no key, value, headers. */
const [KEY, KEY_END, VALUE, VALUE_END, HEADERS, SIZE] = [0, 1, 2, 3, 4, 5]
const PLACES = 6

const FEW = 16

/** One after the other, in the order of their offsets. Refers to the bytes, which nobody changes. */
export class Messages implements Iterable<Message> {
  readonly bytes: Buffer
  readonly #transaction: Transaction | undefined
  #length = 0
  #offsets = new Float64Array(0)
  #times = new Float64Array(0)
  #places = new Int32Array(0)

  constructor(bytes: Buffer, transaction?: Transaction) {
    this.bytes = bytes
    this.#transaction = transaction
  }

  get length(): number {
    return this.#length
  }

  /** Makes room for so many more. */
  reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#offsets.length) return
    const room = Math.max(needed, 2 * this.#length, FEW)
    this.#offsets = grown(this.#offsets, new Float64Array(room))
    this.#times = grown(this.#times, new Float64Array(room))
    this.#places = grown(this.#places, new Int32Array(room * PLACES))
  }

  /** There is room for it. Lengths: -1 where there is none; `headers`: where their count is, and `size` of all that it holds. */
  add(
    offset: number,
    time: number,
    key: number,
    keyLength: number,
    value: number,
    valueLength: number,
    headers: number,
    size: number,
  ): void {
    const at = this.#length++
    const places = this.#places
    const first = at * PLACES
    this.#offsets[at] = offset
    this.#times[at] = time
    places[first + KEY] = keyLength < 0 ? -1 : key
    places[first + KEY_END] = keyLength < 0 ? -1 : key + keyLength
    places[first + VALUE] = valueLength < 0 ? -1 : value
    places[first + VALUE_END] = valueLength < 0 ? -1 : value + valueLength
    places[first + HEADERS] = headers
    places[first + SIZE] = size
  }

  offset(at: number): number {
    return this.#offsets[at] as number
  }

  timestamp(at: number): number {
    return this.#times[at] as number
  }

  /** Where its key is in the bytes; -1: it has none. */
  key(at: number): number {
    return this.#places[at * PLACES + KEY] as number
  }

  keyEnd(at: number): number {
    return this.#places[at * PLACES + KEY_END] as number
  }

  value(at: number): number {
    return this.#places[at * PLACES + VALUE] as number
  }

  valueEnd(at: number): number {
    return this.#places[at * PLACES + VALUE_END] as number
  }

  hasHeaders(at: number): boolean {
    return (this.#places[at * PLACES + HEADERS] as number) >= 0
  }

  /** Bytes of key, value and headers. */
  size(at: number): number {
    return this.#places[at * PLACES + SIZE] as number
  }

  headers(at: number): Headers {
    const start = this.#places[at * PLACES + HEADERS] as number
    return start < 0 ? {} : headersAt(this.bytes, start)
  }

  /** How many of them are before the offset. */
  before(offset: number): number {
    let count = this.#length
    while (count > 0 && this.offset(count - 1) >= offset) count--
    return count
  }

  message(at: number): Message {
    const transaction = this.#transaction
    return {
      offset: this.offset(at),
      key: this.#slice(this.key(at), this.keyEnd(at)),
      value: this.#slice(this.value(at), this.valueEnd(at)),
      timestamp: this.timestamp(at),
      headers: this.headers(at),
      ...(transaction && { transaction }),
    }
  }

  *[Symbol.iterator](): IterableIterator<Message> {
    for (let at = 0; at < this.#length; at++) yield this.message(at)
  }

  #slice(start: number, end: number): Buffer | null {
    return start < 0 ? null : this.bytes.subarray(start, end)
  }
}

function grown<Column extends Float64Array | Int32Array>(from: Column, to: Column): Column {
  to.set(from)
  return to
}

function headersAt(bytes: Buffer, start: number): Headers {
  const cursor = new Cursor(bytes, start)
  // Without what objects have by themselves, since any name may come.
  const headers: Record<string, Buffer | null | (Buffer | null)[]> = Object.create(null)
  for (let count = cursor.int(); count > 0; count--) {
    const name = cursor.slice(cursor.int())?.toString() ?? ''
    const value = cursor.slice(cursor.int())
    const known = headers[name]
    if (known === undefined) headers[name] = value
    else if (Array.isArray(known)) known.push(value)
    else headers[name] = [known, value]
  }
  return headers
}
