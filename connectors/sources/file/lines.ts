// NDJSON: one JSON object a line, by reference to the block. Blank lines count as lines and are passed over.

import { scanValue, skipWhitespace } from '../../../lib/json.ts'
import { nameOfByte } from './invalid.ts'
import type { Block, Parser, Rows } from './rows.ts'

const LINE_END = 0x0a
const BRACE = 0x7b
/** What is kept of a line that is too long to be held. */
const KEPT_BYTES = 1024

export class LineParser implements Parser {
  readonly byReference = true
  line: number
  readonly #rows: Rows
  /** The start of a line that is too long, while its end is looked for. */
  #tooLong: Buffer | undefined

  constructor(rows: Rows, line: number) {
    this.#rows = rows
    this.line = line
  }

  get settled(): boolean {
    return this.#tooLong === undefined
  }

  parse({ buffer, start, last, utf8 }: Block): number {
    const rows = this.#rows
    const limit = rows.maxBytes
    let at = start
    while (at < buffer.length) {
      let end = buffer.indexOf(LINE_END, at)
      if (end < 0) {
        if (!last) return this.#passOver(buffer, at)
        end = buffer.length
      }
      if (this.#tooLong !== undefined || end - at > limit) {
        this.#reject(buffer.subarray(at, end))
      } else if (utf8 || rows.checkUtf8(buffer, at, end, this.line + 1)) {
        const valueEnd = scanValue(buffer, at, end)
        const first = valueEnd < 0 || buffer[at] === BRACE ? at : skipWhitespace(buffer, at, end)
        if (
          valueEnd > 0 &&
          buffer[first] === BRACE &&
          (valueEnd === end || skipWhitespace(buffer, valueEnd, end) === end)
        ) {
          rows.add(buffer, first, valueEnd, this.line + 1)
        } else {
          this.#explain(buffer, at, end, valueEnd)
        }
      }
      this.line += 1
      at = end + 1
      if (rows.pausing) break
    }
    return Math.min(at, buffer.length)
  }

  /** The block ends within a line: keeps the line for the next block, unless it is too long already. */
  #passOver(buffer: Buffer, at: number): number {
    if (this.#tooLong === undefined) {
      if (buffer.length - at <= this.#rows.maxBytes) return at
      this.#rows.tooLong(this.line + 1)
      this.#tooLong = Buffer.from(buffer.subarray(at, at + KEPT_BYTES))
    }
    return buffer.length
  }

  #reject(line: Buffer): void {
    const text = this.#tooLong ?? line
    this.#tooLong = undefined
    this.#rows.rejectLong(this.line + 1, text)
  }

  #explain(buffer: Buffer, at: number, end: number, valueEnd: number): void {
    const first = skipWhitespace(buffer, at, end)
    if (first === end) return
    const textEnd = buffer[end - 1] === 0x0d ? end - 1 : end
    const text = buffer.subarray(at, textEnd)
    const bad = valueEnd < 0 ? ~valueEnd : skipWhitespace(buffer, valueEnd, end)
    if (valueEnd >= 0 && bad === end) {
      this.#rows.reject(this.line + 1, 'is not a JSON object', text)
      return
    }
    const what = bad >= textEnd ? 'the line ends too early' : `unexpected ${nameOfByte(buffer, bad)}`
    const column = buffer.toString('utf8', at, Math.min(bad, textEnd)).length + 1
    this.#rows.reject(this.line + 1, `invalid JSON: ${what}`, text, column)
  }
}
