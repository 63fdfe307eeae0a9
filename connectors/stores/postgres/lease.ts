// The right to run a pipeline, for a time: a row that says who has it and until when, by the server's clock alone.
//
//   killed       the server sees at once that the holder's other connection has gone, and with it an advisory lock
//   stopped, or  somebody else may take the row once its time is over; it then has a greater epoch, by which
//   cut off      every change of the earlier holder is refused
//
// An open transaction holds the advisory lock, not the session: behind a pooler that lends connections for a
// transaction each, a session's lock would be left on somebody else's. Reading nothing, it holds back no VACUUM.

import type { Identity } from '../../../lib/state.ts'
import type { Queries } from '../../postgres.ts'
import { labelOf, takenOver } from '../rows.ts'
import { keyOf } from '../statements.ts'

/** The lock of what was hashed; two that hash alike only wait for each other. */
const LOCK = 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))'
export const tryLock = (what: string): string =>
  `SELECT pg_try_advisory_xact_lock(hashtextextended(${what}, 0)) AS taken`
const OF_IDENTITY = 'name = $1 AND source_name = $2 AND stream_name = $3'
const UNTIL = (parameter: string): string => `clock_timestamp() + make_interval(secs => ${parameter})`

/** Until the transaction ends, nobody else is in one that asked for the same. */
export async function lockOut(queries: Queries, what: string): Promise<void> {
  await queries.query(LOCK, [`bizon ${what}`])
}

export interface Claim {
  readonly identity: Identity
  readonly holder: string
  readonly token: string
  readonly seconds: number
}

/** Takes the row. Undefined: it is somebody else's, who lives. */
export async function take(queries: Queries, { identity, holder, token, seconds }: Claim): Promise<number | undefined> {
  // Of two that find no row.
  await lockOut(queries, labelOf(identity))
  const found = await queries.query(
    `SELECT token, expires_at < clock_timestamp() AS is_over FROM bizon_leases WHERE ${OF_IDENTITY} FOR UPDATE`,
    keyOf(identity),
  )
  const [row] = found.rows
  if (row && row.token !== null && row.token !== token && row.is_over !== true) {
    const { rows } = await queries.query(tryLock('$1'), [row.token])
    if (rows[0]?.taken !== true) return undefined
  }
  // The clock, so that epochs go on growing when this database is lost.
  const { rows } = await queries.query(
    `INSERT INTO bizon_leases (name, source_name, stream_name, owner, token, expires_at, acquired_at, epoch)
     VALUES ($1, $2, $3, $4, $5, ${UNTIL('$6')}, now(), floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
     ON CONFLICT (name, source_name, stream_name) DO UPDATE SET owner = excluded.owner, token = excluded.token,
       expires_at = excluded.expires_at, acquired_at = excluded.acquired_at,
       epoch = greatest(bizon_leases.epoch + 1, excluded.epoch)
     RETURNING epoch`,
    [...keyOf(identity), holder, token, seconds],
  )
  return Number(rows[0]?.epoch)
}

/** What `take` would come to, without taking: the epoch, and who lives and has it. */
export async function nextOf(
  queries: Queries,
  identity: Identity,
): Promise<{ readonly epoch: number; readonly heldBy?: string | undefined }> {
  const { rows } = await queries.query(
    `SELECT epoch, owner, token, expires_at < clock_timestamp() AS is_over FROM bizon_leases WHERE ${OF_IDENTITY}`,
    keyOf(identity),
  )
  const [row] = rows
  const epoch = Math.max(Number(row?.epoch ?? 0) + 1, Date.now())
  if (!row || row.token === null || row.is_over === true) return { epoch }
  // Free again as soon as the transaction ends.
  const tried = await queries.query(tryLock('$1'), [row.token])
  return tried.rows[0]?.taken === true ? { epoch } : { epoch, heldBy: String(row.owner) }
}

/** Whether the row was taken by that token, although no answer has come. */
export async function takenBy(queries: Queries, { identity, token }: Claim): Promise<number | undefined> {
  const { rows } = await queries.query(
    `SELECT epoch FROM bizon_leases WHERE ${OF_IDENTITY} AND token = $4 FOR UPDATE`,
    [...keyOf(identity), token],
  )
  return rows[0] && Number(rows[0].epoch)
}

/** Who has it, in words. */
export async function holderOf(queries: Queries, identity: Identity): Promise<string> {
  const { rows } = await queries.query(`SELECT owner FROM bizon_leases WHERE ${OF_IDENTITY}`, keyOf(identity))
  return String(rows[0]?.owner ?? 'another run')
}

/**
 * Part of every change: rejects unless no newer epoch exists, and until the transaction ends none can. Leaves the mark by
 * which it can be told whether the transaction was committed, and puts off the lease's end.
 */
export async function fence(
  queries: Queries,
  identity: Identity,
  epoch: number,
  { seconds, mark }: { readonly seconds: number; readonly mark: string | null },
): Promise<void> {
  const { count } = await queries.query(
    `UPDATE bizon_leases SET expires_at = ${UNTIL('$5')}, mark = coalesce($6, mark) WHERE ${OF_IDENTITY} AND epoch = $4`,
    [...keyOf(identity), epoch, seconds, mark],
  )
  if (count !== 1) throw takenOver(identity)
}

/** Whether the transaction with that mark was the last one to be committed. */
export async function isMarked(queries: Queries, identity: Identity, mark: string): Promise<boolean> {
  const { rows } = await queries.query(`SELECT mark FROM bizon_leases WHERE ${OF_IDENTITY} FOR UPDATE`, keyOf(identity))
  return rows[0]?.mark === mark
}

/** Nobody has it. Changes nothing when a newer holder does. */
export async function giveBack(queries: Queries, identity: Identity, epoch: number): Promise<void> {
  await queries.query(`UPDATE bizon_leases SET token = NULL WHERE ${OF_IDENTITY} AND epoch = $4`, [
    ...keyOf(identity),
    epoch,
  ])
}
