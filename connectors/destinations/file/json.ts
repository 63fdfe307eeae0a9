// NDJSON: one JSON object a line.

import { schemaFor } from '../schemas.ts'
import { Columns } from './columns.ts'
import { type Format, type FormatOptions, namingOfFile } from './format.ts'
import { NamedRows, writePlain } from './rows.ts'

export function json(options: FormatOptions): Format {
  const { unnest, recordSchemas } = options
  const naming = namingOfFile(options)
  return {
    extension: '.json',
    label: '',
    header: () => Buffer.alloc(0),
    firstColumn: naming.rowId,
    rows(run, count) {
      const columns = new Map<string, Columns>()
      const named = naming.columns.length === 0 ? undefined : new NamedRows(naming, unnest, run, count)
      return {
        prepare({ id, records }, file, extractedAt) {
          let lines = records
          if (unnest) {
            const known = columns.get(id) ?? new Columns(schemaFor(recordSchemas, id, 'destination id'))
            columns.set(id, known)
            lines = known.apply(records, file)
          }
          return (out) => (named ? named.write(lines, extractedAt, out) : writePlain(lines, out))
        },
      }
    },
  }
}
