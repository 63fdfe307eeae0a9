// Behind a pooler that lends connections for a transaction each: source, destination and state of a run.

import type { ChildProcess } from 'node:child_process'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { isStopped, until, Workspace } from '../crash/workspace.ts'
import { backendOf } from '../support/postgres-store.ts'
import { type Pool, Pooler } from '../support/services/pgbouncer.ts'
import { PostgresServer, psql } from '../support/services/postgres.ts'

const ROWS = 2000
/** All that a run has at once, but for what waits beside an open transaction. */
const ENOUGH = 5

let server: PostgresServer
let place: Workspace
let pooler: Pooler | undefined
beforeAll(async () => {
  server = await PostgresServer.create()
  await psql(
    server.url(),
    `CREATE TABLE shop (id int PRIMARY KEY, at timestamptz DEFAULT now());
     INSERT INTO shop SELECT n FROM generate_series(1, ${ROWS}) n`,
  )
})
afterAll(() => server.remove())
beforeEach(async () => {
  await psql(
    server.url(),
    'DROP SCHEMA IF EXISTS bizon CASCADE; CREATE SCHEMA bizon; DROP TABLE IF EXISTS copied, _bizon_state',
  )
  place = await Workspace.create()
})
afterEach(async () => {
  await pooler?.remove()
  await place.remove()
})

async function behind(pool: Pool, mode = 'full_refresh'): Promise<void> {
  pooler = await Pooler.before(server, pool)
  const url = pooler.url()
  await place.write({
    'pipeline.yml': `name: pooled
source: { name: postgres, url: "${url}", stream: shop, table: shop, sync_mode: ${mode}, cursor_field: at, page_size: 100 }
destination: { name: postgres, config: { url: "${url}", destination_id: copied, primary_key: [id], buffer_size: 0 } }
engine:
  ${backendOf(url, 'bizon')}
`,
  })
}

const copied = (): Promise<string> =>
  psql(server.url(), `SELECT count(*), count(DISTINCT source_data->>'id'), sum((source_data->>'id')::int) FROM copied`)
const ALL = `${ROWS}|${ROWS}|${(ROWS * (ROWS + 1)) / 2}\n`

test.each(['full_refresh', 'incremental'])(
  'a run of %s that is killed again and again loads every row once',
  async (mode) => {
    await behind({ size: ENOUGH }, mode)
    for (const failpoint of ['commit.mid@2:kill', 'commit.after@2:kill', 'cursor.before@2:kill', 'publish.mid:kill']) {
      expect(await place.bizon({ failpoint })).toMatchObject({ signal: 'SIGKILL' })
    }
    expect(await place.bizon()).toMatchObject({ code: 0 })
    expect(await copied()).toBe(ALL)
  },
)

test('another run is refused meanwhile, and the one that is under way loads every row once', async () => {
  await behind({ size: 2 * ENOUGH })
  const during = async (first: ChildProcess): Promise<void> => {
    await until('it sleeps', () => isStopped(first), first)
    expect(await place.bizon()).toMatchObject({ code: 3 })
    first.kill('SIGCONT')
  }
  expect(await place.bizon({ failpoint: 'commit.after@2:stop', during })).toMatchObject({ code: 0 })
  expect(await copied()).toBe(ALL)
})

test('a pool that is too small for a run is an error that says so', async () => {
  await behind({ size: 2, waitSeconds: 1 })
  const { code, stderr } = await place.bizon()
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /Error: PostgreSQL at 127.0.0.1:\d+ \(\w+\): the pooler had no connection free in time\nTry: .*default_pool_size/,
  )
})
