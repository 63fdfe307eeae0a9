// CSV as RFC 4180 has it, in UTF-8, lines ended by LF. An empty cell is null and `""` the empty text, as PostgreSQL's COPY
// has it; all other cells are quoted only where they must be. Numbers and nested values are the text they came as.

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { SourceRecord } from '../../../lib/record.ts'
import { type Fact, factText, type Naming, type PageFacts } from '../naming.ts'
import { idText, rawOf, timestampOf } from '../record.ts'
import { schemaFor } from '../schemas.ts'
import { Columns } from './columns.ts'
import { CELL_BYTES, putCell, putQuoted, putText } from './csv-cells.ts'
import type { Output } from './data.ts'
import { type Format, type FormatOptions, namingOfFile } from './format.ts'
import { RowIds } from './rows.ts'

const LF = 0x0a
const COMMA = 0x2c
const QUOTE = 0x22
/** Of cells of ours but for ids: times, numbers and commas. */
const HEAD_BYTES = 240
/** Bytes of a payload that are quoted at a time; they at most double. */
const PIECE_BYTES = 1 << 18

export function csv(options: FormatOptions): Format {
  const { unnest, metadata, recordSchemas } = options
  const naming = namingOfFile(options)
  const names = naming.columns.map(({ name }) => name)
  if (!unnest && metadata === 'none') {
    throw new InvalidKey(inDestination('format'), 'csv with metadata none has no columns to write', {
      hint: 'Set unnest: true and name the columns in record_schemas, or leave metadata at bizon.',
    })
  }
  return {
    extension: '.csv',
    label: '.csv',
    header(isMeant) {
      if (!unnest) return lineOf([...names, naming.payload])
      const schema = recordSchemas.find(({ destinationId }) => isMeant(destinationId))
      return schema ? lineOf([...names, ...schema.columns.map(({ name }) => name)]) : Buffer.alloc(0)
    },
    rows(run, count) {
      const cells = new NamedCells(naming, run, count)
      if (!unnest) {
        return {
          prepare:
            ({ records }, _, extractedAt) =>
            (out) =>
              cells.write(records, extractedAt, out),
        }
      }
      const columns = new Map<string, Columns>()
      return {
        prepare({ id, records }, file, extractedAt) {
          const known = columns.get(id) ?? new Columns(schemaFor(recordSchemas, id, 'destination id'))
          columns.set(id, known)
          const lines = linesOf(records, known, file, cells, extractedAt)
          return async (out) => out.add(lines, 0, lines.length)
        },
      }
    },
  }
}

function lineOf(names: readonly string[]): Buffer {
  const line = Buffer.allocUnsafe(names.reduce((bytes, name) => bytes + name.length * 4 + CELL_BYTES, 0) + 1)
  let to = 0
  for (const [at, name] of names.entries()) {
    if (at > 0) line[to++] = COMMA
    to = putText(name, line, to)
  }
  line[to++] = LF
  return line.subarray(0, to)
}

/** The records with these columns, as lines of one buffer. */
function linesOf(
  records: readonly SourceRecord[],
  columns: Columns,
  file: string,
  cells: NamedCells,
  extractedAt: Date,
): Buffer {
  let lines = Buffer.allocUnsafe(1 << 16)
  let to = 0
  const page = cells.page(extractedAt)
  columns.each(records, file, ({ buffer, start, end }, values, record) => {
    const { id } = record
    const room = 2 * (end - start) + columns.names.length * CELL_BYTES + 1 + cells.roomFor(record)
    if (lines.length - to < room) {
      const larger = Buffer.allocUnsafe(Math.max(2 * lines.length, to + room))
      lines.copy(larger, 0, 0, to)
      lines = larger
    }
    to = cells.put(record, page, lines, to)
    for (let at = 0; at < columns.names.length; at++) {
      if (at > 0) lines[to++] = COMMA
      const cellEnd = putCell(buffer, values[2 * at] as number, values[2 * at + 1] as number, lines, to)
      if (cellEnd < 0) throw halfCharacter(id, columns.names[at] as string, file)
      to = cellEnd
    }
    lines[to++] = LF
  })
  return lines.subarray(0, to)
}

function halfCharacter(id: string, column: string, file: string): BizonError {
  const what = `column ${JSON.stringify(column)} has half of a surrogate pair (\\ud800 to \\udfff alone)`
  return new BizonError('invalid_record', `record ${JSON.stringify(id)} for ${file}: ${what}, which is no text`, {
    hint: 'Correct the record, or load it with unnest: false, which keeps the JSON as it came.',
  })
}

/** The cells of a naming, each with a comma behind it; and with the record's JSON text in the last one a whole line. */
class NamedCells {
  readonly #facts: readonly Fact[]
  readonly #run: string
  readonly #ids: RowIds

  constructor({ columns }: Naming, run: Run, rows: number) {
    this.#facts = columns.map(({ fact }) => fact)
    this.#run = run.id
    this.#ids = new RowIds(run, rows)
  }

  page(extractedAt: Date): PageFacts {
    const loadedAt = timestampOf(new Date())
    return { extractedAt: timestampOf(extractedAt), loadedAt, run: this.#run, nextId: () => '' }
  }

  /** Bytes, at most. */
  roomFor({ id }: SourceRecord): number {
    return this.#facts.length === 0 ? 0 : 4 * (id.length + this.#run.length) + HEAD_BYTES
  }

  put(record: SourceRecord, page: PageFacts, target: Buffer, at: number): number {
    let to = at
    for (const fact of this.#facts) {
      if (fact === 'rowId') to = this.#ids.put(target, to)
      else {
        const text = factText(fact, record, page)
        to = putText(fact === 'recordId' ? idText(text) : text, target, to)
      }
      target[to++] = COMMA
    }
    return to
  }

  async write(records: readonly SourceRecord[], extractedAt: Date, out: Output): Promise<void> {
    const page = this.page(extractedAt)
    for (const record of records) {
      const raw = rawOf(record.data)
      const headRoom = this.roomFor(record) + 1
      if (headRoom + 2 * raw.byteLength > out.free) await out.drain()
      const isLarge = headRoom + 2 * raw.byteLength > out.free
      const target = isLarge ? Buffer.allocUnsafe(headRoom) : out.bytes
      let to = this.put(record, page, target, isLarge ? 0 : out.used)
      target[to++] = QUOTE
      if (isLarge) {
        await out.add(target, 0, to)
        for (let from = raw.start; from < raw.end; from += PIECE_BYTES) {
          if (out.free < 2 * PIECE_BYTES + 2) await out.drain()
          out.used = putQuoted(raw.buffer, from, Math.min(from + PIECE_BYTES, raw.end), out.bytes, out.used)
        }
      } else {
        out.used = putQuoted(raw.buffer, raw.start, raw.end, target, to)
      }
      out.bytes[out.used++] = QUOTE
      out.bytes[out.used++] = LF
    }
  }
}
