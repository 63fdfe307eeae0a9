// Up to which value an incremental read may go, so that no row with a smaller one comes in behind it.
//
// A transaction draws a value (a time, a number of a sequence) when it writes, and its row is seen when it commits, perhaps
// after rows with greater values. So the newest value is looked up first, and then every transaction that is open at that
// moment, and may have drawn a smaller one, is waited for. Whatever begins later draws a greater value. That it has written
// nothing yet, so that it is in no snapshot, does not matter: a transaction is known by its lock on its own virtual number.

import { BizonError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { sleep } from '../../../lib/wait.ts'
import { type Connection, GUARD } from '../../postgres.ts'
import type { Column, Relation } from './catalogue.ts'
import { BEGIN_LOOK, misplacedOf, newestOf, READER } from './statement.ts'

export interface Newest {
  readonly until: string
  readonly still: boolean
}

export interface SettleOptions {
  readonly timeoutSeconds: number
  readonly log: Log
  readonly signal: AbortSignal
}

/** A statement's time is taken before its transaction can be seen: by so much at most, unless the server stands still. */
const UNSEEN_SECONDS = 0.1
const FIRST_WAIT_SECONDS = 0.01
const LONGEST_WAIT_SECONDS = 1

/** Undefined: there are no rows at all. */
export async function settle(
  connection: Connection,
  { relation, cursor, from }: { readonly relation: Relation; readonly cursor: Column; readonly from: string | null },
  options: SettleOptions,
): Promise<Newest | undefined> {
  const newest = await look(connection, async () => {
    await refuseStandby(connection, relation)
    await refuseMisplaced(connection, relation, cursor)
    const { rows } = await connection.query(newestOf(relation, cursor, from))
    return rows[0] as { readonly until: string | null; readonly still: boolean | null }
  })
  if (newest.until === null) return undefined
  await sleep(UNSEEN_SECONDS, options.signal)
  await outlast(connection, options)
  return { until: newest.until, still: newest.still === true }
}

async function look<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  await connection.query(BEGIN_LOOK)
  const result = await work()
  await connection.query('COMMIT')
  return result
}

/**
 * Transactions of this database but our own, and but those of runs of bizon that read, or keep a lock and do nothing else.
 * An autovacuum worker has no user, and writes no rows.
 */
const OPEN = `SELECT l.virtualtransaction AS id, l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
    AND a.datname = current_database() AND a.usesysid IS NOT NULL AND a.application_name NOT IN ('${READER}', '${GUARD}')
  UNION ALL SELECT 'prepared ' || gid, NULL FROM pg_prepared_xacts WHERE database = current_database()`

async function outlast(connection: Connection, { timeoutSeconds, log, signal }: SettleOptions): Promise<void> {
  const open = async (): Promise<Map<string, number | null>> => {
    const { rows } = await connection.query(OPEN)
    return new Map(rows.map(({ id, pid }) => [String(id), pid as number | null]))
  }
  const before = await open()
  const deadline = performance.now() + timeoutSeconds * 1000
  let told = false
  for (let wait = FIRST_WAIT_SECONDS; before.size > 0; wait = Math.min(2 * wait, LONGEST_WAIT_SECONDS)) {
    const now = await open()
    const ended = [...before.keys()].filter((id) => !now.has(id))
    const wasRunning = ended.some((id) => before.get(id) !== null)
    for (const id of ended) before.delete(id)
    // What has ended may have been prepared, and goes on under that name.
    if (wasRunning) for (const [id, pid] of now) if (pid === null) before.set(id, pid)
    if (before.size === 0) return
    if (performance.now() + wait * 1000 > deadline) throw await stillOpen(connection, before)
    if (wait === LONGEST_WAIT_SECONDS && !told) {
      told = true
      log.info(`waiting for ${before.size} open transactions, which may yet add rows from before this read`)
    }
    await sleep(wait, signal)
    signal.throwIfAborted()
  }
}

async function stillOpen(connection: Connection, open: ReadonlyMap<string, number | null>): Promise<BizonError> {
  const pids = [...open.values()].filter((pid) => pid !== null)
  const { rows } = await connection.query(
    `SELECT pid, usename, application_name, xact_start::text FROM pg_stat_activity WHERE pid = ANY($1) ORDER BY xact_start LIMIT 1`,
    [pids],
  )
  const [oldest] = rows
  const name = oldest?.application_name ? ` (${oldest.application_name})` : ''
  const since = oldest?.xact_start ? `, since ${oldest.xact_start}` : ''
  const who = oldest ? `process ${oldest.pid} of ${oldest.usename}${name}${since}` : ([...open.keys()][0] as string)
  return new BizonError(
    'source',
    `${open.size} transactions that were open when the read began have not ended, and may yet add rows from before it: ${who}`,
    { hint: 'End it, or raise source.late_commit_timeout; then run again.', retriable: true },
  )
}

async function refuseStandby(connection: Connection, { label }: Relation): Promise<void> {
  const { rows } = await connection.query('SELECT pg_is_in_recovery() AS standby')
  if (rows[0]?.standby !== true) return
  throw new BizonError(
    'source',
    `${label} cannot be read incrementally from a standby: it does not know which transactions are open on its primary`,
    { hint: 'Read from the primary; or use sync_mode: full_refresh.' },
  )
}

async function refuseMisplaced(connection: Connection, relation: Relation, cursor: Column): Promise<void> {
  const { rows } = await connection.query(misplacedOf(relation, cursor))
  const { nulls, endless } = rows[0] ?? {}
  if (nulls !== true && endless !== true) return
  throw new BizonError(
    'invalid_record',
    `${relation.label} has rows whose ${cursor.name} is ${nulls === true ? 'null' : 'infinity or NaN'}: no incremental read can tell whether they are new`,
    { hint: 'Give them a value; or read a query that leaves them out or puts another value in its place (coalesce).' },
  )
}
