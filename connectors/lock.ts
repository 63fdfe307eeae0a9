// One process at a time: an exclusive lock that the kernel frees when its holder dies, however it dies.
// It is a SQLite transaction held open, because Node itself has no file locks. A stopped process keeps it.
// Beside the lock file, `<path>.holder` says in words who has it; it is only ever read by people.

import { statSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { BizonError, type ErrorCode } from '../lib/errors.ts'
import { type Database, isBusy, loadSqlite, sqliteCode, sqliteError } from './sqlite.ts'

/** Keep it reachable: a lock that is garbage collected is free. */
export interface FileLock {
  /** Frees the lock and removes its files. Safe twice. */
  release(): Promise<void>
}

export interface LockOptions {
  /** What is locked, for the message. Default the path. */
  readonly what?: string
  /** The code of errors other than `locked`. Default `state`. */
  readonly code?: ErrorCode
}

/**
 * Takes the lock, without waiting. Rejects with code `locked`, naming the holder, while another process, or another
 * part of this one, has it. `holder` is what the others are told: `pid 123 on host since …`. The folder must exist.
 */
export async function lockFile(
  path: string,
  holder: string,
  { code = 'state', what = path }: LockOptions = {},
): Promise<FileLock> {
  const database = await lockOnceSettled(path, code, what)
  try {
    await writeFile(holderFile(path), `${holder}\n`)
  } catch {
    // The lock counts, not the words about it.
  }
  return new SqliteLock(path, database)
}

/**
 * Who has the lock, in words for people, without taking it; undefined: nobody. Whoever takes it in the same instant may
 * find it taken, though only where a killed process has left the file.
 */
export async function lockHolder(path: string, code: ErrorCode = 'state'): Promise<string | undefined> {
  if (identity(path) === undefined) return undefined
  const sqlite = await loadSqlite(code)
  let database: Database | undefined
  try {
    database = sqlite.open(path, { busyTimeoutMs: 0, readOnly: true })
    database.pragma('schema_version')
    return undefined
  } catch (error) {
    // It may be gone by now, or be anything: whoever wants the lock is told.
    return isBusy(error) ? await readHolder(path) : undefined
  } finally {
    database?.close()
  }
}

/** Others may take, release and remove the file while we look at it; each time one of us gets on. */
async function lockOnceSettled(path: string, code: ErrorCode, what: string): Promise<Database> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const database = await tryLock(path, code, what)
    if (database !== 'moved') return database
  }
  throw new BizonError(code, `cannot lock ${path}: the file changes all the time`, {
    hint: 'See which program keeps replacing it.',
  })
}

class SqliteLock implements FileLock {
  readonly #path: string
  readonly #database: Database
  #released: Promise<void> | undefined

  constructor(path: string, database: Database) {
    this.#path = path
    this.#database = database
  }

  /** Once only: a second removal could hit the file of the next holder. */
  release(): Promise<void> {
    this.#released ??= this.#free()
    return this.#released
  }

  async #free(): Promise<void> {
    try {
      await rm(holderFile(this.#path), { force: true })
      // Removed while still locked: whoever has it open by then finds out in `tryLock`.
      await rm(this.#path, { force: true })
    } catch {
      // Windows keeps files that are open, and a folder may have become read-only: a free lock file does no harm.
    } finally {
      this.#database.close()
    }
  }
}

/**
 * No await between the two looks at the path: it must have been one and the same file all the while, so that it is
 * the one SQLite opened. Otherwise somebody released and removed it in between, and we hold what nobody else can find.
 */
async function tryLock(path: string, code: ErrorCode, what: string): Promise<Database | 'moved'> {
  const sqlite = await loadSqlite(code)
  const before = identity(path)
  const database = sqlite.open(path, { busyTimeoutMs: 0 })
  try {
    // Never followed by a write: the file stays empty, and no journal appears beside it.
    database.exec('BEGIN EXCLUSIVE')
    if (before !== undefined && before === identity(path)) return database
    database.close()
    return 'moved'
  } catch (error) {
    database.close()
    // SQLite stumbles in more than one way over a file that goes away under it.
    if (before !== identity(path) || sqliteCode(error) === 'SQLITE_IOERR_FSTAT') return 'moved'
    if (!isBusy(error)) throw sqliteError(error, path, code)
    throw new BizonError('locked', `${what} is locked by ${await readHolder(path)}`, {
      hint: 'Wait until it has finished, or stop it; then try again.',
      retriable: true,
      cause: error,
    })
  }
}

/** Undefined when there is no file yet. The change time tells a new file from an old one whose number it got. */
function identity(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}:${stat.ctimeNs}`
}

/** One line that may be shown to people, whatever is in the file. */
async function readHolder(path: string): Promise<string> {
  try {
    const text = (await readFile(holderFile(path), 'utf8')).trim()
    return /^[\p{L}\p{N}\p{P}\p{S}\p{Zs}]{1,500}$/u.test(text) ? text : 'another process'
  } catch {
    return 'another process'
  }
}

function holderFile(path: string): string {
  return `${path}.holder`
}
