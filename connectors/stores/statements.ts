// The statements that the store's transactions are made of. Each runs inside one and trusts its caller to have
// looked at the lease.

import { BizonError } from '../../lib/errors.ts'
import { stringifyJson } from '../../lib/json.ts'
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
} from '../../lib/state.ts'
import {
  type CursorRow,
  checkpointOf,
  checkpointText,
  formatTime,
  type JobRow,
  jobOf,
  type LoggedCursorRow,
  labelOf,
  loggedCheckpoints,
  type ResetRow,
  resetOf,
  UnbrokenCursors,
} from './rows.ts'
import { change, eachRow, rowOf, rowsOf, type Work } from './work.ts'

/** Cursors that a stream's job keeps: it never ends. */
const STREAM_CURSORS = 100
/** Width of `stream_jobs.error_message`. */
const ERROR_LENGTH = 255

export const IDENTITY = 'name = ? AND source_name = ? AND stream_name = ?'

export function keyOf({ name, source, stream }: Identity): [name: string, source: string, stream: string] {
  return [name, source, stream]
}

const UNENDED = "status IN ('started', 'running', 'failed')"
export const UNFINISHED: readonly JobStatus[] = ['started', 'running', 'failed']
export const ALL: readonly JobStatus[] = [...UNFINISHED, 'succeeded', 'cancelled']

const JOBS = `SELECT stream_jobs.*, earlier.created_at AS rewound_created_at, earlier.incremental_state AS rewound_state
  FROM stream_jobs LEFT JOIN stream_jobs AS earlier ON earlier.id = stream_jobs.rewound_to`

/**
 * Newest first, by order of insertion: clocks jump, and the Python program gave all jobs of a process the same time.
 */
export function* jobsOf(identity: Identity, statuses: readonly JobStatus[], limit?: number): Work<Job[]> {
  const rows = yield* rowsOf<JobRow>(
    `${JOBS} WHERE stream_jobs.name = ? AND stream_jobs.source_name = ? AND stream_jobs.stream_name = ?
     AND stream_jobs.status IN (${marks(statuses)}) ORDER BY stream_jobs.rowid DESC${limited(limit)}`,
    [...keyOf(identity), ...statuses],
  )
  return rows.map(jobOf)
}

const marks = (values: readonly unknown[]): string => values.map(() => '?').join(', ')
const limited = (rows: number | undefined): string => (rows === undefined ? '' : ` LIMIT ${rows}`)

export function* readJob(identity: Identity, id: string): Work<Job> {
  const row = yield* rowOf<JobRow>(`${JOBS} WHERE stream_jobs.id = ?`, [id])
  if (!row) throw gone(identity, id)
  return jobOf(row)
}

function* isKnown(id: string): Work<boolean> {
  return (yield* rowOf('SELECT 1 FROM stream_jobs WHERE id = ?', [id])) !== undefined
}

export function* createJob(
  lease: Lease,
  {
    identity,
    mode,
    totalRecords,
    complete,
    configHash,
    begun,
  }: Pick<BeginJob, 'identity' | 'mode' | 'totalRecords' | 'complete' | 'configHash' | 'begun'>,
): Work<string> {
  const id = begun && !(yield* isKnown(begun.id)) ? begun.id : newId()
  yield* change(
    `INSERT INTO stream_jobs (id, name, source_name, stream_name, sync_mode, attempt, total_records_to_fetch,
       created_at, updated_at, status, epoch, complete, config_hash)
     VALUES (?, ?, ?, ?, ?, 0, ?, ${begun ? '?' : 'now()'}, now(), 'running', ?, ?, ?)`,
    [
      id,
      ...keyOf(identity),
      mode,
      totalRecords ?? null,
      ...(begun ? [formatTime(begun.at)] : []),
      lease.epoch,
      complete ? 1 : 0,
      configHash ?? null,
    ],
  )
  return id
}

/** Keeps `created_at`, which is the watermark of the runs after it. */
export function* restartJob(lease: Lease, { identity, complete, configHash }: BeginJob, id: string): Work<void> {
  const changes = yield* change(
    `UPDATE stream_jobs SET status = 'running', attempt = coalesce(attempt, 0) + 1, updated_at = now(),
       error_message = NULL, epoch = ?, complete = ?, config_hash = ? WHERE id = ? AND ${IDENTITY} AND ${UNENDED}`,
    [lease.epoch, complete ? 1 : 0, configHash ?? null, id, ...keyOf(identity)],
  )
  if (changes === 0) throw gone(identity, id)
}

export function* cancelJob(identity: Identity, id: string): Work<void> {
  yield* change(
    `UPDATE stream_jobs SET status = 'cancelled', updated_at = now() WHERE id = ? AND ${IDENTITY} AND ${UNENDED}`,
    [id, ...keyOf(identity)],
  )
}

/** A new one, or one that is unfinished here. */
export function* adoptJob(
  lease: Lease,
  { identity, destination }: AdoptJobs,
  { id, createdAt, mode, complete, status, checkpoint, watermark }: AdoptedJob,
): Work<void> {
  if (!(yield* isKnown(id))) yield* createJob(lease, { identity, mode, complete, begun: { id, at: createdAt } })
  const job = (yield* jobsOf(identity, UNFINISHED)).find((each) => each.id === id)
  if (!job)
    throw new BizonError('state', `${labelOf(identity)}: run ${id} has ended here, or is another pipeline's`, {
      hint: 'A state is of one pipeline: its name, source and stream must be the same.',
    })
  yield* insertCheckpoint(job, checkpoint, destination)
  if (status === 'succeeded') yield* endJob(job, { status, ...(watermark !== undefined && { watermark }) })
}

export function* rewindJob(identity: Identity, id: string, to: string | undefined): Work<void> {
  const succeeded = yield* jobsOf(identity, ['succeeded'])
  if (succeeded[0]?.id !== id) throw gone(identity, id)
  if (to !== undefined && !succeeded.slice(1).some((job) => job.id === to)) throw gone(identity, to)
  yield* change('UPDATE stream_jobs SET rewound_to = ?, updated_at = now() WHERE id = ?', [to ?? null, id])
}

/** A reset that a job was to do and has not done is still wanted; one that another mode dropped is not. */
export function* reopenResets(identity: Identity): Work<void> {
  yield* change(
    `UPDATE stream_resets SET consumed_at = NULL, consumed_by_job_id = NULL WHERE ${IDENTITY} AND consumed_by_job_id IN
       (SELECT id FROM stream_jobs WHERE sync_mode = 'incremental' AND ${UNENDED})`,
    keyOf(identity),
  )
}

/** Those that succeeded. */
export function* forgetPublished(identity: Identity): Work<void> {
  yield* change(
    `UPDATE stream_jobs SET status = 'cancelled', updated_at = now() WHERE ${IDENTITY} AND status = 'succeeded'`,
    keyOf(identity),
  )
}

export function* endJob(job: Job, end: Parameters<StateStore['finish']>[2]): Work<void> {
  const changes = yield* change(
    `UPDATE stream_jobs SET status = ?, updated_at = now(), error_message = ?, attempt = coalesce(attempt, 0) - ?,
       incremental_state = coalesce(?, incremental_state) WHERE id = ? AND status <> 'cancelled'`,
    [
      end.status,
      end.error === undefined ? null : Array.from(end.error.replaceAll('\0', '')).slice(0, ERROR_LENGTH).join(''),
      end.isAttempt === false ? 1 : 0,
      end.watermark === undefined ? null : stringifyJson(end.watermark),
      job.id,
    ],
  )
  if (changes === 0) throw gone(job, job.id)
}

function gone(identity: Identity, id: string): BizonError {
  return new BizonError('state', `${labelOf(identity)}: run ${id} is no longer in the state store, or has ended`, {
    hint: 'Run again: a new run starts.',
  })
}

/** Ours if there is one, else what the cursors of the Python program say. */
export function* lastCheckpointOf(job: Job): Work<StoredCheckpoint | undefined> {
  const row = yield* rowOf<{ checkpoint: string }>(
    `SELECT checkpoint FROM destination_cursors WHERE job_id = ? AND checkpoint IS NOT NULL AND success
     ORDER BY rowid DESC LIMIT 1`,
    [job.id],
  )
  if (row) return checkpointOf(row.checkpoint, `destination_cursors of job ${job.id} checkpoint`)
  const cursors = new UnbrokenCursors(job.id)
  yield* eachRow<CursorRow>(
    `SELECT from_source_iteration, to_source_iteration, rows_written, success, pagination
     FROM destination_cursors WHERE job_id = ? ORDER BY from_source_iteration, rowid`,
    [job.id],
    (cursor) => cursors.add(cursor),
  )
  return cursors.checkpoint()
}

export function* checkpointsOf(job: Job, limit?: number): Work<LoggedCheckpoint[]> {
  const cursors = yield* rowsOf<LoggedCursorRow>(
    // Of the Python program's, all are needed to know how many rows there were.
    `SELECT * FROM destination_cursors WHERE job_id = ? AND success ORDER BY rowid DESC${limited(job.ours ? limit : undefined)}`,
    [job.id],
  )
  const logged = loggedCheckpoints(job.id, cursors.toReversed())
  return limit === undefined ? logged : logged.slice(Math.max(0, logged.length - limit))
}

export function* insertCheckpoint(job: Job, checkpoint: StoredCheckpoint, destination: string): Work<void> {
  const lastPage = Math.max(checkpoint.page - 1, 0)
  // After a destination has lost rows the run goes back: what we noted of the pages from here on is no longer true.
  yield* change(
    'DELETE FROM destination_cursors WHERE job_id = ? AND to_source_iteration >= ? AND checkpoint IS NOT NULL',
    [job.id, lastPage],
  )
  const before = yield* lastCheckpointOf(job)
  yield* change(
    `INSERT INTO destination_cursors (id, job_id, name, source_name, stream_name, destination_name,
       from_source_iteration, to_source_iteration, rows_written, success, attempt, created_at, updated_at,
       pagination, checkpoint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, TRUE, ?, now(), now(), ?, ?)`,
    [
      newId(),
      job.id,
      ...keyOf(job),
      destination,
      Math.min(before?.page ?? 0, lastPage),
      lastPage,
      checkpoint.rows - (before?.rows ?? 0),
      job.attempt,
      checkpoint.position && stringifyJson(checkpoint.position),
      checkpointText(checkpoint),
    ],
  )
  if (job.mode === 'stream') yield* forgetOldCursors(job)
}

function* forgetOldCursors(job: Job): Work<void> {
  yield* change(
    `DELETE FROM destination_cursors WHERE job_id = ? AND rowid <=
       (SELECT rowid FROM destination_cursors WHERE job_id = ? ORDER BY rowid DESC LIMIT 1 OFFSET ${STREAM_CURSORS})`,
    [job.id, job.id],
  )
}

/** Pending ones, and those that the jobs took. */
export function* resetsOf(identity: Identity, jobIds: readonly string[]): Work<ResetRequest[]> {
  const taken = jobIds.length === 0 ? '' : ` OR consumed_by_job_id IN (${marks(jobIds)})`
  const rows = yield* rowsOf<ResetRow>(
    `SELECT * FROM stream_resets WHERE ${IDENTITY} AND (consumed_at IS NULL${taken}) ORDER BY rowid`,
    [...keyOf(identity), ...jobIds],
  )
  return rows.map(resetOf)
}

/** Without a job it is pending. */
export function* insertReset(identity: Identity, id: string, jobId: string | null): Work<void> {
  yield* change(
    `INSERT INTO stream_resets (id, name, source_name, stream_name, requested_at, consumed_at, consumed_by_job_id)
     VALUES (?, ?, ?, ?, now(), ${jobId === null ? 'NULL' : 'now()'}, ?) ON CONFLICT (id) DO NOTHING`,
    [id, ...keyOf(identity), jobId],
  )
}

export function* consumeReset(identity: Identity, id: string, jobId: string): Work<void> {
  yield* change(
    `UPDATE stream_resets SET consumed_at = now(), consumed_by_job_id = ?
     WHERE id = ? AND ${IDENTITY} AND consumed_at IS NULL`,
    [jobId, id, ...keyOf(identity)],
  )
}

/** Consumed by no job; how many there were. */
export function* withdrawResets(identity: Identity): Work<number> {
  return yield* change(
    `UPDATE stream_resets SET consumed_at = now() WHERE ${IDENTITY} AND consumed_at IS NULL`,
    keyOf(identity),
  )
}
