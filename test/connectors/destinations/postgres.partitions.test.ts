// Several loaders at one table of PostgreSQL, each with its partitions of the stream. psql looks.

import { Client } from 'pg'
import { beforeEach, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { PostgresDestination } from '../../../connectors/destinations/postgres.ts'
import { partRun } from '../../../lib/partition.ts'
import { RawJson } from '../../../lib/record.ts'
import { defineSource, type SourceDefinition } from '../../../lib/source.ts'
import { never, sleep } from '../../../lib/wait.ts'
import { runOf } from '../../support/load.ts'
import { linesOf, numbersIn, Parts } from '../../support/part-ground.ts'
import { postgresDestination, postgresOptions, silent } from '../../support/postgres-destination.ts'
import { listening, upTo } from '../../support/queued.ts'
import { freshDatabase, psql, psqlEach } from '../../support/services/postgres.ts'
import { scriptedSource } from '../../support/shelf.ts'

let url = ''
beforeEach(async () => {
  url = (await freshDatabase()).url
})

const read = (sql: string): Promise<string[]> => linesOf(url, sql)
const numbers = (table?: string): Promise<number[]> => numbersIn(url, table)
const stateRows = (): Promise<string[]> => read('SELECT target FROM _bizon_state ORDER BY target')

describe('a stream', () => {
  test('is written by two loaders and a third that joins, once, each partition with a checkpoint and an epoch of its own', async () => {
    const pages = Array.from({ length: 30 }, () => 10)
    const parts = new Parts({ url, mode: 'stream', pages })
    await parts.extract()
    let writes = 0
    const joining: Promise<unknown>[] = []
    await parts.drain(
      (options) => parts.load(options),
      (options) =>
        parts.load({
          ...options,
          observe: ({ type }) => {
            if (type === 'checkpoint' && ++writes === 5) joining.push(parts.load(options).catch(() => {}))
          },
        }),
    )
    await Promise.all(joining)
    expect(joining.length).toBe(1)
    expect(await numbers()).toEqual(upTo(300))
    expect(await stateRows()).toEqual([
      'main',
      'main [partition 1 of 3]',
      'main [partition 2 of 3]',
      'main [partition 3 of 3]',
    ])
    const seen = await read(
      `SELECT checkpoint->>'page', (checkpoint->>'rows')::int > 50, epoch > 0, right(run, 4), stream
       FROM _bizon_state WHERE owner IS NULL ORDER BY target`,
    )
    expect(seen).toEqual(upTo(3).map((at) => `30|t|t|000${at + 1}|numbers#${at}`))
    expect(await read('SELECT count(DISTINCT bizon_id) FROM main')).toEqual(['300'])
    // And goes on.
    pages.push(10)
    await parts.extract()
    await parts.drain((options) => parts.load(options))
    expect(await numbers()).toEqual(upTo(310))
  })

  test('merges by the key that records are in partitions by, and refuses to by another', async () => {
    const source = versions(40, 5)
    const parts = new Parts({ url, mode: 'stream', source, keys: { primary_key: ['n'] } })
    await parts.extract()
    const load = (options: object) => parts.load(options)
    await parts.drain(load, load, load)
    expect(await numbers()).toEqual(upTo(40))
    expect(await read("SELECT DISTINCT source_data->>'v' FROM main")).toEqual(['4'])
    for (const one of parts.broker.partitions) one.redeliverFrom(0)
    await psql(url, 'DELETE FROM stream_jobs')
    await expect(parts.load({}, { primary_key: ['v'], destination_id: 'other' })).rejects.toThrow(
      'records are in partitions by n, and primary_key merges them by v',
    )
  })

  test('may route records to tables that belong to all of its partitions', async () => {
    const parts = new Parts({ url, mode: 'stream', source: routed })
    await parts.extract()
    const load = (options: object) => parts.load(options)
    await parts.drain(load, load)
    expect([...(await numbers('even')), ...(await numbers('odd'))].sort((a, b) => a - b)).toEqual(upTo(30))
    expect(await read("SELECT DISTINCT owner, stream FROM _bizon_state WHERE target IN ('even', 'odd')")).toEqual([
      'main [3 partitions]|numbers',
    ])
  })
})

/** Partitions that hold so many pages of a run. */
const holding = async (pages: number): Promise<number> =>
  (await read("SELECT checkpoint->>'page' FROM _bizon_state WHERE owner IS NULL").catch(() => [])).filter(
    (page) => Number(page) === pages,
  ).length

test.each(['stream', 'incremental', 'full_refresh'])(
  'what has come of each partition is durable, though nothing follows it (%s)',
  async (mode) => {
    const parts = new Parts({ url, mode, pages: [9, 4] })
    await parts.extract()
    parts.hold(1)
    await parts.loadUntil(async () => (await holding(1)) === 3)
    expect(parts.broker.waiting).toBe(0)
  },
)

describe('what is loaded in partitions', () => {
  const shared = { mode: 'full_refresh', pages: [9, 4] }

  test('is said to be published once, by whoever finds that all have ended', async () => {
    const parts = new Parts({ url, ...shared })
    await parts.extract()
    const log = listening()
    await Promise.all([parts.load({ log }), parts.load({ log })])
    const saying = (what: string): string[] => log.said.filter((one) => one.includes(what))
    expect(saying('have ended')).toEqual(['all 3 partitions have ended; they are published together'])
    const loaded = saying('is loaded; it is published with the others')
    expect(loaded.length).toBeGreaterThan(0)
    expect(new Set(loaded).size).toBe(loaded.length)
    expect(loaded.every((one) => /^all of partition [123] of 3 /.test(one))).toBe(true)
    expect(saying('goes to another loader')).toEqual([])
  })

  test('is not loaded in another number of them, or without', async () => {
    const parts = new Parts({ url, ...shared })
    await parts.extract()
    await parts.load()
    const others = new Parts({ url, ...shared, partitions: 2 })
    await others.extract()
    await expect(others.load()).rejects.toThrow(
      'table public.main is loaded in 3 partitions, and engine.queue.config.queue.partitions is 2',
    )
    const config = await parts.config()
    const { pipeline } = await import('../../../lib/pipeline.ts')
    const { extract } = await import('../../../lib/extract.ts')
    const { load } = await import('../../../lib/load.ts')
    await expect(pipeline(extract(config), load(config))).rejects.toThrow('table main is loaded in 3 partitions by')
    expect(await numbers()).toEqual(upTo(13))
  })

  test('is what was not loaded without them', async () => {
    const { pipeline } = await import('../../../lib/pipeline.ts')
    const { extract } = await import('../../../lib/extract.ts')
    const { load } = await import('../../../lib/load.ts')
    const parts = new Parts({ url, ...shared })
    const config = await parts.config()
    await pipeline(extract(config), load(config))
    await parts.extract()
    await expect(parts.load()).rejects.toThrow(
      'table public.main is loaded without partitions, and engine.queue.config.queue.partitions is 3',
    )
  })

  test.each([
    [{ unnest: 'columns' }, 'unnest: columns finds columns in one loader'],
    [{ replace_scope: ['n'] }, 'replace_scope replaces the rows of a scope in one loader'],
  ])('is refused with %j, before anything is read', async (keys, why) => {
    const mode = 'replace_scope' in keys ? 'incremental' : 'full_refresh'
    await expect(new Parts({ url, mode, keys }).extract()).rejects.toThrow(why)
  })
})

describe('a run that is published', () => {
  test('replaces the table when all partitions have ended, and not before; readers see the one or the other', async () => {
    const pages: number[] = [30, 30]
    const parts = new Parts({ url, mode: 'full_refresh', pages })
    await parts.extract()
    await Promise.all([parts.load(), parts.load()])
    expect(await numbers()).toEqual(upTo(60))
    pages.push(20)
    await parts.extract()
    // Of the last partition nothing comes yet.
    const [, , last] = parts.broker.partitions
    const held = last?.messages.splice(2) ?? []
    const seen = new Set<number>()
    let isOver = false
    const watching = (async () => {
      while (!isOver) seen.add(Number((await read('SELECT count(*) FROM main'))[0]))
    })()
    const loads = Promise.all([parts.load(), parts.load()])
    await until(async () => (await ended()) === 2)
    expect(await numbers()).toEqual(upTo(60))
    for (const one of held) last?.add([one])
    const outcomes = await loads
    expect(outcomes.map(({ status }) => status)).toEqual(['complete', 'complete'])
    expect(await numbers()).toEqual(upTo(80))
    isOver = true
    await watching
    expect([...seen].every((count) => count === 60 || count === 80)).toBe(true)
    expect(await read("SELECT count(*) FROM pg_class WHERE relname LIKE '%staging%'")).toEqual(['0'])
    expect(await read('SELECT DISTINCT phase FROM _bizon_state WHERE owner IS NULL')).toEqual(['published'])
  })

  /** Partitions whose end is durable, and that is not published. */
  const ended = async (): Promise<number> =>
    Number(
      (
        await read(
          "SELECT count(*) FROM _bizon_state WHERE phase = 'staging' AND (checkpoint->>'end')::boolean AND owner IS NULL",
        )
      )[0],
    )

  test.each([
    ['adds', {}],
    ['merges', { primary_key: ['n'] }],
    ['adds at once', { visibility: 'batch' }],
    ['fills the same table, and adds', { replace_strategy: 'truncate_insert' }],
  ])('of what is new %s', async (_, keys) => {
    const pages: number[] = [12, 0, 9]
    const parts = new Parts({ url, mode: 'incremental', pages, keys })
    for (const size of [0, 14, 0, 25]) {
      if (size > 0) pages.push(size)
      await parts.extract()
      const outcomes = await Promise.all([parts.load(), parts.load()])
      expect(outcomes.map(({ status }) => status)).toEqual(['complete', 'complete'])
      expect(await numbers()).toEqual(upTo(pages.reduce((sum, one) => sum + one, 0)))
    }
  })

  test('has the last version of each key, in whatever order the server keeps the rows', async () => {
    const source = versions(40, 5, true)
    const parts = new Parts({ url, mode: 'full_refresh', source, keys: { primary_key: ['n'] } })
    await parts.extract()
    const [, , last] = parts.broker.partitions
    const held = last?.messages.splice(0) ?? []
    const loading = parts.load()
    await until(async () => (await ended().catch(() => 0)) === 2)
    const staged = await read(
      "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '%\\_bizon\\_staging\\_%'",
    )
    expect(staged).toHaveLength(2)
    for (const name of staged) {
      await psqlEach(url, [
        `CREATE INDEX turned ON "${name}" (_bizon_arrival DESC)`,
        `CLUSTER "${name}" USING turned`,
        'DROP INDEX turned',
      ])
    }
    for (const one of held) last?.add([one])
    await loading
    expect(await numbers()).toEqual(upTo(40))
    expect(await read("SELECT DISTINCT source_data->>'v' FROM main")).toEqual(['4'])
  })

  test('is waited for by all others, though publishing takes longer than they wait for a lock', async () => {
    const parts = new Parts({ url, mode: 'full_refresh', pages: [9, 4], keys: { lock_timeout: 1 } })
    await parts.extract()
    const [, , last] = parts.broker.partitions
    const held = last?.messages.splice(0) ?? []
    const loading = parts.load().catch((error: unknown) => error)
    await until(async () => (await ended().catch(() => 0)) === 2)
    const publisher = new Client({ connectionString: url })
    await publisher.connect()
    await publisher.query("BEGIN; SELECT FROM _bizon_state WHERE target = 'main [partition 1 of 3]' FOR UPDATE")
    await sleep(3, never)
    await publisher.query('COMMIT')
    await publisher.end()
    for (const one of held) last?.add([one])
    expect(await loading).toMatchObject({ status: 'complete' })
    expect(await numbers()).toEqual(upTo(13))
  })

  test('is published by one that comes later, when all were stopped at their ends', async () => {
    const parts = new Parts({ url, mode: 'full_refresh', pages: [30] })
    await parts.extract()
    const [first] = parts.broker.partitions
    const held = first?.messages.splice(0) ?? []
    const stop = new AbortController()
    const stopped = parts.load({ stop: stop.signal })
    await until(async () => (await ended().catch(() => 0)) === 2)
    stop.abort(new Error('enough'))
    expect((await stopped).status).toBe('stopped')
    for (const one of held) first?.add([one])
    expect((await parts.load()).status).toBe('complete')
    expect(await numbers()).toEqual(upTo(30))
  })
})

/** Each number several times, the last of them with the greatest version. */
function versions(count: number, times: number, ends = false): SourceDefinition {
  return {
    ...scriptedSource({ pages: [] }),
    streams: () => [{ name: '*', resumable: true, primaryKey: ['n'] }],
    create: () => ({
      async *read() {
        for (const v of upTo(times)) {
          const records = upTo(count).map((n) => ({ id: `${n}.${v}`, data: RawJson.from(`{"n":${n},"v":${v}}`) }))
          yield { records, next: ends && v === times - 1 ? null : { v } }
        }
      },
    }),
  }
}

const routed = defineSource({
  summary: 'To two tables.',
  config: z.strictObject({}),
  streams: () => [{ name: '*', resumable: true }],
  create: () => ({
    async *read() {
      for (const page of upTo(3)) {
        const records = upTo(10).map((i) => {
          const n = page * 10 + i
          return { id: String(n), data: { n }, destinationId: n % 2 === 0 ? 'even' : 'odd' }
        })
        yield { records, next: { page } }
      }
    },
  }),
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((done) => setTimeout(done, 20))
}

test('loaders that make the schema at once all have it', async () => {
  const other = new Client({ connectionString: url })
  await other.connect()
  await other.query('BEGIN; CREATE SCHEMA fresh')
  const destination = postgresDestination({ url, mode: 'stream', options: { schema: 'fresh', create_schema: true } })
  const opening = destination.open(runOf('a'.repeat(32), 'stream', 1, false), never)
  const waiting =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
  await until(async () => (await read(waiting))[0] === '1')
  await other.query('COMMIT')
  await other.end()
  expect(await opening).toBeUndefined()
  await destination.close()
})

test('a process that was away while another one wrote its partition is fenced, and those of other partitions are not', async () => {
  const open = async (index: number, epoch: number) => {
    const partition = { index, of: 2 }
    const context = { stream: 'numbers', partition, mode: 'stream' as const, log: silent }
    const destination = new PostgresDestination(postgresOptions(url, { reconnect_timeout: 2 }), context, {
      otherRunMs: 50,
    })
    const run = {
      ...runOf(partRun('a'.repeat(32), index), 'stream', epoch, false),
      stream: `numbers#${index}`,
      partition,
    }
    const from = await destination.open(run, never)
    const write = async (n: number): Promise<void> => {
      await destination.write({ records: [{ id: String(n), data: { n } }], next: {} }, never)
      await destination.flush({ run: run.id, page: n + 1, rows: n + 1, position: {}, end: false })
    }
    return { destination, from, write }
  }
  const [asleep, beside] = [await open(0, 1), await open(1, 1)]
  await asleep.write(0)
  await beside.write(100)
  await psql(
    url,
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  )
  const awake = await open(0, 2)
  expect(awake.from).toMatchObject({ page: 1, rows: 1 })
  await awake.write(1)
  await awake.destination.close()
  await expect(asleep.write(1)).rejects.toMatchObject({ code: 'fenced' })
  await beside.write(101)
  await asleep.destination.close()
  await beside.destination.close()
  expect(await numbers()).toEqual([0, 1, 100, 101])
})
