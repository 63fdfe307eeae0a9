// `metadata`: the columns beside a record, by the names of each program, in each destination; read back by another program. What
// relies on the id of a row finds it under every name, and rows of two kinds of columns are not mixed.

import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { ParquetDestination } from '../../../connectors/destinations/file/parquet.ts'
import { FileDestination, type FileOptions } from '../../../connectors/destinations/file.ts'
import { METADATA, type Metadata } from '../../../connectors/destinations/naming.ts'
import { verify } from '../../../lib/audit/verify.ts'
import { runPipeline } from '../../../lib/commands.ts'
import { loadConfig, type PipelineConfig } from '../../../lib/config.ts'
import type { Destination, DestinationOptions } from '../../../lib/destination.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { duckdb } from '../../support/duckdb.ts'
import { load, never, runOf } from '../../support/load.ts'
import { psql } from '../../support/services/postgres.ts'
import { sqlite3 } from '../../support/sqlite-destination.ts'
import { TableGround } from '../../support/table-ground.ts'

const ground = await TableGround.make()

interface Options extends Pick<DestinationOptions, 'unnest'> {
  readonly metadata: Metadata
  readonly primary_key?: string[]
}

type Row = Record<string, unknown>

interface Target {
  create(mode: SyncMode, options: Options): Destination
  /** In the order of their ids. */
  rows(): Promise<Row[]>
  /** Whether JSON is kept as such; else as its text. */
  readonly json: boolean
}

const columns = [
  { name: 'n', type: 'integer' },
  { name: 't', type: 'string' },
]
const schemas = (destinationId: string): Pick<DestinationOptions, 'recordSchemas'> => ({
  recordSchemas: [{ destinationId, columns }],
})

const file = (format: FileOptions['format']): Target['create'] => {
  return (mode, { metadata, unnest }) => {
    const destinationId = join(ground.folder, 'main')
    const options = { format, metadata, unnest, destinationId, ...schemas(destinationId) } as FileOptions
    const whole: FileOptions = { ...options, durability: 'process', visibility: 'run', on_empty: 'publish' }
    return format === 'parquet'
      ? new ParquetDestination(whole, { stream: 'main' })
      : new FileDestination(whole, { stream: 'main', mode })
  }
}

const targets: { readonly [name: string]: Target } = {
  postgres: {
    create: (mode, options) => ground.postgres(mode, { ...options, ...schemas('main') }),
    rows: async () =>
      JSON.parse(
        await psql(
          ground.url,
          `SELECT coalesce(json_agg(to_jsonb(main.*) ORDER BY to_jsonb(main.*)::text), '[]') FROM ${ground.schema}.main`,
        ),
      ),
    json: true,
  },
  sqlite: {
    create: (mode, options) => ground.sqlite(mode, { ...options, ...schemas('main') }),
    rows: async () => JSON.parse((await sqlite3(ground.file, 'SELECT * FROM main ORDER BY rowid', '-json')) || '[]'),
    json: false,
  },
  ndjson: {
    create: file('json'),
    async rows() {
      const { stdout } = await promisify(execFile)('jq', ['-cs', '.', join(ground.folder, 'main.json')])
      return JSON.parse(stdout)
    },
    json: true,
  },
  csv: {
    create: file('csv'),
    rows: () => duckdb(`SELECT * FROM read_csv('${join(ground.folder, 'main.csv')}', all_varchar = true)`),
    json: false,
  },
  parquet: {
    create: file('parquet'),
    rows: () => duckdb(`SELECT * FROM read_parquet('${join(ground.folder, 'main/current/*.parquet')}')`),
    json: false,
  },
}

const record = (n: number): SourceRecord => ({
  id: `r${n}`,
  data: RawJson.from(`{"n":${n},\n"t":"a\\"é"}`),
  timestamp: '2024-12-05T12:00:00.5Z',
})
const RUN = 'run "é"\t1'
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => record(from + at))

const instant = expect.stringMatching(/^20\d\d-\d\d-\d\d[ T]/)
const epoch = expect.stringMatching(/^1970-01-01[ T]/)
const id = (n: number) => expect.stringMatching(new RegExp(`^[0-9a-f]{16}0{15}${n}$`))

/** What the programs themselves write, as their documentation has it. */
const BESIDE: { readonly [metadata in Metadata]: { whole?: (n: number) => Row; unnested: (n: number) => Row } } = {
  none: { whole: () => ({}), unnested: () => ({}) },
  bizon: {
    whole: (n) => ({
      bizon_id: id(n),
      bizon_extracted_at: epoch,
      bizon_loaded_at: instant,
      source_record_id: `r${n}`,
      source_timestamp: expect.stringMatching(/^2024-12-05[ T]12:00:00.5/),
    }),
    unnested: (n) => BESIDE.bizon.whole?.(n) as Row,
  },
  airbyte: {
    whole: (n) => ({ ...BESIDE.airbyte.unnested(n), _airbyte_loaded_at: instant }),
    unnested: (n) => ({
      _airbyte_raw_id: id(n),
      _airbyte_extracted_at: epoch,
      _airbyte_meta: { changes: [] },
      _airbyte_generation_id: 0,
    }),
  },
  dlt: { unnested: (n) => ({ _dlt_id: id(n), _dlt_load_id: RUN }) },
}

function expectedRow(name: string, n: number, { metadata, unnest }: Options): Row {
  const isFile = ['ndjson', 'csv', 'parquet'].includes(name)
  const { whole, unnested } = BESIDE[metadata]
  const beside = !unnest ? whole?.(n) : isFile && metadata === 'bizon' ? {} : unnested(n)
  const row: Row = { ...beside }
  if (unnest) Object.assign(row, { n, t: 'a"é' })
  else if (name === 'ndjson' && metadata === 'none') Object.assign(row, { n, t: 'a"é' })
  else {
    const payload = metadata === 'airbyte' ? '_airbyte_data' : 'source_data'
    const text = expect.stringMatching(new RegExp(`^\\{"n":${n},\\s"t":"a\\\\"é"\\}$`))
    const isJson = name === 'postgres' || (name === 'ndjson' && metadata === 'airbyte')
    row[payload] = isJson ? { n, t: 'a"é' } : text
  }
  if (!targets[name]?.json && '_airbyte_meta' in row) row._airbyte_meta = '{"changes":[]}'
  // All is text in CSV, and DuckDB shows 64 bits as text.
  const numbers = name === 'csv' || name === 'parquet' ? ['n', '_airbyte_generation_id'] : []
  for (const column of numbers) if (column in row) row[column] = String(row[column])
  return row
}

/** Those of `bizon` and `none` are looked at where each destination's rows are. */
const cases = Object.keys(targets).flatMap((name) => [
  [name, 'airbyte', false] as const,
  [name, 'airbyte', true] as const,
  [name, 'dlt', true] as const,
])

test.each(cases)(
  '%s, metadata %s, unnest %s: the columns, and a second run below the first',
  async (name, metadata, unnest) => {
    const target = targets[name] as Target
    const options = { metadata, unnest }
    await load(target.create('full_refresh', options), runOf(RUN, 'full_refresh', 1), [
      { records: numbered(0, 2), next: null },
    ])
    expect(await target.rows()).toEqual([expectedRow(name, 0, options), expectedRow(name, 1, options)])
    await load(target.create('incremental', options), runOf('second', 'incremental', 2), [
      { records: numbered(2, 3), next: null },
    ])
    const rows = await target.rows()
    expect(rows.map((row) => Object.keys(row).sort())).toEqual(
      rows.map(() => Object.keys(expectedRow(name, 0, options)).sort()),
    )
    expect(rows).toHaveLength(3)
  },
)

test.each(Object.keys(targets))('%s: dlt has no column for a payload whole', (name) => {
  expect(() => targets[name]?.create('full_refresh', { metadata: 'dlt', unnest: false })).toThrow(
    /metadata: dlt has no column for a record's payload/,
  )
})

test.each(Object.keys(targets))('%s: a column of the record may not be called like one of them', async (name) => {
  const options = { metadata: 'dlt', unnest: true } as const
  columns.push({ name: '_dlt_id', type: 'string' })
  try {
    const destination = () => targets[name]?.create('full_refresh', options)
    await expect(async () => {
      const made = destination() as Destination
      await load(made, runOf('run', 'full_refresh', 1), [{ records: numbered(0, 1), next: null }])
    }).rejects.toThrow(/two columns named _dlt_id/)
  } finally {
    columns.pop()
  }
})

describe.each(Object.keys(targets))('%s: rows of one metadata are not put below those of another', (name) => {
  const target = targets[name] as Target
  test.each<[Metadata, Metadata, boolean]>([
    ['bizon', 'airbyte', false],
    ['airbyte', 'dlt', true],
  ])('%s, then %s, unnest %s', async (before, after, unnest) => {
    const pages = [{ records: numbered(0, 2), next: null }]
    await load(target.create('full_refresh', { metadata: before, unnest }), runOf('first', 'full_refresh', 1), pages)
    const there = await target.rows()
    const more = target.create('incremental', { metadata: after, unnest })
    await expect(load(more, runOf('second', 'incremental', 2), pages)).rejects.toMatchObject({
      message: expect.stringMatching(/other columns|has the columns of metadata/),
      hint: expect.stringContaining('destination_id'),
    })
    expect(await target.rows()).toEqual(there)
    const tried = target.create('incremental', { metadata: after, unnest })
    // Those of CSV and Parquet are looked at when a run begins.
    if (name !== 'csv' && name !== 'parquet') {
      await expect(tried.check?.(never)).rejects.toThrow(/has the columns of metadata/)
    }
    await tried.close()
    // A full refresh may: nothing of the others stays but, in a table, their columns.
    await load(target.create('full_refresh', { metadata: after, unnest }), runOf('third', 'full_refresh', 3), pages)
    const rows = await target.rows()
    expect(rows).toEqual(
      [0, 1].map((n) => expect.objectContaining(withoutRun(expectedRow(name, n, { metadata: after, unnest })))),
    )
    await load(target.create('incremental', { metadata: after, unnest }), runOf('fourth', 'incremental', 4), pages)
    expect(await target.rows()).toHaveLength(4)
  })
})

function withoutRun({ _dlt_load_id: _, ...row }: Row): Row {
  return row
}

describe.each(['postgres', 'sqlite'])('%s', (name) => {
  const target = targets[name] as Target

  test.each<[Metadata, boolean]>([
    ['airbyte', false],
    ['airbyte', true],
    ['dlt', true],
  ])('an append of a run that was given up is taken back by its ids: %s, unnest %s', async (metadata, unnest) => {
    const options = { metadata, unnest }
    const page = (from: number, to: number) => [{ records: numbered(from, to), next: null }]
    await load(target.create('incremental', options), runOf('first', 'incremental', 1, true), page(0, 2))
    await load(
      target.create('incremental', options),
      { ...runOf('lost', 'incremental', 2), previous: 'first' },
      page(2, 4),
    )
    expect(await target.rows()).toHaveLength(4)
    await load(
      target.create('incremental', options),
      { ...runOf('third', 'incremental', 3), previous: 'first' },
      page(2, 5),
    )
    expect(await target.rows()).toHaveLength(5)
  })

  test.each<[Metadata, boolean]>([
    ['airbyte', false],
    ['airbyte', true],
    ['dlt', true],
  ])('rows are merged by key: %s, unnest %s', async (metadata, unnest) => {
    const options = { metadata, unnest, primary_key: ['n'] }
    const page = (from: number, to: number) => [{ records: numbered(from, to), next: null }]
    await load(target.create('incremental', options), runOf('first', 'incremental', 1, true), page(0, 3))
    await load(target.create('incremental', options), runOf('second', 'incremental', 2), page(1, 5))
    await load(target.create('stream', options), runOf('third', 'stream', 3), page(4, 6))
    expect(await target.rows()).toHaveLength(6)
  })
})

describe('bizon verify', () => {
  const ROWS = 1500
  const line = (n: number): string => `{"n":${n},"t":"text ${n}"}\n`

  async function loaded(name: 'file' | 'sqlite' | 'postgres', metadata: Metadata, unnest: boolean) {
    const source = join(ground.folder, 'source.ndjson')
    await writeFile(source, Array.from({ length: ROWS }, (_, n) => line(n)).join(''))
    const out = name === 'file' ? join(ground.folder, 'main') : 'main'
    const place = {
      file: { record_schema: undefined },
      sqlite: { path: ground.file },
      postgres: { url: ground.url, sslmode: 'disable', schema: ground.schema, create_schema: true },
    }[name]
    const given = {
      name: 'named',
      verify: true,
      source: { name: 'file', stream: 'records', sync_mode: 'full_refresh', path: source, id_field: 'n' },
      destination: {
        name,
        config: {
          ...(name === 'file' ? {} : place),
          destination_id: out,
          metadata,
          ...(unnest && { unnest, record_schemas: [{ destination_id: out, record_schema: columns }] }),
        },
      },
      engine: {
        backend: { type: 'sqlite', config: { database: join(ground.folder, 'state'), syncCursorInDBEvery: 3 } },
      },
    }
    const config = (await loadConfig(given as Record<string, unknown>, ['source', 'destination'])) as PipelineConfig
    expect((await runPipeline(config)).status).toBe('complete')
    return config
  }

  const kinds = async (config: PipelineConfig): Promise<string[]> =>
    (await verify(config)).differences.map(({ kind, rows }) => `${kind} ${rows}`)

  test.each<[Metadata, boolean]>([
    ['airbyte', false],
    ['airbyte', true],
    ['dlt', true],
  ])('NDJSON, %s, unnest %s: rows by their ids', async (metadata, unnest) => {
    const config = await loaded('file', metadata, unnest)
    expect(await kinds(config)).toEqual([])
    const path = join(ground.folder, 'main.json')
    const lines = (await readFile(path, 'utf8')).split('\n')
    lines[700] = (lines[700] as string).replace('text 700', 'text 701')
    lines.splice(10, 1)
    lines.push(lines[1200] as string)
    await writeFile(
      path,
      lines
        .filter((text) => text !== '')
        .map((text) => `${text}\n`)
        .join(''),
    )
    expect(await kinds(config)).toEqual(['missing 11', 'doubled 1202'])
    expect((await verify(config)).compared).toBe('payloads')
  })

  test('tables of airbyte: values by their ids', async () => {
    const config = await loaded('postgres', 'airbyte', false)
    expect(await kinds(config)).toEqual([])
    await psql(ground.url, `UPDATE ${ground.schema}.main SET _airbyte_data = '{}' WHERE _airbyte_data ->> 'n' = '700'`)
    expect(await kinds(config)).toEqual(['changed 701'])
    const other = await loaded('sqlite', 'airbyte', false)
    await sqlite3(ground.file, "DELETE FROM main WHERE _airbyte_data ->> '$.n' = 3")
    expect(await kinds(other)).toEqual(['missing 4'])
  })

  test('columns of dlt: rows are counted by their ids', async () => {
    const config = await loaded('postgres', 'dlt', true)
    expect(await kinds(config)).toEqual([])
    const main = `${ground.schema}.main`
    await psql(ground.url, `DELETE FROM ${main} WHERE n = 3; INSERT INTO ${main} SELECT * FROM ${main} WHERE n = 5`)
    expect((await verify(config)).rows).toBe(ROWS)
    expect(await kinds(config)).toEqual(['doubled 6', 'missing 4'])
    await psql(ground.url, `DELETE FROM ${main} WHERE n = 7`)
    expect(await kinds(config)).toEqual(['doubled 6', 'missing 4,8'])
  })
})

test('docs/metadata.md names every column', async () => {
  const text = await readFile(new URL('../../../docs/metadata.md', import.meta.url), 'utf8')
  for (const metadata of METADATA) {
    const { whole, unnested } = BESIDE[metadata]
    for (const name of [...Object.keys(whole?.(0) ?? {}), ...Object.keys(unnested(0))])
      expect(text).toContain(`\`${name}\``)
  }
})
