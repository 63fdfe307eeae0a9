// What `COPY … TO STDOUT (FORMAT binary)` gives, to rows: every value with its length before it, so that JSON text is taken
// by reference and nothing has to be unescaped. https://www.postgresql.org/docs/current/sql-copy.html, Binary Format.

import { BizonError } from '../../../lib/errors.ts'
import { checkRecordSize } from '../../../lib/memory.ts'

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
/** Signature, flags, length of an extension. */
const HEADER_BYTES = SIGNATURE.length + 8
const END = -1

/** `push` chunks as they come; `next` says whether a whole row is there, whose values are then to be had. */
export class CopyRows {
  /** Of the row's values: `buffer[start, end)`; an end before the start is null. */
  buffer: Buffer = Buffer.alloc(0)
  readonly starts: number[] = []
  readonly ends: number[] = []
  #at = 0
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** So many bytes hold no row yet. */
  #needed = HEADER_BYTES
  #begun = false
  #ended = false

  /** Whether the last row has been read. */
  get ended(): boolean {
    return this.#ended
  }

  push(chunk: Buffer): void {
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
  }

  next(): boolean {
    if (this.#ended || !this.#gather()) return false
    if (!this.#begun) this.#begin()
    const { buffer } = this
    const { length } = buffer
    let at = this.#at
    if (at + 2 > length) return this.#wait(2)
    const columns = buffer.readInt16BE(at)
    if (columns === END) {
      this.#ended = true
      return false
    }
    at += 2
    for (let column = 0; column < columns; column++) {
      if (at + 4 > length) return this.#wait(at + 4 - this.#at)
      const size = buffer.readInt32BE(at)
      at += 4
      if (at + size > length) return this.#wait(at + size - this.#at)
      this.starts[column] = at
      this.ends[column] = at + size
      if (size > 0) at += size
    }
    this.#at = at
    return true
  }

  isNull(column: number): boolean {
    return (this.ends[column] as number) < (this.starts[column] as number)
  }

  text(column: number): string {
    return this.buffer.toString('utf8', this.starts[column], this.ends[column])
  }

  /** What waits becomes the buffer, once it may hold a row: a long one is put together once, not with every chunk. */
  #gather(): boolean {
    if (this.#waitingBytes === 0) return this.#needed === 0
    const left = this.buffer.length - this.#at
    if (left + this.#waitingBytes < this.#needed) return false
    const rest = left === 0 ? [] : [this.buffer.subarray(this.#at)]
    const parts = [...rest, ...this.#waiting]
    this.buffer = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
    this.#at = 0
    this.#waiting = []
    this.#waitingBytes = 0
    this.#needed = 0
    return true
  }

  #wait(bytes: number): false {
    checkRecordSize(bytes, 'a row')
    this.#needed = bytes
    return false
  }

  #begin(): void {
    if (!this.buffer.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
      throw new BizonError('internal', 'what PostgreSQL sent is not the binary form of COPY')
    }
    this.#begun = true
    this.#at = HEADER_BYTES + this.buffer.readInt32BE(HEADER_BYTES - 4)
  }
}
