// The state store in PostgreSQL, where it is not like others: the tables of the Python program, the lease's time, a
// server that goes away, and states that cannot be used. psql looks at what is there.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { GUARD } from '../../../connectors/postgres.ts'
import postgres, { PostgresDatabase } from '../../../connectors/stores/postgres.ts'
import { SqlStore } from '../../../connectors/stores/sql.ts'
import type { Log } from '../../../lib/log.ts'
import type { BeginJob, Identity, Job, Lease, StateStore, StoredCheckpoint } from '../../../lib/state.ts'
import { LossyProxy } from '../../support/lossy-proxy.ts'
import { silent } from '../../support/postgres-destination.ts'
import { freshSchema, storeConfig } from '../../support/postgres-store.ts'
import { cursorRow, jobRow, PYTHON_ROWS, PYTHON_TABLES_IN_POSTGRES } from '../../support/python-state.ts'
import {
  dropDatabase,
  freshDatabase,
  PostgresServer,
  psql,
  psqlEach,
  type TestDatabase,
} from '../../support/services/postgres.ts'

/** The whole message: `READ COMMITTED` has the word too. */
const COMMIT = 'COMMIT\0'
const CREATURES: Identity = { name: 'test', source: 'dummy', stream: 'creatures' }

let database: TestDatabase
let url: string
const opened: StateStore[] = []
beforeEach(async () => {
  database = await freshDatabase()
  url = database.url
})
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close()
  await dropDatabase(database)
})

interface Given {
  readonly schema?: string
  readonly at?: string
  readonly log?: Log
  readonly leaseSeconds?: number
  readonly reconnectSeconds?: number
}

function createStore({ schema = 'public', at = url, log = silent, ...more }: Given = {}): StateStore {
  const { server, ...config } = storeConfig(at, schema)
  if (!server) throw new Error('no server')
  const store = new SqlStore(new PostgresDatabase({ ...config, server, log, ...more }))
  opened.push(store)
  return store
}

async function openStore(given: Given = {}): Promise<StateStore> {
  const store = createStore(given)
  await store.open()
  return store
}

const query = async (sql: string, at = url): Promise<string[]> => (await psql(at, sql)).split('\n').slice(0, -1)

function beginJob(fields: Partial<BeginJob> = {}): BeginJob {
  return {
    identity: CREATURES,
    cancel: [],
    mode: 'incremental',
    complete: false,
    consume: [],
    bindReset: false,
    ...fields,
  }
}

function at(job: Job, page: number, fields: Partial<StoredCheckpoint> = {}): StoredCheckpoint {
  return { run: job.id, page, rows: page * 10, position: { page }, end: false, ...fields }
}

async function begun(store: StateStore, fields: Partial<BeginJob> = {}): Promise<{ lease: Lease; job: Job }> {
  const lease = await store.acquire(CREATURES, 'test')
  return { lease, job: await store.begin(lease, beginJob(fields)) }
}

describe('tables of the Python program', () => {
  test('are taken over with their jobs, finished and interrupted, whatever the time zone', async () => {
    await psql(url, PYTHON_TABLES_IN_POSTGRES + PYTHON_ROWS)
    await psql(url, `ALTER DATABASE ${database.name} SET TimeZone = 'Asia/Tokyo'`)
    const store = await openStore()
    expect(await store.lastSucceeded(CREATURES)).toEqual({
      ...CREATURES,
      id: 'a'.repeat(32),
      mode: 'incremental',
      status: 'succeeded',
      attempt: 0,
      createdAt: new Date('2024-04-30T22:15:00.123Z'),
      totalRecords: 50,
      ours: false,
      complete: false,
    })
    const unfinished = await store.unfinishedJobs(CREATURES)
    expect(unfinished.map(({ id, ours }) => [id, ours])).toEqual([
      ['d'.repeat(32), false],
      ['b'.repeat(32), false],
    ])
    const [, job] = unfinished
    expect(job && (await store.lastCheckpoint(job))).toEqual({
      run: 'b'.repeat(32),
      page: 2,
      rows: 20,
      position: { cursor: 'after-1', n: 2 },
      end: false,
    })
    expect((job ? await store.checkpoints(job) : []).map(({ page, rows }) => [page, rows])).toEqual([
      [2, 20],
      [6, 40],
    ])
  })

  test('give the jobs in the order in which they were made, also of those that changed since', async () => {
    const rows = ['3', '1', '2'].map((n) => jobRow(n, 'incremental', 'succeeded', CREATURES, `2024-04-30 0${n}:00:00`))
    await psql(
      url,
      `${PYTHON_TABLES_IN_POSTGRES}${rows.join('')} UPDATE stream_jobs SET attempt = 0 WHERE id LIKE '1%'`,
    )
    const jobs = await (await openStore()).jobs(CREATURES)
    expect(jobs.map(({ id }) => id[0])).toEqual(['3', '2', '1'])
  })

  test('of a stream that has run for long are read in parts', async () => {
    const many = `INSERT INTO destination_cursors SELECT 'c' || n, '${'b'.repeat(32)}', 'test', 'dummy', 'creatures',
      'file', n, n, 2, n <> 2500, 0, NULL, now(), NULL, '{"n": ' || n + 1 || '}' FROM generate_series(0, 2999) n;`
    await psql(url, PYTHON_TABLES_IN_POSTGRES + jobRow('b', 'stream', 'running') + many)
    const store = await openStore()
    const [job] = await store.unfinishedJobs(CREATURES)
    expect(job && (await store.lastCheckpoint(job))).toMatchObject({ page: 2500, rows: 5000, position: { n: 2500 } })
  })

  test('can be written to by it afterwards, and read: the same columns, words and times', async () => {
    await psql(url, PYTHON_TABLES_IN_POSTGRES + PYTHON_ROWS)
    const named =
      'id, name, source_name, stream_name, sync_mode, attempt, total_records_to_fetch, created_at, updated_at'
    const before = await query(`SELECT ${named}, incremental_state, status, error_message FROM stream_jobs ORDER BY id`)
    const store = await openStore()
    const { lease, job } = await begun(store, { mode: 'full_refresh', totalRecords: 3_000_000_000 })
    for (const page of [3, 5]) await store.saveCheckpoint(lease, job, at(job, page), 'file')
    await store.saveCheckpoint(lease, job, at(job, 6, { position: null, end: true }), 'file')
    await store.finish(lease, job, { status: 'succeeded' })
    const [, ...after] = await psqlEach(url, [
      'SELECT 1',
      `SELECT ${named}, incremental_state, status, error_message FROM stream_jobs WHERE id <> '${job.id}' ORDER BY id`,
      `SELECT sync_mode, attempt, total_records_to_fetch, status, now() AT TIME ZONE 'UTC' - created_at < '1 min',
         updated_at >= created_at FROM stream_jobs WHERE id = '${job.id}'`,
      `SELECT destination_name, from_source_iteration, to_source_iteration, rows_written, success, pagination
         FROM destination_cursors WHERE job_id = '${job.id}' ORDER BY to_source_iteration`,
    ])
    expect(after).toEqual([
      `${before.join('\n')}\n`,
      'full_refresh|0|3000000000|succeeded|t|t\n',
      'file|0|2|30|t|{"page":3}\nfile|3|4|20|t|{"page":5}\nfile|5|5|10|t|\n',
    ])
    // As SQLAlchemy does: the columns that it knows.
    const theirs = jobRow('e', 'incremental', 'running').replace(
      'stream_jobs',
      `stream_jobs (${named}, incremental_state, status, error_message)`,
    )
    await psql(url, `${theirs} DELETE FROM destination_cursors WHERE job_id = '${job.id}'`)
    expect((await store.unfinishedJobs(CREATURES))[0]).toMatchObject({ id: 'e'.repeat(32), ours: false })
  })

  test('are used where it has put them, which is told; not in the schema that it was configured with', async () => {
    const schema = await freshSchema(url)
    await psql(url, PYTHON_TABLES_IN_POSTGRES + PYTHON_ROWS)
    const said: string[] = []
    const log = { ...silent, info: (message: string) => said.push(message) }
    for (const _ of ['taken over', 'and found again']) {
      const store = await openStore({ schema, log })
      expect(await store.lastSucceeded(CREATURES)).toMatchObject({ id: 'a'.repeat(32) })
      expect(store.place).toMatch(/, schema public, where the Python program has put it$/)
      expect(said.pop()).toBe(`the state is in ${store.place}; schema ${schema} has none`)
    }
    expect(await query(`SELECT relname FROM pg_class WHERE relnamespace = '${schema}'::regnamespace`)).toEqual([])
  })

  test('elsewhere are left alone by a schema that has tables, and by one when those elsewhere are ours', async () => {
    const [one, other] = [await freshSchema(url), await freshSchema(url)]
    await openStore()
    const store = await openStore({ schema: one })
    expect(store.place).toMatch(new RegExp(`, schema ${one}$`))
    await begun(store)
    await psql(url, 'DROP TABLE bizon_state_version')
    expect(await (await openStore({ schema: one })).unfinishedJobs(CREATURES)).toHaveLength(1)
    expect((await openStore({ schema: other })).place).toContain('where the Python program has put it')
  })

  test('stay as they were when they cannot be migrated whole', async () => {
    await psql(url, `${PYTHON_TABLES_IN_POSTGRES} CREATE VIEW bizon_leases AS SELECT 1 AS one`)
    const columns = `SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
      WHERE relnamespace = 'public'::regnamespace ORDER BY 1, 2`
    const before = await query(columns)
    await expect(createStore().open()).rejects.toMatchObject({ code: 'state' })
    expect(await query(columns)).toEqual(before)
  })

  test('of an age before some tables and columns get those too', async () => {
    await psql(
      url,
      `CREATE TABLE stream_jobs (id VARCHAR(100) NOT NULL, name VARCHAR(100) NOT NULL, source_name VARCHAR(100) NOT NULL,
       stream_name VARCHAR(100) NOT NULL, sync_mode VARCHAR(100) NOT NULL, created_at TIMESTAMP NOT NULL,
       updated_at TIMESTAMP, status VARCHAR(100), PRIMARY KEY (id));
       INSERT INTO stream_jobs VALUES ('a', 'test', 'dummy', 'creatures', 'incremental', '2024-05-01', NULL, 'running')`,
    )
    const store = await openStore()
    expect(await store.unfinishedJobs(CREATURES)).toMatchObject([{ id: 'a', attempt: 0, ours: false }])
    expect(await store.requestReset(CREATURES)).toBe(true)
  })
})

/** Of this database: the server is shared with tests that run meanwhile. */
const ADVISORY = "locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

describe('a lease', () => {
  test('whose time is over goes to whoever asks, and the process that wakes up then changes nothing', async () => {
    const store = await openStore()
    const { lease, job } = await begun(store)
    await store.saveCheckpoint(lease, job, at(job, 1), 'file')
    await psql(url, `UPDATE bizon_leases SET expires_at = now() - interval '1 s'`)
    const other = await openStore()
    const newer = await other.acquire(CREATURES, 'other')
    expect(newer.epoch).toBeGreaterThan(lease.epoch)
    await expect(store.saveCheckpoint(lease, job, at(job, 2), 'file')).rejects.toMatchObject({ code: 'fenced' })
    await expect(store.finish(lease, job, { status: 'succeeded' })).rejects.toMatchObject({ code: 'fenced' })
    await lease.release()
    await expect(store.acquire(CREATURES, 'again')).rejects.toMatchObject({
      message: 'pipeline "test" (dummy - creatures) is locked by other',
    })
    expect(await other.lastCheckpoint(job)).toEqual(at(job, 1))
  })

  test('is renewed in good time, without a word from the run', async () => {
    const store = await openStore({ leaseSeconds: 0.6 })
    await store.acquire(CREATURES, 'test')
    const until = `SELECT expires_at FROM bizon_leases`
    const [first] = await query(until)
    for (let renewed = false; !renewed; ) renewed = (await query(until))[0] !== first
    const other = await openStore()
    await expect(other.acquire(CREATURES, 'other')).rejects.toMatchObject({ code: 'locked' })
  })

  test('that nobody took meanwhile is gone on with, however late', async () => {
    const store = await openStore()
    const { lease, job } = await begun(store)
    await psql(url, `UPDATE bizon_leases SET expires_at = now() - interval '1 hour'`)
    await store.saveCheckpoint(lease, job, at(job, 2), 'file')
    await expect((await openStore()).acquire(CREATURES, 'other')).rejects.toMatchObject({ code: 'locked' })
  })

  test('whose second connection was lost is shown to be held again', async () => {
    const store = await openStore()
    const { lease, job } = await begun(store)
    await psql(url, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE ${ADVISORY}`)
    // Until the end of the connection has arrived here, nobody can know of it.
    for (let page = 1, held = false; !held; page++) {
      await store.saveCheckpoint(lease, job, at(job, page), 'file')
      held = (await query(`SELECT 1 FROM pg_locks WHERE ${ADVISORY}`)).length > 0
    }
    await expect((await openStore()).acquire(CREATURES, 'other')).rejects.toMatchObject({ code: 'locked' })
  })

  test.each([-3_600_000, 3_600_000])('and times are by the clock of the server: ours is wrong by %i ms', async (ms) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms })
    try {
      const store = await openStore()
      const { lease, job } = await begun(store)
      await store.saveCheckpoint(lease, job, at(job, 1), 'file')
      await expect((await openStore()).acquire(CREATURES, 'other')).rejects.toMatchObject({ code: 'locked' })
      const isNow = (time: string): string => `abs(extract(epoch FROM now() AT TIME ZONE 'UTC' - ${time})) < 60`
      expect(
        await query(`SELECT ${isNow('created_at')}, ${isNow('updated_at')} FROM stream_jobs UNION ALL
          SELECT ${isNow('created_at')}, abs(extract(epoch FROM now()) * 1000 - (SELECT epoch FROM bizon_leases)) < 60000
          FROM destination_cursors`),
      ).toEqual(['t|t', 't|t'])
    } finally {
      vi.useRealTimers()
    }
  })

  test('leaves no lock on a connection that a pooler may lend to somebody else, and says that it only keeps one', async () => {
    const store = await openStore()
    const { lease, job } = await begun(store)
    await store.saveCheckpoint(lease, job, at(job, 1), 'file')
    const locks = `SELECT count(*) FROM pg_locks WHERE ${ADVISORY}`
    expect(await query(locks)).toEqual(['1'])
    expect(
      await query(`SELECT state, application_name FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks
        WHERE ${ADVISORY}) AND backend_xmin IS NULL AND backend_xid IS NULL`),
    ).toEqual([`idle in transaction|${GUARD}`])
    await lease.release()
    expect(await query(locks)).toEqual(['0'])
  })
})

describe('the way to the server is lost', () => {
  test.each([
    { text: 'INSERT INTO destination_cursors', when: 'request' },
    { text: 'INSERT INTO destination_cursors', when: 'answer' },
    { text: COMMIT, when: 'request' },
    { text: COMMIT, when: 'answer' },
  ] as const)('with the $when of $text: the checkpoint is there once', async (breakAt) => {
    const proxy = await LossyProxy.create(Number(new URL(url).port))
    try {
      const said: string[] = []
      const log = { ...silent, info: (message: string) => said.push(message) }
      const store = await openStore({ at: url.replace(/:\d+\//, `:${proxy.port}/`), log })
      const { lease, job } = await begun(store)
      await store.saveCheckpoint(lease, job, at(job, 1), 'file')
      proxy.breakAt = breakAt
      await store.saveCheckpoint(lease, job, at(job, 2), 'file')
      expect(proxy.breaks).toBe(1)
      expect(said.join()).toContain('is back')
      expect(await query('SELECT to_source_iteration, rows_written FROM destination_cursors ORDER BY 1')).toEqual([
        '0|10',
        '1|10',
      ])
      await store.finish(lease, job, { status: 'succeeded' })
    } finally {
      for (const each of opened.splice(0)) await each.close()
      await proxy.close()
    }
  })

  test.each(['begin', 'requestReset', 'cancelResets', 'acquire'] as const)(
    'with the answer of COMMIT: %s is done once, and says so',
    async (what) => {
      const proxy = await LossyProxy.create(Number(new URL(url).port))
      try {
        const store = await openStore({ at: url.replace(/:\d+\//, `:${proxy.port}/`) })
        const commit = { text: COMMIT, when: 'answer' } as const
        if (what === 'begin') {
          const lease = await store.acquire(CREATURES, 'test')
          proxy.breakAt = commit
          const job = await store.begin(lease, beginJob({ bindReset: true }))
          expect(await store.jobs(CREATURES)).toEqual([job])
          expect(await store.resets(CREATURES, [job.id])).toHaveLength(1)
        } else if (what === 'acquire') {
          proxy.breakAt = commit
          const { epoch } = await store.acquire(CREATURES, 'test')
          expect(await query('SELECT epoch, owner FROM bizon_leases')).toEqual([`${epoch}|test`])
        } else {
          if (what === 'cancelResets') await store.requestReset(CREATURES)
          proxy.breakAt = commit
          expect(await store[what](CREATURES)).toBe(what === 'cancelResets' ? 1 : true)
          expect(await store.resets(CREATURES, [])).toHaveLength(what === 'cancelResets' ? 0 : 1)
        }
        expect(proxy.breaks).toBe(1)
      } finally {
        for (const each of opened.splice(0)) await each.close()
        await proxy.close()
      }
    },
  )
})

describe('the server', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await PostgresServer.create()
  })
  afterAll(() => server.remove())

  test('may be killed and come back between two checkpoints, and the lease is still ours', async () => {
    await psql(server.url(), 'CREATE DATABASE back')
    const store = await openStore({ at: server.url('back') })
    const { lease, job } = await begun(store)
    await store.saveCheckpoint(lease, job, at(job, 1), 'file')
    await server.kill()
    await server.start()
    await store.saveCheckpoint(lease, job, at(job, 2), 'file')
    expect(await store.lastCheckpoint(job)).toEqual(at(job, 2))
    const other = await openStore({ at: server.url('back') })
    await expect(other.acquire(CREATURES, 'other')).rejects.toMatchObject({ code: 'locked' })
  })

  test('may be away while a checkpoint waits for it; away for too long it is named, once', async () => {
    await psql(server.url(), 'CREATE DATABASE away')
    const store = await openStore({ at: server.url('away') })
    const hasty = await openStore({ at: server.url('away'), reconnectSeconds: 0.3 })
    const { lease, job } = await begun(store)
    await server.kill()
    const saved = store.saveCheckpoint(lease, job, at(job, 1), 'file')
    for (const _ of [1, 2]) {
      await expect(hasty.unfinishedJobs(CREATURES)).rejects.toMatchObject({
        code: 'state',
        retriable: true,
        message: expect.stringMatching(
          /^the connection to the state in 127\.0\.0\.1:\d+\/away, schema public was lost: /,
        ),
      })
    }
    await hasty.close()
    await server.start()
    await saved
    expect(await store.lastCheckpoint(job)).toEqual(at(job, 1))
  })

  test('that refuses a password is named, the password is not', async () => {
    await psql(server.url(), `CREATE ROLE guest LOGIN PASSWORD 'right-one'`)
    await psql(server.url(), 'CREATE DATABASE locked OWNER guest')
    await server.requirePasswords()
    const { server: where, ...config } = storeConfig(server.url('locked', 'guest'))
    const store = (password: string): StateStore =>
      postgres.create({ ...config, ...(where && { server: { ...where, password } }) })
    const refused = store('wrong-one')
    await expect(refused.open()).rejects.toMatchObject({
      code: 'state',
      message: expect.stringMatching(
        /^PostgreSQL at 127\.0\.0\.1:\d+ \(state\): user guest was refused: wrong password, or none$/,
      ),
    })
    await expect(refused.open()).rejects.not.toThrow(/wrong-one/)
    await refused.close()
    const right = store('right-one')
    await right.open()
    await right.close()
  })
})

describe('a state that cannot be used', () => {
  const refusal = (message: string | RegExp) => ({
    code: 'state',
    message: typeof message === 'string' ? message : expect.stringMatching(message),
    hint: expect.any(String),
  })

  test('because there is no such schema is refused', async () => {
    await expect(createStore({ schema: 'nowhere' }).open()).rejects.toMatchObject(refusal('there is no schema nowhere'))
  })

  test('because there is no such database is refused', async () => {
    const elsewhere = url.replace(database.name, 'nowhere')
    await expect(createStore({ at: elsewhere }).open()).rejects.toMatchObject(refusal(/there is no database nowhere$/))
  })

  test('because the role may not make tables there, or not use them, is refused', async () => {
    const role = `r_${database.name}`
    await psql(url, `CREATE ROLE ${role} LOGIN; CREATE SCHEMA closed; GRANT USAGE ON SCHEMA closed TO ${role}`)
    const given = { at: url.replace('postgres@', `${role}@`), schema: 'closed' }
    await expect(createStore(given).open()).rejects.toMatchObject(refusal(/permission denied for schema closed$/))
    await openStore({ schema: 'closed' })
    await expect(createStore(given).open()).rejects.toMatchObject(
      refusal(/permission denied for table bizon_state_version$/),
    )
    await psql(url, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA closed TO ${role}`)
    const store = await openStore(given)
    await begun(store)
    await psql(url, `REVOKE ALL ON ALL TABLES IN SCHEMA closed FROM ${role}`)
    await expect(store.unfinishedJobs(CREATURES)).rejects.toMatchObject(
      refusal(/^state in .*: PostgreSQL: permission denied for table stream_jobs$/),
    )
    await store.close()
    await psql(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })

  test('of a newer program is refused and left alone', async () => {
    await openStore()
    await psql(url, 'UPDATE bizon_state_version SET version = 2')
    await expect(createStore().open()).rejects.toMatchObject(
      refusal('the tables in schema public have version 2, and this program knows 1 at most'),
    )
  })

  test('because its table of jobs is something else is refused and left alone', async () => {
    await psql(url, 'CREATE TABLE stream_jobs (id int)')
    await expect(createStore().open()).rejects.toMatchObject(
      refusal("schema public has a table stream_jobs that is not bizon's"),
    )
    expect(
      await query('SELECT count(*) FROM pg_attribute WHERE attrelid = $$stream_jobs$$::regclass AND attnum > 0'),
    ).toEqual(['1'])
  })

  test('is written to where transactions read only unless they say otherwise', async () => {
    const store = await openStore()
    await psql(url, `ALTER DATABASE ${database.name} SET default_transaction_read_only = on`)
    const other = await openStore()
    expect(await other.requestReset(CREATURES)).toBe(true)
    expect(await store.cancelResets(CREATURES)).toBe(1)
  })

  test('because its tables were dropped under the run is told', async () => {
    const store = await openStore()
    const { lease, job } = await begun(store)
    await psql(url, 'DROP TABLE destination_cursors')
    await expect(store.saveCheckpoint(lease, job, at(job, 1), 'file')).rejects.toMatchObject(
      refusal(/relation "destination_cursors" does not exist$/),
    )
  })

  test('because a name is too long for it is told', async () => {
    const store = await openStore()
    const long = { ...CREATURES, stream: 'x'.repeat(101) }
    await expect(store.acquire(long, 'test')).rejects.toMatchObject(refusal(/value too long/))
  })

  test.each([
    ['is not JSON', '{"run":'],
    ['is not a checkpoint', '{"run":"x","page":-1}'],
    ['has a position that is no object', '{"run":"x","page":1,"rows":1,"position":[1],"end":false}'],
  ])('because a checkpoint was edited and %s is refused, never taken for none', async (_, text) => {
    const store = await openStore()
    const { lease, job } = await begun(store)
    await store.saveCheckpoint(lease, job, at(job, 1), 'file')
    await psql(url, `UPDATE destination_cursors SET checkpoint = '${text}'`)
    await expect(store.lastCheckpoint(job)).rejects.toMatchObject(
      refusal(new RegExp(`${job.id} checkpoint: cannot be`)),
    )
  })

  test('because a position that the Python program left, or a time, is none is refused', async () => {
    await psql(url, PYTHON_TABLES_IN_POSTGRES + jobRow('b', 'stream', 'running') + cursorRow(0, 1, 1, '[1]'))
    const store = await openStore()
    const [job] = await store.unfinishedJobs(CREATURES)
    await expect(job && store.lastCheckpoint(job)).rejects.toMatchObject(refusal(/pagination: cannot be understood/))
    await psql(url, `UPDATE stream_jobs SET created_at = 'infinity'`)
    await expect(store.unfinishedJobs(CREATURES)).rejects.toMatchObject(refusal(/created_at: cannot be understood/))
  })
})
