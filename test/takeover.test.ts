// State that the Python program left, finished and killed in the middle, in SQLite and in PostgreSQL: this program goes on
// with it. The tables are word for word those that SQLAlchemy creates; sqlite3 and psql make them and look at them.

import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Workspace } from './crash/workspace.ts'
import { backendOf, freshSchema } from './support/postgres-store.ts'
import { cursorRow, jobRow, PYTHON_TABLES, PYTHON_TABLES_IN_POSTGRES } from './support/python-state.ts'
import { dropDatabase, freshDatabase, psql, type TestDatabase } from './support/services/postgres.ts'

const EVENTS = { name: 'shop', source: 'crm', stream: 'events' }
/** The pipeline's last run that succeeded began here. */
const PUBLISHED = '2024-04-30 22:15:00.123456'
const SINCE = '2024-04-30T22:15:00.123Z'

/** Three pages of two events, a day apart; what it is asked for is noted, and of what was newer only that is given. */
const SOURCE = `import { appendFileSync } from 'node:fs'
import { defineSource, z } from 'bizon'

const events = [1, 2, 3, 4, 5, 6].map((id) => ({ id, at: '2024-0' + (id < 3 ? 4 : 5) + '-0' + id + 'T12:00:00Z' }))

export default defineSource({
  summary: 'Events of a shop.',
  config: z.strictObject({}),
  streams: () => [{ name: 'events', incremental: true, resumable: true }],
  create: () => ({
    async *read({ position, since }) {
      appendFileSync('asked', JSON.stringify({ position, since: since?.time }) + '\\n')
      const wanted = events.filter(({ at }) => since === undefined || new Date(at) > since.time)
      for (let page = position?.page ?? 0; ; page++) {
        const records = wanted.slice(2 * page, 2 * page + 2).map((data) => ({ id: String(data.id), data }))
        const isLast = 2 * page + 2 >= wanted.length
        yield { records, next: isLast ? null : { page: page + 1 } }
        if (isLast) return
      }
    },
  }),
})
`

const line = (id: number): string => `{"id":${id},"at":"2024-0${id < 3 ? 4 : 5}-0${id}T12:00:00Z"}\n`
const lines = (...ids: number[]): string => ids.map(line).join('')

interface Store {
  readonly backend: string
  /** Whatever it says, in the words that both databases share. */
  query(sql: string): Promise<string[]>
}

const split = (text: string): string[] => text.split('\n').slice(0, -1)

let place: Workspace
let database: TestDatabase | undefined
beforeEach(async () => {
  place = await Workspace.create({ 'crm.mjs': SOURCE })
})
afterEach(async () => {
  await place.remove()
  if (database) await dropDatabase(database)
  database = undefined
})

const STORES: { readonly [title: string]: (rows: string) => Promise<Store> } = {
  async sqlite(rows) {
    const file = place.path('state.sqlite3')
    const query = async (sql: string) => split(execFileSync('sqlite3', ['-batch', file, sql], { encoding: 'utf8' }))
    await query(PYTHON_TABLES + rows)
    return { backend: 'backend:\n    type: sqlite\n    config: { database: state }', query }
  },
  /** Where the role's search_path begins, whatever schema was configured. */
  async postgres(rows) {
    database = await freshDatabase()
    const { url } = database
    await psql(url, PYTHON_TABLES_IN_POSTGRES + rows)
    return { backend: backendOf(url, await freshSchema(url)), query: async (sql) => split(await psql(url, sql)) }
  },
}

async function run(mode: string, { backend }: Store): Promise<void> {
  await place.write({
    'pipeline.yml': `name: shop
source: { name: crm, stream: events, sync_mode: ${mode}, source_file_path: crm.mjs }
destination: { name: file, config: { destination_id: out, metadata: none, buffer_size: 0 } }
engine:
  ${backend}
`,
  })
  const { code, stderr } = await place.bizon()
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) })
}

async function asked(): Promise<unknown[]> {
  const text = (await place.read('asked'))?.toString() ?? ''
  return split(text).map((each) => JSON.parse(each))
}

const published = async (): Promise<string | undefined> => (await place.read('out.json'))?.toString()
const STATUSES = 'SELECT sync_mode, status FROM stream_jobs ORDER BY rowid'
const succeeded = jobRow('a', 'incremental', 'succeeded', EVENTS, PUBLISHED)
/** Of a later process. */
const later = '2024-05-02 06:00:00.000000'

describe.each(Object.keys(STORES))('in %s', (title) => {
  const leave = (rows: string): Promise<Store> => (STORES[title] as (rows: string) => Promise<Store>)(rows)

  test('an incremental pipeline that had succeeded fetches what came since, and adds it; then from there', async () => {
    const store = await leave(succeeded)
    await place.write({ 'out.json': lines(1, 2) })
    await run('incremental', store)
    expect(await asked()).toEqual([{ since: SINCE }])
    expect(await published()).toBe(lines(1, 2, 3, 4, 5, 6))
    expect(await store.query(STATUSES)).toEqual(['incremental|succeeded', 'incremental|succeeded'])
    await run('incremental', store)
    expect(await published()).toBe(lines(1, 2, 3, 4, 5, 6))
    expect((await store.query(STATUSES)).at(-1)).toBe('incremental|succeeded')
  })

  test('a killed incremental run is given up, and nothing but what it had to fetch is fetched', async () => {
    const killed = jobRow('b', 'incremental', 'running', EVENTS, later)
    const store = await leave(succeeded + killed + cursorRow(0, 0, 1, '{"page": 1}', 'b', EVENTS))
    await place.write({ 'out.json': lines(1, 2) })
    await run('incremental', store)
    expect(await asked()).toEqual([{ since: SINCE }])
    expect(await published()).toBe(lines(1, 2, 3, 4, 5, 6))
    expect(await store.query(STATUSES)).toEqual([
      'incremental|succeeded',
      'incremental|cancelled',
      'incremental|succeeded',
    ])
  })

  test('a killed first run begins anew, and replaces', async () => {
    const killed = jobRow('b', 'incremental', 'running', EVENTS, later)
    const store = await leave(killed + cursorRow(0, 0, 1, '{"page": 1}', 'b', EVENTS))
    await run('incremental', store)
    expect(await asked()).toEqual([{}])
    expect(await published()).toBe(lines(1, 2, 3, 4, 5, 6))
    expect(await store.query(STATUSES)).toEqual(['incremental|cancelled', 'incremental|succeeded'])
  })

  test('a killed full refresh begins anew, as with the Python program', async () => {
    const killed = jobRow('b', 'full_refresh', 'running', EVENTS, later)
    const store = await leave(killed + cursorRow(0, 0, 1, '{"page": 1}', 'b', EVENTS))
    await place.write({ 'out.json': lines(6) })
    await run('full_refresh', store)
    expect(await asked()).toEqual([{}])
    expect(await published()).toBe(lines(1, 2, 3, 4, 5, 6))
    expect(await store.query(STATUSES)).toEqual(['full_refresh|cancelled', 'full_refresh|succeeded'])
  })

  test('a reset that was asked for is done, once', async () => {
    const reset = `INSERT INTO stream_resets VALUES ('${'f'.repeat(32)}', 'shop', 'crm', 'events', '${later}', NULL, NULL);`
    const store = await leave(succeeded + reset)
    await place.write({ 'out.json': lines(6, 5) })
    await run('incremental', store)
    expect(await asked()).toEqual([{}])
    expect(await published()).toBe(lines(1, 2, 3, 4, 5, 6))
    expect(
      await store.query(`SELECT consumed_by_job_id = (SELECT id FROM stream_jobs ORDER BY rowid DESC LIMIT 1),
        consumed_at IS NOT NULL FROM stream_resets`),
    ).toEqual([title === 'sqlite' ? '1|1' : 't|t'])
    await run('incremental', store)
    expect((await asked()).at(-1)).toEqual({ since: expect.any(String) })
  })

  test('a stream that has never ended goes on as the same job', async () => {
    const stream = jobRow('b', 'stream', 'running', EVENTS, later)
    const store = await leave(stream + cursorRow(0, 0, 1, null, 'b', EVENTS) + cursorRow(1, 1, 1, null, 'b', EVENTS))
    await run('stream', store)
    expect(await published()).toBe(lines(1, 2, 3, 4, 5, 6))
    expect(await store.query('SELECT id, status, attempt FROM stream_jobs')).toEqual([
      expect.stringMatching(new RegExp(`^${'b'.repeat(32)}\\|(running|succeeded)\\|1$`)),
    ])
  })
})
