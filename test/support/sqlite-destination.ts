// The sqlite destination in a file of its own, and what the program `sqlite3` reads there.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { config, type SqliteOptions } from '../../connectors/destinations/sqlite/config.ts'
import type { Seams } from '../../connectors/destinations/sqlite/session.ts'
import { SqliteDestination } from '../../connectors/destinations/sqlite.ts'
import type { SyncMode } from '../../lib/source.ts'

export interface Given {
  readonly path: string
  readonly mode?: SyncMode
  readonly options?: Partial<SqliteOptions>
  readonly seams?: Seams
}

export function sqliteOptions(path: string, options: Partial<SqliteOptions> = {}): SqliteOptions {
  return { ...config.parse({ path }), destinationId: 'main', unnest: false, recordSchemas: [], ...options }
}

/** Its target is the table `main`, unless the options say another. */
export function sqliteDestination({ path, mode = 'full_refresh', options, seams }: Given): SqliteDestination {
  return new SqliteDestination(sqliteOptions(path, options), { stream: 'main', mode }, seams)
}

const run = promisify(execFile)

/** What the program prints for the statements. */
export async function sqlite3(path: string, sql: string, ...options: readonly string[]): Promise<string> {
  const { stdout } = await run('sqlite3', ['-bail', ...options, path, sql], { maxBuffer: 1 << 28 })
  return stdout
}

/** Ids of the records of a table, in the order in which they were put there. */
export async function idsIn(path: string, table: string): Promise<string[]> {
  return (await sqlite3(path, `SELECT source_record_id FROM "${table}" ORDER BY rowid`)).split('\n').slice(0, -1)
}
