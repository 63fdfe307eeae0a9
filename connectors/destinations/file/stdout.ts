// `destination_id: "-"`: the lines on standard output, for the next program. What a reader has taken cannot be taken back
// or looked at, so that nothing is staged and nothing replaced: rows go out as they come, and the state store's word for
// where the run stands is taken. A row that comes twice after a kill has the same `bizon_id` both times.

import type { Destination } from '../../../lib/destination.ts'
import { DescriptorOut } from '../../../lib/pipe/out.ts'
import type { FileOptions } from '../file.ts'
import { Columns, schemaFor } from './columns.ts'
import { Output } from './data.ts'
import { BizonRows, writePlain } from './rows.ts'

/** As a `destination_id`. */
export const STDOUT = '-'
const NAME = 'standard output'

export function stdoutDestination(options: FileOptions, out = new DescriptorOut(1)): Destination {
  const output = new Output()
  const columns = new Map<string, Columns>()
  let rows: BizonRows | undefined
  const columnsFor = (id: string): Columns => {
    const known = columns.get(id) ?? new Columns(schemaFor(options.recordSchemas, id))
    columns.set(id, known)
    return known
  }
  return {
    async open(run) {
      rows = new BizonRows(run, run.stored?.rows ?? 0)
      await output.to({ append: (bytes) => out.write(bytes) })
      return run.stored
    },
    async write({ records, extractedAt = new Date() }, signal) {
      signal.throwIfAborted()
      if (options.unnest) {
        for (const record of records) {
          await writePlain(columnsFor(record.destinationId ?? STDOUT).apply([record], NAME), output)
        }
      } else if (options.metadata === 'none') {
        await writePlain(records, output)
      } else {
        await rows?.write(records, extractedAt, output)
      }
    },
    async flush() {
      await output.drain()
      return undefined
    },
    async publish() {},
    async close() {},
    outputs: () => [NAME],
  }
}
