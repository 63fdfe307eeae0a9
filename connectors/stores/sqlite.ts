// The state store in one SQLite file, `<database>.sqlite3`. Every change is one transaction that first looks whether
// the caller's lease is still the newest one. A kernel lock beside the file keeps a second run of a pipeline out.

import { createHash } from 'node:crypto'
import { existsSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BizonError } from '../../lib/errors.ts'
import type { Identity, Lease, StateStore, StateView, StoreDefinition } from '../../lib/state.ts'
import { type FileLock, lockFile, lockHolder } from '../lock.ts'
import { type Database, isBusy, loadSqlite, sqliteError } from '../sqlite.ts'
import { labelOf, takenOver } from './rows.ts'
import { type ChangeOptions, SqlStore, type StateDatabase } from './sql.ts'
import { checkVersion, migrate } from './sqlite/schema.ts'
import { addFunctions, perform } from './sqlite/work.ts'
import { IDENTITY, keyOf } from './statements.ts'
import { change, rowOf, type Work } from './work.ts'

export interface SqliteStoreOptions {
  /** Absolute, or `:memory:`. */
  readonly path: string
  /** What people call it. */
  readonly place: string
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
    const place = `${database}.sqlite3`
    const path = resolve(place)
    return sqliteStore({
      path,
      place,
      onStatement: echo && log ? (sql) => log.info(sql) : undefined,
      lock: (identity, holder) => lockFile(lockPath(realpathSync(path), identity), holder, { what: labelOf(identity) }),
    })
  },
  look({ database, echo }, { log } = {}) {
    const place = `${database}.sqlite3`
    return new SqliteView(resolve(place), place, echo && log ? (sql) => log.info(sql) : undefined)
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

export function sqliteStore(options: SqliteStoreOptions): StateStore {
  return new SqlStore(new SqliteDatabase(options))
}

class SqliteDatabase implements StateDatabase {
  readonly #options: SqliteStoreOptions
  #database: Database | undefined

  constructor(options: SqliteStoreOptions) {
    this.#options = options
  }

  get place(): string {
    return this.#options.place
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
        addFunctions(database)
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
      const epoch = await this.change(identity, () => raiseEpoch(identity, holder), { lasting: true })
      return { epoch, release: () => lock.release() }
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  async read<Result>(work: () => Work<Result>): Promise<Result> {
    return this.#use((database) => perform(database, work()))
  }

  async change<Result>(
    identity: Identity,
    work: () => Work<Result>,
    { lease, lasting = false }: ChangeOptions,
  ): Promise<Result> {
    const fenced = function* (): Work<Result> {
      if (lease && (yield* epochOf(identity)) !== lease.epoch) throw takenOver(identity)
      return yield* work()
    }
    // Waits for its turn to write before it reads.
    const transact = (): Result =>
      this.#use((database) => database.transaction(() => perform(database, fenced())).immediate())
    return lasting ? this.#lastingly(transact) : transact()
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

  /** The work's transaction is synced. */
  #lastingly<Result>(work: () => Result): Result {
    this.#use((database) => database.pragma('synchronous = FULL'))
    try {
      return work()
    } finally {
      this.#use((database) => database.pragma('synchronous = NORMAL'))
    }
  }
}

function* epochOf(identity: Identity): Work<number | undefined> {
  const row = yield* rowOf<{ epoch: number }>(`SELECT epoch FROM bizon_leases WHERE ${IDENTITY}`, keyOf(identity))
  return row?.epoch
}

function* nextEpoch(identity: Identity): Work<number> {
  // The clock, so that epochs go on growing when this database is lost.
  return Math.max(((yield* epochOf(identity)) ?? 0) + 1, Date.now())
}

/** Takes the lease from whoever had it. */
function* raiseEpoch(identity: Identity, owner: string): Work<number> {
  const epoch = yield* nextEpoch(identity)
  yield* change(
    `INSERT INTO bizon_leases (name, source_name, stream_name, epoch, owner, acquired_at)
     VALUES (?, ?, ?, ?, ?, now()) ON CONFLICT (name, source_name, stream_name)
     DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner, acquired_at = excluded.acquired_at`,
    [...keyOf(identity), epoch, owner],
  )
  return epoch
}

/** What the file says, to be looked at. `:memory:` is the state of nobody. */
export class SqliteView extends SqlStore implements StateView {
  readonly #path: string
  readonly #database: SqliteDatabase

  constructor(path: string, place: string, onStatement?: (sql: string) => void) {
    const lock = async (): Promise<never> => {
      throw new BizonError('internal', 'whoever only looks at the state takes no lock')
    }
    const database = new SqliteDatabase({ path, place, onStatement, lock, copied: path !== ':memory:' })
    super(database)
    this.#database = database
    this.#path = path
  }

  async nextLease(identity: Identity): Promise<{ readonly epoch: number; readonly heldBy?: string | undefined }> {
    const epoch = await this.#database.read(() => nextEpoch(identity))
    if (!existsSync(this.#path)) return { epoch }
    return { epoch, heldBy: await lockHolder(lockPath(realpathSync(this.#path), identity)) }
  }
}
