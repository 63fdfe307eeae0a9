// The state tables' rows and what they mean: names and types are those of the Python program, so that its tables
// are taken over, and it can still read ours. Date-times are text without a zone, in UTC, to the microsecond.

import type { Checkpoint } from '../../lib/checkpoint.ts'
import { BizonError } from '../../lib/errors.ts'
import { parseJson, stringifyJson } from '../../lib/json.ts'
import { isJsonObject, type Json, type JsonObject } from '../../lib/record.ts'
import type { SyncMode } from '../../lib/source.ts'
import type { Identity, Job, JobStatus, LoggedCheckpoint, ResetRequest, StoredCheckpoint } from '../../lib/state.ts'

export interface JobRow {
  readonly id: string
  readonly name: string
  readonly source_name: string
  readonly stream_name: string
  readonly sync_mode: string
  readonly attempt: number | null
  readonly total_records_to_fetch: number | null
  readonly created_at: string
  /** JSON of the job's watermark. */
  readonly incremental_state: string | null
  readonly status: string | null
  readonly error_message: string | null
  /** Null: a row of the Python program. */
  readonly epoch: number | null
  readonly complete: number | boolean | null
  readonly config_hash: string | null
  readonly rewound_to: string | null
  /** Of the job that it was rewound to. */
  readonly rewound_created_at: string | null
  readonly rewound_state: string | null
}

export interface CursorRow {
  readonly from_source_iteration: number
  readonly to_source_iteration: number
  readonly rows_written: number
  readonly success: number | boolean
  readonly pagination: string | null
}

export interface LoggedCursorRow extends CursorRow {
  readonly destination_name: string
  readonly attempt: number | null
  readonly created_at: string | null
  readonly checkpoint: string | null
}

export interface ResetRow {
  readonly id: string
  readonly requested_at: string
  readonly consumed_by_job_id: string | null
}

export function jobOf(row: JobRow): Job {
  const where = `stream_jobs ${row.id}`
  const watermarkOf = (state: string | null): { watermark?: Json } =>
    state === null ? {} : { watermark: parseText(state, `${where} incremental_state`) }
  return {
    id: row.id,
    name: row.name,
    source: row.source_name,
    stream: row.stream_name,
    mode: row.sync_mode as SyncMode,
    status: (row.status ?? 'started') as JobStatus,
    attempt: row.attempt ?? 0,
    createdAt: parseTime(row.created_at, `${where} created_at`),
    ...(row.total_records_to_fetch !== null && { totalRecords: row.total_records_to_fetch }),
    ...watermarkOf(row.incremental_state),
    ...(row.error_message !== null && { errorMessage: row.error_message }),
    ...(row.epoch !== null && { epoch: Number(row.epoch) }),
    ours: row.epoch !== null,
    complete: row.complete === null ? row.sync_mode === 'full_refresh' : Boolean(row.complete),
    ...(row.config_hash !== null && { configHash: row.config_hash }),
    ...(row.rewound_to !== null && {
      rewound: {
        to: row.rewound_to,
        createdAt: parseTime(row.rewound_created_at ?? '', `${where} rewound_to`),
        ...watermarkOf(row.rewound_state),
      },
    }),
  }
}

export function resetOf(row: ResetRow): ResetRequest {
  return {
    id: row.id,
    requestedAt: parseTime(row.requested_at, `stream_resets ${row.id} requested_at`),
    ...(row.consumed_by_job_id !== null && { consumedByJobId: row.consumed_by_job_id }),
  }
}

/** The stored JSON of a checkpoint, with a fixed order of keys. */
export function checkpointText(checkpoint: StoredCheckpoint): string {
  const { run, page, rows, position, end, watermark, reading, settings, tally, receipt } = checkpoint
  return stringifyJson({
    run,
    page,
    rows,
    position,
    end,
    ...(watermark !== undefined && { watermark }),
    ...(reading !== undefined && { reading }),
    ...(settings !== undefined && { settings }),
    ...(tally !== undefined && { tally: tally as unknown as Json }),
    ...(receipt !== undefined && { receipt }),
  })
}

export function checkpointOf(text: string, where: string): StoredCheckpoint {
  const value = parseText(text, where)
  if (!isCheckpoint(value)) throw damaged(text, where)
  return value
}

function isCheckpoint(value: unknown): value is StoredCheckpoint {
  if (!isJsonObject(value)) return false
  const { run, page, rows, position, end, receipt } = value
  return (
    typeof run === 'string' &&
    isCount(page) &&
    isCount(rows) &&
    (position === null || isJsonObject(position)) &&
    typeof end === 'boolean' &&
    (receipt === undefined || isJsonObject(receipt))
  )
}

/**
 * Where a job of the Python program stands, from its cursors by rising iteration: the end of the unbroken run of
 * successful ones from page 0. What follows a failed or missing range would be skipped for ever.
 */
export class UnbrokenCursors {
  readonly #run: string
  #page = 0
  #rows = 0
  #pagination: string | null = null

  constructor(run: string) {
    this.#run = run
  }

  /** False: whatever follows does not count. */
  add(cursor: CursorRow): boolean {
    if (!cursor.success) return true
    if (cursor.from_source_iteration > this.#page) return false
    this.#rows += cursor.rows_written
    if (cursor.to_source_iteration < this.#page) return true
    this.#page = cursor.to_source_iteration + 1
    this.#pagination = cursor.pagination
    return true
  }

  checkpoint(): Checkpoint | undefined {
    if (this.#page === 0) return undefined
    const position = positionOf(this.#pagination, this.#run)
    return { run: this.#run, page: this.#page, rows: this.#rows, position, end: false }
  }
}

/** By order of insertion. The Python program's say what they added, ours what there was. */
export function loggedCheckpoints(run: string, cursors: readonly LoggedCursorRow[]): LoggedCheckpoint[] {
  const ours = cursors.some(({ checkpoint }) => checkpoint !== null)
  let rows = 0
  return cursors.flatMap((cursor) => {
    if (!cursor.success || (ours && cursor.checkpoint === null)) return []
    rows += cursor.rows_written
    const where = `destination_cursors of job ${run}`
    const page = cursor.to_source_iteration + 1
    const checkpoint =
      cursor.checkpoint === null
        ? { run, page, rows, position: positionOf(cursor.pagination, run), end: false }
        : checkpointOf(cursor.checkpoint, `${where} checkpoint`)
    return {
      ...checkpoint,
      savedAt: parseTime(cursor.created_at ?? '', `${where} created_at`),
      destination: cursor.destination_name,
      attempt: cursor.attempt ?? 0,
    }
  })
}

function positionOf(pagination: string | null, run: string): JsonObject | null {
  if (pagination === null) return null
  const where = `destination_cursors of job ${run} pagination`
  const position = parseText(pagination, where)
  if (!isJsonObject(position)) throw damaged(pagination, where)
  return position
}

export function formatTime(time: Date): string {
  return time.toISOString().replace('T', ' ').replace('Z', '000')
}

/** As SQLAlchemy writes it; by hand also with `T`, less precise, or with a zone. */
export function parseTime(text: string, where: string): Date {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/.exec(text)
  const [, day, time, fraction = '', zone = 'Z'] = match ?? []
  const date = new Date(`${day}T${time}.${fraction.slice(0, 3).padEnd(3, '0')}${zone}`)
  if (!match || Number.isNaN(date.getTime())) throw damaged(text, where)
  return date
}

/** Why the holder of an older lease must not write. */
export function takenOver(identity: Identity): BizonError {
  return new BizonError('fenced', `${labelOf(identity)}: a newer run has taken over, so this one may not go on`, {
    hint: 'See which other process runs it; one at a time.',
  })
}

/** What a pipeline is called in messages. */
export function labelOf({ name, source, stream }: Identity): string {
  return `pipeline ${JSON.stringify(name)} (${source} - ${stream})`
}

function parseText(text: string, where: string): Json {
  try {
    return parseJson(text)
  } catch {
    throw damaged(text, where)
  }
}

function damaged(text: string, where: string): BizonError {
  return new BizonError('state', `${where}: cannot be understood: ${JSON.stringify(text.slice(0, 80))}`, {
    hint: 'Restore the state store from a copy, or start over with source.force_ignore_checkpoint: true.',
  })
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
