// CSV read back by RFC 4180 and nothing else: a row ends at a line end outside of quotes, an empty cell is null and `""` is
// the empty text. The header says which column is which.

import { createReadStream } from 'node:fs'
import { payloadOf, type StoredRow, storedRow } from '../../../../lib/audit/reader.ts'
import { BizonError } from '../../../../lib/errors.ts'
import { shortest } from '../paths.ts'
import { type Form, storedOf } from './stored.ts'

const LF = 0x0a
const QUOTE = 0x22
const COMMA = 0x2c
const CHUNK_BYTES = 1 << 18
/** Far more than a record has. Behind a quote too many all that follows is one row: it is not held. */
const MOST_ROW_BYTES = 256 << 20

/** Null: nothing stands there. */
type Cell = Buffer | null

/** Where the record's members are the columns, all of them are text or null. */
export async function* readCsv(path: string, form: Form, signal: AbortSignal): AsyncGenerator<StoredRow[], void, void> {
  let names: readonly string[] | undefined
  for await (const lines of rowsOf(path, signal)) {
    const rows: StoredRow[] = []
    for (const line of lines) {
      const cells = cellsOf(line)
      if (names === undefined) names = cells?.map((cell) => `${cell ?? ''}`) ?? []
      else rows.push(rowOf(names, cells, form))
    }
    if (rows.length > 0) yield rows
  }
}

function rowOf(names: readonly string[], cells: readonly Cell[] | undefined, form: Form): StoredRow {
  if (cells?.length !== names.length) return { data: undefined }
  if (form.isPlain) {
    const members = names.map((name, at) => {
      const cell = cells[at] as Cell
      return `${JSON.stringify(name)}:${cell === null ? 'null' : JSON.stringify(cell.toString())}`
    })
    return storedOf(Buffer.from(`{${members.join(',')}}`), form)
  }
  const { rowId: own, recordId: records, payload } = form.naming
  const [rowId, recordId, data] = [own, records, payload].map((name) => cells[names.indexOf(name ?? '')])
  return storedRow(rowId?.toString(), recordId?.toString(), data ? payloadOf(data) : undefined)
}

/** The bytes of each row, without its line end. One row is held, and what is read at a time. */
async function* rowsOf(path: string, signal: AbortSignal): AsyncGenerator<Buffer[], void, void> {
  let rest: Buffer[] = []
  let held = 0
  let quoted = false
  let count = 0
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, signal }) as AsyncIterable<Buffer>) {
    const rows: Buffer[] = []
    let start = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]
      // A quote within quotes is doubled, so that after both of them it is as before.
      if (byte === QUOTE) quoted = !quoted
      if (byte !== LF || quoted) continue
      const tail = chunk.subarray(start, at)
      rows.push(rest.length === 0 ? tail : Buffer.concat([...rest, tail]))
      rest = []
      held = 0
      start = at + 1
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
    held += chunk.length - start
    count += rows.length
    if (held > MOST_ROW_BYTES) throw endless(path, count + 1)
    yield rows
  }
  if (rest.length > 0) yield [Buffer.concat(rest)]
}

function endless(path: string, row: number): BizonError {
  const most = `${MOST_ROW_BYTES >> 20} MiB`
  return new BizonError('edited', `${shortest(path)} is damaged: row ${row} of it does not end within ${most}`, {
    hint: 'A quote is missing there, or is one too many. Put the file back as it was, or load everything again.',
  })
}

/** Undefined: it is no row. */
function cellsOf(row: Buffer): Cell[] | undefined {
  const cells: Cell[] = []
  for (let at = 0; ; at++) {
    let end = at
    if (row[at] === QUOTE) {
      end = closingOf(row, at)
      if (end < 0 || (end + 1 < row.length && row[end + 1] !== COMMA)) return undefined
      cells.push(unquoted(row.subarray(at + 1, end)))
      end += 1
    } else {
      end = row.indexOf(COMMA, at)
      if (end < 0) end = row.length
      cells.push(end === at ? null : row.subarray(at, end))
    }
    if (end >= row.length) return cells
    at = end
  }
}

/** The index of the quote that ends the cell which begins with one; negative: there is none. */
function closingOf(row: Buffer, start: number): number {
  let at = row.indexOf(QUOTE, start + 1)
  while (at >= 0 && row[at + 1] === QUOTE) at = row.indexOf(QUOTE, at + 2)
  return at
}

function unquoted(text: Buffer): Buffer {
  let at = text.indexOf(QUOTE)
  if (at < 0) return text
  const plain = Buffer.allocUnsafe(text.length)
  let [from, to] = [0, 0]
  for (; at >= 0; at = text.indexOf(QUOTE, from)) {
    to += text.copy(plain, to, from, at + 1)
    from = at + 2
  }
  to += text.copy(plain, to, from)
  return plain.subarray(0, to)
}
