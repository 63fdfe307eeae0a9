// Rows of CSV, the first of which names the columns: of a database's export or a spreadsheet. All values are texts.

import { isUtf8 } from 'node:buffer'
import { COMMA, type Layout, LISTS, layoutOf, problemOfNames, type RowSink, scanCsv } from '../csv.ts'
import { BizonError } from '../errors.ts'
import { fieldsReader } from '../json.ts'
import { checkRecordSize } from '../memory.ts'
import { RawJson } from '../record.ts'
import { idOf } from '../record-fields.ts'
import type { InvalidLines } from './invalid.ts'
import { type Lines, MOST_LINE_BYTES } from './lines.ts'
import { noId } from './ndjson.ts'
import { Gathering, notJson, notUtf8, type PipePage, type PipeReader } from './read.ts'

export interface CsvOptions {
  /** Which column is the id; undefined: the number of the line is. */
  readonly idField: string | undefined
  readonly invalid: InvalidLines
}

const LF = 0x0a
const CR = 0x0d

export class CsvReader implements PipeReader {
  readonly #gathering = new Gathering()
  readonly #invalid: InvalidLines
  readonly #idField: string | undefined
  readonly #idIn: ReturnType<typeof fieldsReader>
  #layout: Layout | undefined
  #line = 0
  #rows = 0
  /** The beginning of a row whose quotes go over line ends. */
  #held: Buffer[] = []
  #heldBytes = 0
  /** How much must be there before it is looked at again: else a long cell would be looked at for each of its parts. */
  #enoughBytes = 0

  constructor({ idField, invalid }: CsvOptions) {
    this.#idField = idField
    this.#idIn = fieldsReader(idField === undefined ? [] : [idField])
    this.#invalid = invalid
  }

  block({ buffer, start, end }: Lines): void {
    this.#held.push(buffer.subarray(start, end))
    this.#heldBytes += end - start
    if (this.#heldBytes >= this.#enoughBytes) this.#scan(false)
  }

  line(): undefined {
    throw new TypeError('rows of CSV are not lines')
  }

  notUtf8(): void {}

  take(): PipePage[] {
    return this.#gathering.take()
  }

  finish(): PipePage[] {
    this.#scan(true)
    this.#invalid.finish(this.#rows)
    this.#gathering.end({ next: null })
    return this.take()
  }

  #scan(last: boolean): void {
    const input = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held)
    if (last && input.at(-1) !== LF) this.#invalid.endsTorn(input, input.length)
    let start = 0
    if (this.#layout === undefined) start = this.#header(input, last)
    let open = false
    if (this.#layout !== undefined) {
      const scanned = scanCsv(input, start, last, this.#line, COMMA, this.#layout, this.#sinkFor(input))
      start = scanned.end
      open = scanned.open
      this.#line = scanned.line
    }
    const rest = input.subarray(start)
    checkRecordSize(rest.length, 'a row of the pipe', { upTo: MOST_LINE_BYTES })
    if (rest.length > 0 && (last || rest.length > MOST_LINE_BYTES)) throw this.#endless(rest, last && open)
    this.#held = rest.length > 0 ? [rest] : []
    this.#heldBytes = rest.length
    this.#enoughBytes = rest.length * 2
  }

  /** Returns the index after the row that names the columns. */
  #header(input: Buffer, last: boolean): number {
    let names: string[] | undefined
    const badHeader = (line: number, problem: string): BizonError =>
      new BizonError('source', `line ${line} of the pipe: ${problem}`, { hint: 'Give every column a name of its own.' })
    const sink: RowSink = {
      room: Buffer.allocUnsafe,
      row: (json, start, end, from, to, line) => {
        if (!isUtf8(input.subarray(from, to))) throw badHeader(line, 'the header row is not UTF-8')
        names = JSON.parse(json.toString('utf8', start, end)) as string[]
        const problem = problemOfNames(names)
        if (problem !== undefined) throw badHeader(line, problem)
        return true
      },
      misfit: (problem, _from, _to, line) => {
        throw badHeader(line, `the header row ${problem}`)
      },
    }
    const { end, line } = scanCsv(input, 0, last, this.#line, COMMA, LISTS, sink)
    this.#line = line
    if (names === undefined) return end
    if (this.#idField !== undefined && !names.includes(this.#idField)) {
      throw new BizonError('usage', `--id: the header row has no column ${this.#idField}`, {
        hint: `Its columns are: ${names.join(', ')}.`,
      })
    }
    this.#layout = layoutOf(names)
    return end
  }

  #sinkFor(input: Buffer): RowSink {
    const reject = (from: number, to: number, number: number, error: BizonError): void =>
      this.#invalid.report({ buffer: input, start: from, end: to, number }, error)
    return {
      room: Buffer.allocUnsafeSlow,
      row: (json, start, end, from, to, number) => {
        const data = new RawJson(json, start, end)
        const id = this.#idField === undefined ? String(number) : idOf(this.#idIn(data)[0])
        if (!isUtf8(input.subarray(from, to))) reject(from, to, number, notUtf8(input, from, to, number))
        else if (id === undefined || id === '') reject(from, to, number, noId(number, this.#idField as string))
        else {
          this.#rows += 1
          this.#gathering.add({ id, data }, data.byteLength, undefined)
        }
        return false
      },
      misfit: (problem, from, to, number) => {
        const hint =
          'Every row must have as many cells as the header; quote a cell that has a comma or a line end in it.'
        let end = to
        while (end > from && (input[end - 1] === LF || input[end - 1] === CR)) end--
        reject(from, end, number, notJson(input, from, end, number, { why: `the row ${problem}`, hint }))
        return false
      },
    }
  }

  /** Where such a row ends, and the next one begins, cannot be known: no policy applies. */
  #endless(rest: Buffer, open: boolean): BizonError {
    const problem = open
      ? 'the row opens a quote that is not closed'
      : `the row is longer than ${MOST_LINE_BYTES >> 20} MiB`
    const { message } = notJson(rest, 0, rest.length, this.#line + 1, { why: problem })
    return new BizonError('invalid_record', message, {
      hint: 'Close the quote, or double it if it belongs to the cell.',
    })
  }
}
