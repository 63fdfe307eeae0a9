// CSV as RFC 4180 has it, in UTF-8, lines ended by LF. An empty cell is null and `""` the empty text, as PostgreSQL's COPY
// has it; all other cells are quoted only where they must be. Numbers and nested values are the text they came as.

import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { SourceRecord } from '../../../lib/record.ts'
import { idText, RECORD_COLUMNS, rawOf, timestampOf, timestampText } from '../record.ts'
import { schemaFor } from '../schemas.ts'
import { Columns } from './columns.ts'
import { CELL_BYTES, putCell, putQuoted, putText } from './csv-cells.ts'
import type { Output } from './data.ts'
import type { Format, FormatOptions } from './format.ts'
import { RowIds } from './rows.ts'

const LF = 0x0a
const COMMA = 0x2c
const QUOTE = 0x22
/** Bytes of a payload that are quoted at a time; they at most double. */
const PIECE_BYTES = 1 << 18

export function csv({ unnest, metadata, recordSchemas }: FormatOptions): Format {
  if (!unnest && metadata === 'none') {
    throw new BizonError('config', 'destination.config: format csv with metadata none has no columns to write', {
      hint: 'Set unnest: true and name the columns in record_schemas, or leave metadata at bizon.',
    })
  }
  return {
    extension: '.csv',
    label: '.csv',
    header(isMeant) {
      if (!unnest) return lineOf(RECORD_COLUMNS)
      const schema = recordSchemas.find(({ destinationId }) => isMeant(destinationId))
      return schema ? lineOf(schema.columns.map(({ name }) => name)) : Buffer.alloc(0)
    },
    rows(run, count) {
      if (!unnest) {
        const rows = new BizonCells(run, count)
        return {
          prepare:
            ({ records }) =>
            (out, extractedAt) =>
              rows.write(records, extractedAt, out),
        }
      }
      const columns = new Map<string, Columns>()
      return {
        prepare({ id, records }, file) {
          const known = columns.get(id) ?? new Columns(schemaFor(recordSchemas, id, 'destination id'))
          columns.set(id, known)
          const lines = linesOf(records, known, file)
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
function linesOf(records: readonly SourceRecord[], columns: Columns, file: string): Buffer {
  let lines = Buffer.allocUnsafe(1 << 16)
  let to = 0
  columns.each(records, file, ({ buffer, start, end }, values, { id }) => {
    const room = 2 * (end - start) + columns.names.length * CELL_BYTES + 1
    if (lines.length - to < room) {
      const larger = Buffer.allocUnsafe(Math.max(2 * lines.length, to + room))
      lines.copy(larger, 0, 0, to)
      lines = larger
    }
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

/** The six columns, the record's JSON text in the last one. */
class BizonCells {
  readonly #ids: RowIds

  constructor(run: Run, rows: number) {
    this.#ids = new RowIds(run, rows)
  }

  async write(records: readonly SourceRecord[], extractedAt: Date, out: Output): Promise<void> {
    const extracted = timestampOf(extractedAt)
    const times = Buffer.from(`,${extracted},${timestampOf(new Date())},`)
    for (const record of records) {
      const { id } = record
      const raw = rawOf(record.data)
      const time = record.timestamp === undefined ? extracted : timestampText(record.timestamp, id)
      const headRoom = times.length + 4 * id.length + time.length + 64
      if (headRoom + 2 * raw.byteLength > out.free) await out.drain()
      const isLarge = headRoom + 2 * raw.byteLength > out.free
      const target = isLarge ? Buffer.allocUnsafe(headRoom) : out.bytes
      let to = this.#ids.put(target, isLarge ? 0 : out.used)
      target.set(times, to)
      to = putText(idText(id), target, to + times.length)
      target[to++] = COMMA
      to += target.write(time, to, 'latin1')
      target[to++] = COMMA
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
