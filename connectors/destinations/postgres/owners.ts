// Whose a table is to which records are routed: the first pipeline that names it gets it, by a row of its own in the state
// table. Its key is the table's name, as it is of the state of a configured target, so that both are told apart from
// every other pipeline's, and two that begin at the same moment wait for one another.

import { BizonError } from '../../../lib/errors.ts'
import type { Queries } from '../../postgres.ts'
import type { Held } from '../recovery.ts'
import { qualified, STATE_TABLE } from './names.ts'
import type { Transaction } from './session.ts'
import { hashOf } from './state.ts'

type Identity = Pick<Held, 'pipeline' | 'source' | 'stream'>

/** Makes the table the target's own until it is released. Rejects when it is another's. Resolves to whether it was nobody's. */
export async function claimTable(
  transaction: Transaction,
  schema: string,
  table: string,
  target: string,
  { pipeline, source, stream }: Identity,
): Promise<boolean> {
  const states = qualified(schema, STATE_TABLE)
  const mine = [table, target, pipeline, source, stream]
  const { count } = await transaction.query(
    `INSERT INTO ${states} (target, owner, pipeline, source, stream, sha256, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp()) ON CONFLICT (target) DO NOTHING`,
    [...mine, hashOf(mine)],
  )
  if (count === 1) return true
  const { rows } = await transaction.query(
    `SELECT coalesce(owner, target) AS owner, pipeline, source, stream FROM ${states} WHERE target = $1`,
    [table],
  )
  const [row] = rows
  if (row && JSON.stringify([table, row.owner, row.pipeline, row.source, row.stream]) === JSON.stringify(mine))
    return false
  const theirs = row
    ? `target ${row.owner} of pipeline ${row.pipeline}/${row.source}/${row.stream}`
    : 'another pipeline'
  throw new BizonError('destination', `table ${schema}.${table} belongs to ${theirs}`, {
    hint: `Choose another destination_id for these records. Or delete its row in ${schema}.${STATE_TABLE}, if that pipeline is gone.`,
  })
}

/** Lets go of the tables that were claimed for the target, but for `kept`. */
export async function releaseTables(
  transaction: Queries,
  schema: string,
  target: string,
  kept: readonly string[],
): Promise<void> {
  await transaction.query(
    `DELETE FROM ${qualified(schema, STATE_TABLE)} WHERE owner = $1 AND NOT target = ANY ($2::text[])`,
    [target, kept],
  )
}
