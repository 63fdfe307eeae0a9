// A run's way to its file: the lock that keeps other runs of the same table out, the database in its thread, and one
// transaction at a time. A transaction begins with the file's write lock, so that whoever else writes is waited for there
// and nowhere else. What was not committed is undone, by an error or by whoever opens the file next.

import { createHash } from 'node:crypto'
import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { BizonError } from '../../../lib/errors.ts'
import { memorySizes } from '../../../lib/memory.ts'
import { holder } from '../../../lib/state.ts'
import { never, sleep } from '../../../lib/wait.ts'
import { type FileLock, lockFile } from '../../lock.ts'
import { openFile } from '../../sources/sqlite/file.ts'
import { type Answer, type Row, SqliteThread, type Value } from '../../sqlite/thread.ts'
import { isBusy, sqliteError } from '../../sqlite.ts'
import { countOfDelete, type Note } from '../plan.ts'
import type { Segment } from './cells.ts'
import { foldName } from './names.ts'

/** For tests. */
export interface Seams {
  /** Called before each operation that changes the database; may throw. */
  before?(operation: string): void
  /** A thread that outlives the destination. */
  readonly thread?: SqliteThread
}

export interface SessionOptions {
  readonly path: string
  /** The table whose lock it is. */
  readonly target: string
  readonly durability: 'power_loss' | 'process'
  readonly lockTimeoutSeconds: number
}

/** How long SQLite itself waits for a lock; in between a run may be stopped. */
const BUSY_MS = 250
const PAUSE_SECONDS = 0.02
const LOG_BYTES = 4 << 20

export class Session {
  readonly path: string
  readonly #options: SessionOptions
  readonly #seams: Seams
  #lock: FileLock | undefined
  #thread: SqliteThread | undefined
  #inTransaction = false
  /** Bytes that have gone into the log since it was last emptied. */
  #logged = 0
  #closed = false
  /** What would be changed, where nothing may be. */
  #notes: Note[] | undefined

  constructor(options: SessionOptions, seams: Seams = {}) {
    this.#options = options
    this.#seams = seams
    this.path = resolve(options.path)
  }

  /** Rejects with `locked` when another run writes to the table. */
  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    checkFolder(this.path)
    const { target } = this.#options
    this.#before('lock')
    const what = `table ${target} of ${this.path}`
    this.#lock = await lockFile(lockPath(this.path, target), holder(), { code: 'destination', what })
    const thread = this.#seams.thread ?? new SqliteThread()
    this.#thread = thread
    this.#before('open')
    await this.#told(thread.open({ path: this.path, busyTimeoutMs: BUSY_MS }))
    await this.#patiently(signal, () => this.#prepare(thread))
  }

  /**
   * Opens the database for reading alone, and without the lock, while the work is done; what that would change is noted. One
   * that does not exist is empty.
   */
  async look<T>(work: () => Promise<T>, notes: Note[] = []): Promise<T> {
    const thread = this.#seams.thread ?? new SqliteThread()
    this.#thread = thread
    this.#notes = notes
    const isThere = existsSync(this.path)
    const file = isThere ? { path: this.path, readonly: true } : { path: ':memory:' }
    try {
      await this.#told(thread.open({ ...file, busyTimeoutMs: BUSY_MS }))
      await this.#checkEncoding(thread).catch((error: unknown) => {
        throw this.#words(error)
      })
      return await work()
    } finally {
      await this.close()
      // An empty log that reading has made beside the file is taken away again.
      const reading = { path: this.path, busy_timeout: 0 }
      const leave = isThere && (await openFile(reading, 'destination').catch(() => undefined))
      if (leave) leave.close()
    }
  }

  /** Begins a transaction, unless one is open. Waits for other programs; absent signal: cannot be stopped meanwhile. */
  async begin(signal?: AbortSignal): Promise<void> {
    if (this.#inTransaction) return
    this.#before('BEGIN')
    await this.#patiently(signal, () => this.#use().exec('BEGIN IMMEDIATE'))
    this.#inTransaction = true
  }

  /** Changes nothing. */
  async read(sql: string, values: readonly Value[] = []): Promise<readonly Row[]> {
    return (await this.#told(this.#use().query(sql, values))).rows
  }

  /** One statement within the transaction. Resolves to how many rows it changed. */
  async change(sql: string, values: readonly Value[] = []): Promise<number> {
    if (this.#notes) return this.#note(this.#notes, sql, values)
    this.#before(sql)
    return (await this.#told(this.#use().query(sql, values))).changes
  }

  /** The same with a segment, whose memory then serves the next ones. */
  async insert(sql: string, { data, index, end, spare }: Segment): Promise<number> {
    this.#before('INSERT')
    this.#logged += data.length + end
    const { changes, lent } = await this.#told(this.#use().send(sql, { data, index, end }))
    spare.keep(lent)
    return changes
  }

  async commit(): Promise<void> {
    this.#before('COMMIT')
    await this.#told(this.#use().exec('COMMIT'))
    this.#inTransaction = false
    this.#tidy()
  }

  /** Never rejects: what cannot be undone here, the next one to open the file undoes. */
  async rollback(): Promise<void> {
    if (!this.#inTransaction) return
    this.#inTransaction = false
    await this.#thread?.rollback().catch(() => {})
  }

  /** Never rejects; safe twice. What was not committed is undone. */
  async close(): Promise<void> {
    this.#closed = true
    const [thread, lock] = [this.#thread, this.#lock]
    this.#thread = undefined
    this.#lock = undefined
    this.#inTransaction = false
    if (thread) {
      await thread.rollback().catch(() => {})
      await thread.close().catch(() => {})
      if (thread !== this.#seams.thread) await thread.stop()
    }
    await lock?.release()
  }

  /**
   * Brings what is committed from the log into the database itself, while the caller goes on. Left to SQLite that would be
   * part of COMMIT, for which everybody waits. It may fail: whoever comes later does it.
   */
  #tidy(): void {
    if (this.#logged < LOG_BYTES) return
    this.#logged = 0
    this.#thread?.query('PRAGMA wal_checkpoint(PASSIVE)').catch(() => {})
  }

  async #note(notes: Note[], sql: string, values: readonly Value[]): Promise<number> {
    const counting = countOfDelete(sql)
    const [row] = counting === undefined ? [] : await this.read(counting, values)
    const count = Number(row?.count ?? 0)
    notes.push({ sql, count })
    return count
  }

  async #checkEncoding(thread: SqliteThread): Promise<void> {
    const encoding = (await thread.query('PRAGMA encoding')).rows[0]?.encoding
    if (encoding !== 'UTF-8') {
      throw new BizonError('destination', `${this.path}: the database holds text as ${encoding}, not as UTF-8`, {
        hint: 'Name another file, or make this one anew: sqlite3 OLD .dump | sqlite3 NEW.',
      })
    }
  }

  async #prepare(thread: SqliteThread): Promise<void> {
    await this.#checkEncoding(thread)
    const mode = (await thread.query('PRAGMA journal_mode')).rows[0]?.journal_mode
    if (mode !== 'wal') {
      this.#before('PRAGMA journal_mode = WAL')
      const now = (await thread.query('PRAGMA journal_mode = WAL')).rows[0]?.journal_mode
      if (now !== 'wal') {
        throw new BizonError('destination', `${this.path}: the database cannot keep a write-ahead log there (${now})`, {
          hint: 'Put it on a local disk.',
        })
      }
    }
    // FULL: a commit is on disk before it counts. Renaming must leave views and triggers as their authors wrote them.
    const synchronous = this.#options.durability === 'power_loss' ? 'FULL' : 'OFF'
    await thread.exec(
      `PRAGMA synchronous = ${synchronous}; PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON; PRAGMA cache_size = -${(4 * memorySizes().gathered) >> 10}; PRAGMA wal_autocheckpoint = 16384`,
    )
  }

  async #patiently<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + 1000 * this.#options.lockTimeoutSeconds
    for (;;) {
      try {
        return await work()
      } catch (error) {
        signal?.throwIfAborted()
        if (!isBusy(error) || performance.now() > deadline || this.#closed) throw this.#words(error)
      }
      await sleep(PAUSE_SECONDS, signal ?? never)
    }
  }

  #told(answer: Promise<Answer>): Promise<Answer> {
    return answer.catch((error: unknown) => {
      throw this.#words(error)
    })
  }

  #words(error: unknown): unknown {
    return sqliteError(error, this.path, 'destination')
  }

  #use(): SqliteThread {
    if (this.#thread) return this.#thread
    throw new BizonError('internal', 'the sqlite destination is not open')
  }

  #before(operation: string): void {
    this.#seams.before?.(operation)
  }
}

/** Next to the file itself, wherever links to it are. */
export function lockPath(path: string, target: string): string {
  const own = existsSync(path) ? realpathSync(path) : join(realpathSync(dirname(path)), basename(path))
  const hash = createHash('sha256').update(foldName(target)).digest('hex').slice(0, 8)
  return `${own}.${hash}.lock`
}

export function checkFolder(path: string): void {
  const folder = dirname(path)
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    throw new BizonError('destination', `${path}: is a folder, not a database file`, { hint: 'Name a file.' })
  }
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return
  throw new BizonError('destination', `cannot open ${path}: there is no folder ${folder}`, {
    hint: 'Create the folder, or name another one in path.',
  })
}
