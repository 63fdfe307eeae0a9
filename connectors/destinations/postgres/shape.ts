// What people may have done to a table: its columns with what stands behind them, its checks. Two tables of one shape can
// take each other's place.

import { BizonError } from '../../../lib/errors.ts'
import { startingOver } from '../../../lib/job.ts'
import type { Queries } from '../../postgres.ts'
import { qualified } from './names.ts'

/**
 * Rejects when somebody has changed the table, or made it, since its rows began to be staged. `typesFollow`: this run may have
 * given a column another type.
 */
export async function checkShape(
  connection: Queries,
  schema: string,
  table: string,
  staging: string,
  typesFollow: boolean,
): Promise<void> {
  const is = await shapeOf(connection, schema, table, typesFollow)
  const next = await shapeOf(connection, schema, staging, typesFollow)
  const changed = [...is].filter(([part, how]) => next.get(part) !== how).map(([part]) => part)
  const dropped = [...next.keys()].filter((part) => part.startsWith('check ') && !is.has(part))
  const parts = [...changed, ...dropped]
  if (parts.length === 0) return
  throw new BizonError(
    'destination',
    `${schema}.${table} cannot be replaced by another table: its ${parts.join(', ')} was changed after this run began`,
    { hint: `Set replace_strategy to truncate_insert for this run. Or ${startingOver('full_refresh')}.` },
  )
}

async function shapeOf(
  connection: Queries,
  schema: string,
  table: string,
  typesFollow: boolean,
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await connection.query(SHAPE, [qualified(schema, table), typesFollow])
  return new Map(rows.map(({ part, how }) => [String(part), String(how)]))
}

/** A check is known by what it says: its name may stand for another one. */
const SHAPE = `
  SELECT 'column ' || attname AS part, concat_ws(' ', attnotnull, attidentity, attgenerated,
      CASE WHEN NOT $2 THEN concat_ws(' ', format_type(atttypid, atttypmod), attcollation) END, pg_get_expr(adbin, adrelid)) AS how
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
  UNION ALL SELECT 'check ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = $1::regclass AND contype = 'c'`
