// Where the JSON texts of a page's records are put together: in buffers that are used again, each record in one of them.

import { isUtf8 } from 'node:buffer'
import { escapeInto } from '../../../lib/json.ts'
import { RawJson } from '../../../lib/record.ts'
import { Pool } from '../file/pool.ts'
import { SURROGATES } from './json.ts'

const QUOTE = 0x22
const SPACE = 0x20
const ZERO = 0x30
const BILLION = 1e9
const MOST_DIGITS = 18
/** Large enough for many records, small enough to be held by a page of a few. */
const CHUNK_BYTES = 256 * 1024
/** Up to here a string is given the room that it would need if each byte were escaped. */
const SHORT_BYTES = 4096
/** So many are copied faster one by one than by a call out of JavaScript. */
const FEW_BYTES = 24
/** Likewise, where a call has to make an object first. */
const SOME_BYTES = 48
/** What a byte takes at most, as `\u0001`. */
const ESCAPED_BYTES = 6

export class TextBuffer {
  readonly #pool = new Pool(CHUNK_BYTES)
  /** The buffers of the page that are full. */
  #full: Buffer[] = []
  #buffer: Buffer = Buffer.alloc(0)
  #start = 0
  #at = 0
  /** Of all records that were ended since `take`. */
  bytes = 0

  /** What was begun and not ended is forgotten. */
  begin(): void {
    this.#at = this.#start
  }

  /** The record that was written since `begin`. */
  end(): RawJson {
    const text = new RawJson(this.#buffer, this.#start, this.#at)
    this.bytes += this.#at - this.#start
    // With a byte between them records can be copied together, the byte becoming the line end.
    if (this.#at < this.#buffer.length) this.#buffer[this.#at++] = SPACE
    this.#start = this.#at
    return text
  }

  /** Where the next byte goes, for `cut`. */
  get length(): number {
    return this.#at - this.#start
  }

  /** Forgets what follows the first so many bytes of this record. */
  cut(length: number): void {
    this.#at = this.#start + length
  }

  /** A copy of what this record has from there on. */
  copyFrom(length: number): Buffer {
    return Buffer.from(this.#buffer.subarray(this.#start + length, this.#at))
  }

  add(bytes: Uint8Array): void {
    const { length } = bytes
    this.#reserve(length)
    const buffer = this.#buffer
    if (length > FEW_BYTES) buffer.set(bytes, this.#at)
    else for (let i = 0, to = this.#at; i < length; i++) buffer[to++] = bytes[i] as number
    this.#at += length
  }

  /** Adds `bytes[start, end)`. */
  addFrom(bytes: Buffer, start: number, end: number): void {
    this.#reserve(end - start)
    const buffer = this.#buffer
    if (end - start > SOME_BYTES) bytes.copy(buffer, this.#at, start, end)
    else for (let i = start, to = this.#at; i < end; i++) buffer[to++] = bytes[i] as number
    this.#at += end - start
  }

  addByte(byte: number): void {
    this.#reserve(1)
    this.#buffer[this.#at++] = byte
  }

  /** A whole number from 0, of as many digits as can be exact. */
  addInteger(value: number): void {
    this.#reserve(MOST_DIGITS)
    if (value < BILLION) {
      this.#addDigits(value, digitsOf(value))
      return
    }
    const billions = Math.floor(value / BILLION)
    this.#addDigits(billions, digitsOf(billions))
    this.#addDigits(value - billions * BILLION, 9)
  }

  /** Of a number below a billion. */
  #addDigits(value: number, count: number): void {
    const buffer = this.#buffer
    let rest = value
    for (let to = this.#at + count; to > this.#at; ) {
      const tenth = (rest / 10) | 0
      buffer[--to] = ZERO + rest - tenth * 10
      rest = tenth
    }
    this.#at += count
  }

  /** Characters of one byte each. */
  addAscii(text: string): void {
    const { length } = text
    this.#reserve(length)
    const buffer = this.#buffer
    if (length > FEW_BYTES) buffer.write(text, this.#at, 'latin1')
    else for (let i = 0, to = this.#at; i < length; i++) buffer[to++] = text.charCodeAt(i)
    this.#at += length
  }

  /** A JSON string of the text. */
  addString(text: string): void {
    this.add(Buffer.from(JSON.stringify(text)))
  }

  /** A JSON string of UTF-8 bytes: `source[start, end)`. */
  addQuoted(source: Buffer, start: number, end: number): void {
    const length = end - start
    this.#reserve(2 + (length <= SHORT_BYTES ? length * ESCAPED_BYTES : escapedBytes(source, start, end)))
    this.#buffer[this.#at] = QUOTE
    this.#at = escapeInto(source, start, end, this.#buffer, this.#at + 1)
    this.#buffer[this.#at++] = QUOTE
  }

  /** A JSON string of the bytes in base64. */
  addBase64(source: Buffer, start: number, end: number): void {
    this.#reserve(2 + Math.ceil((end - start) / 3) * 4)
    this.#buffer[this.#at++] = QUOTE
    this.#at += this.#buffer.write(source.toString('base64', start, end), this.#at, 'latin1')
    this.#buffer[this.#at++] = QUOTE
  }

  /** Whether what was written since `take` is UTF-8 and has no escaped surrogates, in pairs or not. */
  get plain(): boolean {
    for (const buffer of [...this.#full, this.#buffer.subarray(0, this.#at)]) {
      if (!isUtf8(buffer) || SURROGATES.some((beginning) => buffer.includes(beginning))) return false
    }
    return true
  }

  /** Forgets all that was written since `take`, so that it can be written anew. */
  restart(): void {
    this.#pool.seal()()
    this.#clear()
  }

  /** Ends the page; the result gives its buffers back. */
  take(): () => void {
    this.#clear()
    return this.#pool.seal()
  }

  #clear(): void {
    this.#full = []
    this.#buffer = Buffer.alloc(0)
    this.#start = 0
    this.#at = 0
    this.bytes = 0
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return
    const begun = this.#at - this.#start
    // A record that outgrows a buffer of its own is moved few times.
    const next = this.#pool.take(Math.max(CHUNK_BYTES, (begun + bytes) * (begun >= CHUNK_BYTES / 2 ? 2 : 1)))
    this.#buffer.copy(next, 0, this.#start, this.#at)
    if (this.#start > 0) this.#full.push(this.#buffer.subarray(0, this.#start))
    this.#buffer = next
    this.#start = 0
    this.#at = begun
  }
}

function digitsOf(value: number): number {
  let count = 1
  for (let power = 10; power <= value; power *= 10) count++
  return count
}

function escapedBytes(source: Buffer, start: number, end: number): number {
  let bytes = 2 * (end - start)
  for (let i = start; i < end; i++) if ((source[i] as number) < SPACE) bytes += ESCAPED_BYTES - 2
  return bytes
}
