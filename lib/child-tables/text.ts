// Rows as JSON text, written one behind the other. What was written stays where it is: a row that does not fit is
// moved, alone, to more room.

import { RawJson } from '../record.ts'

const ROOM = 1 << 16
/** Bytes that are sooner copied here than by a call. */
const SHORT = 48

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

  ascii(text: string): void {
    this.#makeRoom(text.length)
    this.#end += this.#buffer.write(text, this.#end, 'latin1')
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
