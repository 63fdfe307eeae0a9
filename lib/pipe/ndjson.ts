// Bare records, one a line: of any program that prints JSON.

import { BizonError } from '../errors.ts'
import { fieldsReader, isObject, scanValue, skipWhitespace } from '../json.ts'
import { RawJson } from '../record.ts'
import { idOf } from '../record-fields.ts'
import { Gathering, notJson, type PipePage, type PipeReader } from './read.ts'

export class NdjsonReader implements PipeReader {
  readonly #gathering = new Gathering()
  readonly #idField: string | undefined
  readonly #idIn: ReturnType<typeof fieldsReader>

  /** `idField`: which field of a record is its id; undefined: the number of its line is. */
  constructor(idField: string | undefined) {
    this.#idField = idField
    this.#idIn = fieldsReader(idField === undefined ? [] : [idField])
  }

  line(buffer: Buffer, start: number, end: number, number: number): void {
    const after = scanValue(buffer, start, end)
    if (after < 0) throw notJson(buffer, start, end, number)
    const rest = skipWhitespace(buffer, after, end)
    if (rest < end) throw notJson(buffer, start, end, number)
    const first = skipWhitespace(buffer, start, end)
    const data = new RawJson(buffer, first, after)
    if (!isObject(data)) throw notJson(buffer, start, end, number, 'is no JSON object')
    this.#gathering.add({ id: this.#id(data, number), data }, data.byteLength, undefined)
  }

  take(): PipePage[] {
    return this.#gathering.take()
  }

  finish(): PipePage[] {
    this.#gathering.end(undefined, { next: null })
    return this.take()
  }

  #id(data: RawJson, number: number): string {
    if (this.#idField === undefined) return String(number)
    const [found] = this.#idIn(data)
    const id = found && idOf(found)
    if (id !== undefined) return id
    throw new BizonError('invalid_record', `line ${number} has no id at ${this.#idField}`, { hint: 'Check --id.' })
  }
}
