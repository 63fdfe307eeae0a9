// `destination_id: "-"`: the lines on standard output, for the next program. What a reader has taken cannot be taken back
// or looked at, so that nothing is staged and nothing replaced: rows go out as they come, and the state store's word for
// where the run stands is taken. A row that comes twice after a kill has the same `bizon_id` both times.

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import type { Destination } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { DescriptorOut } from '../../../lib/pipe/out.ts'
import type { SourceRecord } from '../../../lib/record.ts'
import type { FileOptions } from '../file.ts'
import { Output } from './data.ts'
import { formatOf, type Part, type Rows } from './format.ts'

/** As a `destination_id`. */
export const STDOUT = '-'
const NAME = 'standard output'

export function stdoutDestination(options: FileOptions, out = new DescriptorOut(1)): Destination {
  if (options.format === 'parquet') {
    throw new InvalidKey(inDestination('format'), `parquet cannot be written to ${NAME}`, {
      hint: 'Name a folder in destination_id, or choose format json or csv.',
    })
  }
  const format = formatOf(options)
  const output = new Output()
  let rows: Rows | undefined
  let header: Buffer | undefined
  /** Once, before the first row: a reader is a new one in each process. */
  const begin = async (id: string): Promise<void> => {
    const own = format.header((known) => known === id)
    if (header?.equals(own) === false) {
      throw new BizonError('invalid_record', `${NAME} has columns already, and those of ${id} are others`, {
        hint: 'Write to files, one for each destination id; or choose format json.',
      })
    }
    if (header === undefined) await output.add(own, 0, own.length)
    header = own
  }
  return {
    async open(run) {
      rows = format.rows(run, run.stored?.rows ?? 0)
      await output.to({ append: (bytes) => out.write(bytes) })
      return run.stored
    },
    async write({ records, extractedAt = new Date() }, signal) {
      signal.throwIfAborted()
      for (const part of partsOf(records, STDOUT)) {
        const write = rows?.prepare(part, NAME, extractedAt)
        await begin(part.id)
        await write?.(output)
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

/** Neighbours of one destination id. */
function* partsOf(records: readonly SourceRecord[], usual: string): Generator<Part> {
  for (let from = 0; from < records.length; ) {
    const id = records[from]?.destinationId
    let to = from + 1
    while (to < records.length && records[to]?.destinationId === id) to++
    yield { id: id ?? usual, records: from === 0 && to === records.length ? records : records.slice(from, to) }
    from = to
  }
}
