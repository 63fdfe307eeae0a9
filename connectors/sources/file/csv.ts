// CSV and TSV: rows to JSON objects. The first row names the columns unless the config does.

import { isUtf8 } from 'node:buffer'
import { type Layout, LISTS, layoutOf, problemOfNames, type RowSink, scanCsv } from '../../../lib/csv.ts'
import { BizonError } from '../../../lib/errors.ts'
import { invalidRecord } from './invalid.ts'
import type { Block, Parser, Rows } from './rows.ts'

export class CsvParser implements Parser {
  readonly byReference = false
  readonly settled = true
  line: number
  readonly #rows: Rows
  readonly #delimiter: number
  #layout: Layout | undefined

  constructor(rows: Rows, line: number, delimiter: number, columns: readonly string[] | undefined) {
    this.#rows = rows
    this.line = line
    this.#delimiter = delimiter
    this.#layout = columns && layoutOf(columns)
  }

  readHead(block: Block): boolean {
    return this.#layout !== undefined || this.#readHeader(block).found
  }

  parse(block: Block): number {
    const { buffer, last } = block
    let start = block.start
    if (this.#layout === undefined) {
      const header = this.#readHeader(block)
      start = header.end
      this.line = header.line
    }
    if (this.#layout === undefined) return start
    const scanned = scanCsv(buffer, start, last, this.line, this.#delimiter, this.#layout, this.#sinkFor(block))
    this.line = scanned.line
    if (!scanned.enough) this.#checkRest(block, scanned.end, scanned.open)
    return scanned.end
  }

  #sinkFor({ buffer, utf8 }: Block): RowSink {
    const rows = this.#rows
    const limit = rows.maxBytes
    return {
      room: (bytes) => rows.pool.take(bytes),
      row(json, start, end, from, to, line) {
        if (to - from > limit) {
          rows.rejectLong(line, buffer.subarray(from, to))
        } else if (utf8 || rows.checkUtf8(buffer, from, to, line)) {
          rows.add(json, start, end, line)
        }
        return rows.pausing
      },
      misfit(problem, from, to, line) {
        rows.reject(line, problem, trimmed(buffer.subarray(from, to)))
        return rows.pausing
      },
    }
  }

  #readHeader(block: Block): { end: number; line: number; found: boolean } {
    let names: string[] | undefined
    const sink: RowSink = {
      room: Buffer.allocUnsafe,
      row: (json, start, end, from, to, line) => {
        if (!isUtf8(block.buffer.subarray(from, to))) throw this.#badHeader(line, 'the header row is not UTF-8')
        names = JSON.parse(json.toString('utf8', start, end)) as string[]
        return true
      },
      misfit: (problem, _from, _to, line) => {
        throw this.#badHeader(line, problem)
      },
    }
    const scanned = scanCsv(block.buffer, block.start, block.last, this.line, this.#delimiter, LISTS, sink)
    if (names === undefined) {
      this.#checkRest(block, scanned.end, scanned.open)
    } else {
      this.#checkNames(names, scanned.line)
      this.#layout = layoutOf(names)
    }
    return { ...scanned, found: names !== undefined }
  }

  #checkNames(names: readonly string[], line: number): void {
    const problem = problemOfNames(names)
    if (problem !== undefined) throw this.#badHeader(line, problem)
  }

  #badHeader(line: number, problem: string): BizonError {
    return new BizonError('source', `${this.#rows.file}:${line} ${problem}`, {
      hint: 'Give every column a name of its own, or list the names in source.columns if there is no header row.',
    })
  }

  /** What is left over must be the beginning of a row that can still end. */
  #checkRest({ buffer, last }: Block, at: number, open: boolean): void {
    const size = buffer.length - at
    const limit = this.#rows.maxBytes
    if (!last && size <= limit) return
    if (size === 0) return
    // Where such a row ends, and the next one begins, cannot be known: no policy for records applies.
    const tooLong = size > limit ? this.#rows.tooLong(this.line + 1) : ''
    const problem = open ? 'opens a quote that is not closed' : tooLong
    const hint = open
      ? 'Close the quote, or double it if it belongs to the cell; if the cell is that long, raise source.max_record_bytes.'
      : 'Raise source.max_record_bytes.'
    const fault = { file: this.#rows.file, line: this.line + 1, problem, text: buffer.subarray(at, at + 256) }
    throw invalidRecord(fault, hint)
  }
}

function trimmed(row: Buffer): Buffer {
  let end = row.length
  while (end > 0 && (row[end - 1] === 0x0a || row[end - 1] === 0x0d)) end--
  return row.subarray(0, end)
}
