// What the bench runs against a PostgreSQL server: the one that BIZON_BENCH_PG names, or one of its own.

import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs'
import { PostgresServer } from '../support/services/postgres.ts'
import type { Candidate, Places } from './commands.ts'
import { LINE_BYTES } from './generate.ts'

const SCHEMA = 'bizon_bench'
/** As `psql \copy` takes lines whole. */
const LINES = `(FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')`
const METADATA =
  'bizon_id text, bizon_extracted_at timestamptz, bizon_loaded_at timestamptz, source_record_id text, source_timestamp timestamptz'
/** As `unnest: columns` finds them. */
const COLUMNS =
  'id bigint, name text, email text, active boolean, score numeric, tags jsonb, city text, at text, note text'

export interface Bench {
  readonly url: string
  /** Of all its processes; undefined: they are not this machine's to see. */
  readonly cpuSeconds?: () => number
  remove(): Promise<void>
}

/** Undefined where there is no server and none can be started. */
export async function openPostgres(): Promise<Bench | undefined> {
  const url = process.env.BIZON_BENCH_PG
  const drop = (from: string): void => run(psql(from, `DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`))
  if (url !== undefined) return { url, remove: async () => drop(url) }
  const server = await PostgresServer.create().catch(() => undefined)
  if (!server) return undefined
  // Tests may go without what makes rows outlast a machine; what is measured here has it, and is else as it is installed.
  await server.kill('SIGINT')
  await server.start({ fsync: 'on', full_page_writes: 'on', shared_buffers: '128MB' })
  const { pid = 0 } = server
  return {
    url: server.url(),
    ...(process.platform === 'linux' && { cpuSeconds: () => cpuSecondsBelow(pid) }),
    remove: () => server.remove(),
  }
}

/** Of a process, the children it has, and those it had. */
function cpuSecondsBelow(pid: number): number {
  let ticks = 0
  for (const each of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    // Behind the name, which may have blanks: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    const [, parent, ...more] = statOf(each)
    const [user = 0, system = 0, userBefore = 0, systemBefore = 0] = more.slice(9).map(Number)
    if (Number(each) === pid) ticks += user + system + userBefore + systemBefore
    else if (Number(parent) === pid) ticks += user + system
  }
  return ticks / TICKS_A_SECOND
}

const TICKS_A_SECOND = 100

function statOf(pid: string): string[] {
  try {
    return (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1) ?? '').split(' ')
  } catch {
    return []
  }
}

/** Records into tables that are new each time: JSON whole, and columns. */
export function intoPostgres(places: Places, url: string): Candidate[] {
  const { bizon, folder, file, input } = places
  run(psql(url, `DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`, `CREATE SCHEMA ${SCHEMA}`))
  const line = (name: string, group: string, table: string, argv: readonly string[]): Candidate => ({
    name: `into postgres: ${name}`,
    group,
    argv,
    before: () => run(psql(url, `DROP TABLE IF EXISTS ${SCHEMA}.${table}`, 'CHECKPOINT')),
    moves: 'ndjson',
    reshapes: true,
    times: 3,
  })
  const copy = (table: string, columns: string, from: string): readonly string[] =>
    psql(url, `CREATE TABLE ${SCHEMA}.${table} (${columns})`, `\\copy ${SCHEMA}.${table} FROM ${from}`)
  const load = (name: string, more: object): readonly string[] => {
    const source = { name: 'file', stream: name, path: input.ndjson }
    const config = { url, schema: SCHEMA, destination_id: name, metadata: 'none', ...more }
    const pipeline = { name, source, destination: { name: 'postgres', config } }
    return [process.execPath, bizon, 'run', file(`${name}.yml`, JSON.stringify(pipeline)), '--quiet']
  }
  const rows = `${folder}/rows.copy`
  writeRows(input.ndjson, rows)
  const six = { metadata: 'bizon' }
  const unnest = { unnest: 'columns' }
  return [
    line('\\copy, one jsonb', 'jsonb', 'copy_one', copy('copy_one', 'data jsonb', `'${input.ndjson}' ${LINES}`)),
    line('\\copy, our six', 'jsonb', 'copy_six', copy('copy_six', `${METADATA}, data jsonb`, `'${rows}'`)),
    line('bizon, one jsonb', 'jsonb', 'pg_one', load('pg_one', {})),
    line('bizon, six columns', 'jsonb', 'pg_six', load('pg_six', six)),
    line('\\copy CSV', 'columns', 'copy_csv', copy('copy_csv', COLUMNS, `'${input.csv}' (FORMAT csv, HEADER)`)),
    line('bizon, columns', 'columns', 'pg_columns', load('pg_columns', unnest)),
    line('bizon, columns and 5', 'columns', 'pg_both', load('pg_both', { ...six, ...unnest })),
  ]
}

/** The rows that bizon writes, as text for COPY: what it costs to store them, whoever sends them. */
function writeRows(from: string, to: string): void {
  const [source, target] = [openSync(from, 'r'), openSync(to, 'w')]
  const block = Buffer.alloc(4000 * LINE_BYTES)
  const at = '2024-01-01 00:00:00.123+00:00'
  let row = 0
  for (;;) {
    const bytes = readSync(source, block)
    if (bytes === 0) break
    let text = ''
    for (const record of block.toString('utf8', 0, bytes).split('\n').slice(0, -1)) {
      const id = String(row++)
      text += `0123456789abcdef${id.padStart(16, '0')}\t${at}\t${at}\t${id}\t${at}\t${record.replaceAll('\\', '\\\\')}\n`
    }
    writeSync(target, text)
  }
  closeSync(source)
  closeSync(target)
}

/** A table of the records, which is loaded there beforehand. */
export function fromPostgres({ bizon, folder, file, input }: Places, url: string): Candidate[] {
  const table = `${SCHEMA}.bizon_bench`
  // Typed columns, as tables have them: what is measured is the way from rows to lines.
  run(
    psql(
      url,
      `CREATE TEMP TABLE lines (line json)`,
      `\\copy lines FROM '${input.ndjson}' ${LINES}`,
      `DROP TABLE IF EXISTS ${table}`,
      `CREATE TABLE ${table} AS SELECT row_number() OVER () AS n, line->>'id' AS id, line::text AS text, now() AS at, 1.10 AS price FROM lines`,
      `ALTER TABLE ${table} ADD PRIMARY KEY (n)`,
      `VACUUM ANALYZE ${table}`,
    ),
  )
  const pipeline = {
    name: 'pg',
    source: { name: 'postgres', stream: 'bizon_bench', schema: SCHEMA, url },
    destination: { name: 'file', config: { destination_id: `${folder}/pg-bizon`, metadata: 'none' } },
  }
  const rest = { moves: 'ndjson', reshapes: true, times: 3, group: 'from postgres' } as const
  return [
    {
      name: 'postgres: psql \\copy row_to_json',
      argv: psql(url, `\\copy (SELECT row_to_json(t) FROM ${table} t) TO '${folder}/pg-psql'`),
      output: `${folder}/pg-psql`,
      ...rest,
    },
    {
      name: 'postgres: bizon → NDJSON',
      argv: [process.execPath, bizon, 'run', file('pg.yml', JSON.stringify(pipeline)), '--quiet'],
      output: `${folder}/pg-bizon.json`,
      ...rest,
    },
  ]
}

function psql(url: string, ...sql: readonly string[]): readonly string[] {
  return ['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url, ...sql.flatMap((each) => ['-c', each])]
}

function run([program = '', ...args]: readonly string[]): void {
  const env = { ...process.env, PGOPTIONS: '-c client_min_messages=warning' }
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env })
}
