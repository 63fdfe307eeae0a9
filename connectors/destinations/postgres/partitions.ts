// A target to which several loaders write, each a partition of the stream: a state row for each of them, and one that makes the
// table all of theirs, so that neither another pipeline nor a loader that knows of no partitions, or of another number of them,
// writes to it.
//
//   orders                      owned by "orders [4 partitions]"
//   orders [partition 1 of 4]   its run, checkpoint and epoch

import { BizonError } from '../../../lib/errors.ts'
import type { Partition } from '../../../lib/partition.ts'
import type { StreamInfo } from '../../../lib/source.ts'
import type { Held } from '../recovery.ts'
import type { PostgresOptions } from './config.ts'
import { IN_PARTITIONS, ownerName, qualified, STATE_TABLE } from './names.ts'
import type { Site } from './publish.ts'
import type { Transaction } from './session.ts'
import { hashOf } from './state.ts'

export type Identity = Pick<Held, 'pipeline' | 'source' | 'stream'>

/** Why partitions cannot be written. */
export function refusesPartitions(options: PostgresOptions): string | undefined {
  if (options.unnest === 'columns') return 'unnest: columns finds columns in one loader'
  if (options.replace_scope.length > 0) return 'replace_scope replaces the rows of a scope in one loader'
  return undefined
}

/** Whose the tables are: the whole stream's. */
export function wholeOf<Given extends Identity>(given: Given, partition: Partition | undefined): Identity {
  const { pipeline, source, stream } = given
  return { pipeline, source, stream: partition ? stream.slice(0, -`#${partition.index}`.length) : stream }
}

/** Makes the table all partitions' own. Rejects when it is another's, or is not loaded in as many. */
export async function claimTarget(transaction: Transaction, site: Site, run: Identity): Promise<void> {
  const { target, partition, options } = site
  if (!partition) return
  const states = qualified(options.schema, STATE_TABLE)
  const { pipeline, source, stream } = wholeOf(run, partition)
  const mine = [target, ownerName(target, partition), pipeline, source, stream]
  const { count } = await transaction.query(
    `INSERT INTO ${states} (target, owner, pipeline, source, stream, sha256, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp()) ON CONFLICT (target) DO NOTHING`,
    [...mine, hashOf(mine)],
  )
  if (count === 1) return
  const { rows } = await transaction.query(
    `SELECT target, owner, pipeline, source, stream FROM ${states} WHERE target = $1`,
    [target],
  )
  const [row] = rows
  if (row && JSON.stringify([row.target, row.owner, row.pipeline, row.source, row.stream]) === JSON.stringify(mine))
    return
  const isOurs = row && row.pipeline === pipeline && row.source === source && row.stream === stream
  const before = IN_PARTITIONS.exec(String(row?.owner ?? ''))?.[1]
  const table = `${options.schema}.${target}`
  const what = isOurs
    ? `is loaded ${before === undefined ? 'without partitions' : `in ${before} partitions`}, and engine.queue.config.queue.partitions is ${partition.of}`
    : `belongs to pipeline ${row?.pipeline}/${row?.source}/${row?.stream}`
  throw new BizonError('edited', `table ${table} ${what}`, {
    hint: isOurs ? 'Set it as it was. To change it see docs/scaling.md.' : 'Choose another destination_id.',
  })
}

/** Rejects records whose key two partitions may have: neither would know which of two rows is newer. */
export function checkSplit({ partition, options }: Site, stream: StreamInfo | undefined): void {
  const { primary_key: key } = options
  if (!partition || key.length === 0) return
  const by = stream?.primaryKey ?? []
  if ([...by].sort().join('\0') === [...key].sort().join('\0')) return
  const told = by.length === 0 ? 'the id of each record' : by.join(', ')
  throw new BizonError(
    'config',
    `records are in partitions by ${told}, and primary_key merges them by ${key.join(', ')}`,
    {
      hint: 'Merge by the primary key that the source declares, if it declares one. Or set partitions to 1, and give the pipeline another topic. See docs/scaling.md.',
    },
  )
}
