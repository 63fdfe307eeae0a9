// State as the Python program leaves it: its tables word for word as SQLAlchemy creates them in SQLite, and rows of runs
// that have ended and that were killed.

/** As SQLAlchemy creates them. */
export const PYTHON_TABLES = `
CREATE TABLE stream_jobs (
	id VARCHAR(100) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	source_name VARCHAR(100) NOT NULL, 
	stream_name VARCHAR(100) NOT NULL, 
	sync_mode VARCHAR(100) NOT NULL, 
	attempt INTEGER, 
	total_records_to_fetch INTEGER, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	incremental_state VARCHAR, 
	status VARCHAR(100), 
	error_message VARCHAR(255), 
	PRIMARY KEY (id)
);
CREATE TABLE source_cursors (
	id VARCHAR(100) NOT NULL, 
	job_id VARCHAR(100), 
	name VARCHAR(100) NOT NULL, 
	source_name VARCHAR(100) NOT NULL, 
	stream_name VARCHAR(100) NOT NULL, 
	iteration INTEGER, 
	rows_fetched INTEGER, 
	next_pagination VARCHAR, 
	attempt INTEGER, 
	status VARCHAR(100), 
	error_message VARCHAR(500), 
	created_at DATETIME, 
	updated_at DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(job_id) REFERENCES stream_jobs (id)
);
CREATE TABLE destination_cursors (
	id VARCHAR(100) NOT NULL, 
	job_id VARCHAR(100), 
	name VARCHAR(100) NOT NULL, 
	source_name VARCHAR(100) NOT NULL, 
	stream_name VARCHAR(100) NOT NULL, 
	destination_name VARCHAR(100) NOT NULL, 
	from_source_iteration INTEGER, 
	to_source_iteration INTEGER, 
	rows_written INTEGER, 
	success BOOLEAN NOT NULL, 
	attempt INTEGER, 
	error_message VARCHAR(500), 
	created_at DATETIME, 
	updated_at DATETIME, 
	pagination VARCHAR, 
	PRIMARY KEY (id), 
	FOREIGN KEY(job_id) REFERENCES stream_jobs (id)
);
CREATE TABLE stream_resets (
	id VARCHAR(100) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	source_name VARCHAR(100) NOT NULL, 
	stream_name VARCHAR(100) NOT NULL, 
	requested_at DATETIME NOT NULL, 
	consumed_at DATETIME, 
	consumed_by_job_id VARCHAR(100), 
	PRIMARY KEY (id)
);
`

/** The same in PostgreSQL. */
export const PYTHON_TABLES_IN_POSTGRES = PYTHON_TABLES.replaceAll('DATETIME', 'TIMESTAMP WITHOUT TIME ZONE')

export interface PythonIdentity {
  readonly name: string
  readonly source: string
  readonly stream: string
}

/** SQL that both databases understand. All jobs of a process have one time. */
export function jobRow(
  id: string,
  mode: string,
  status: string,
  { name, source, stream }: PythonIdentity = CREATURES,
  createdAt = '2024-04-30 22:15:00.123456',
): string {
  return `INSERT INTO stream_jobs VALUES ('${id.repeat(32)}', '${name}', '${source}', '${stream}', '${mode}', 0, 50,
     '${createdAt}', '2024-04-30 22:16:00.000000', NULL, '${status}', NULL);`
}

export function cursorRow(
  from: number,
  to: number,
  success: number,
  pagination: string | null,
  job = 'b',
  { name, source, stream }: PythonIdentity = CREATURES,
): string {
  return `INSERT INTO destination_cursors VALUES ('cursor-${job}-${from}', '${job.repeat(32)}', '${name}', '${source}', '${stream}',
     'file', ${from}, ${to}, ${success * 20}, '${success}', 0, NULL, '2024-04-30 22:15:00.123456', NULL,
     ${pagination === null ? 'NULL' : `'${pagination}'`});`
}

export const CREATURES: PythonIdentity = { name: 'test', source: 'dummy', stream: 'creatures' }

/** A success, a run that was killed after one of its writes failed, one that was cancelled, and a second running row. */
export const PYTHON_ROWS = [
  jobRow('a', 'incremental', 'succeeded'),
  jobRow('b', 'incremental', 'running'),
  jobRow('c', 'incremental', 'cancelled'),
  jobRow('d', 'incremental', 'started'),
  cursorRow(0, 1, 1, '{"cursor": "after-1", "n": 2}'),
  cursorRow(2, 3, 0, '{"cursor": "after-3", "n": 4}'),
  cursorRow(4, 5, 1, '{"cursor": "after-5", "n": 6}'),
  `INSERT INTO source_cursors VALUES ('s', '${'b'.repeat(32)}', 'test', 'dummy', 'creatures', 4, 40, '{"n": 4}', 0,
     'pulling', NULL, '2024-04-30 22:15:00.123456', NULL);`,
].join('\n')
