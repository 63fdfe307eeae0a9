// Incremental reads of PostgreSQL while others write: every row is given once, whenever it is committed.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page, Start } from '../../../lib/source.ts'
import { runOf } from '../../support/load.ts'
import { postgresDestination } from '../../support/postgres-destination.ts'
import { dropDatabase, freshDatabase, PostgresServer, psql } from '../../support/services/postgres.ts'
import { idsOf, listeningLog, openTable, pagesOf, positionOf, sinceOf, textsOf } from '../../support/table-source.ts'

const database = await freshDatabase()
const { url } = database
const clients: Client[] = []
afterAll(async () => {
  for (const client of clients) await client.end()
  await dropDatabase(database)
})

async function session(name = 'writer', at = url): Promise<Client> {
  const client = new Client({ connectionString: at, application_name: name })
  await client.connect()
  clients.push(client)
  return client
}

const open = (config: object, log = listeningLog()) =>
  openTable('postgres', { url, cursor_field: 'u', ...config }, { mode: 'incremental', log })
const run = (config: object, from: Start = {}): Promise<Page[]> => pagesOf(open(config), from)

/** Lets it come to where it waits; it need not, for what is then asserted to hold. */
async function meanwhile<T>(running: Promise<T>, work: () => Promise<unknown>): Promise<T> {
  await Promise.race([sleep(400), running.catch(() => {})])
  await work()
  return running
}

describe('a row that is committed late', () => {
  const writers = {
    'written before the read': ['BEGIN; INSERT INTO t VALUES (1, now())', 'COMMIT'],
    'written by a transaction that had written nothing yet': [
      'BEGIN; SELECT now()',
      'INSERT INTO t VALUES (1, now()); COMMIT',
    ],
    'written within a savepoint': [
      'BEGIN; SELECT now(); SAVEPOINT s',
      'INSERT INTO t VALUES (1, now()); RELEASE s; COMMIT',
    ],
  }
  test.each(Object.entries(writers))('%s, is given once', async (_, [before, after]) => {
    const late = await session()
    await psql(url, 'DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, u timestamptz)')
    await late.query(before as string)
    await psql(url, 'INSERT INTO t VALUES (2, now())')
    const first = await meanwhile(run({ table: 't' }), () => late.query(after as string))
    const second = await run({ table: 't' }, sinceOf(first))
    expect([...idsOf(first), ...idsOf(second)].sort()).toEqual(['1', '2'])
  })

  test('with a number of a sequence, drawn long before', async () => {
    const late = await session()
    await psql(url, 'CREATE TABLE numbered (u serial PRIMARY KEY)')
    await late.query('BEGIN; INSERT INTO numbered DEFAULT VALUES')
    await psql(url, 'INSERT INTO numbered DEFAULT VALUES')
    const first = await meanwhile(run({ table: 'numbered' }), () => late.query('COMMIT'))
    await psql(url, 'INSERT INTO numbered DEFAULT VALUES')
    const second = await run({ table: 'numbered' }, sinceOf(first))
    expect([idsOf(first), idsOf(second)]).toEqual([['1', '2'], ['3']])
  })

  test('in two phases, is given once', async () => {
    // The shared server prepares no transactions.
    const server = await PostgresServer.create()
    try {
      await server.kill('SIGINT')
      await server.start({ max_prepared_transactions: '2' })
      const at = server.url()
      await psql(at, 'CREATE TABLE t (id int PRIMARY KEY, u timestamptz)')
      await psql(at, `BEGIN; INSERT INTO t VALUES (1, now()); PREPARE TRANSACTION 'late'`)
      await psql(at, 'INSERT INTO t VALUES (2, now())')
      const failing = run({ url: at, table: 't', late_commit_timeout: 0 })
      await expect(failing).rejects.toMatchObject({ message: expect.stringContaining('prepared late') })
      const first = await meanwhile(run({ url: at, table: 't' }), () => psql(at, `COMMIT PREPARED 'late'`))
      expect(idsOf(first)).toEqual(['1', '2'])

      const late = await session('writer', at)
      await late.query('BEGIN; INSERT INTO t VALUES (3, now())')
      await psql(at, 'INSERT INTO t VALUES (4, now())')
      const second = await meanwhile(run({ url: at, table: 't' }, sinceOf(first)), async () => {
        await late.query(`PREPARE TRANSACTION 'later'`)
        await sleep(400)
        await psql(at, `COMMIT PREPARED 'later'`)
      })
      expect(idsOf(second)).toEqual(['3', '4'])

      await late.end()
      clients.pop()
      await server.kill('SIGINT')
      await server.own('standby.signal')
      await server.start({ max_prepared_transactions: '2' })
      await expect(run({ url: at, table: 't' })).rejects.toMatchObject({
        message: expect.stringContaining('cannot be read incrementally from a standby'),
      })
      expect(idsOf(await pagesOf(openTable('postgres', { url: at, table: 't' })))).toEqual(['1', '2', '3', '4'])
    } finally {
      await server.remove()
    }
  })

  test('is waited for no longer than late_commit_timeout says, and who keeps it is told', async () => {
    const idle = await session('the-idle-one')
    await psql(url, 'CREATE TABLE waited (u int PRIMARY KEY); INSERT INTO waited VALUES (1)')
    await idle.query('BEGIN; SELECT 1')
    await expect(run({ table: 'waited', late_commit_timeout: 0 })).rejects.toMatchObject({
      message: expect.stringMatching(
        /1 transactions that were open .* process \d+ of postgres \(the-idle-one\), since /,
      ),
      retriable: true,
    })
    await idle.query('COMMIT')
    expect(idsOf(await run({ table: 'waited', late_commit_timeout: 0 }))).toEqual(['1'])
  })

  test('is not awaited of runs of bizon that read, or keep their lock', async () => {
    const writing = postgresDestination({ url })
    await writing.open({ ...runOf('one', 'full_refresh', 1), startOver: true }, new AbortController().signal)
    await psql(url, 'CREATE TABLE guarded (u int PRIMARY KEY); INSERT INTO guarded VALUES (1)')
    await psql(url, `CREATE TABLE slow AS SELECT repeat('x', 1000) AS t FROM generate_series(1, 20000)`)
    const reading = openTable('postgres', { url, table: 'slow' }).read({}, new AbortController().signal)
    await reading.next()
    expect(idsOf(await run({ table: 'guarded', late_commit_timeout: 0 }))).toEqual(['1'])
    await reading.return()
    await writing.close()
  })
})

test('a run of bizon that writes is waited for, also one that has a lock', async () => {
  const writer = await session('bizon')
  await psql(url, 'CREATE TABLE written (u int PRIMARY KEY); INSERT INTO written VALUES (2)')
  await writer.query('BEGIN; SELECT pg_advisory_xact_lock(1); INSERT INTO written VALUES (1)')
  await expect(run({ table: 'written', late_commit_timeout: 0 })).rejects.toMatchObject({ retriable: true })
  await writer.query('COMMIT')
})

test('the run after a full refresh, which left nothing to go on from, is refused rather than doubling all rows', async () => {
  await psql(url, 'CREATE TABLE whole (u int PRIMARY KEY); INSERT INTO whole VALUES (1)')
  const full = await pagesOf(openTable('postgres', { url, cursor_field: 'u', table: 'whole' }))
  await expect(run({ table: 'whole' }, sinceOf(full))).rejects.toMatchObject({
    code: 'config',
    message: 'the last run left no u to go on from, as it was not incremental',
    hint: expect.stringContaining('--reset'),
  })
})

test.each(['timestamptz', 'timestamp'])(
  'rows of long ago that come into an empty table are given: %s',
  async (type) => {
    await psql(url, `DROP TABLE IF EXISTS restored; CREATE TABLE restored (id int PRIMARY KEY, u ${type})`)
    const first = await run({ table: 'restored' })
    await psql(url, `INSERT INTO restored VALUES (1, '2020-01-01')`)
    const second = await run({ table: 'restored' }, sinceOf(first))
    expect([first, second].map(idsOf)).toEqual([[], ['1']])
  },
)

describe('rows with the value at which a read ended', () => {
  test('are given by the next one, once', async () => {
    await psql(
      url,
      "CREATE TABLE tied (id int PRIMARY KEY, u date); INSERT INTO tied VALUES (5, now()), (3, now()), (9, now() - interval '1 day')",
    )
    const config = { table: 'tied', page_size: 1 }
    const first = await run(config)
    const second = await run(config, sinceOf(first))
    await psql(url, 'INSERT INTO tied VALUES (1, now()), (7, now())')
    const third = await run(config, sinceOf(second))
    const fourth = await run(config, sinceOf(third))
    expect([first, second, third, fourth].map(idsOf)).toEqual([['9', '3', '5'], [], ['1', '7'], []])
  })

  test('also when they are more than can be listed, and some are written meanwhile', async () => {
    const late = await session()
    await psql(
      url,
      `CREATE TABLE many (id int PRIMARY KEY, u date); INSERT INTO many SELECT g, '2026-01-01' FROM generate_series(1, 12000) g`,
    )
    const config = { table: 'many', page_size: 5000 }
    const reading = open(config).read({}, new AbortController().signal)
    const first = [(await reading.next()).value as Page]
    // Neither is seen by the read under way: one is committed now, one after its end.
    await late.query(`BEGIN; INSERT INTO many VALUES (20001, '2026-01-01')`)
    await psql(url, `INSERT INTO many VALUES (20000, '2026-01-01')`)
    for await (const page of reading) first.push(page)
    await late.query('COMMIT')
    const second = await run(config, sinceOf(first))
    await psql(url, `VACUUM FREEZE many`)
    await psql(url, `INSERT INTO many VALUES (20002, '2026-01-01')`)
    const third = await run(config, sinceOf(second))
    const fourth = await run(config, sinceOf(third))
    expect(idsOf(first)).toHaveLength(12_000)
    expect([second, third, fourth].map(idsOf)).toEqual([['20000', '20001'], ['20002'], []])
  })

  test('also of a read that was killed among them and gone on with', async () => {
    await psql(
      url,
      `CREATE TABLE cut (id int PRIMARY KEY, u int); INSERT INTO cut SELECT g * 10, g / 4 FROM generate_series(1, 15) g`,
    )
    const config = { table: 'cut', page_size: 3 }
    const first = (await run(config)).slice(0, -1)
    await psql(url, 'INSERT INTO cut VALUES (125, 3), (1, 4), (55, 1)')
    const rest = await run(config, positionOf(first.at(-1)))
    expect([...idsOf(first), ...idsOf(rest)]).toEqual(
      Array.from({ length: 15 }, (_, at) => String((at + 1) * 10)).toSpliced(12, 0, '125'),
    )
    const second = await run(config, sinceOf(rest))
    expect(idsOf(second)).toEqual(['1'])
  })

  test('of a view, whose rows do not say who wrote them', async () => {
    await psql(
      url,
      'CREATE TABLE below (id int, u int); CREATE VIEW above AS SELECT * FROM below; INSERT INTO below VALUES (1, 1), (2, 1)',
    )
    const config = { table: 'above', primary_key: ['id'] }
    const first = await run(config)
    await psql(url, 'INSERT INTO below VALUES (3, 1), (4, 2)')
    const second = await run(config, sinceOf(first))
    expect([first, second, await run(config, sinceOf(second))].map(idsOf)).toEqual([['1', '2'], ['3', '4'], []])
  })
})

test('a row that changes comes again; one of the future waits', async () => {
  await psql(
    url,
    `CREATE TABLE changing (id int PRIMARY KEY, u timestamptz, v int); INSERT INTO changing VALUES (1, now(), 1), (2, now() + interval '1 hour', 1), (3, now(), 1)`,
  )
  const config = { table: 'changing', columns: ['id', 'v'] }
  const first = await run(config)
  await psql(url, 'UPDATE changing SET v = 2, u = clock_timestamp() WHERE id = 1')
  const second = await run(config, sinceOf(first))
  expect([textsOf(first), textsOf(second)]).toEqual([['{"id":1,"v":1}', '{"id":3,"v":1}'], ['{"id":1,"v":2}']])
})

test('an empty table, and one that was emptied, end where the read before did', async () => {
  await psql(url, 'CREATE TABLE emptied (u int PRIMARY KEY)')
  const none = await run({ table: 'emptied' })
  await psql(url, 'INSERT INTO emptied VALUES (1), (2)')
  const first = await run({ table: 'emptied' }, sinceOf(none))
  await psql(url, 'DELETE FROM emptied')
  const second = await run({ table: 'emptied' }, sinceOf(first))
  await psql(url, 'INSERT INTO emptied VALUES (1), (3)')
  const third = await run({ table: 'emptied' }, sinceOf(second))
  expect([none, first, second, third].map(idsOf)).toEqual([[], ['1', '2'], [], ['3']])
})

test('another cursor_field cannot go on where the one before ended', async () => {
  await psql(url, 'CREATE TABLE two (id int PRIMARY KEY, u int, w int); INSERT INTO two VALUES (1, 1, 1)')
  const first = await run({ table: 'two' })
  await expect(run({ table: 'two', cursor_field: 'w' }, sinceOf(first))).rejects.toMatchObject({
    message: expect.stringContaining('cursor_field is "w" now'),
  })
})

describe('writers at work', () => {
  beforeAll(async () => {
    await psql(
      url,
      'CREATE TABLE busy (id bigserial PRIMARY KEY, u timestamptz NOT NULL DEFAULT now()); CREATE INDEX ON busy (u, id)',
    )
  })

  test('lose nothing and see nothing doubled, however their commits and the reads fall', async () => {
    const stop = new AbortController()
    const writer = async (seed: number): Promise<void> => {
      const client = await session()
      for (let n = 0; !stop.signal.aborted; n++) {
        await client.query('BEGIN')
        await sleep((seed * 7 + n * 13) % 30)
        await client.query('INSERT INTO busy SELECT FROM generate_series(1, $1)', [1 + (n % 5)])
        await sleep((seed * 11 + n * 5) % 60)
        await client.query(n % 7 === 6 ? 'ROLLBACK' : 'COMMIT')
      }
    }
    const writing = [1, 2, 3, 4].map(writer)
    const given: string[] = []
    const config = { table: 'busy', page_size: 3 }
    let from: Start = {}
    for (let read = 0; read < 8; read++) {
      const pages = await run(config, from)
      given.push(...idsOf(pages))
      from = sinceOf(pages)
    }
    stop.abort()
    await Promise.all(writing)
    given.push(...idsOf(await run(config, from)))
    const there = (await psql(url, 'SELECT id FROM busy ORDER BY id')).trimEnd().split('\n')
    expect(given.toSorted((one, other) => Number(one) - Number(other))).toEqual(there)
  })
})
