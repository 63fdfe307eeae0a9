// How an older database of the SQLite store, or one of the Python program, becomes ours. PRAGMA user_version counts our
// versions; a database that we never touched has 0.

import { BizonError } from '../../../lib/errors.ts'
import type { Database } from '../../sqlite.ts'
import { type Columns, INDEXES, TABLES, UNIQUE_INDEXES } from '../tables.ts'

export const SCHEMA_VERSION = 3

/** Rejects a database of a newer program, changing nothing. */
export function checkVersion(database: Database, path: string): void {
  versionOf(database, path)
}

/** Brings any database to our version, whole or not at all. */
export function migrate(database: Database, path: string): void {
  if (versionOf(database, path) === SCHEMA_VERSION) return
  const change = database.transaction(() => {
    // Another process may have been faster.
    if (versionOf(database, path) === SCHEMA_VERSION) return
    for (const [table, columns] of Object.entries(TABLES)) createOrExtend(database, table, columns)
    for (const [name, on] of Object.entries(INDEXES)) database.exec(`CREATE INDEX IF NOT EXISTS ${name} ON ${on}`)
    for (const [name, on] of Object.entries(UNIQUE_INDEXES)) {
      database.exec(`CREATE UNIQUE INDEX IF NOT EXISTS ${name} ON ${on}`)
    }
    database.pragma(`user_version = ${SCHEMA_VERSION}`)
  })
  change.immediate()
}

function versionOf(database: Database, path: string): number {
  const version = database.pragma('user_version', { simple: true }) as number
  if (version <= SCHEMA_VERSION) return version
  throw new BizonError(
    'state',
    `${path}: its tables have version ${version}, and this program knows ${SCHEMA_VERSION} at most`,
    { hint: 'Use the newer bizon that made them, or name another database.' },
  )
}

function createOrExtend(database: Database, table: string, columns: Columns): void {
  const existing = database.prepare<[string], string>('SELECT name FROM pragma_table_info(?)').pluck().all(table)
  if (existing.length === 0) {
    const definitions = Object.entries(columns).map(([column, type]) => `  ${column} ${type}`)
    database.exec(`CREATE TABLE ${table} (\n${definitions.join(',\n')}\n)`)
    return
  }
  for (const [column, type] of Object.entries(columns)) {
    if (existing.includes(column)) continue
    // SQLite adds no column that is NOT NULL to rows that are there already.
    database.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type.replace(' NOT NULL', '')}`)
  }
}
