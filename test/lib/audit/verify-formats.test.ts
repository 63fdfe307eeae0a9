// `bizon verify` on CSV and Parquet: what another program (DuckDB) changed in the published files is found, row by row.

import { mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FileReader } from '../../../connectors/destinations/file/reader.ts'
import type { FileOptions } from '../../../connectors/destinations/file.ts'
import { verify } from '../../../lib/audit/verify.ts'
import { runPipeline } from '../../../lib/commands.ts'
import { loadConfig, type PipelineConfig } from '../../../lib/config.ts'
import { never } from '../../../lib/wait.ts'
import { line } from '../../crash/scenario.ts'
import { duckdb } from '../../support/duckdb.ts'

const ROWS = 2500

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-verify-formats-'))
  const lines = Array.from({ length: ROWS }, (_, at) => `${line(at)}\n`)
  await writeFile(join(folder, 'source.ndjson'), lines.join(''))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function loaded(name: string, destination: object): Promise<PipelineConfig> {
  const config = (await loadConfig(
    {
      name,
      verify: true,
      source: {
        name: 'file',
        stream: 'records',
        sync_mode: 'full_refresh',
        path: join(folder, 'source.ndjson'),
        id_field: 'id',
        page_bytes: 100_000,
      },
      destination: { name: 'file', config: { destination_id: join(folder, name), buffer_size: 0, ...destination } },
      engine: { backend: { type: 'sqlite', config: { database: join(folder, 'state') } } },
    } as Record<string, unknown>,
    ['source', 'destination'],
  )) as PipelineConfig
  expect((await runPipeline(config)).status).toBe('complete')
  return config
}

async function findings(config: PipelineConfig): Promise<string[]> {
  const { differences } = await verify(config)
  return differences.map(({ kind, rows, range }) => `${kind} ${rows ?? `within ${range}`}`)
}

/** Each format as DuckDB reads and writes it. `files`: what a program that edits it puts in the place of which. */
const FORMATS = {
  csv: {
    read: (path: string) => `read_csv('${path}', header = true, all_varchar = true, quote = '"', escape = '"')`,
    as: 'FORMAT csv, HEADER, FORCE_QUOTE (source_data)',
    files: async (): Promise<string[]> => [join(folder, 'csv.csv')],
  },
  parquet: {
    read: (path: string) => `read_parquet('${path}', file_row_number = false)`,
    as: 'FORMAT parquet, ROW_GROUP_SIZE 2048',
    files: async (): Promise<string[]> => {
      const current = join(folder, 'parquet', 'current')
      return (await readdir(current)).filter((name) => name.endsWith('.parquet')).map((name) => join(current, name))
    },
  },
} as const

const dataOf = (id: string): string => `(SELECT source_data FROM was WHERE source_record_id = '${id}')`
const otherData = (when: string): string =>
  `SELECT * REPLACE (CASE source_record_id ${when} ELSE source_data END AS source_data) FROM was`

const CHANGES: [string, string, string[]][] = [
  ['nothing, written anew by another program', 'FROM was', []],
  ['the order of the rows', 'FROM was ORDER BY bizon_id DESC', []],
  ['a byte', otherData(`WHEN 'a1700' THEN replace(source_data, '1700.10', '1700.11')`), ['changed 1701']],
  ['a row that is missing', `FROM was WHERE source_record_id <> 'a2000'`, ['missing 2001']],
  ['a row that is there twice', `FROM was UNION ALL FROM was WHERE source_record_id = 'a900'`, ['doubled 901']],
  [
    'two values that are swapped',
    otherData(`WHEN 'a100' THEN ${dataOf('a200')} WHEN 'a200' THEN ${dataOf('a100')}`),
    ['exchanged 101,201'],
  ],
  ['a value that is no JSON', otherData(`WHEN 'a3' THEN '{'`), ['changed 4']],
  ['everything gone', 'FROM was LIMIT 0', expect.arrayContaining([expect.stringMatching(/^missing within 1,\d+$/)])],
]

describe.each(['csv', 'parquet'] as const)('%s', (format) => {
  const { read, as, files } = FORMATS[format]
  let config: PipelineConfig
  beforeAll(async () => {
    config = await loaded(format, { format })
  })

  test('as it was loaded', async () => {
    expect(await verify(config)).toMatchObject({ rows: ROWS, differences: [], compared: 'records' })
  })

  test.each(CHANGES)('%s', async (_, sql, expected) => {
    const originals = await files()
    const [first = '', ...others] = originals
    for (const path of originals) await rename(path, `${path}.was`)
    const was = read(`${format === 'csv' ? first : join(folder, 'parquet', 'current', '*.parquet')}.was`)
    await duckdb(`COPY (WITH was AS (FROM ${was}) ${sql}) TO '${first}' (${as})`)
    try {
      expect(await findings(config)).toEqual(expected)
    } finally {
      for (const path of [first, ...others]) await rename(`${path}.was`, path)
    }
  })

  test('a bit of the payloads on the disk, and a file that is cut', async () => {
    const [path = ''] = await files()
    const good = await readFile(path)
    for (const at of [0.45, 0.5, 0.55, 0.6]) {
      const bad = Buffer.from(good)
      const middle = Math.floor(good.length * at)
      const place = format === 'csv' ? good.indexOf('price', middle) : middle
      bad[place] = (bad[place] as number) ^ 0x04
      await writeFile(path, bad)
      const told = await findings(config).catch((error: { code: string }) => [error.code])
      expect(told, `${format}: byte ${place}`).not.toEqual([])
    }
    await writeFile(path, good.subarray(0, good.length - 5))
    const told = await findings(config).catch((error: { code: string }) => [error.code])
    expect(told).toEqual(
      format === 'csv' ? [expect.stringMatching(/^missing/), 'unknown within undefined'] : ['edited'],
    )
    await writeFile(path, good)
  })
})

describe('columns of their own', () => {
  const columns = ['id', 'price', 'big', 'zero', 'text', 'nested', 'pad'].map((name) => ({
    name,
    type: name === 'nested' ? 'JSON' : 'STRING',
  }))

  test.each(['csv', 'parquet'] as const)('%s: rows are counted', async (format) => {
    const name = `${format}-columns`
    const schemas = [{ destination_id: join(folder, name), record_schema: columns }]
    const config = await loaded(name, { format, unnest: true, record_schemas: schemas })
    const { countsOnly, rows, differences } = await verify(config)
    expect({ countsOnly, rows, differences }).toEqual({
      countsOnly: expect.stringContaining('with unnest: true'),
      rows: ROWS,
      differences: [],
    })
  })
})

test('cells of CSV: what is quoted, empty, null, over several lines, and no row at all', async () => {
  const path = join(folder, 'cells')
  const text = 'a,b\n1,\n"x ""y"", z",""\n"two\nlines",é\r\n"open" no,2\nthree,cells,here\nlast,"no end of line"'
  await writeFile(`${path}.csv`, text)
  const options = { format: 'csv', metadata: 'none', unnest: true, destinationId: path, recordSchemas: [] }
  const rows: unknown[] = []
  for await (const some of new FileReader(options as unknown as FileOptions).read(path, never)) {
    rows.push(...some.map(({ data }) => data && JSON.parse(data.toString())))
  }
  expect(rows).toEqual([
    { a: '1', b: null },
    { a: 'x "y", z', b: '' },
    { a: 'two\nlines', b: 'é\r' },
    undefined,
    undefined,
    { a: 'last', b: 'no end of line' },
  ])
})

test('CSV in which a quote too many makes one row of all that follows: it is told where, and is not held', async () => {
  const path = join(folder, 'endless')
  await writeFile(`${path}.csv`, 'a,b\n1,2\n3,"4\n')
  await truncate(`${path}.csv`, 300 << 20)
  const options = { format: 'csv', metadata: 'none', unnest: true, destinationId: path, recordSchemas: [] }
  const reading = async (): Promise<void> => {
    for await (const _ of new FileReader(options as unknown as FileOptions).read(path, never));
  }
  await expect(reading()).rejects.toMatchObject({
    code: 'edited',
    message: expect.stringMatching(/endless\.csv is damaged: row 3 of it does not end within 256 MiB$/),
  })
})
