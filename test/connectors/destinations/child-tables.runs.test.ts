// `unnest: tables`, run after run, in both databases. sqlite3 and psql look.

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verify } from '../../../lib/audit/verify.ts'
import { fromPipe, load, loadConfig, type PipelineConfig, pipeline, runPipeline } from '../../../lib/index.ts'
import { NIGHTLY } from '../../crash/workspace.ts'
import { dropDatabase, freshDatabase, psql, type TestDatabase } from '../../support/services/postgres.ts'
import { activate, state } from '../../support/singer.ts'

const run = promisify(execFile)
let folder = ''
let database: TestDatabase | undefined

interface Given {
  readonly mode?: 'full_refresh' | 'incremental'
  readonly destination?: object
  readonly stream?: string
  /** A page more for each of its records, and with `buffer_size: 0` a checkpoint. */
  readonly pageBytes?: number
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
  const inputOf = ({ mode = 'full_refresh', destination = {}, stream = 'orders', pageBytes }: Given = {}) => ({
    name: 'shop',
    source: {
      name: 'file',
      stream,
      path: join(folder, 'source.ndjson'),
      sync_mode: mode,
      ...(pageBytes && { page_bytes: pageBytes }),
    },
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

  /** What is there of each record: its `v`, then its lists, in one line. Rows of lists without their record are counted. */
  async function merged(rowId = 'bizon_id', [parent, root] = ['_bizon_parent_id', '_bizon_root_id']) {
    const there = (await tables()).map((table) => table.replace(/^orders__/, ''))
    const rows = await ask('SELECT id, v FROM orders ORDER BY id')
    const lists = there.includes('items')
      ? await ask(
          `SELECT o.id, i.sku FROM orders o JOIN orders__items i ON i.${parent} = o.${rowId} AND i.${root} = o.${rowId} ORDER BY 1, 2`,
        )
      : []
    const tags = there.includes('items__tags')
      ? await ask(
          `SELECT o.id, i.sku, t.value FROM orders o JOIN orders__items i ON i.${parent} = o.${rowId}
             JOIN orders__items__tags t ON t.${parent} = i.${rowId} AND t.${root} = o.${rowId} ORDER BY 1, 2, 3`,
        )
      : []
    const count = async (table: string) =>
      there.includes(table) ? Number((await ask(`SELECT count(*) FROM orders__${table}`))[0]) : 0
    return { rows, lists, tags, counts: [await count('items'), await count('items__tags')] }
  }

  interface Order {
    readonly id: number
    readonly v: number
    readonly items: readonly { readonly sku: string; readonly tags?: readonly string[] }[]
  }
  const orders = fc.array(
    fc.record({
      id: fc.integer({ min: 1, max: 4 }),
      v: fc.integer({ min: 1, max: 5 }),
      items: fc.array(
        fc.record(
          { sku: fc.constantFrom('a', 'b', 'c'), tags: fc.array(fc.constantFrom('x', 'y'), { maxLength: 2 }) },
          { requiredKeys: ['sku'] },
        ),
        { maxLength: 2 },
      ),
    }),
    { minLength: 1, maxLength: 8 },
  )

  /** Of records in the order in which they came. */
  function expectedOf(all: readonly Order[]): Awaited<ReturnType<typeof merged>> {
    const held = new Map<number, Order>()
    for (const order of all) if (order.v >= (held.get(order.id)?.v ?? 0)) held.set(order.id, order)
    const newest = [...held.values()].sort((one, other) => one.id - other.id)
    const lists = newest.flatMap(({ id, items }) => items.map(({ sku }) => `${id}|${sku}`)).sort()
    const tags = newest
      .flatMap(({ id, items }) => items.flatMap(({ sku, tags = [] }) => tags.map((tag) => `${id}|${sku}|${tag}`)))
      .sort()
    return { rows: newest.map(({ id, v }) => `${id}|${v}`), lists, tags, counts: [lists.length, tags.length] }
  }

  const byKey = { primary_key: ['id'], cursor_field: 'v' }
  const dlt: [string, string] = ['_dlt_parent_id', '_dlt_root_id']
  test.each<{
    readonly how: string
    readonly more: object
    readonly rowId?: string
    readonly links?: [string, string]
    readonly pageBytes?: number
  }>([
    { how: 'published with the run', more: {} },
    { how: 'with the links of dlt', more: { metadata: 'dlt' }, rowId: '_dlt_id', links: dlt },
    ...(name === 'postgres'
      ? [{ how: 'checkpoint by checkpoint', more: { visibility: 'batch', buffer_size: 0 }, pageBytes: 1 }]
      : []),
  ])('a merged row has the lists of the record that stays: $how', async ({ more, rowId, links, pageBytes }) => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(orders, { minLength: 1, maxLength: 4 }), async (runs) => {
        const stream = `orders${++run}`
        await rm(join(folder, 'db'), { force: true })
        if (database) await psql(database.url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
        await rm(join(folder, 'state.sqlite3'), { force: true })
        let all: Order[] = []
        for (const next of runs) {
          all = [...all, ...next]
          const lines = all.map((order) => JSON.stringify(order))
          await loaded(lines, {
            mode: 'incremental',
            destination: { ...byKey, ...more, destination_id: 'orders' },
            stream,
            ...(pageBytes && { pageBytes }),
          })
        }
        expect(await merged(rowId, links)).toEqual(expectedOf(all))
      }),
      { numRuns: NIGHTLY ? 50 : 3, endOnFailure: true },
    )
  })

  test('lists go with the record that had them, also when no row comes for their tables', async () => {
    const first = '{"id":1,"v":1,"items":[{"sku":"a","tags":["x"]}]}'
    await loaded([first], { mode: 'incremental', destination: byKey })
    expect(await merged()).toMatchObject({ lists: ['1|a'], counts: [1, 1] })
    await loaded([first, '{"id":1,"v":2,"items":[]}'], { mode: 'incremental', destination: byKey })
    expect(await merged()).toEqual({ rows: ['1|2'], lists: [], tags: [], counts: [0, 0] })
  })

  test('of records with one key only the newest is published with its lists, and a full refresh leaves nothing behind', async () => {
    const line = (id: number, v: number, ...skus: string[]) =>
      JSON.stringify({ id, v, items: skus.map((sku) => ({ sku, tags: ['x'] })) })
    await loaded([line(1, 2, 'a', 'b'), line(1, 1, 'c'), line(2, 1, 'a')], { destination: byKey })
    const before = { rows: ['1|2', '2|1'], lists: ['1|a', '1|b', '2|a'], counts: [3, 3] }
    expect(await merged()).toMatchObject(before)
    await loaded([line(1, 2), line(2, 1, 'z'), line(2, 2, 'y')], { destination: byKey })
    expect(await merged()).toMatchObject({ rows: ['1|2', '2|2'], lists: ['2|y'], counts: [1, 1] })
  })

  test('lists do not come without their record, nor go without it: a trigger that keeps its row out fails the run', async () => {
    const first = '{"id":1,"v":1,"items":[{"sku":"a"}]}'
    await loaded([first], { mode: 'incremental', destination: byKey })
    if (name === 'sqlite')
      await ask('CREATE TRIGGER no BEFORE INSERT ON orders WHEN NEW.v = 2 BEGIN SELECT RAISE(IGNORE); END')
    else {
      await ask(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.v = 2 THEN RETURN NULL; END IF; RETURN NEW; END'",
      )
      await ask('CREATE TRIGGER no BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION no()')
    }
    const next = ['{"id":1,"v":2,"items":[{"sku":"b"}]}', '{"id":2,"v":2,"items":[{"sku":"c"}]}']
    await expect(loaded([first, ...next], { mode: 'incremental', destination: byKey })).rejects.toThrow('0 of 2 rows')
    expect(await merged()).toMatchObject({ rows: ['1|1'], lists: ['1|a'], counts: [1, 0] })
  })

  if (name === 'sqlite') {
    test('are refused where rows are merged as they come', async () => {
      await expect(
        loaded([ORDER], { mode: 'incremental', destination: { ...byKey, visibility: 'batch' } }),
      ).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('with visibility: batch') })
    })
  }

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
