// The statements that the store's transactions are made of. Each runs inside one and trusts its caller to have
// looked at the lease.

import { BizonError } from '../../../lib/errors.ts'
import { stringifyJson } from '../../../lib/json.ts'
import {
  type AdoptedJob,
  type AdoptJobs,
  type BeginJob,
  type Identity,
  type Job,
  type JobStatus,
  type Lease,
  type LoggedCheckpoint,
  newId,
  type ResetRequest,
  type StateStore,
  type StoredCheckpoint,
} from '../../../lib/state.ts'
import type { Database } from '../../sqlite.ts'
import {
  type CursorRow,
  checkpointOf,
  checkpointOfCursors,
  checkpointText,
  formatTime,
  type JobRow,
  jobOf,
  type LoggedCursorRow,
  labelOf,
  loggedCheckpoints,
  type ResetRow,
  resetOf,
} from '../rows.ts'

/** Cursors that a stream's job keeps: it never ends. */
const STREAM_CURSORS = 100
/** Width of `stream_jobs.error_message`. */
const ERROR_LENGTH = 255

const IDENTITY = 'name = ? AND source_name = ? AND stream_name = ?'

function keyOf({ name, source, stream }: Identity): [name: string, source: string, stream: string] {
  return [name, source, stream]
}

const now = (): string => formatTime(new Date())

export const UNFINISHED: readonly JobStatus[] = ['started', 'running', 'failed']
export const ALL: readonly JobStatus[] = [...UNFINISHED, 'succeeded', 'cancelled']

export function epochOf(database: Database, identity: Identity): number | undefined {
  return database
    .prepare<string[], number>(`SELECT epoch FROM bizon_leases WHERE ${IDENTITY}`)
    .pluck()
    .get(...keyOf(identity))
}

export function nextEpoch(database: Database, identity: Identity): number {
  // The clock, so that epochs go on growing when this database is lost.
  return Math.max((epochOf(database, identity) ?? 0) + 1, Date.now())
}

/** Takes the lease from whoever had it. */
export function raiseEpoch(database: Database, identity: Identity, owner: string): number {
  const epoch = nextEpoch(database, identity)
  database
    .prepare(
      `INSERT INTO bizon_leases (name, source_name, stream_name, epoch, owner, acquired_at)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name, source_name, stream_name)
       DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner, acquired_at = excluded.acquired_at`,
    )
    .run(...keyOf(identity), epoch, owner, now())
  return epoch
}

const JOBS = `SELECT stream_jobs.*, earlier.created_at AS rewound_created_at, earlier.incremental_state AS rewound_state
  FROM stream_jobs LEFT JOIN stream_jobs AS earlier ON earlier.id = stream_jobs.rewound_to`

/**
 * Newest first, by order of insertion: clocks jump, and the Python program gave all jobs of a process the same time.
 */
export function jobsOf(database: Database, identity: Identity, statuses: readonly JobStatus[], limit = -1): Job[] {
  return database
    .prepare<(string | number)[], JobRow>(
      `${JOBS} WHERE stream_jobs.name = ? AND stream_jobs.source_name = ? AND stream_jobs.stream_name = ?
       AND stream_jobs.status IN (SELECT value FROM json_each(?))
       ORDER BY stream_jobs.rowid DESC LIMIT ?`,
    )
    .all(...keyOf(identity), JSON.stringify(statuses), limit)
    .map(jobOf)
}

export function readJob(database: Database, identity: Identity, id: string): Job {
  const row = database.prepare<[string], JobRow>(`${JOBS} WHERE stream_jobs.id = ?`).get(id)
  if (!row) throw gone(identity, id)
  return jobOf(row)
}

export function createJob(
  database: Database,
  lease: Lease,
  {
    identity,
    mode,
    totalRecords,
    complete,
    configHash,
    begun,
  }: Pick<BeginJob, 'identity' | 'mode' | 'totalRecords' | 'complete' | 'configHash' | 'begun'>,
): string {
  const taken = begun && database.prepare('SELECT 1 FROM stream_jobs WHERE id = ?').get(begun.id) !== undefined
  const id = begun && !taken ? begun.id : newId()
  database
    .prepare(
      `INSERT INTO stream_jobs (id, name, source_name, stream_name, sync_mode, attempt, total_records_to_fetch,
         created_at, updated_at, status, epoch, complete, config_hash)
       VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, 'running', ?, ?, ?)`,
    )
    .run(
      id,
      ...keyOf(identity),
      mode,
      totalRecords ?? null,
      begun ? formatTime(begun.at) : now(),
      now(),
      lease.epoch,
      complete ? 1 : 0,
      configHash ?? null,
    )
  return id
}

/** Keeps `created_at`, which is the watermark of the runs after it. */
export function restartJob(
  database: Database,
  lease: Lease,
  { identity, complete, configHash }: BeginJob,
  id: string,
): void {
  const { changes } = database
    .prepare(
      `UPDATE stream_jobs SET status = 'running', attempt = coalesce(attempt, 0) + 1, updated_at = ?,
         error_message = NULL, epoch = ?, complete = ?, config_hash = ?
       WHERE id = ? AND ${IDENTITY} AND status IN ('started', 'running', 'failed')`,
    )
    .run(now(), lease.epoch, complete ? 1 : 0, configHash ?? null, id, ...keyOf(identity))
  if (changes === 0) throw gone(identity, id)
}

export function cancelJob(database: Database, identity: Identity, id: string): void {
  database
    .prepare(
      `UPDATE stream_jobs SET status = 'cancelled', updated_at = ?
       WHERE id = ? AND ${IDENTITY} AND status IN ('started', 'running', 'failed')`,
    )
    .run(now(), id, ...keyOf(identity))
}

/** A new one, or one that is unfinished here. */
export function adoptJob(
  database: Database,
  lease: Lease,
  { identity, destination }: AdoptJobs,
  { id, createdAt, mode, complete, status, checkpoint, watermark }: AdoptedJob,
): void {
  const known = database.prepare('SELECT 1 FROM stream_jobs WHERE id = ?').get(id) !== undefined
  if (!known) createJob(database, lease, { identity, mode, complete, begun: { id, at: createdAt } })
  const job = jobsOf(database, identity, UNFINISHED).find((each) => each.id === id)
  if (!job)
    throw new BizonError('state', `${labelOf(identity)}: run ${id} has ended here, or is another pipeline's`, {
      hint: 'A state is of one pipeline: its name, source and stream must be the same.',
    })
  insertCheckpoint(database, job, checkpoint, destination)
  if (status === 'succeeded') endJob(database, job, { status, ...(watermark !== undefined && { watermark }) })
}

export function rewindJob(database: Database, identity: Identity, id: string, to: string | undefined): void {
  const succeeded = jobsOf(database, identity, ['succeeded'])
  if (succeeded[0]?.id !== id) throw gone(identity, id)
  if (to !== undefined && !succeeded.slice(1).some((job) => job.id === to)) throw gone(identity, to)
  database.prepare('UPDATE stream_jobs SET rewound_to = ?, updated_at = ? WHERE id = ?').run(to ?? null, now(), id)
}

/** A reset that a job was to do and has not done is still wanted; one that another mode dropped is not. */
export function reopenResets(database: Database, identity: Identity): void {
  database
    .prepare(
      `UPDATE stream_resets SET consumed_at = NULL, consumed_by_job_id = NULL WHERE ${IDENTITY} AND consumed_by_job_id IN
         (SELECT id FROM stream_jobs WHERE sync_mode = 'incremental' AND status IN ('started', 'running', 'failed'))`,
    )
    .run(...keyOf(identity))
}

/** Those that succeeded. */
export function forgetPublished(database: Database, identity: Identity): void {
  database
    .prepare(`UPDATE stream_jobs SET status = 'cancelled', updated_at = ? WHERE ${IDENTITY} AND status = 'succeeded'`)
    .run(now(), ...keyOf(identity))
}

export function endJob(database: Database, job: Job, end: Parameters<StateStore['finish']>[2]): void {
  const { changes } = database
    .prepare(
      `UPDATE stream_jobs SET status = ?, updated_at = ?, error_message = ?,
         incremental_state = coalesce(?, incremental_state) WHERE id = ? AND status <> 'cancelled'`,
    )
    .run(
      end.status,
      now(),
      end.error === undefined ? null : Array.from(end.error).slice(0, ERROR_LENGTH).join(''),
      end.watermark === undefined ? null : stringifyJson(end.watermark),
      job.id,
    )
  if (changes === 0) throw gone(job, job.id)
}

function gone(identity: Identity, id: string): BizonError {
  return new BizonError('state', `${labelOf(identity)}: run ${id} is no longer in the state store, or has ended`, {
    hint: 'Run again: a new run starts.',
  })
}

/** Ours if there is one, else what the cursors of the Python program say. */
export function lastCheckpointOf(database: Database, job: Job): StoredCheckpoint | undefined {
  const text = database
    .prepare<[string], string>(
      `SELECT checkpoint FROM destination_cursors WHERE job_id = ? AND checkpoint IS NOT NULL AND success
       ORDER BY rowid DESC LIMIT 1`,
    )
    .pluck()
    .get(job.id)
  if (text !== undefined) return checkpointOf(text, `destination_cursors of job ${job.id} checkpoint`)
  return checkpointOfCursors(
    job.id,
    database
      .prepare<[string], CursorRow>(
        `SELECT from_source_iteration, to_source_iteration, rows_written, success, pagination
         FROM destination_cursors WHERE job_id = ? ORDER BY from_source_iteration, rowid`,
      )
      .iterate(job.id),
  )
}

export function checkpointsOf(database: Database, job: Job, limit: number): LoggedCheckpoint[] {
  // Of the Python program's, all are needed to know how many rows there were.
  const rows = job.ours ? limit : -1
  const cursors = database
    .prepare<[string, number], LoggedCursorRow>(
      'SELECT * FROM destination_cursors WHERE job_id = ? AND success ORDER BY rowid DESC LIMIT ?',
    )
    .all(job.id, rows)
    .reverse()
  const logged = loggedCheckpoints(job.id, cursors)
  return limit < 0 ? logged : logged.slice(Math.max(0, logged.length - limit))
}

export function insertCheckpoint(
  database: Database,
  job: Job,
  checkpoint: StoredCheckpoint,
  destination: string,
): void {
  const lastPage = Math.max(checkpoint.page - 1, 0)
  // After a destination has lost rows the run goes back: what we noted of the pages from here on is no longer true.
  database
    .prepare('DELETE FROM destination_cursors WHERE job_id = ? AND to_source_iteration >= ? AND checkpoint IS NOT NULL')
    .run(job.id, lastPage)
  const before = lastCheckpointOf(database, job)
  const time = now()
  database
    .prepare(
      `INSERT INTO destination_cursors (id, job_id, name, source_name, stream_name, destination_name,
         from_source_iteration, to_source_iteration, rows_written, success, attempt, created_at, updated_at,
         pagination, checkpoint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)`,
    )
    .run(
      newId(),
      job.id,
      ...keyOf(job),
      destination,
      Math.min(before?.page ?? 0, lastPage),
      lastPage,
      checkpoint.rows - (before?.rows ?? 0),
      job.attempt,
      time,
      time,
      checkpoint.position && stringifyJson(checkpoint.position),
      checkpointText(checkpoint),
    )
  if (job.mode === 'stream') forgetOldCursors(database, job)
}

function forgetOldCursors(database: Database, job: Job): void {
  database
    .prepare(
      `DELETE FROM destination_cursors WHERE job_id = ? AND rowid <=
         (SELECT rowid FROM destination_cursors WHERE job_id = ? ORDER BY rowid DESC LIMIT 1 OFFSET ${STREAM_CURSORS})`,
    )
    .run(job.id, job.id)
}

/** Pending ones, and those that the jobs took. */
export function resetsOf(database: Database, identity: Identity, jobIds: readonly string[]): ResetRequest[] {
  return database
    .prepare<string[], ResetRow>(
      `SELECT * FROM stream_resets WHERE ${IDENTITY}
       AND (consumed_at IS NULL OR consumed_by_job_id IN (SELECT value FROM json_each(?))) ORDER BY rowid`,
    )
    .all(...keyOf(identity), JSON.stringify(jobIds))
    .map(resetOf)
}

/** Without a job it is pending. */
export function insertReset(database: Database, identity: Identity, jobId: string | null): void {
  const time = now()
  database
    .prepare(
      `INSERT INTO stream_resets (id, name, source_name, stream_name, requested_at, consumed_at, consumed_by_job_id)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(newId(), ...keyOf(identity), time, jobId && time, jobId)
}

export function consumeReset(database: Database, identity: Identity, id: string, jobId: string): void {
  database
    .prepare(
      `UPDATE stream_resets SET consumed_at = ?, consumed_by_job_id = ?
       WHERE id = ? AND ${IDENTITY} AND consumed_at IS NULL`,
    )
    .run(now(), jobId, id, ...keyOf(identity))
}

/** Consumed by no job; how many there were. */
export function withdrawResets(database: Database, identity: Identity): number {
  return database
    .prepare(`UPDATE stream_resets SET consumed_at = ? WHERE ${IDENTITY} AND consumed_at IS NULL`)
    .run(now(), ...keyOf(identity)).changes
}
