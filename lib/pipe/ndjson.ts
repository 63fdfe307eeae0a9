// Bare records, one a line: of any program that prints JSON.

import { BizonError } from '../errors.ts'
import { fieldsReader, isObject, scanValue, skipWhitespace } from '../json.ts'
import { RawJson } from '../record.ts'
import { idOf } from '../record-fields.ts'
import type { InvalidLines } from './invalid.ts'
import { Gathering, notJson, notUtf8, type PipePage, type PipeReader } from './read.ts'

export interface NdjsonOptions {
  /** Which field of a record is its id; undefined: the number of its line is. */
  readonly idField: string | undefined
  readonly invalid: InvalidLines
}

export class NdjsonReader implements PipeReader {
  readonly #gathering = new Gathering()
  #records = 0
  readonly #invalid: InvalidLines
  readonly #idField: string | undefined
  readonly #idIn: ReturnType<typeof fieldsReader>

  constructor({ idField, invalid }: NdjsonOptions) {
    this.#idField = idField
    this.#idIn = fieldsReader(idField === undefined ? [] : [idField])
    this.#invalid = invalid
  }

  line(buffer: Buffer, start: number, end: number, number: number): undefined {
    const problem = this.#take(buffer, start, end, number)
    if (problem) this.#invalid.report({ buffer, start, end, number }, problem)
  }

  notUtf8(buffer: Buffer, start: number, end: number, number: number): void {
    this.#invalid.report({ buffer, start, end, number }, notUtf8(buffer, start, end, number))
  }

  take(): PipePage[] {
    return this.#gathering.take()
  }

  finish(): PipePage[] {
    this.#invalid.finish(this.#records)
    this.#gathering.end({ next: null })
    return this.take()
  }

  /** Returns what is wrong with the line, if anything. */
  #take(buffer: Buffer, start: number, end: number, number: number): BizonError | undefined {
    const after = scanValue(buffer, start, end)
    if (after < 0) return notJson(buffer, start, end, number, { at: ~after - start })
    const rest = skipWhitespace(buffer, after, end)
    if (rest < end) return notJson(buffer, start, end, number, { why: 'more follows the object', at: rest - start })
    const first = skipWhitespace(buffer, start, end)
    const data = new RawJson(buffer, first, after)
    if (!isObject(data)) return notJson(buffer, start, end, number, { why: 'it is no JSON object' })
    const id = this.#id(data, number)
    if (id === undefined) return noId(number, this.#idField as string)
    this.#records += 1
    this.#gathering.add({ id, data }, data.byteLength, undefined)
    return undefined
  }

  #id(data: RawJson, number: number): string | undefined {
    if (this.#idField === undefined) return String(number)
    const [found] = this.#idIn(data)
    return found && idOf(found)
  }
}

export function noId(number: number, field: string): BizonError {
  return new BizonError('invalid_record', `line ${number} of the pipe has no id at ${field}`, { hint: 'Check --id.' })
}
