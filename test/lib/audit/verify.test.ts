// What `bizon verify` finds: each way in which published rows can be other than they were loaded, in files with and without
// the six columns and in a table, and what it refuses to judge.

import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Verified } from '../../../lib/audit/verify.ts'
import { verify } from '../../../lib/audit/verify.ts'
import { checkPipeline, runPipeline } from '../../../lib/commands.ts'
import { loadConfig, type PipelineConfig } from '../../../lib/config.ts'
import { silentLog } from '../../../lib/log.ts'
import { line } from '../../crash/scenario.ts'
import { dropDatabase, freshDatabase, psql, type TestDatabase } from '../../support/services/postgres.ts'
import { sqlite3 } from '../../support/sqlite-destination.ts'

const ROWS = 2500
const source = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, at) => `${line(from + at)}\n`).join('')

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-verify-'))
  await writeFile(join(folder, 'source.ndjson'), source(0, ROWS))
  return () => rm(folder, { recursive: true, force: true })
})

interface Given {
  readonly mode?: 'full_refresh' | 'incremental' | 'stream'
  readonly destination?: object
  readonly name?: string
  readonly verify?: boolean
  readonly source?: object
}

async function configOf({
  mode = 'full_refresh',
  destination,
  name = 'file',
  verify: on = true,
  source: more,
}: Given = {}) {
  return (await loadConfig(
    {
      name: 'verified',
      verify: on,
      source: {
        name: 'file',
        stream: 'records',
        sync_mode: mode,
        path: join(folder, 'source.ndjson'),
        id_field: 'id',
        page_bytes: 100_000,
        ...more,
      },
      destination: { name, config: { destination_id: join(folder, 'out'), buffer_size: 0, ...destination } },
      engine: { backend: { type: 'sqlite', config: { database: join(folder, 'state'), syncCursorInDBEvery: 3 } } },
    } as Record<string, unknown>,
    ['source', 'destination'],
  )) as PipelineConfig
}

async function loaded(given: Given = {}): Promise<PipelineConfig> {
  const config = await configOf(given)
  expect((await runPipeline(config)).status).toBe('complete')
  return config
}

const TEXTS = ['id', 'price', 'big', 'zero', 'text', 'nested', 'pad'].map((name) => ({ name, type: 'STRING' }))

const kindsOf = ({ differences }: Verified): string[] =>
  differences.map(({ kind, rows, range }) => `${kind} ${rows ?? `within ${range}`}`)

type Change = (lines: string[]) => unknown
const swapData: Change = (lines) => {
  const rows = [lines[100], lines[200]].map((text) => JSON.parse(text as string))
  ;[rows[0].source_data, rows[1].source_data] = [rows[1].source_data, rows[0].source_data]
  lines[100] = JSON.stringify(rows[0])
  lines[200] = JSON.stringify(rows[1])
}
const byte: Change = (lines) => {
  lines[1700] = (lines[1700] as string).replace('1700.10', '1700.11')
}
const missing: Change = (lines) => lines.splice(2000, 1)
const doubled: Change = (lines) => lines.splice(10, 0, lines[900] as string)
const swapped: Change = (lines) => lines.splice(200, 1, lines.splice(100, 1, lines[200] as string)[0] as string)

async function edit(change: Change): Promise<void> {
  const path = join(folder, 'out.json')
  const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1)
  change(lines)
  await writeFile(path, lines.map((text) => `${text}\n`).join(''))
}

describe('a file with six columns', () => {
  test.each<[string, Change, string[]]>([
    ['nothing', () => {}, []],
    ['the order of the rows', (lines) => lines.reverse(), []],
    ['the spelling of a value', (lines) => lines.splice(3, 1, (lines[3] as string).replace('3.10,', '3.1000, ')), []],
    ['a byte', byte, ['changed 1701']],
    [
      'a byte of an id',
      (lines) => lines.splice(5, 1, (lines[5] as string).replace('record_id":"a5', 'record_id":"a6')),
      ['changed 6'],
    ],
    ['two values that are swapped', swapData, ['exchanged 101,201']],
    ['a row that is missing', missing, ['missing 2001']],
    ['a row that is there twice', doubled, ['doubled 901']],
    [
      'a row that is cut',
      (lines) => lines.splice(7, 1, (lines[7] as string).slice(0, -3)),
      ['missing 8', 'unknown within undefined'],
    ],
    [
      'two bytes, far from each other',
      (lines) => {
        byte(lines)
        lines.splice(2, 1, (lines[2] as string).replace('2.10', '2.90'))
      },
      ['changed 3', 'changed 1701'],
    ],
    [
      'rows of another program',
      (lines) => lines.push('{"source_record_id":"x","source_data":"{}"}'),
      ['unknown within undefined'],
    ],
    [
      'everything gone',
      (lines) => lines.splice(0),
      expect.arrayContaining([expect.stringMatching(/^missing within 1,\d+$/)]),
    ],
  ])('%s', async (_, change, expected) => {
    const config = await loaded()
    await edit(change)
    const found = await verify(config)
    expect(kindsOf(found)).toEqual(expected)
    expect(found.compared).toBe('records')
  })
})

describe('a file of the payloads alone', () => {
  test.each<[string, Change, string[]]>([
    ['nothing', () => {}, []],
    ['a byte', byte, ['changed 1701']],
    ['two rows that are swapped', swapped, ['exchanged 101,201']],
    ['a row that is missing', missing, [expect.stringMatching(/^missing within 1\d\d\d,2\d\d\d$/)]],
    ['a row that is there twice', doubled, [expect.stringMatching(/^surplus within 1,\d+$/)]],
    ['rows of another program behind them', (lines) => lines.push('{}'), ['unknown within undefined']],
  ])('%s', async (_, change, expected) => {
    const config = await loaded({ destination: { metadata: 'none' } })
    await edit(change)
    expect(kindsOf(await verify(config))).toEqual(expected)
  })
})

describe('a table in PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await freshDatabase()
  })
  afterAll(() => dropDatabase(database))

  test.each([
    ['nothing, though jsonb spells values in its own way', 'SELECT 1', []],
    [
      'a value',
      `UPDATE t SET source_data = jsonb_set(source_data, '{price}', '1700.11') WHERE source_record_id = 'a1700'`,
      ['changed 1701'],
    ],
    [
      'two values that are swapped',
      `UPDATE t SET source_data = o.source_data FROM t AS o WHERE (t.source_record_id, o.source_record_id) IN (('a100', 'a200'), ('a200', 'a100'))`,
      ['exchanged 101,201'],
    ],
    ['a row that is missing', `DELETE FROM t WHERE source_record_id = 'a2000'`, ['missing 2001']],
    ['a row that is there twice', `INSERT INTO t SELECT * FROM t WHERE source_record_id = 'a900'`, ['doubled 901']],
  ])('%s', async (_, sql, expected) => {
    const destination = { url: database.url, destination_id: 't' }
    const config = await loaded({ name: 'postgres', destination })
    await psql(database.url, sql)
    expect(kindsOf(await verify(config))).toEqual(expected)
    await psql(database.url, 'DROP TABLE t, _bizon_state')
  })

  test('rows that are merged, and values that have types of columns, are not judged', async () => {
    const merging = { url: database.url, destination_id: 'm', primary_key: ['id'] }
    const config = await loaded({ name: 'postgres', destination: merging, mode: 'incremental' })
    await expect(verify(config)).rejects.toThrow('cannot verify: rows are merged by primary_key')
    const columns = ['id', 'price', 'big', 'zero', 'text', 'nested', 'pad'].map((name) => ({
      name,
      type: name === 'nested' ? 'JSON' : 'STRING',
    }))
    const typed = {
      url: database.url,
      destination_id: 'u',
      unnest: true,
      record_schemas: [{ destination_id: 'u', record_schema: columns }],
    }
    await rm(join(folder, 'state.sqlite3'))
    const { countsOnly, rows, differences } = await verify(await loaded({ name: 'postgres', destination: typed }))
    expect({ countsOnly, rows, differences }).toEqual({
      countsOnly: expect.stringContaining('types of their columns'),
      rows: ROWS,
      differences: [],
    })
  })
})

describe('a table in SQLite', () => {
  const path = (): string => join(folder, 'data.sqlite3')

  test.each<[string, string, string[]]>([
    ['nothing', 'SELECT 1', []],
    [
      'a value',
      `UPDATE t SET source_data = replace(source_data, '1700.10', '1700.11') WHERE source_record_id = 'a1700'`,
      ['changed 1701'],
    ],
    [
      'two values that are swapped',
      `UPDATE t SET source_data = o.source_data FROM t AS o WHERE (t.source_record_id, o.source_record_id) IN (VALUES ('a100', 'a200'), ('a200', 'a100'))`,
      ['exchanged 101,201'],
    ],
    ['a value that is no JSON', `UPDATE t SET source_data = '{' WHERE source_record_id = 'a3'`, ['changed 4']],
    ['a row that is missing', `DELETE FROM t WHERE source_record_id = 'a2000'`, ['missing 2001']],
    ['a row that is there twice', `INSERT INTO t SELECT * FROM t WHERE source_record_id = 'a900'`, ['doubled 901']],
    ['everything gone', 'DROP TABLE t', expect.arrayContaining([expect.stringMatching(/^missing within 1,\d+$/)])],
  ])('%s', async (_, sql, expected) => {
    const config = await loaded({ name: 'sqlite', destination: { path: path(), destination_id: 't', buffer_size: 1 } })
    await sqlite3(path(), sql)
    const before = await readdir(folder)
    const found = await verify(config)
    expect(kindsOf(found)).toEqual(expected)
    expect(found.compared).toBe('records')
    expect(await readdir(folder)).toEqual(before)
  })

  test('without ids; merged, and with types, it is not judged', async () => {
    const plain = { path: path(), destination_id: 'p', metadata: 'none' }
    const config = await loaded({ name: 'sqlite', destination: plain })
    expect(await verify(config)).toMatchObject({ rows: ROWS, differences: [], compared: 'payloads' })
    await sqlite3(path(), `UPDATE p SET source_data = replace(source_data, '1700.10', '1700.11')`)
    expect(kindsOf(await verify(config))).toEqual([`differs within 1,${ROWS}`])
    const merging = { path: path(), destination_id: 'm', primary_key: ['id'] }
    await rm(join(folder, 'state.sqlite3'))
    const merged = await loaded({ name: 'sqlite', destination: merging, mode: 'incremental' })
    await expect(verify(merged)).rejects.toThrow('cannot verify: rows are merged by primary_key')
  })
})

describe('without digests', () => {
  const missingAndDoubled: Change = (lines) => {
    doubled(lines)
    lines.splice(2001, 1)
  }

  test('a row that is missing does not make up for another one that is there twice', async () => {
    const config = await loaded({ verify: false })
    expect(await verify(config)).toMatchObject({ differences: [], compared: 'counts', blind: false })
    await edit(missingAndDoubled)
    const found = await verify(config)
    expect(found.rows).toBe(ROWS)
    expect(found.differences).toEqual([
      expect.objectContaining({ kind: 'doubled', rows: [901], records: ['a900'] }),
      expect.objectContaining({ kind: 'missing', rows: [2001] }),
    ])
  })

  test('of rows without ids it does, and that is told', async () => {
    const config = await loaded({ verify: false, destination: { metadata: 'none' } })
    await edit(missingAndDoubled)
    expect(await verify(config)).toMatchObject({ differences: [], rows: ROWS, compared: 'counts', blind: true })
  })

  test('of which hundreds are gone, they are counted', async () => {
    const config = await loaded({ verify: false })
    await edit((lines) => lines.splice(0, 300))
    expect(await verify(config)).toMatchObject({
      differences: [expect.objectContaining({ kind: 'missing', count: 300, range: [1, ROWS] })],
    })
  })

  test('in typed columns, too', async () => {
    const columns = ['id', 'price', 'big', 'zero', 'text', 'nested', 'pad'].map((name) => ({ name, type: 'STRING' }))
    const path = join(folder, 'typed.sqlite3')
    const schemas = [{ destination_id: 't', record_schema: columns }]
    const destination = { path, destination_id: 't', unnest: true, record_schemas: schemas }
    const config = await loaded({ name: 'sqlite', destination })
    expect(await verify(config)).toMatchObject({ differences: [], compared: 'counts', blind: false })
    await sqlite3(path, `UPDATE t SET bizon_id = (SELECT bizon_id FROM t WHERE id = 'a900') WHERE id = 'a1000'`)
    expect(kindsOf(await verify(config))).toEqual(['doubled 901', 'missing 1001'])
  })
})

describe('several runs', () => {
  test('what one added is told from what another did', async () => {
    await loaded({ mode: 'incremental' })
    await appendFile(join(folder, 'source.ndjson'), source(ROWS, ROWS + 40))
    const config = await loaded({ mode: 'incremental' })
    const found = await verify(config)
    expect(found).toMatchObject({ rows: ROWS + 40, differences: [], compared: 'records' })
    expect(found.runs).toHaveLength(2)
    await edit((lines) => lines.splice(ROWS + 20, 1))
    expect((await verify(config)).differences).toEqual([
      expect.objectContaining({ kind: 'missing', rows: [21], run: found.runs[1] }),
    ])
  })

  test.each<[string, object, boolean]>([
    ['columns that are found', { unnest: 'columns' }, true],
    ['columns that are named', { unnest: true, record_schemas: [{ destination_id: 't', record_schema: TEXTS }] }, true],
    ['payloads with digests', {}, true],
    ['payloads without digests', {}, false],
  ])('rows of a table without ids are of no run, only of all: %s', async (_, how, on) => {
    const path = join(folder, 'several.sqlite3')
    const destination = { path, destination_id: 't', metadata: 'none', ...how }
    const given = { name: 'sqlite', mode: 'incremental', destination, verify: on } as const
    await writeFile(join(folder, 'source.ndjson'), source(0, 1))
    await loaded(given)
    await appendFile(join(folder, 'source.ndjson'), source(1, 3))
    const config = await loaded(given)
    expect(await verify(config)).toMatchObject({ rows: 3, differences: [], blind: !on || 'unnest' in how })
    await sqlite3(path, 'INSERT INTO t SELECT * FROM t')
    const place = expect.stringContaining('several.sqlite3: t')
    expect((await verify(config)).differences).toEqual([{ place, kind: 'surplus', count: 3 }])
  })

  test('of which one kept no digests are counted, and so are those of another configuration', async () => {
    await loaded({ mode: 'incremental', verify: false })
    await appendFile(join(folder, 'source.ndjson'), source(ROWS, ROWS + 40))
    const config = await loaded({ mode: 'incremental' })
    expect(await verify(config)).toMatchObject({
      compared: 'counts',
      countsOnly: expect.stringContaining('kept no digests'),
      differences: [],
    })
    await edit((lines) => lines.splice(20, 1))
    expect(kindsOf(await verify(config))).toEqual(['missing 21'])
    // The run that has digests is compared all the same.
    await edit((lines) =>
      lines.splice(ROWS + 10, 1, (lines[ROWS + 10] as string).replace(/price\\":\d+/, 'price\\":1')),
    )
    expect(kindsOf(await verify(config))).toEqual(['missing 21', 'changed 12'])
  })

  test('a full refresh forgets the ones before it', async () => {
    await loaded()
    await writeFile(join(folder, 'source.ndjson'), source(0, 30))
    expect(await verify(await loaded())).toMatchObject({ rows: 30, differences: [] })
    await writeFile(join(folder, 'source.ndjson'), '')
    const config = await loaded()
    expect(await verify(config)).toMatchObject({ rows: 0, differences: [] })
    await writeFile(join(folder, 'out.json'), '{"bizon_id":"of another program"}\n')
    expect(kindsOf(await verify(config))).toEqual(['unknown within undefined'])
  })

  test('with on_empty: keep an empty one does not', async () => {
    const destination = { on_empty: 'keep' }
    await loaded({ destination })
    await writeFile(join(folder, 'source.ndjson'), '')
    expect(await verify(await loaded({ destination }))).toMatchObject({ rows: ROWS, differences: [] })
  })
})

test('a run that stopped is verified once it is done, with the sums of both of its processes', async () => {
  const half = await configOf({ source: { max_iterations: 2 } })
  expect((await runPipeline(half)).status).toBe('stopped')
  await expect(verify(half)).rejects.toThrow('has not ended')
  expect(await verify(await loaded())).toMatchObject({ rows: ROWS, differences: [], compared: 'records' })
  await edit(byte)
  expect(kindsOf(await verify(await configOf()))).toEqual(['changed 1701'])
})

test('that no digests can be kept is a warning of check, and no more than a remark of a run', async () => {
  const destination = { path: join(folder, 'typed.sqlite3'), destination_id: 't', unnest: 'columns' }
  const config = await configOf({ name: 'sqlite', destination })
  const said: string[] = []
  const log = {
    ...silentLog,
    info: (text: string) => void said.push(`info ${text}`),
    warn: (text: string) => void said.push(`warn ${text}`),
  }
  const about = () => said.splice(0).filter((text) => text.includes('keeps no digests'))
  await checkPipeline(config, { log })
  expect(about()).toEqual([expect.stringMatching(/^warn verify: true keeps no digests, .*types of their columns$/)])
  await runPipeline(config, { log })
  expect(about()).toEqual([expect.stringMatching(/^info verify: true keeps no digests/)])
})

describe('a later run that has not ended', () => {
  type Mode = NonNullable<Given['mode']>
  const cases = (['full_refresh', 'incremental'] as const).flatMap((mode) =>
    ['file', 'sqlite'].map((name): [Mode, string] => [mode, name]),
  )
  const destinationOf = (name: string) =>
    name === 'file' ? {} : { path: join(folder, 'later.sqlite3'), destination_id: 't' }

  test.each(cases)('%s, %s: what was published before it is verified, and the run named', async (mode, name) => {
    const given = { mode, name, destination: destinationOf(name) }
    await loaded(given)
    await appendFile(join(folder, 'source.ndjson'), source(ROWS, 2 * ROWS))
    const half = await configOf({ ...given, source: { max_iterations: 2 } })
    expect((await runPipeline(half)).status).toBe('stopped')
    const found = await verify(half)
    expect(found).toMatchObject({ rows: ROWS, differences: [], unfinished: expect.stringMatching(/^[0-9a-f]{32}$/) })
    expect(found.runs).not.toContain(found.unfinished)
    if (name === 'sqlite') await sqlite3(join(folder, 'later.sqlite3'), `DELETE FROM t WHERE source_record_id = 'a7'`)
    else await edit((lines) => lines.splice(7, 1))
    expect(kindsOf(await verify(half))).toEqual(['missing 8'])
  })

  test.each(['file', 'sqlite'])('%s: one whose batches are seen is not judged', async (name) => {
    const destination = { ...destinationOf(name), visibility: 'batch' }
    await loaded({ mode: 'incremental', name, destination })
    await appendFile(join(folder, 'source.ndjson'), source(ROWS, 2 * ROWS))
    const half = await configOf({ mode: 'incremental', name, destination, source: { max_iterations: 2 } })
    expect((await runPipeline(half)).status).toBe('stopped')
    await expect(verify(half)).rejects.toThrow('has not ended, and part of it may be visible')
  })

  test('one behind a stream that was given up, whose rows are seen, is not judged', async () => {
    const destination = destinationOf('sqlite')
    await loaded({ mode: 'incremental', name: 'sqlite', destination })
    await loaded({ mode: 'stream', name: 'sqlite', destination, source: { max_iterations: 2 } }).catch(() => {})
    await sqlite3(join(folder, 'later.sqlite3'), 'DROP TABLE t')
    const config = await configOf({ mode: 'incremental', name: 'sqlite', destination })
    await sqlite3(join(folder, 'later.sqlite3'), 'CREATE VIEW t AS SELECT 1')
    await expect(runPipeline(config)).rejects.toThrow()
    await expect(verify(config)).rejects.toThrow(/part of run \w+ may be visible/)
  })

  test('one that was refused because the table was gone: the loss is told', async () => {
    const given = { mode: 'incremental', name: 'sqlite', destination: destinationOf('sqlite') } as const
    const config = await loaded(given)
    await sqlite3(join(folder, 'later.sqlite3'), 'DROP TABLE t')
    await expect(runPipeline(config)).rejects.toThrow('is missing')
    expect((await verify(config)).differences.every(({ kind }) => kind === 'missing')).toBe(true)
    expect(await verify(config)).toMatchObject({ rows: 0, unfinished: expect.any(String) })
  })
})

test('before the first run, and of a destination that cannot be read, nothing is said', async () => {
  await expect(verify(await configOf())).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('no run of this pipeline'),
  })
  await expect(verify(await configOf({ name: 'logger', destination: { destination_id: 'x' } }))).rejects.toMatchObject({
    code: 'usage',
    message: 'destination logger cannot be read back',
  })
  await expect(verify(await configOf({ destination: { destination_id: '-' } }))).rejects.toThrow(
    'standard output cannot be read back',
  )
})
