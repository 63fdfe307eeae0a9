// The state store keeps what a pipeline did and hands out the right to run it. It stores and fences, and decides
// nothing: job.ts decides. One store is opened per run and closed at its end.

import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Checkpoint, Receipt } from './checkpoint.ts'
import type { SslMode } from './config/schema-tls.ts'
import type { Log } from './log.ts'
import type { Json } from './record.ts'
import type { SyncMode } from './source.ts'

/** Who holds a lock, in words for whoever finds it taken. */
export function holder(): string {
  return `pid ${process.pid} on ${hostname()} since ${new Date().toISOString()}`
}

/** Of a run, and of rows of a state store: 32 hex digits. */
export const newId = (): string => randomUUID().replaceAll('-', '')

/** What a pipeline's state is filed under. */
export interface Identity {
  readonly name: string
  readonly source: string
  readonly stream: string
}

export type JobStatus = 'started' | 'running' | 'succeeded' | 'failed' | 'cancelled'

/** One row of `stream_jobs`: a run and all its resumes. */
export interface Job extends Identity {
  /** 32 hex digits; also the run's id. */
  readonly id: string
  readonly mode: SyncMode
  readonly status: JobStatus
  /** How often it was started, from 0. */
  readonly attempt: number
  /** Start of the fetch: the next incremental run's watermark, by the store's clock. */
  readonly createdAt: Date
  readonly totalRecords?: number
  /** What the source left as `page.watermark`, once published. */
  readonly watermark?: Json
  readonly errorMessage?: string
  /** Of the lease that it was last begun with. */
  readonly epoch?: number
  /** Whether this program made the job; false for rows of the Python program. */
  readonly ours: boolean
  /** Whether publishing replaces the target: full refresh, a reset, or a first incremental run. */
  readonly complete: boolean
  /** A hash of the settings that say what it loads; absent where nobody noted it. */
  readonly configHash?: string
  /** An earlier run in whose place of its own the next one begins: see `rewind`. */
  readonly rewound?: { readonly to: string; readonly createdAt: Date; readonly watermark?: Json }
}

/** One row of `stream_resets`. Pending until consumed. */
export interface ResetRequest {
  readonly id: string
  readonly requestedAt: Date
  readonly consumedByJobId?: string
}

/** The right to run one pipeline, held until `release`. */
export interface Lease {
  /** Greater than that of any earlier holder, in this store and, by the clock, in a lost one. */
  readonly epoch: number
  /** Safe twice. */
  release(): Promise<void>
}

export interface StoredCheckpoint extends Checkpoint {
  readonly receipt?: Receipt
}

/** A checkpoint, and how it came there. */
export interface LoggedCheckpoint extends StoredCheckpoint {
  readonly savedAt: Date
  readonly destination: string
  /** Of the job, from 0. */
  readonly attempt: number
}

/**
 * Every method that changes a job takes the lease and rejects with code `fenced`, changing nothing, when a
 * newer epoch exists. Transient errors (a busy database) are retried inside.
 */
export interface StateStore {
  /** Where it is, for people; exact once it is open. */
  readonly place: string
  /** Connects; creates missing tables, migrates old ones in one transaction. Rejects with `state` if newer than us or corrupt. */
  open(): Promise<void>
  /** Rejects with code `locked`, naming the holder, while another live process has it. `holder` is text for people. */
  acquire(identity: Identity, holder: string): Promise<Lease>
  /** Jobs of the identity that are started, running or failed, newest first. */
  unfinishedJobs(identity: Identity): Promise<readonly Job[]>
  /** The newest succeeded job of the identity. */
  lastSucceeded(identity: Identity): Promise<Job | undefined>
  /** All jobs of the identity, however they ended, newest first; with a limit only so many. */
  jobs(identity: Identity, limit?: number): Promise<readonly Job[]>
  /** Where the job stands: its last checkpoint before any that failed. */
  lastCheckpoint(job: Job): Promise<StoredCheckpoint | undefined>
  /** The checkpoints that are kept of the job, oldest first; with a limit only the newest so many. */
  checkpoints(job: Job, limit?: number): Promise<readonly LoggedCheckpoint[]>
  /** Requests that no job has taken, and those the given jobs took. */
  resets(identity: Identity, jobIds: readonly string[]): Promise<readonly ResetRequest[]>
  /**
   * In one transaction, which a loss of power does not take back: cancels jobs, creates or restarts one, binds reset
   * requests to it. Resolves to the job as stored.
   */
  begin(lease: Lease, change: BeginJob): Promise<Job>
  saveCheckpoint(lease: Lease, job: Job, checkpoint: StoredCheckpoint, destination: string): Promise<void>
  /** Ends (`succeeded`) or interrupts (`failed`, `running`) a job. A loss of power does not take it back. */
  finish(
    lease: Lease,
    job: Job,
    end: {
      status: 'succeeded' | 'failed' | 'running'
      error?: string
      watermark?: Json
      /** False: somebody else was at work, so that it never got to anything, and does not count. */
      isAttempt?: boolean
    },
  ): Promise<void>
  /**
   * Takes over what another store knows: in one transaction, which a loss of power does not take back, cancels jobs and
   * adds others with their checkpoints, as newer than all that are there. Rejects with `state` for one that has ended
   * here.
   */
  adopt(lease: Lease, change: AdoptJobs): Promise<void>
  /**
   * Lets the run after `job`, the newest succeeded one, begin where the one after the earlier job `to` did; without `to`
   * where it would have. A loss of power does not take it back.
   */
  rewind(lease: Lease, job: Job, to: string | undefined): Promise<void>
  /**
   * Cancels all unfinished jobs; resets that they took are pending again. With `published` the succeeded ones too, and
   * no reset is left. A loss of power does not take it back.
   */
  clear(lease: Lease, identity: Identity, what: { readonly published: boolean }): Promise<void>
  /** Adds a pending request; needs no lease. Resolves to false when one is pending already. */
  requestReset(identity: Identity): Promise<boolean>
  /** Withdraws pending requests; resolves to how many. */
  cancelResets(identity: Identity): Promise<number>
  /** Always called; safe twice and after a failed open. */
  close(): Promise<void>
}

export interface BeginJob {
  readonly identity: Identity
  readonly cancel: readonly string[]
  /** Restart this one, or create a new one. */
  readonly resume?: string
  /**
   * Of a new one whose fetch another process began, under this id (32 hex digits; another one
   * if there is such a job) and at that time.
   */
  readonly begun?: { readonly id: string; readonly at: Date }
  readonly mode: SyncMode
  readonly complete: boolean
  /** See `Job`; that of a job that is restarted is replaced. */
  readonly configHash?: string
  readonly totalRecords?: number
  /** Reset requests to mark as consumed by the job. */
  readonly consume: readonly string[]
  /** Make a reset request for the job even though none was pending (`--reset`). */
  readonly bindReset: boolean
}

export interface AdoptJobs {
  readonly identity: Identity
  readonly cancel: readonly string[]
  /** In the order in which they began. */
  readonly jobs: readonly AdoptedJob[]
  /** Of the checkpoints. */
  readonly destination: string
}

/** A new job, or a checkpoint of one that is unfinished here. */
export interface AdoptedJob extends Pick<Job, 'id' | 'createdAt' | 'mode' | 'complete' | 'watermark'> {
  readonly status: 'running' | 'succeeded'
  readonly checkpoint: StoredCheckpoint
}

/** A state store to look at: nothing is changed by it, and nothing created. */
export interface StateView
  extends Pick<StateStore, 'unfinishedJobs' | 'lastSucceeded' | 'lastCheckpoint' | 'resets' | 'close'> {
  /** Reads what there is; of a database that is yet to be created nothing is known. Rejects as that of a `StateStore`. */
  open(): Promise<void>
  /** What `acquire` would come to now: the lease's epoch, and who stands in its way, in words for people. */
  nextLease(identity: Identity): Promise<{ readonly epoch: number; readonly heldBy?: string | undefined }>
}

/** One per store file, its default export. */
export interface StoreDefinition {
  readonly summary: string
  /** Does no I/O. With `echo` the statements go to `log`. */
  create(config: StoreConfig, options?: { readonly log?: Log }): StateStore
  /** Does no I/O. Absent: its state cannot be looked at without a change, so that no run can be planned. */
  look?(config: StoreConfig, options?: { readonly log?: Log }): StateView
}

/** `engine.backend` of the config. */
export interface StoreConfig {
  readonly type: string
  /** sqlite: path without `.sqlite3`; postgres: name of the database. */
  readonly database: string
  readonly schema: string
  /** Log every SQL statement. */
  readonly echo: boolean
  /** postgres: where its server is. */
  readonly server?: PostgresServer
}

/** As the keys of `engine.backend.config` say it. */
export interface PostgresServer {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password?: string | undefined
  readonly sslmode: SslMode
  /** Paths of PEM files. */
  readonly sslrootcert?: string | undefined
  readonly sslcert?: string | undefined
  readonly sslkey?: string | undefined
}
