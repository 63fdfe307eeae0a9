// The tables of the SQLite store, and how an older database becomes ours. The first four tables are the Python
// program's; what we added to them may be null, so that it goes on working. PRAGMA user_version counts our versions;
// a database that we never touched has 0.

import { BizonError } from '../../../lib/errors.ts'
import type { Database } from '../../sqlite.ts'

export const SCHEMA_VERSION = 3

const IDENTITY = {
  name: 'VARCHAR(100) NOT NULL',
  source_name: 'VARCHAR(100) NOT NULL',
  stream_name: 'VARCHAR(100) NOT NULL',
}

const TABLES: { readonly [table: string]: { readonly [column: string]: string } } = {
  stream_jobs: {
    id: 'VARCHAR(100) NOT NULL PRIMARY KEY',
    ...IDENTITY,
    sync_mode: 'VARCHAR(100) NOT NULL',
    attempt: 'INTEGER DEFAULT 0',
    total_records_to_fetch: 'INTEGER',
    created_at: 'DATETIME NOT NULL',
    updated_at: 'DATETIME',
    incremental_state: 'VARCHAR',
    status: "VARCHAR(100) DEFAULT 'started'",
    error_message: 'VARCHAR(255)',
    epoch: 'INTEGER',
    complete: 'BOOLEAN',
    config_hash: 'VARCHAR',
    rewound_to: 'VARCHAR(100)',
  },
  source_cursors: {
    id: 'VARCHAR(100) NOT NULL PRIMARY KEY',
    job_id: 'VARCHAR(100) REFERENCES stream_jobs (id) ON DELETE CASCADE',
    ...IDENTITY,
    iteration: 'INTEGER DEFAULT 0',
    rows_fetched: 'INTEGER DEFAULT 0',
    attempt: 'INTEGER DEFAULT 0',
    next_pagination: 'VARCHAR',
    status: 'VARCHAR(100)',
    error_message: 'VARCHAR(500)',
    created_at: 'DATETIME',
    updated_at: 'DATETIME',
  },
  destination_cursors: {
    id: 'VARCHAR(100) NOT NULL PRIMARY KEY',
    job_id: 'VARCHAR(100) REFERENCES stream_jobs (id) ON DELETE CASCADE',
    ...IDENTITY,
    destination_name: 'VARCHAR(100) NOT NULL',
    from_source_iteration: 'INTEGER',
    to_source_iteration: 'INTEGER',
    rows_written: 'INTEGER',
    success: 'BOOLEAN NOT NULL',
    attempt: 'INTEGER DEFAULT 0',
    error_message: 'VARCHAR(500)',
    created_at: 'DATETIME',
    updated_at: 'DATETIME',
    pagination: 'VARCHAR',
    checkpoint: 'VARCHAR',
  },
  stream_resets: {
    id: 'VARCHAR(100) NOT NULL PRIMARY KEY',
    ...IDENTITY,
    requested_at: 'DATETIME NOT NULL',
    consumed_at: 'DATETIME',
    consumed_by_job_id: 'VARCHAR(100)',
  },
  bizon_leases: {
    ...IDENTITY,
    epoch: 'INTEGER NOT NULL',
    owner: 'VARCHAR NOT NULL',
    acquired_at: 'DATETIME NOT NULL',
  },
}

const INDEXES = `
  CREATE INDEX IF NOT EXISTS bizon_stream_jobs ON stream_jobs (name, source_name, stream_name);
  CREATE INDEX IF NOT EXISTS bizon_stream_resets ON stream_resets (name, source_name, stream_name);
  CREATE INDEX IF NOT EXISTS bizon_destination_cursors ON destination_cursors (job_id);
  CREATE UNIQUE INDEX IF NOT EXISTS bizon_leases_identity ON bizon_leases (name, source_name, stream_name);
`

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
    database.exec(INDEXES)
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

function createOrExtend(database: Database, table: string, columns: { readonly [column: string]: string }): void {
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
