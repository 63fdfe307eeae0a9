// The tables of a state store. The first four are the Python program's; what we added to them may be null, so that it
// goes on working. Types are words that SQLite and PostgreSQL understand, but for DATETIME: a time without a zone.

const IDENTITY = {
  name: 'VARCHAR(100) NOT NULL',
  source_name: 'VARCHAR(100) NOT NULL',
  stream_name: 'VARCHAR(100) NOT NULL',
}

export type Columns = { readonly [column: string]: string }

export const TABLES = {
  stream_jobs: {
    id: 'VARCHAR(100) NOT NULL PRIMARY KEY',
    ...IDENTITY,
    sync_mode: 'VARCHAR(100) NOT NULL',
    attempt: 'INTEGER DEFAULT 0',
    total_records_to_fetch: 'BIGINT',
    created_at: 'DATETIME NOT NULL',
    updated_at: 'DATETIME',
    incremental_state: 'VARCHAR',
    status: "VARCHAR(100) DEFAULT 'started'",
    error_message: 'VARCHAR(255)',
    epoch: 'BIGINT',
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
    from_source_iteration: 'BIGINT',
    to_source_iteration: 'BIGINT',
    rows_written: 'BIGINT',
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
    epoch: 'BIGINT NOT NULL',
    owner: 'VARCHAR NOT NULL',
    acquired_at: 'DATETIME NOT NULL',
  },
} as const satisfies { readonly [table: string]: Columns }

/** Name, and what it is on. */
export const INDEXES: { readonly [index: string]: string } = {
  bizon_stream_jobs: 'stream_jobs (name, source_name, stream_name)',
  bizon_stream_resets: 'stream_resets (name, source_name, stream_name)',
  bizon_destination_cursors: 'destination_cursors (job_id)',
}

/** As in INDEXES. */
export const UNIQUE_INDEXES: { readonly [index: string]: string } = {
  bizon_leases_identity: 'bizon_leases (name, source_name, stream_name)',
}
