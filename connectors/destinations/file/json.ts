// NDJSON: one JSON object a line.

import { schemaFor } from '../schemas.ts'
import { Columns } from './columns.ts'
import type { Format, FormatOptions } from './format.ts'
import { BizonRows, writePlain } from './rows.ts'

export function json({ unnest, metadata, recordSchemas }: FormatOptions): Format {
  return {
    extension: '.json',
    label: '',
    header: () => Buffer.alloc(0),
    rows(run, count) {
      if (unnest) {
        const columns = new Map<string, Columns>()
        return {
          prepare({ id, records }, file) {
            const known = columns.get(id) ?? new Columns(schemaFor(recordSchemas, id, 'destination id'))
            columns.set(id, known)
            const lines = known.apply(records, file)
            return (out) => writePlain(lines, out)
          },
        }
      }
      if (metadata === 'none')
        return {
          prepare:
            ({ records }) =>
            (out) =>
              writePlain(records, out),
        }
      const rows = new BizonRows(run, count)
      return {
        prepare:
          ({ records }) =>
          (out, extractedAt) =>
            rows.write(records, extractedAt, out),
      }
    },
  }
}
