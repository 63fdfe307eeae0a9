// Rows as JSON text, written one behind the other. What was written stays where it is: a row that does not fit is
// moved, alone, to more room.

import { RawJson } from '../record.ts'

const ROOM = 1 << 16
/** Bytes that are sooner copied here than by a call. */
const SHORT = 48
const HEX_DIGITS = 16
const ZERO = 0x30
const LETTER_A = 0x61

export class RowText {
  #buffer = Buffer.allocUnsafeSlow(ROOM)
  #start = 0
  #end = 0

  /** Begins a row. One that has not ended is forgotten. */
  begin(): void {
    this.#end = this.#start
  }

  /** Where the row ends so far, to come `back` to. */
  get mark(): number {
    return this.#end - this.#start
  }

  back(mark: number): void {
    this.#end = this.#start + mark
  }

  byte(byte: number): void {
    this.#makeRoom(1)
    this.#buffer[this.#end++] = byte
  }

  /** A whole number, in decimal digits. */
  digits(number: number): void {
    const text = String(number)
    this.#makeRoom(text.length)
    for (let i = 0; i < text.length; i++) this.#buffer[this.#end++] = text.charCodeAt(i)
  }

  /** The same in sixteen hexadecimal digits. */
  hex(number: number): void {
    this.#makeRoom(HEX_DIGITS)
    this.#end += HEX_DIGITS
    let rest = number
    for (let at = this.#end - 1; at >= this.#end - HEX_DIGITS; at--) {
      const digit = rest % 16
      this.#buffer[at] = digit < 10 ? ZERO + digit : LETTER_A + digit - 10
      rest = (rest - digit) / 16
    }
  }

  all(source: Buffer): void {
    this.copy(source, 0, source.length)
  }

  copy(source: Buffer, start: number, end: number): void {
    const length = end - start
    this.#makeRoom(length)
    if (length > SHORT) source.copy(this.#buffer, this.#end, start, end)
    else for (let i = 0; i < length; i++) this.#buffer[this.#end + i] = source[start + i] as number
    this.#end += length
  }

  /** Ends the row. Its bytes do not change any more. */
  take(): RawJson {
    const row = new RawJson(this.#buffer, this.#start, this.#end)
    this.#start = this.#end
    return row
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return
    const written = this.#buffer.subarray(this.#start, this.#end)
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(ROOM, 2 * (written.length + bytes)))
    written.copy(this.#buffer)
    this.#end = written.length
    this.#start = 0
  }
}
