// The bytes of one Avro value, read from front to back.

import { Undecodable } from '../undecodable.ts'

/** Bytes of a number of 49 bits, which a double holds. */
const SMALL_BYTES = 7
const MOST_BYTES = 10

export class AvroInput {
  readonly buffer: Buffer
  at: number
  readonly end: number
  /** Levels of values inside of values. */
  depth = 0

  constructor(buffer: Buffer, start: number) {
    this.buffer = buffer
    this.at = start
    this.end = buffer.length
  }

  /** Where the next so many bytes begin, which are then read. */
  skip(bytes: number): number {
    const from = this.at
    if (bytes > this.end - from) throw this.truncated()
    this.at = from + bytes
    return from
  }

  byte(): number {
    return this.buffer[this.skip(1)] as number
  }

  /** An int or a long; a bigint beyond 2^53. */
  long(): number | bigint {
    let unsigned = 0
    let factor = 1
    const from = this.at
    for (let i = 0; i < SMALL_BYTES; i++) {
      const byte = this.byte()
      unsigned += (byte & 0x7f) * factor
      if (byte < 0x80) return unsigned % 2 === 0 ? unsigned / 2 : -(unsigned + 1) / 2
      factor *= 128
    }
    this.at = from
    return this.#large()
  }

  /** A length or an index. */
  size(what: string): number {
    const size = this.long()
    if (typeof size === 'bigint' || size < 0) throw new Undecodable(`is not Avro of its schema: ${what} is ${size}`)
    return size
  }

  /** How many bytes of a text, or of bytes, follow: they are there. */
  length(): number {
    const length = this.size('a length')
    if (length > this.end - this.at) throw this.truncated()
    return length
  }

  truncated(): Undecodable {
    return new Undecodable('is not Avro of its schema: it stops too early')
  }

  #large(): number | bigint {
    let unsigned = 0n
    for (let i = 0; i < MOST_BYTES; i++) {
      const byte = this.byte()
      unsigned |= BigInt(byte & 0x7f) << BigInt(7 * i)
      if (byte < 0x80) {
        if (unsigned >= 1n << 64n) break
        const value = (unsigned & 1n) === 0n ? unsigned >> 1n : -((unsigned + 1n) >> 1n)
        const number = Number(value)
        return Number.isSafeInteger(number) ? number : value
      }
    }
    throw new Undecodable('is not Avro of its schema: an integer has more than 64 bits')
  }
}
