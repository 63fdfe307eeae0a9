// What the bench runs. Adding a command is adding one line to the table.

import { execFileSync } from 'node:child_process'
import { COLUMNS, type Input, PAGE_RECORDS } from './generate.ts'
import { fromKafka, throughKafka } from './kafka.ts'
import { fromPostgres, intoPostgres } from './postgres.ts'

export interface Candidate {
  readonly name: string
  readonly argv: readonly string[]
  /** Where the records end up; compared with the input. */
  readonly output?: string
  /** Standard input from this file. */
  readonly input?: string
  /** The command prints the records; they are collected in `output`. */
  readonly prints?: boolean
  /** Those of a group, which follow each other, are run in turns, and each is shown beside the first of them. */
  readonly group?: string
  /** Done before each run, and not measured. */
  readonly before?: () => void
  /** How often it is run; the median is shown. Default 1. */
  readonly times?: number
  /** Which input it moves; absent: none, so no rate is shown. */
  readonly moves?: 'ndjson' | 'csv'
  /** The output is not meant to be the input's bytes. */
  readonly reshapes?: boolean
}

export interface Places {
  readonly input: Input
  /** The first 1,000 records. */
  readonly few: string
  /** A folder of the bench's own; every command runs in it. */
  readonly folder: string
  /** The built command. */
  readonly bizon: string
  /** The bundled check.ts. */
  readonly check: string
  /** The bundled api.ts, and the ports on which it answers at once and after 5 ms. */
  readonly api: { readonly script: string; readonly ports: readonly number[] }
  /** The bundled kafka-loop.ts, and brokers that have the records in a topic; undefined: there are none. */
  readonly kafka: { readonly script: string; readonly brokers: string | undefined }
  /** How many records there are. */
  readonly records: number
  /** A database to read from and to write to; undefined: there is none. */
  readonly postgres: string | undefined
  /** Writes a pipeline file into the folder; resolves to its path. */
  pipeline(name: string, input: string, metadata: 'none' | 'bizon'): string
  /** Writes any other file into the folder; resolves to its path. */
  file(name: string, text: string): string
}

export function commands(places: Places): Candidate[] {
  const { input, few, folder, bizon, check } = places
  const node = process.execPath
  const out = (name: string): string => `${folder}/${name}`
  const { ndjson, csv } = input
  const run = (name: string, from: string, metadata: 'none' | 'bizon'): Omit<Candidate, 'name'> => ({
    argv: [node, bizon, 'run', places.pipeline(name, from, metadata)],
    output: out(`${name}.json`),
  })
  return [
    { name: 'cat', argv: ['cat', ndjson], output: out('cat'), prints: true, moves: 'ndjson' },
    { name: 'node, stream copy', argv: [node, '-e', COPY, ndjson, out('copy')], output: out('copy'), moves: 'ndjson' },
    {
      name: 'node, parse and print',
      argv: [node, '-e', PARSE, ndjson, out('parse')],
      output: out('parse'),
      moves: 'ndjson',
    },
    { name: 'JSON check alone, ours', argv: [node, check, 'scan', ndjson], moves: 'ndjson' },
    { name: 'JSON check alone, JSON.parse', argv: [node, check, 'parse', ndjson], moves: 'ndjson' },
    { name: 'bizon NDJSON → NDJSON', ...run('plain', ndjson, 'none'), moves: 'ndjson' },
    { name: 'bizon NDJSON → six columns', ...run('columns', ndjson, 'bizon'), moves: 'ndjson', reshapes: true },
    { name: 'bizon CSV → NDJSON', ...run('csv', csv, 'none'), moves: 'csv' },
    { name: 'bizon CSV → Parquet', ...toParquet(places), moves: 'csv' },
    { name: 'bizon, runner process', ...processes(places), moves: 'ndjson' },
    ...pipes(places),
    ...tables(places),
    { name: 'bizon, 1,000 records', ...run('few', few, 'none'), times: 5 },
    { name: 'bizon --help', argv: [node, bizon, '--help'], times: 5 },
    { name: 'node -e 0', argv: [node, '-e', '0'], times: 5 },
    ...places.api.ports.flatMap((port, index) => overHttp(places, port, index === 0 ? 'api' : 'api, 5 ms')),
    ...(places.postgres ? [...intoPostgres(places, places.postgres), ...fromPostgres(places, places.postgres)] : []),
    ...(places.kafka.brokers
      ? [...fromKafka(places, places.kafka.brokers), ...throughKafka(places, places.kafka.brokers)]
      : []),
    ...peers(places),
  ]
}

/** Typed columns. */
function toParquet({ bizon, folder, input, file }: Places): Omit<Candidate, 'name'> {
  const types = { id: 'int64', active: 'boolean', score: 'double', tags: 'json', at: 'timestamp' }
  const pipeline = {
    name: 'parquet',
    source: { name: 'file', stream: 'parquet', path: input.csv },
    destination: {
      name: 'file',
      config: {
        format: 'parquet',
        destination_id: `${folder}/parquet`,
        unnest: true,
        record_schemas: [
          {
            destination_id: `${folder}/parquet`,
            record_schema: COLUMNS.map((name) => ({ name, type: (types as Record<string, string>)[name] ?? 'string' })),
          },
        ],
      },
    },
  }
  return { argv: [process.execPath, bizon, 'run', file('parquet.yml', JSON.stringify(pipeline)), '--quiet'] }
}

/** The runner `process`. */
function processes({ bizon, folder, input, pipeline }: Places): Omit<Candidate, 'name'> {
  const argv = [process.execPath, bizon, 'run', pipeline('process', input.ndjson, 'none'), '--runner', 'process']
  return { argv, output: `${folder}/process.json` }
}

/** Into a SQLite file: JSON text in one column, and columns; the program sqlite3 does the same. */
function tables({ bizon, folder, file, input: { ndjson, csv } }: Places): Candidate[] {
  const columns = 'id INTEGER, name TEXT, email TEXT, active TEXT, score REAL, tags TEXT, city TEXT, at TEXT, note TEXT'
  const typed = columns.split(', ').map((column) => {
    const [name, type] = column.split(' ')
    return { name, type: type === 'REAL' ? 'FLOAT' : type }
  })
  const load = (name: string, more: object): readonly string[] => {
    const config = { path: `${folder}/${name}.sqlite3`, destination_id: 'records', metadata: 'none', ...more }
    const source = { name: 'file', stream: name, path: ndjson }
    const pipeline = { name, source, destination: { name: 'sqlite', config } }
    return [process.execPath, bizon, 'run', file(`${name}.yml`, JSON.stringify(pipeline)), '--quiet']
  }
  const shell = (name: string, table: string, mode: string, from: string): readonly string[] => [
    'bash',
    '-c',
    `sqlite3 '${folder}/${name}.sqlite3' < '${file(`${name}.sql`, `CREATE TABLE records (${table});\n.mode ${mode}\n.import '${from}' records\n`)}'`,
  ]
  const line = (name: string, stem: string, argv: readonly string[], moves: 'ndjson' | 'csv'): Candidate => ({
    name: `SQLite: ${name}`,
    argv,
    output: `${folder}/${stem}.sqlite3`,
    moves,
    reshapes: true,
  })
  const schema = [{ destination_id: 'records', record_schema: typed }]
  return [
    line(
      '.import, text',
      'import-text',
      shell('import-text', 'data TEXT', `ascii\n.separator "\\001" "\\n"`, ndjson),
      'ndjson',
    ),
    line('bizon, JSON text', 'sqlite-text', load('sqlite-text', {}), 'ndjson'),
    line('bizon, six columns', 'sqlite-six', load('sqlite-six', { metadata: 'bizon' }), 'ndjson'),
    line('.import --csv, columns', 'import-columns', shell('import-columns', columns, 'csv', csv), 'csv'),
    line(
      'bizon, columns',
      'sqlite-columns',
      load('sqlite-columns', { unnest: true, record_schemas: schema }),
      'ndjson',
    ),
  ]
}

/** Two programs with a pipe between: ours, plain ones, and bare records. */
function pipes({ bizon, folder, input, pipeline }: Places): Candidate[] {
  const half = (name: string): string => `'${process.execPath}' '${bizon.replace('bizon.js', `bizon-${name}.js`)}'`
  const line = (name: string, script: string, output: string): Candidate => ({
    name: `pipe: ${name}`,
    argv: ['bash', '-c', `set -o pipefail; ${script}`],
    output,
    moves: 'ndjson',
  })
  const file = pipeline('pipe', input.ndjson, 'none')
  const bare = pipeline('bare', input.ndjson, 'none')
  const [extract, load] = [half('extract'), half('load')]
  return [
    line('cat | cat', `cat '${input.ndjson}' | cat > '${folder}/cats'`, `${folder}/cats`),
    line('extract | load', `${extract} '${file}' -q | ${load} '${file}' -q > /dev/null`, `${folder}/pipe.json`),
    line('cat | load', `cat '${input.ndjson}' | ${load} '${bare}' -q --stream bare > /dev/null`, `${folder}/bare.json`),
    line('extract ndjson', `${extract} '${file}' -q --format ndjson > '${folder}/bare.out'`, `${folder}/bare.out`),
  ]
}

/** Pages of 500 records from an API on loopback. */
function overHttp({ api, bizon, folder, file, records }: Places, port: number, name: string): Candidate[] {
  const stem = `api-${port}`
  const out = (by: string): string => `${folder}/${stem}-${by}.json`
  const pages = Array.from({ length: Math.ceil(records / PAGE_RECORDS) }, (_, at) => at + 1)
  const urls = pages.map((page) => `url="http://127.0.0.1:${port}/items?page=${page}"\noutput="/dev/null"\n`)
  const endpoint = {
    path: 'items',
    records: 'items',
    id: 'id',
    pagination: { type: 'cursor', cursor: 'next', param: 'page' },
  }
  const pipeline = {
    name: stem,
    source: { name: 'rest', stream: 'items', base_url: `http://127.0.0.1:${port}`, endpoints: { items: endpoint } },
    destination: { name: 'file', config: { destination_id: `${folder}/${stem}-bizon`, metadata: 'none' } },
  }
  const node = process.execPath
  return [
    ...(found('curl', '--version')
      ? [
          {
            name: `${name}: curl, thrown away`,
            argv: ['curl', '-s', '-K', file(`${stem}.urls`, urls.join(''))],
            moves: 'ndjson' as const,
            reshapes: true,
          },
        ]
      : []),
    {
      name: `${name}: node, parse and print`,
      argv: [node, api.script, 'read', String(port), out('node')],
      output: out('node'),
      moves: 'ndjson',
    },
    {
      name: `${name}: bizon → NDJSON`,
      argv: [node, bizon, 'run', file(`${stem}.yml`, JSON.stringify(pipeline)), '--quiet'],
      output: out('bizon'),
      moves: 'ndjson',
    },
  ]
}

/** Other programs at the same work, where they are installed. */
function peers({ input: { ndjson, csv }, folder, file }: Places): Candidate[] {
  const out = (name: string): string => `${folder}/${name}.jsonl`
  const both = (name: string, argv: (from: string, to: string) => readonly string[]): Candidate[] => [
    {
      name: `${name} NDJSON → NDJSON`,
      argv: argv(ndjson, out(`${name}-1`)),
      output: out(`${name}-1`),
      moves: 'ndjson',
    },
    { name: `${name} CSV → NDJSON`, argv: argv(csv, out(`${name}-2`)), output: out(`${name}-2`), moves: 'csv' },
  ]
  const python = (text: string) => (from: string, to: string) => ['python3', '-c', text, from, to]
  const faucet = (from: string, to: string): readonly string[] => [
    'faucet',
    'run',
    file(`${to.slice(folder.length + 1)}.yaml`, faucetConfig(from, to)),
  ]
  const sling = (from: string, to: string): readonly string[] => [
    'sling',
    'run',
    '--src-stream',
    `file://${from}`,
    '--tgt-object',
    `file://${to}`,
    '--tgt-options',
    '{format: jsonlines}',
  ]
  return [
    ...(found('duckdb', '--version') ? both('duckdb', (from, to) => ['duckdb', '-c', duckdb(from, to)]) : []),
    ...(found('python3', '-c', 'import duckdb') ? both('duckdb (python)', python(DUCKDB)) : []),
    ...(found('python3', '-c', 'import polars') ? both('polars', python(POLARS)) : []),
    ...(found('python3', '-c', 'import dlt') ? both('dlt', python(DLT)) : []),
    ...(found('sling', '--version') ? both('sling', sling) : []),
    ...(found('faucet', '--version') ? both('faucet', faucet) : []),
  ]
}

function found(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const COPY = `const { createReadStream, createWriteStream } = require('fs')
const [from, to] = process.argv.slice(1)
createReadStream(from, { highWaterMark: 1 << 20 }).pipe(createWriteStream(to, { highWaterMark: 1 << 20 }))`

const PARSE = `const { createReadStream, createWriteStream } = require('fs')
const [from, to] = process.argv.slice(1)
const lines = require('readline').createInterface({ input: createReadStream(from, { highWaterMark: 1 << 20 }) })
const out = createWriteStream(to, { highWaterMark: 1 << 20 })
;(async () => {
  let batch = ''
  for await (const line of lines) {
    batch += JSON.stringify(JSON.parse(line)) + '\\n'
    if (batch.length < 1 << 20) continue
    if (!out.write(batch)) await new Promise((resolve) => out.once('drain', resolve))
    batch = ''
  }
  out.end(batch)
})()`

const duckdb = (from: string, to: string): string =>
  `COPY (SELECT * FROM ${from.endsWith('.csv') ? 'read_csv' : 'read_json'}('${from}')) TO '${to}' (FORMAT json)`

const DUCKDB = `import sys, duckdb
source, target = sys.argv[1:]
read = 'read_csv' if source.endswith('.csv') else 'read_json'
duckdb.sql(f"COPY (SELECT * FROM {read}('{source}')) TO '{target}' (FORMAT json)")`

const POLARS = `import sys, polars
source, target = sys.argv[1:]
(polars.scan_csv if source.endswith('.csv') else polars.scan_ndjson)(source).sink_ndjson(target)`

const DLT = `import sys, json, csv, os, dlt
source, target = sys.argv[1:]
def rows():
    with open(source) as lines:
        yield from (csv.DictReader(lines) if source.endswith('.csv') else map(json.loads, lines))
os.environ['DATA_WRITER__DISABLE_COMPRESSION'] = 'true'
pipeline = dlt.pipeline('bench', pipelines_dir=target + '.dlt', dataset_name='bench',
    destination=dlt.destinations.filesystem(bucket_url='file://' + target + '.out'))
pipeline.run(rows(), table_name='records', loader_file_format='jsonl')`

const faucetConfig = (from: string, to: string): string =>
  `version: 1
name: bench
pipeline:
  source: { type: file, config: { path: ${from} } }
  sink: { type: file, config: { path: ${to} } }
`
