// A database file that is somebody else's: opened to be read, and left as it was. SQLite makes two files beside one that is
// in WAL mode, even for a reader; they are taken away again, by SQLite itself, when nobody needs them.

import { statSync } from 'node:fs'
import type { ErrorCode } from '../../../lib/errors.ts'
import { type Database, loadSqlite, sqliteError } from '../../sqlite.ts'
import type { SqliteSourceOptions } from './config.ts'

export type FileOptions = Pick<SqliteSourceOptions, 'path' | 'busy_timeout'>

export async function withFile<T>(options: FileOptions, work: (database: Database) => Promise<T>): Promise<T> {
  const file = await openFile(options)
  try {
    return await work(file.database)
  } catch (error) {
    throw sqliteError(error, options.path, 'source')
  } finally {
    file.close()
  }
}

export interface OpenFile {
  readonly database: Database
  /** Never throws. */
  close(): void
}

/** `code` is that of its errors: it says whose file this is. */
export async function openFile(
  { path, busy_timeout: seconds }: FileOptions,
  code: ErrorCode = 'source',
): Promise<OpenFile> {
  const sqlite = await loadSqlite(code)
  const busyTimeoutMs = seconds * 1000
  const database = sqlite.open(path, { busyTimeoutMs, readOnly: true })
  addFunctions(database)
  return {
    database,
    close() {
      database.close()
      // None: there is nothing to take away. Not empty: it holds what somebody has yet to move into the file.
      if (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size !== 0) return
      try {
        // The last one to leave takes them away, if it may write. It changes nothing in the file.
        const last = sqlite.open(path, { busyTimeoutMs: 0 })
        last.pragma('schema_version')
        last.close()
      } catch {
        // Somebody else is using them by now, or they may not be removed: they do no harm.
      }
    },
  }
}

/** What SQLite does not write exactly itself. */
function addFunctions(database: Database): void {
  const options = { deterministic: true }
  database.function('bizon_real', options, (value: unknown) => realText(value as number))
  database.function('bizon_utf8', options, (value: unknown) => (value === null ? null : Buffer.from(value as string)))
  database.function('bizon_base64', options, (value: unknown) => (value as Buffer).toString('base64'))
}

/** The shortest text that is read as the same number, with a point or an exponent. Infinity is a string. */
function realText(value: number): string {
  if (!Number.isFinite(value)) return JSON.stringify(String(value))
  const text = Object.is(value, -0) ? '-0' : String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}
