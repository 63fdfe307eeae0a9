// Where columns that follow records meet what else a table can be told: batches that are seen, the names of other programs,
// scopes, child tables; and where a config turns from one to another.

import { describe, expect, test } from 'vitest'
import { linksOf } from '../../../connectors/destinations/child-tables.ts'
import type { PostgresOptions } from '../../../connectors/destinations/postgres/config.ts'
import { withChildTables } from '../../../lib/child-tables.ts'
import type { Destination, Run } from '../../../lib/destination.ts'
import { RawJson } from '../../../lib/record.ts'
import { idPrefixOf } from '../../../lib/row-id.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { failAt, load, never, runOf } from '../../support/load.ts'
import { psql } from '../../support/services/postgres.ts'
import { sqlite3 } from '../../support/sqlite-destination.ts'
import { TableGround } from '../../support/table-ground.ts'

const ground = await TableGround.make()

type Options = Partial<
  Pick<
    PostgresOptions,
    | 'visibility'
    | 'metadata'
    | 'primary_key'
    | 'replace_scope'
    | 'replace_strategy'
    | 'unnest'
    | 'unnestDepth'
    | 'recordSchemas'
  >
>

interface Target {
  create(mode: SyncMode, options?: Options, before?: (operation: string) => void): Destination
  /** What the program of the database prints: cells between bars. */
  read(sql: string): Promise<string[]>
}

const targets: { readonly [name: string]: Target } = {
  postgres: {
    create: (mode, options, before) => ground.postgres(mode, { unnest: 'columns', ...options }, before),
    read: async (sql) =>
      (await psql(ground.url, `SET search_path TO ${ground.schema}; ${sql}`)).split('\n').slice(0, -1),
  },
  sqlite: {
    create: (mode, options, before) => ground.sqlite(mode, { unnest: 'columns', ...options }, before),
    read: async (sql) => (await sqlite3(ground.file, sql)).split('\n').slice(0, -1),
  },
}

/** Each text is a record, each list of them a page. */
const pagesOf = (pages: readonly (readonly string[])[], destinationId?: string): Page[] =>
  pages.map((texts, page) => ({
    records: texts.map((text, at) => ({
      id: `r${page}-${at}`,
      data: RawJson.from(text),
      ...(destinationId !== undefined && { destinationId }),
    })),
    next: page + 1 < pages.length ? { page: page + 1 } : null,
  }))

const first = runOf('first', 'incremental', 1, true)
const adding = (id: string, epoch: number, previous = 'first'): Run => ({
  ...runOf(id, 'incremental', epoch),
  previous,
})

describe.each(Object.keys(targets))('%s', (name) => {
  const target = targets[name] as Target

  /** Killed at every so many operations, gone on with or given up, killed again, and ended. */
  async function killed(
    options: Options,
    every: number,
    pages: (run: Run) => Promise<readonly Page[]>,
    look: () => Promise<unknown>,
  ): Promise<void> {
    const batches = { ...options, visibility: 'batch' } as const
    const begin = async () => load(target.create('incremental', batches), first, await pages(first))
    await begin()
    const second = adding('second', 2)
    await load(target.create('incremental', batches), second, await pages(second))
    const expected = await look()
    let given = 0
    for (let at = 1, done = false; !done; at += every) {
      await ground.renew()
      await begin()
      const failing = failAt(at)
      await load(target.create('incremental', batches, failing.before), second, await pages(second)).catch(() => {})
      done = failing.passed() < at
      const run = adding(given++ % 2 === 0 ? 'second' : 'third', 3)
      const next = given % 4 === 2 ? { ...options, visibility: 'run' as const } : batches
      const again = failAt((at % 13) + 4)
      await load(target.create('incremental', next, again.before), run, await pages(run)).catch(() => {})
      await load(target.create('incremental', next), { ...run, epoch: 4 }, await pages(run))
      expect(await look(), `operation ${at}, then ${run.id}`).toEqual(expected)
    }
    expect(given).toBeGreaterThan(3)
  }

  test.each<[Options, number]>([
    [{ metadata: 'dlt' }, 7],
    [{ metadata: 'none', primary_key: ['id'] }, 9],
  ])('batches that bring columns are seen, each row once, wherever a run was killed: %o', async (options, every) => {
    const pages = pagesOf([
      ['{"id":3,"n":3,"name":"c"}', '{"id":1,"n":1.50}'],
      ['{"id":4,"n":4,"more":[1]}', '{"id":5,"n":5,"name":"e","on":true}'],
      ['{"id":6,"n":6.25,"last":"x"}'],
    ])
    const old = pagesOf([['{"id":1,"n":1}', '{"id":2,"n":2}']])
    const rows = () => target.read('SELECT id, n, name, more, "on", last FROM main ORDER BY id, n')
    await killed(options, every, async ({ id }) => (id === 'first' ? old : pages), rows)
    const found = await rows()
    expect(found).toHaveLength(options.primary_key ? 6 : 7)
    expect(found).toContain('1|1.50||||')
    expect(found.filter((row) => row.startsWith('6|6.25|') && row.endsWith('|x'))).toHaveLength(1)
  })

  test('batches of child tables are seen, each row with its parent, wherever a run was killed', async () => {
    const options = { metadata: 'dlt', unnestDepth: 10 } as const
    const pages = async (run: Run): Promise<Page[]> => {
      const texts = [1, 2, 3].map((n) => [
        `{"n":"${run.id === 'first' ? 'old' : 'new'}${n}","items":[{"a":${n}},{"b":1.5}]}`,
      ])
      const split: Page[] = []
      const idPrefix = idPrefixOf(run.id, run)
      const given = { depth: 10, names: {}, links: linksOf(options), idPrefix, rows: 0, usual: () => 'main' }
      for await (const page of withChildTables(
        (async function* () {
          yield* pagesOf(texts)
        })(),
        given,
      ))
        split.push(page)
      return split
    }
    const rows = async () => [
      await target.read(
        `SELECT n, _dlt_list_idx, a, b FROM main JOIN main__items ON _dlt_parent_id = main._dlt_id ORDER BY n, _dlt_list_idx`,
      ),
      await target.read('SELECT count(*) FROM main UNION ALL SELECT count(*) FROM main__items'),
    ]
    await killed(options, 11, pages, rows)
    expect((await rows())[0]).toHaveLength(12)
    expect((await rows())[1]).toEqual(['6', '12'])
  })

  test.each<[SyncMode, Options]>([
    ['stream', {}],
    ['incremental', { visibility: 'batch' }],
  ])('%s %o: a table without the columns of metadata gets them', async (mode, options) => {
    const run = mode === 'stream' ? runOf('first', 'stream', 1, false) : first
    const next = mode === 'stream' ? runOf('next', 'stream', 2, false) : adding('next', 2)
    await load(target.create(mode, { ...options, metadata: 'none' }), run, pagesOf([['{"n":1}']]))
    await load(target.create(mode, options), next, pagesOf([['{"n":2}']]))
    expect(await target.read('SELECT n, source_record_id FROM main ORDER BY n')).toEqual(['1|', '2|r0-0'])
  })

  test.each(['run', 'batch'] as const)(
    'a table that records name keeps its metadata: visibility %s',
    async (visibility) => {
      await load(target.create('incremental', { metadata: 'airbyte' }), first, pagesOf([['{"n":1}']], 'other'))
      const switched = load(
        target.create('incremental', { visibility }),
        adding('next', 2),
        pagesOf([['{"n":2}']], 'other'),
      )
      await expect(switched).rejects.toMatchObject({ message: /columns of metadata: airbyte/, hint: /--reset/ })
      expect(await target.read('SELECT n FROM other')).toEqual(['1'])
    },
  )

  test.each(['rename', 'truncate_insert'] as const)(
    'a stream of which no column is known is replaced: %s',
    async (how) => {
      const options = { metadata: 'none', replace_strategy: how } as const
      const nothing: Page = { records: [], next: null, stream: { name: 'main', incremental: false } }
      const replaced = (n: number, pages: readonly Page[], more: Options = {}) => {
        const run = { ...runOf(`run${n}`, 'full_refresh', n), keepsOthers: true }
        return load(target.create('full_refresh', { ...options, ...more }), run, pages)
      }
      for (const n of [1, 2, 3]) await replaced(n, [nothing])
      await replaced(4, pagesOf([['{"n":1}']]))
      await replaced(5, [nothing])
      expect(await target.read('SELECT n FROM main')).toEqual([])
      await replaced(6, [nothing], { primary_key: ['n'] })
      await replaced(7, pagesOf([['{"n":1,"a":2}', '{"n":1,"a":3}']]), { primary_key: ['n'] })
      expect(await target.read('SELECT n, a FROM main')).toEqual(['1|3'])
    },
  )

  test('a plan says that child tables are emptied with their table, also where other tables stay', async () => {
    const options = { unnestDepth: 10 }
    const run = (n: number): Run => ({ ...runOf(`run${n}`, 'full_refresh', n), keepsOthers: true })
    const rows = [
      ...pagesOf([['{"n":1}']]),
      ...pagesOf([['{"_bizon_parent_id":"1","_bizon_root_id":"1"}']], 'main__items'),
    ]
    const others = pagesOf([['{"n":1}']], 'main__own')
    const records = [...rows, ...others].flatMap((page) => page.records)
    await load(target.create('full_refresh', options), run(1), [{ records, next: null }])
    const destination = target.create('full_refresh', options)
    const plan = await destination.plan?.(run(2), never)
    await destination.close()
    const said = plan?.changes.map((change) => `${change.target.replace(/^.*[.:] ?/, '')} ${change.action}`)
    expect(said).toEqual(['main replace', 'main__items empty', 'main__own keep'])
    await load(target.create('full_refresh', options), run(2), pagesOf([['{"n":2}']]))
    expect(await target.read('SELECT n FROM main UNION ALL SELECT n FROM main__own')).toEqual(['2', '1'])
    expect(await target.read('SELECT count(*) FROM main__items')).toEqual(['0'])
  })

  test.each<Options>([{}, { metadata: 'none' }])('scopes of a column that the table did not have: %o', async (more) => {
    const options = { ...more, replace_scope: ['day'] }
    const days = () => target.read('SELECT day, n FROM main ORDER BY n')
    await load(target.create('incremental', more), first, pagesOf([['{"n":1}', '{"n":2}']]))
    const days3 = pagesOf([['{"n":3,"day":1}'], ['{"n":4,"day":2}', '{"n":5,"day":2.5}']])
    await load(target.create('incremental', options), adding('b', 2), days3)
    expect(await days()).toEqual(['|1', '|2', '1|3', '2|4', '2.5|5'])
    await load(target.create('incremental', options), adding('c', 3, 'b'), pagesOf([['{"n":6,"day":2}']]))
    await load(target.create('incremental', options), adding('d', 4, 'c'), [{ records: [], next: null }])
    expect(await days()).toEqual(['|1', '|2', '1|3', '2.5|5', '2|6'])
    await load(target.create('incremental', options), adding('e', 5, 'd'), pagesOf([['{"n":7}']]))
    expect(await days()).toEqual(['1|3', '2.5|5', '2|6', '|7'])
  })
})

test('sqlite: a column that followed the records, and was then listed, is what the list said', async () => {
  const { create, read } = targets.sqlite as Target
  const columns = ['n', 'v'].map((name) => ({ name, type: name === 'n' ? 'INTEGER' : 'STRING', nullable: true }))
  const listed = { unnest: true, recordSchemas: [{ destinationId: 'main', columns }] } as Options
  await load(create('incremental'), first, pagesOf([['{"n":1,"v":[1]}']]))
  await load(create('full_refresh', listed), runOf('full', 'full_refresh', 2), pagesOf([['{"n":1,"v":"abc"}']]))
  await load(create('incremental'), adding('third', 3, 'full'), pagesOf([['{"n":2,"v":"x"}']]))
  expect(await read('SELECT n, v FROM main ORDER BY n')).toEqual(['1|abc', '2|x'])
})

test('sqlite: zero keeps its sign', async () => {
  const { create, read } = targets.sqlite as Target
  await load(create('incremental'), first, pagesOf([['{"n":1}'], ['{"n":-0}']]))
  expect(await read('SELECT n FROM main')).toEqual(['1', '-0'])
})
