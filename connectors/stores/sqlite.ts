// The state store in one SQLite file, `<database>.sqlite3`. Every change is one transaction that first looks whether
// the caller's lease is still the newest one. A kernel lock beside the file keeps a second run of a pipeline out.

import { createHash } from 'node:crypto'
import { existsSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BizonError } from '../../lib/errors.ts'
import type {
  AdoptJobs,
  BeginJob,
  Identity,
  Job,
  Lease,
  LoggedCheckpoint,
  ResetRequest,
  StateStore,
  StateView,
  StoreDefinition,
  StoredCheckpoint,
} from '../../lib/state.ts'
import { type FileLock, lockFile, lockHolder } from '../lock.ts'
import { type Database, isBusy, loadSqlite, sqliteError } from '../sqlite.ts'
import { labelOf } from './rows.ts'
import { checkVersion, migrate } from './sqlite/schema.ts'
import {
  ALL,
  adoptJob,
  cancelJob,
  checkpointsOf,
  consumeReset,
  createJob,
  endJob,
  epochOf,
  forgetPublished,
  insertCheckpoint,
  insertReset,
  jobsOf,
  lastCheckpointOf,
  nextEpoch,
  raiseEpoch,
  readJob,
  reopenResets,
  resetsOf,
  restartJob,
  rewindJob,
  UNFINISHED,
  withdrawResets,
} from './sqlite/statements.ts'

export interface SqliteStoreOptions {
  /** Absolute, or `:memory:`. */
  readonly path: string
  readonly onStatement?: ((sql: string) => void) | undefined
  /** How long to wait for another process's transaction. Default 5000. */
  readonly busyTimeoutMs?: number
  /** Keeps other runs of the pipeline out; rejects with code `locked`. */
  lock(identity: Identity, holder: string): Promise<FileLock>
  /** Works on a copy in memory, and leaves the file as it is. Default false. */
  readonly copied?: boolean
}

const definition: StoreDefinition = {
  summary: 'Jobs and checkpoints in a SQLite file. For pipelines that run on one machine.',
  create({ database, echo }, { log } = {}) {
    const path = resolve(`${database}.sqlite3`)
    return new SqliteStore({
      path,
      onStatement: echo && log ? (sql) => log.info(sql) : undefined,
      lock: (identity, holder) => lockFile(lockPath(realpathSync(path), identity), holder, { what: labelOf(identity) }),
    })
  },
  look({ database, echo }, { log } = {}) {
    const path = resolve(`${database}.sqlite3`)
    return new SqliteView(path, echo && log ? (sql) => log.info(sql) : undefined)
  },
}
export default definition

/** Next to the file itself, wherever links to it are. */
function lockPath(path: string, { name, source, stream }: Identity): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([name, source, stream]))
    .digest('hex')
  return `${path}.${hash.slice(0, 8)}.lock`
}

export class SqliteStore implements StateStore {
  readonly #options: SqliteStoreOptions
  #database: Database | undefined

  constructor(options: SqliteStoreOptions) {
    this.#options = options
  }

  async open(): Promise<void> {
    const { path, onStatement, busyTimeoutMs = 5000, copied = false } = this.#options
    const sqlite = await loadSqlite('state')
    const database = sqlite[copied ? 'copy' : 'open'](path, { busyTimeoutMs, onStatement })
    this.#database = database
    // Of two processes that switch a file to WAL one fails at once: no busy timeout is heeded there.
    const deadline = performance.now() + busyTimeoutMs
    for (;;) {
      try {
        checkVersion(database, path)
        database.pragma('journal_mode = WAL')
        // Killed processes lose nothing with it. A power cut may take the last checkpoints, and that does no harm:
        // they are copies, and the destination, which is asked first, syncs its own. Jobs are no copy; see #lastingly.
        database.pragma('synchronous = NORMAL')
        migrate(database, path)
        return
      } catch (error) {
        if (!isBusy(error) || performance.now() > deadline) throw sqliteError(error, path, 'state')
      }
      await sleep(20)
    }
  }

  async acquire(identity: Identity, holder: string): Promise<Lease> {
    const lock = await this.#options.lock(identity, holder)
    try {
      const epoch = this.#lastingly(() => this.#change((database) => raiseEpoch(database, identity, holder)))
      return { epoch, release: () => lock.release() }
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  async unfinishedJobs(identity: Identity): Promise<readonly Job[]> {
    return this.#use((database) => jobsOf(database, identity, UNFINISHED))
  }

  async lastSucceeded(identity: Identity): Promise<Job | undefined> {
    return this.#use((database) => jobsOf(database, identity, ['succeeded'], 1)[0])
  }

  async jobs(identity: Identity, limit = -1): Promise<readonly Job[]> {
    return this.#use((database) => jobsOf(database, identity, ALL, limit))
  }

  async lastCheckpoint(job: Job): Promise<StoredCheckpoint | undefined> {
    return this.#use((database) => lastCheckpointOf(database, job))
  }

  async checkpoints(job: Job, limit = -1): Promise<readonly LoggedCheckpoint[]> {
    return this.#use((database) => checkpointsOf(database, job, limit))
  }

  async resets(identity: Identity, jobIds: readonly string[]): Promise<readonly ResetRequest[]> {
    return this.#use((database) => resetsOf(database, identity, jobIds))
  }

  async begin(lease: Lease, change: BeginJob): Promise<Job> {
    const { identity, resume } = change
    return this.#lastingly(() =>
      this.#fenced(lease, identity, (database) => {
        for (const id of change.cancel) cancelJob(database, identity, id)
        const id = resume ?? createJob(database, lease, change)
        if (resume !== undefined) restartJob(database, lease, change, resume)
        for (const request of change.consume) consumeReset(database, identity, request, id)
        if (change.bindReset) insertReset(database, identity, id)
        return readJob(database, identity, id)
      }),
    )
  }

  async saveCheckpoint(lease: Lease, job: Job, checkpoint: StoredCheckpoint, destination: string): Promise<void> {
    this.#fenced(lease, job, (database) => insertCheckpoint(database, job, checkpoint, destination))
  }

  async finish(lease: Lease, job: Job, end: Parameters<StateStore['finish']>[2]): Promise<void> {
    this.#lastingly(() => this.#fenced(lease, job, (database) => endJob(database, job, end)))
  }

  async adopt(lease: Lease, change: AdoptJobs): Promise<void> {
    const { identity } = change
    this.#lastingly(() =>
      this.#fenced(lease, identity, (database) => {
        for (const id of change.cancel) cancelJob(database, identity, id)
        for (const job of change.jobs) adoptJob(database, lease, change, job)
      }),
    )
  }

  async rewind(lease: Lease, job: Job, to: string | undefined): Promise<void> {
    this.#lastingly(() => this.#fenced(lease, job, (database) => rewindJob(database, job, job.id, to)))
  }

  async clear(lease: Lease, identity: Identity, { published }: { readonly published: boolean }): Promise<void> {
    this.#lastingly(() =>
      this.#fenced(lease, identity, (database) => {
        reopenResets(database, identity)
        for (const { id } of jobsOf(database, identity, UNFINISHED)) cancelJob(database, identity, id)
        if (!published) return
        withdrawResets(database, identity)
        forgetPublished(database, identity)
      }),
    )
  }

  async requestReset(identity: Identity): Promise<boolean> {
    return this.#change((database) => {
      if (resetsOf(database, identity, []).length > 0) return false
      insertReset(database, identity, null)
      return true
    })
  }

  async cancelResets(identity: Identity): Promise<number> {
    return this.#change((database) => withdrawResets(database, identity))
  }

  /** Of the next lease, as far as this store knows. */
  protected nextEpoch(identity: Identity): number {
    return this.#use((database) => nextEpoch(database, identity))
  }

  async close(): Promise<void> {
    this.#database?.close()
  }

  #use<Result>(work: (database: Database) => Result): Result {
    const database = this.#database
    if (!database?.open) throw new BizonError('internal', 'the state store is not open')
    try {
      return work(database)
    } catch (error) {
      throw sqliteError(error, this.#options.path, 'state')
    }
  }

  /**
   * Which runs there were and how they ended is nowhere else, so that a power cut must not take it back: the work's
   * transaction is synced.
   */
  #lastingly<Result>(work: () => Result): Result {
    this.#use((database) => database.pragma('synchronous = FULL'))
    try {
      return work()
    } finally {
      this.#use((database) => database.pragma('synchronous = NORMAL'))
    }
  }

  /** One transaction, all or nothing. Waits for its turn to write before it reads. */
  #change<Result>(work: (database: Database) => Result): Result {
    return this.#use((database) => database.transaction(() => work(database)).immediate())
  }

  #fenced<Result>(lease: Lease, identity: Identity, work: (database: Database) => Result): Result {
    return this.#change((database) => {
      if (epochOf(database, identity) !== lease.epoch)
        throw new BizonError('fenced', `${labelOf(identity)}: a newer run has taken over, so this one may not go on`, {
          hint: 'See which other process runs it; one at a time.',
        })
      return work(database)
    })
  }
}

/** What the file says, to be looked at. `:memory:` is the state of nobody. */
export class SqliteView extends SqliteStore implements StateView {
  readonly #path: string

  constructor(path: string, onStatement?: (sql: string) => void) {
    const lock = async (): Promise<never> => {
      throw new BizonError('internal', 'whoever only looks at the state takes no lock')
    }
    super({ path, onStatement, lock, copied: path !== ':memory:' })
    this.#path = path
  }

  async nextLease(identity: Identity): Promise<{ readonly epoch: number; readonly heldBy?: string | undefined }> {
    const epoch = this.nextEpoch(identity)
    if (!existsSync(this.#path)) return { epoch }
    return { epoch, heldBy: await lockHolder(lockPath(realpathSync(this.#path), identity)) }
  }
}
