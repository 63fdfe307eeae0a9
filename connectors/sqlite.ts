// The only file that imports better-sqlite3. The state store keeps its tables in it, the file lock its lock.
// Loaded when first asked for, so that a pipeline without SQLite neither needs nor pays for the native module.
// Never open a file that SQLite has open with node:fs as well: on POSIX systems the first close of *any*
// descriptor drops the process's locks on it (https://sqlite.org/howtocorrupt.html, 2.2).

import { accessSync, constants, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type BetterSqlite3 from 'better-sqlite3'
import { BizonError, type ErrorCode, messageOf } from '../lib/errors.ts'

export type Database = BetterSqlite3.Database

export interface SqliteOptions {
  /** How long a statement waits for another process's lock before it fails as busy. */
  readonly busyTimeoutMs: number
  /** The file must be there, and is not written to. Default false. */
  readonly readOnly?: boolean
  /** Gets every SQL statement, with its values. */
  readonly onStatement?: ((sql: string) => void) | undefined
}

export interface Sqlite {
  /**
   * Opens or creates a database; `:memory:` is one of its own. Does not read the file yet: a file that is not a
   * database is noticed by the first statement, whose error goes through `sqliteError`.
   */
  open(path: string, options: SqliteOptions): Database
  /**
   * A copy in memory of a file's last commit; changes nothing, not even beside the file. Of a file that is yet to be
   * created an empty database. Rejects where a file could not be opened or written to.
   */
  copy(path: string, options: SqliteOptions): Database
}

/** The client, loaded. `code` is that of all its errors: it says whose files these are. */
export async function loadSqlite(code: ErrorCode): Promise<Sqlite> {
  const Client = await importClient(code)
  const open = (path: string, options: SqliteOptions, content?: Buffer): Database => {
    const { busyTimeoutMs, onStatement, readOnly = false } = options
    try {
      return new Client(content ?? path, {
        timeout: busyTimeoutMs,
        ...(readOnly && { readonly: true, fileMustExist: true }),
        ...(onStatement && { verbose: (sql) => onStatement(String(sql)) }),
      })
    } catch (error) {
      throw openError(error, path, code)
    }
  }
  return {
    open,
    copy(path, options) {
      try {
        return open(':memory:', options, contentOf(path, Client, options.busyTimeoutMs))
      } catch (error) {
        throw openError(error, path, code)
      }
    },
  }
}

const MAGIC = 'SQLite format 3\0'
/** Of the bytes of the header that say how the file is read and written: by write-ahead log, or by rollback journal. */
const [WAL, ROLLBACK] = [2, 1]

/**
 * The file's last commit. SQLite reads it, but for a file whose log is away: nobody has that open, all is in it, and
 * SQLite would leave an empty log beside it.
 */
function contentOf(path: string, Client: Client, busyTimeoutMs: number): Buffer | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size
  if (size === undefined && !isFolder(dirname(path))) throw new TypeError('the folder does not exist')
  if (size === undefined) checkWritable(dirname(path), 'SQLITE_CANTOPEN')
  else if (isFolder(path)) throw sqliteFailure('SQLITE_CANTOPEN')
  else checkWritable(path, 'SQLITE_READONLY')
  if (!size) return undefined
  if (!existsSync(`${path}-wal`)) {
    const raw = readFileSync(path)
    // Nobody may have begun in the meantime.
    if (isDatabase(raw) && raw[18] === WAL && !existsSync(`${path}-wal`)) return withoutLog(raw)
  }
  try {
    return serialized(new Client(path, { readonly: true, timeout: busyTimeoutMs }))
  } catch (error) {
    if (sqliteCode(error) !== 'SQLITE_READONLY_ROLLBACK') throw error
    return rolledBack(path, Client)
  }
}

function serialized(database: Database): Buffer {
  try {
    // What is no database says so here; to be copied it would be too large.
    database.pragma('schema_version')
    return withoutLog(database.serialize())
  } finally {
    database.close()
  }
}

/** Of a file that a killed process has left in the middle of a change, which SQLite would take back in the file itself. */
function rolledBack(path: string, Client: Client): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'bizon-'))
  try {
    const copy = join(folder, 'copy')
    copyFileSync(path, copy)
    copyFileSync(`${path}-journal`, `${copy}-journal`)
    return serialized(new Client(copy))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function isDatabase(content: Buffer): boolean {
  return content.toString('latin1', 0, MAGIC.length) === MAGIC
}

/** Memory has no log. */
function withoutLog(content: Buffer): Buffer {
  content[18] = content[19] = ROLLBACK as number
  return content
}

/** Where writing would fail, the copy says so as SQLite would. */
function checkWritable(path: string, code: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (cause) {
    throw sqliteFailure(code, cause)
  }
}

function sqliteFailure(code: string, cause?: unknown): Error {
  return Object.assign(new Error(code, { cause }), { code })
}

function openError(error: unknown, path: string, code: ErrorCode): unknown {
  if (sqliteCode(error) !== undefined) return sqliteError(error, path, code)
  if (path === ':memory:' || isFolder(dirname(path))) return clientMissing(error, code)
  return new BizonError(code, `cannot open ${path}: the folder ${dirname(path)} does not exist`, {
    hint: 'Create the folder, or name another one.',
    cause: error,
  })
}

/** The `SQLITE_…` code of an error that SQLite raised. */
export function sqliteCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : undefined
}

/** Whether another process held the lock for longer than the busy timeout. */
export function isBusy(error: unknown): boolean {
  return sqliteCode(error)?.startsWith('SQLITE_BUSY') === true
}

/** What SQLite raised, in words that name the file and say what to do. An error of another kind comes back as it is. */
export function sqliteError(error: unknown, path: string, code: ErrorCode): unknown {
  const sqlite = sqliteCode(error)
  if (sqlite === undefined) return error
  const [reason, hint] = explain(sqlite, path) ?? [messageOf(error), CONSTRAINTS.get(sqlite)]
  return new BizonError(code, `${path}: ${reason}`, { hint, retriable: isBusy(error), cause: error })
}

/** What helps against constraints of other people, which SQLite itself names. */
const CONSTRAINTS = new Map([
  ['SQLITE_CONSTRAINT_UNIQUE', 'Rows with one key are there twice. Remove one, or the index, or change primary_key.'],
  ['SQLITE_CONSTRAINT_PRIMARYKEY', 'Rows with one key are there twice. Remove one, or change primary_key.'],
  [
    'SQLITE_CONSTRAINT_NOTNULL',
    'Correct the records in a transform, or take NOT NULL out of the table; a DEFAULT helps where no record has the field.',
  ],
  ['SQLITE_CONSTRAINT_CHECK', 'Correct the records in a transform, or take the check out of the table.'],
])

function explain(code: string, path: string): readonly [reason: string, hint: string] | undefined {
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'))
    return ['locked by another process', 'Wait until no other program has the file open for writing, then try again.']
  if (code.startsWith('SQLITE_NOTADB')) return ['not a SQLite database', 'Move the file away, or name another one.']
  if (code.startsWith('SQLITE_CORRUPT'))
    return ['the database is damaged', 'Restore it from a copy, or move it away to start with a new one.']
  if (code.startsWith('SQLITE_READONLY') || code === 'SQLITE_PERM' || code === 'SQLITE_AUTH')
    return ['may not be written to', 'Give this user the right to write to the file and its folder.']
  if (code.startsWith('SQLITE_FULL')) return ['the disk is full', 'Make room, then try again.']
  if (!/^SQLITE_(?:CANTOPEN|IOERR)/.test(code)) return undefined
  if (isFolder(path)) return ['is a folder, not a database file', 'Name a file.']
  if (!code.startsWith('SQLITE_CANTOPEN'))
    return ['disk I/O error', 'See whether the disk has room and works, then try again.']
  return ['cannot be opened', 'See whether the file and its folder exist and may be read and written.']
}

type Client = typeof BetterSqlite3

async function importClient(code: ErrorCode): Promise<Client> {
  try {
    return (await import('better-sqlite3')).default
  } catch (error) {
    throw clientMissing(error, code)
  }
}

/** Also when the package is there but its compiled part is not, or is another Node version's. */
function clientMissing(error: unknown, code: ErrorCode): BizonError {
  const reason = messageOf(error).split('\n', 1)[0]
  return new BizonError(code, `better-sqlite3 cannot be loaded: ${reason}`, {
    hint: 'npm install better-sqlite3, with the Node version that runs bizon.',
    cause: error,
  })
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}
