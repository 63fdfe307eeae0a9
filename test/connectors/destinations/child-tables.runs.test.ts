// `unnest: tables`, run after run, in both databases. sqlite3 and psql look.

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verify } from '../../../lib/audit/verify.ts'
import { fromPipe, load, loadConfig, type PipelineConfig, pipeline, runPipeline } from '../../../lib/index.ts'
import { dropDatabase, freshDatabase, psql, type TestDatabase } from '../../support/services/postgres.ts'
import { activate, state } from '../../support/singer.ts'

const run = promisify(execFile)
let folder = ''
let database: TestDatabase | undefined

interface Given {
  readonly mode?: 'full_refresh' | 'incremental'
  readonly destination?: object
  readonly stream?: string
}

describe.each(['sqlite', 'postgres'] as const)('%s', (name) => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bizon-children-'))
    database = name === 'postgres' ? await freshDatabase() : undefined
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
    if (database) await dropDatabase(database)
  })

  const ask = async (sql: string): Promise<string[]> => {
    const text = database ? await psql(database.url, sql) : (await run('sqlite3', [join(folder, 'db'), sql])).stdout
    return text.split('\n').slice(0, -1)
  }
  const tables = () =>
    ask(
      name === 'postgres'
        ? "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE '\\_%' ORDER BY 1"
        : "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY 1",
    )
  const inputOf = ({ mode = 'full_refresh', destination = {}, stream = 'orders' }: Given = {}) => ({
    name: 'shop',
    source: { name: 'file', stream, path: join(folder, 'source.ndjson'), sync_mode: mode },
    destination: {
      name,
      config: {
        ...(database ? { url: database.url, sslmode: 'disable' } : { path: join(folder, 'db') }),
        unnest: 'tables',
        ...destination,
      },
    },
    engine: { backend: { type: 'sqlite', config: { database: join(folder, 'state'), schema: '' } } },
  })
  const configOf = (given?: Given) => loadConfig(inputOf(given), ['source', 'destination']) as Promise<PipelineConfig>
  async function loaded(records: readonly string[], given?: Given) {
    await writeFile(join(folder, 'source.ndjson'), records.map((record) => `${record}\n`).join(''))
    return runPipeline(await configOf(given))
  }
  async function piped(lines: readonly unknown[], destination: object = {}) {
    async function* chunks(): AsyncGenerator<Buffer> {
      yield Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    }
    const { name: pipelineName, destination: to, engine } = inputOf({ destination })
    const input = { name: pipelineName, destination: to, engine }
    return pipeline(fromPipe(chunks(), input), load(input))
  }
  const skus = (stream = 'orders') =>
    ask(
      `SELECT o.id, i._bizon_index, i.sku FROM ${stream} o JOIN ${stream}__items i ON i._bizon_parent_id = o.bizon_id AND i._bizon_root_id = o.bizon_id ORDER BY 1, 2`,
    )

  const ORDER =
    '{"id":1,"to":{"city":"Rom","at":{"x":1.10}},"items":[{"sku":"a","tags":["t",null]},{"sku":"b"}],"codes":[[7]]}'

  test('a record is a row with its lists in child tables, and every value as it was written', async () => {
    const outcome = await loaded([ORDER, '{"id":2,"items":[],"to":{}}'])
    expect(outcome).toMatchObject({ status: 'complete', totalRows: 8 })
    expect(await tables()).toEqual([
      'orders',
      'orders__codes',
      'orders__codes__list',
      'orders__items',
      'orders__items__tags',
    ])
    expect(await ask('SELECT id, to__city, to__at__x FROM orders ORDER BY id')).toEqual(['1|Rom|1.10', '2||'])
    expect(await skus()).toEqual(['1|0|a', '1|1|b'])
    expect(
      await ask(
        'SELECT i.sku, t._bizon_index, t.value, t._bizon_root_id = o.bizon_id, t.source_record_id = o.source_record_id FROM orders o, orders__items i JOIN orders__items__tags t ON t._bizon_parent_id = i.bizon_id ORDER BY o.id, 2 LIMIT 2',
      ),
    ).toEqual(name === 'postgres' ? ['a|0|t|t|t', 'a|1||t|t'] : ['a|0|t|1|1', 'a|1||1|1'])
    expect(
      await ask('SELECT v.value FROM orders__codes c JOIN orders__codes__list v ON v._bizon_parent_id = c.bizon_id'),
    ).toEqual(['7'])
  })

  test('what is deeper than unnest_depth stays JSON', async () => {
    await loaded([ORDER], { destination: { unnest_depth: 1 } })
    expect(await tables()).toEqual(['orders', 'orders__codes', 'orders__items'])
    expect((await ask('SELECT to__at FROM orders')).map((text) => JSON.parse(text))).toEqual([{ x: 1.1 }])
    expect((await ask('SELECT value FROM orders__codes')).map((text) => JSON.parse(text))).toEqual([[7]])
  })

  test.each(['publish', 'keep'])('replaced, a child table without rows is empty (on_empty: %s)', async (onEmpty) => {
    const destination = { on_empty: onEmpty }
    await loaded([ORDER], { destination })
    await loaded(['{"id":3,"items":[{"sku":"c"}]}'], { destination })
    expect(await skus()).toEqual(['3|0|c'])
    for (const table of ['orders__items__tags', 'orders__codes', 'orders__codes__list']) {
      expect(await ask(`SELECT count(*) FROM ${table}`)).toEqual(['0'])
    }
    await loaded([], { destination })
    expect(await skus()).toEqual(onEmpty === 'keep' ? ['3|0|c'] : [])
  })

  test('rows are added with their lists', async () => {
    await loaded(['{"id":1,"items":[{"sku":"a"}]}'], { mode: 'incremental' })
    await loaded(['{"id":1,"items":[{"sku":"a"}]}', '{"id":2,"items":[{"sku":"b","qty":2}]}'], { mode: 'incremental' })
    expect(await skus()).toEqual(['1|0|a', '2|0|b'])
    expect(await ask('SELECT qty FROM orders__items ORDER BY sku')).toEqual(['', '2'])
  })

  test('verify counts the rows of every table', async () => {
    await loaded([ORDER])
    const config = await configOf()
    expect(await verify(config)).toMatchObject({ compared: 'counts', differences: [] })
    await ask("DELETE FROM orders__items WHERE sku = 'b'")
    const { differences } = await verify(config)
    expect(JSON.stringify(differences)).toContain('orders__items')
  })

  const schema = (stream: string) => ({
    type: 'SCHEMA',
    stream,
    schema: {
      type: 'object',
      properties: {
        id: { type: 'integer', format: 'int64' },
        at: { type: 'string', format: 'date-time' },
        items: { type: 'array' },
        to: { type: 'object' },
      },
    },
    key_properties: ['id'],
  })
  const record = (stream: string, id: number, skus: readonly string[]) => ({
    type: 'RECORD',
    stream,
    record: { id, at: '2026-01-02T03:04:05Z', to: {}, items: skus.map((sku) => ({ sku })) },
    version: 1,
  })

  test('a run that replaces some tables replaces their child tables, and no others', async () => {
    const both = [
      schema('orders'),
      schema('orders__old'),
      record('orders', 1, ['a']),
      record('orders__old', 2, ['b', 'c']),
    ]
    await piped([...both, activate('orders', 1), activate('orders__old', 1), state({ n: 1 })])
    expect([await skus(), await skus('orders__old')]).toEqual([['1|0|a'], ['2|0|b', '2|1|c']])
    await piped([schema('orders'), record('orders', 3, []), activate('orders', 1), state({ n: 2 })])
    expect(await ask('SELECT id FROM orders')).toEqual(['3'])
    expect(await ask('SELECT count(*) FROM orders__items')).toEqual(['0'])
    expect(await skus('orders__old')).toEqual(['2|0|b', '2|1|c'])
  })

  test('what the source says of its records makes columns of its own table alone', async () => {
    await piped([schema('orders'), record('orders', 1, ['a']), activate('orders', 1), state({ n: 1 })])
    const columns = async (table: string) =>
      name === 'postgres'
        ? ask(
            `SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attnum > 5 AND NOT attisdropped ORDER BY attnum`,
          )
        : ask(`SELECT name FROM pragma_table_info('${table}') WHERE cid > 4 ORDER BY cid`)
    expect(await columns('orders')).toEqual(
      name === 'postgres' ? ['id bigint', 'at timestamp with time zone'] : ['id', 'at'],
    )
    expect(await columns('orders__items')).toEqual(
      name === 'postgres'
        ? ['_bizon_parent_id text', '_bizon_root_id text', '_bizon_index bigint', 'sku text']
        : ['_bizon_parent_id', '_bizon_root_id', '_bizon_index', 'sku'],
    )
  })

  test('two things with one name fail the run, and nothing is published', async () => {
    await expect(loaded([ORDER, '{"id":2,"to__city":"x"}'])).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringContaining(
        'column to__city of table orders would be for field "to"."city" and for field "to__city"',
      ),
    })
    expect((await tables()).filter((table) => !table.includes('staging'))).toEqual([])
  })

  if (name === 'postgres') {
    test('a name that the server would cut is cut in the same way each time', async () => {
      const list = 'l'.repeat(70)
      for (const id of [1, 2]) {
        await loaded([`{"id":${id},"${list}":[${id}]}`])
        const [, child = ''] = await tables()
        expect(child).toMatch(/^orders__l{44}_[0-9a-f]{10}$/)
        expect(await ask(`SELECT value FROM ${child}`)).toEqual([String(id)])
      }
    })
  }
})
