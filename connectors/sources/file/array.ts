// JSON: a file that holds a list of objects, or a single object. One record is held at a time, never the list.
// What is not JSON ends the run whatever `on_invalid` says: behind it nobody knows where the next record begins.

import { scanValue, skipWhitespace } from '../../../lib/json.ts'
import { invalidRecord, nameOfByte } from './invalid.ts'
import type { Block, Parser, Rows } from './rows.ts'

const COMMA = 0x2c
const BRACKET = 0x5b
const BRACKET_END = 0x5d
const BRACE = 0x7b

export class ArrayParser implements Parser {
  readonly byReference = true
  /** Records so far. */
  line: number
  readonly #rows: Rows
  #kind: 'list' | 'object' | undefined
  #closed = false
  /** Offset in the file of the block's start, for messages. */
  #offset = 0

  constructor(rows: Rows, line: number) {
    this.#rows = rows
    this.line = line
  }

  /** Before the opening and behind the closing bracket is no place to resume at: those around them serve. */
  get settled(): boolean {
    return this.#kind !== undefined && !this.#closed
  }

  readHead({ buffer, start }: Block): boolean {
    const first = buffer[skipWhitespace(buffer, start, buffer.length)]
    this.#kind = first === BRACE ? 'object' : 'list'
    return first !== undefined
  }

  parse({ buffer, offset, start, last, utf8 }: Block): number {
    this.#offset = offset
    const end = buffer.length
    const before = this.line
    let done = start
    for (;;) {
      let at = skipWhitespace(buffer, done, end)
      if (at === end) {
        if (last && this.#kind !== undefined && !this.#isComplete()) throw this.#broken(buffer, end)
        return at
      }
      if (this.#kind === undefined) {
        this.#kind = buffer[at] === BRACE ? 'object' : 'list'
        if (this.#kind === 'list') {
          if (buffer[at] !== BRACKET) throw this.#broken(buffer, at)
          done = at + 1
          continue
        }
      } else if (this.#isComplete()) {
        throw this.#broken(buffer, at)
      } else if (buffer[at] === BRACKET_END) {
        // First let the place behind the last record be taken note of.
        if (this.line > before) return at
        this.#closed = true
        done = at + 1
        continue
      } else if (this.line > 0) {
        if (buffer[at] !== COMMA) throw this.#broken(buffer, at)
        at = skipWhitespace(buffer, at + 1, end)
      }
      const valueEnd = scanValue(buffer, at, end)
      // A number at the end of a block may go on in the next one.
      if (!last && (valueEnd === ~end || (valueEnd === end && buffer[at] !== BRACE))) {
        if (end - at > this.#rows.maxBytes) throw this.#tooLong(buffer, at)
        return done
      }
      if (valueEnd < 0) throw this.#broken(buffer, ~valueEnd)
      done = valueEnd
      this.line += 1
      if (valueEnd - at > this.#rows.maxBytes) throw this.#tooLong(buffer, at)
      if (utf8 || this.#rows.checkUtf8(buffer, at, valueEnd, this.line)) {
        if (buffer[at] === BRACE) this.#rows.add(buffer, at, valueEnd, this.line)
        else this.#rows.reject(this.line, 'is not a JSON object', buffer.subarray(at, valueEnd))
      }
      if (this.#rows.pausing) return done
    }
  }

  #isComplete(): boolean {
    return this.#closed || (this.#kind === 'object' && this.line === 1)
  }

  #broken(buffer: Buffer, at: number): Error {
    const place = `at byte ${this.#offset + at}, after ${this.line} ${this.line === 1 ? 'record' : 'records'}`
    const what =
      at === buffer.length
        ? 'the file ends before its closing bracket'
        : `unexpected ${nameOfByte(buffer, at)}${this.#isComplete() ? ' behind the end of the JSON' : ''}`
    const fault = { file: this.#rows.file, line: this.line + 1, problem: `invalid JSON: ${what} ${place}` }
    const hint =
      this.line === 1 && this.#kind === 'object'
        ? 'If there is one JSON object a line, set source.format to ndjson.'
        : 'A JSON file holds one list of objects, or one object. Correct it; nothing was published.'
    return invalidRecord({ ...fault, text: Buffer.alloc(0) }, hint)
  }

  #tooLong(buffer: Buffer, at: number): Error {
    const problem = this.#rows.tooLong(this.line + 1)
    return invalidRecord(
      { file: this.#rows.file, line: this.line + 1, problem, text: buffer.subarray(at, at + 256) },
      'Raise source.max_record_bytes.',
    )
  }
}
