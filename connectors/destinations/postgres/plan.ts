// What a run would find on the server and do: recovered in a transaction that may only read, and of one moment.

import type { DestinationPlan, Run } from '../../../lib/destination.ts'
import type { Answer, Connection, Queries } from '../../postgres.ts'
import { orphanedTables } from '../child-tables.ts'
import { addsOf, countOfDelete, type Note, publishedBy, repairsOf } from '../plan.ts'
import { checkTarget, useOf } from './check.ts'
import { qualified, STATE_TABLE } from './names.ts'
import type { Site } from './publish.ts'
import { recover } from './recover.ts'
import type { StateRow } from './state.ts'

const BEGIN = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'`

export interface Planned {
  readonly site: Site
  readonly row: StateRow
  readonly run: Run
  readonly user: string
  /** By which another run holds the target. */
  readonly lockKey: bigint
}

export async function planTables(connection: Connection, planned: Planned): Promise<DestinationPlan> {
  const { site, row, run, user, lockKey } = planned
  const { options, target } = site
  const { schema, on_empty: onEmpty } = options
  await connection.query(BEGIN)
  const use = useOf({ mode: run.mode, complete: run.complete }, options)
  await checkTarget(connection, site, { use, user })
  const heldBy = await holderOf(connection, lockKey)
  // Its tables are on their way from one state to another.
  if (heldBy !== undefined) return { durable: run.stored, heldBy, changes: [] }
  const notes: Note[] = []
  const state = await recover(reading(connection, notes), site, row, run)
  const shown = (table: string): string => `${schema}.${table}`
  const repairs = repairsOf(notes, { hidden: STATE_TABLE, shown: (name) => name })
  const changes = await publishedBy(
    run,
    { ...state, written: Object.keys(state.tables), published: Object.keys(state.published) },
    {
      ...{ target, adds: addsOf(options), onEmpty, shown },
      orphansOf: (staged, published) =>
        orphanedTables(options, { staged, published, columnsOf: (table) => state.published[table]?.columns }),
      find: async (table) => sizeOf(connection, qualified(schema, table)),
    },
  )
  await connection.query('ROLLBACK')
  const durable = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
  return { durable, changes: [...(await newSchema(connection, schema)), ...repairs, ...changes] }
}

/** What would change something is noted in place of it. */
function reading(connection: Queries, notes: Note[]): Queries {
  return {
    async query(sql, values = []): Promise<Answer> {
      // A lock would be a change.
      if (/^\s*SELECT\b/.test(sql)) return connection.query(sql.replace(/\s+FOR (?:UPDATE|SHARE)\s*$/, ''), values)
      const counting = countOfDelete(sql)
      const [row] = counting === undefined ? [] : (await connection.query(counting, values)).rows
      const count = Number(row?.count ?? 0)
      notes.push({ sql, count })
      return { rows: [], count, columns: [] }
    },
  }
}

async function sizeOf(connection: Queries, table: string): Promise<{ readonly bytes: number } | undefined> {
  const { rows } = await connection.query('SELECT pg_total_relation_size(to_regclass($1))::text AS bytes', [table])
  const bytes = rows[0]?.bytes
  return typeof bytes === 'string' ? { bytes: Number(bytes) } : undefined
}

async function newSchema(connection: Queries, schema: string): Promise<DestinationPlan['changes']> {
  const { count } = await connection.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
  return count > 0 ? [] : [{ target: `schema ${schema}`, action: 'create' }]
}

/** Who has the advisory lock, whose 64 bits the server shows in two halves. */
async function holderOf(connection: Queries, lockKey: bigint): Promise<string | undefined> {
  const bits = BigInt.asUintN(64, lockKey)
  const { rows } = await connection.query(
    `SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid::text = $1 AND l.objid::text = $2`,
    [String(bits >> 32n), String(bits & 0xffffffffn)],
  )
  return rows[0] && `process ${rows[0].pid} of the server`
}
