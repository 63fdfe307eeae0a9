// Tables read by runs that are killed: psql and sqlite3 say what is in them, and the same must be in the file, once, in the
// order of the key, wherever the kill fell. Broken twins of the sources must be found.

import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { dropDatabase, freshDatabase, psql } from '../support/services/postgres.ts'
import { crash, finish, prepare, resume } from './kill.ts'
import { complaintsBetween, differenceOf, stateOf } from './oracle.ts'
import { occurrences, passesOf } from './points.ts'
import type { Scenario } from './scenario.ts'
import { buildTwin, checkReplacements, type Replacement } from './twin.ts'
import { BIZON, eachOf, inTurn, NIGHTLY, TEST_LIMIT_MS, Workspace } from './workspace.ts'

const ROWS = 90
const EARLIER = 47
const RANDOM_KILLS = NIGHTLY ? 100 : 3
const seed = Number(process.env.BIZON_SEED ?? randomInt(2 ** 31))

const database = await freshDatabase()
const { url } = database

/** Each in a table of its own, which is not written to any more. */
const COLUMNS = 'region text, n int, seen date, price numeric, at timestamptz, note text'
const rowsOf = (from: number, to: number): string =>
  `SELECT chr(97 + g % 3), g, date '2026-01-01' + g / 20, g + 0.10, timestamptz '2026-01-01 00:00:00.000001' + g * interval '1 hour',
     E'é"\\\\\\n' || repeat('x', g * 37 % 180) FROM generate_series(${from}, ${to - 1}) AS g`
await psql(
  url,
  `CREATE TABLE keyed (${COLUMNS}, PRIMARY KEY (region, n)); INSERT INTO keyed ${rowsOf(0, ROWS)};
   CREATE TABLE keyless (${COLUMNS}); INSERT INTO keyless ${rowsOf(0, ROWS)};
   CREATE TABLE added (${COLUMNS}, PRIMARY KEY (region, n)); INSERT INTO added ${rowsOf(0, EARLIER)}`,
)
const jsonOf = (table: string, order = ''): Promise<string> =>
  psql(url, `SET TimeZone = 'UTC'; SELECT row_to_json(t) FROM ${table} AS t ${order}`)

function pipelineFile(source: object, mode = 'full_refresh'): string {
  return JSON.stringify({
    name: 'crash',
    source: { page_size: 8, sync_mode: mode, ...source },
    destination: { name: 'file', config: { destination_id: 'out/records', buffer_size: 0, metadata: 'none' } },
    engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
  })
}

const target = { path: 'out/records.json', holds: 'bytes' } as const
const sidecar = 'out/.records.state.json'
const postgres = (stream: string, more: object = {}) => ({ name: 'postgres', stream, url, ...more })
const sqlite = (more: object = {}) => ({ name: 'sqlite', stream: 'records', path: 'data.sqlite', ...more })

/** The same rows in a SQLite file, by SQLite's own program. */
function sqliteFile(rows: number): Promise<Buffer> {
  return inWorkspace(async (place) => {
    sqlite3(
      place.path('data.sqlite'),
      `PRAGMA journal_mode = wal; CREATE TABLE records (n INTEGER PRIMARY KEY, seen TEXT, price REAL, note TEXT); ${added(0, rows)}`,
    )
    return (await place.read('data.sqlite')) as Buffer
  })
}
const added = (from: number, to: number): string =>
  `WITH RECURSIVE s(g) AS (SELECT ${from} UNION ALL SELECT g + 1 FROM s WHERE g < ${to - 1})
   INSERT INTO records SELECT g, date('2026-01-01', (g / 20) || ' days'), g + 0.25, 'é"\\' || char(10) || hex(zeroblob(g * 37 % 90)) FROM s`
const sqlite3 = (path: string, sql: string): string => execFileSync('sqlite3', ['-batch', path, sql]).toString()

async function inWorkspace<T>(work: (place: Workspace) => Promise<T>): Promise<T> {
  const place = await Workspace.create()
  try {
    return await work(place)
  } finally {
    await place.remove()
  }
}

const [fewRows, allRows] = [await sqliteFile(EARLIER), await sqliteFile(ROWS)]
const sqliteLines = (rows: Buffer): Promise<string> =>
  inWorkspace(async (place) => {
    await place.write({ 'data.sqlite': rows })
    return sqlite3(
      place.path('data.sqlite'),
      `SELECT json_object('n', n, 'seen', seen, 'price', price, 'note', note) FROM records ORDER BY n`,
    )
  })

const CURSOR = { cursor_field: 'seen' }
const before = await jsonOf('added', 'ORDER BY seen, region, n')
const full: Scenario = {
  title: 'postgres, full refresh by a key of two columns',
  files: { 'pipeline.yml': pipelineFile(postgres('keyed')) },
  targets: [{ ...target, after: await jsonOf('keyed', 'ORDER BY region, n') }],
  sidecar,
}
const keyless: Scenario = {
  title: 'postgres, full refresh without a key',
  files: { 'pipeline.yml': pipelineFile(postgres('keyless')) },
  targets: [{ ...target, after: await jsonOf('keyless') }],
  sidecar,
}
const incremental: Scenario = {
  title: 'postgres, incremental, among rows of one value',
  earlier: { 'pipeline.yml': pipelineFile(postgres('added', CURSOR), 'incremental') },
  files: {},
  // Of the value at which the run before ended there are more.
  targets: [
    {
      ...target,
      before,
      after:
        before +
        (await jsonOf(
          `(SELECT * FROM (${rowsOf(EARLIER, ROWS)}) AS r (region, n, seen, price, at, note))`,
          'ORDER BY seen, region, n',
        )),
    },
  ],
  meanwhile: 'part of what was added',
  sidecar,
}
const sqliteFull: Scenario = {
  title: 'sqlite, full refresh',
  files: { 'pipeline.yml': pipelineFile(sqlite()), 'data.sqlite': allRows },
  targets: [{ ...target, after: await sqliteLines(allRows) }],
  sidecar,
}
const sqliteIncremental: Scenario = {
  title: 'sqlite, incremental, among rows of one value',
  earlier: { 'pipeline.yml': pipelineFile(sqlite(CURSOR), 'incremental'), 'data.sqlite': fewRows },
  files: { 'data.sqlite': allRows },
  targets: [{ ...target, before: await sqliteLines(fewRows), after: await sqliteLines(allRows) }],
  meanwhile: 'part of what was added',
  sidecar,
}
const scenarios = [full, keyless, incremental, sqliteFull, sqliteIncremental]

const prepared = new Map<Scenario, Workspace>()
for (const scenario of scenarios) prepared.set(scenario, await prepare(scenario))
await psql(url, `INSERT INTO added ${rowsOf(EARLIER, ROWS)}`)

afterAll(async () => {
  for (const place of prepared.values()) await place.remove()
  await dropDatabase(database)
})

const KILLS = ['cursor.after@2', 'fetch.after@3', 'status.before']
const KILLS_WITHOUT_CHECKPOINT = ['fetch.after@3', 'stage.after@1']

describe.each(scenarios)('$title', (scenario) => {
  const place = prepared.get(scenario) as Workspace
  const kills = scenario === keyless ? KILLS_WITHOUT_CHECKPOINT : KILLS

  test(
    'killed again and again while it goes on, it is resumed to the exact content',
    async () => {
      expect(await inTurn(() => crash(place, scenario, kills))).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

if (NIGHTLY) {
  test(
    'killed once at every point there is, it is resumed to the exact content',
    async () => {
      for (const [scenario, place] of prepared) {
        const passes = await passesOf(place, (copy, how) => finish(copy, scenario, how))
        const kills = [...passes].flatMap(([name, times]) => occurrences(times).map((at) => `${name}@${at}`))
        expect(await eachOf(kills, (kill) => crash(place, scenario, [kill]))).toEqual([])
      }
    },
    TEST_LIMIT_MS,
  )
}

test(
  `killed ${RANDOM_KILLS} times at random moments, it ends exact (BIZON_SEED=${seed})`,
  async () => {
    let state = seed
    const random = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return state / 2 ** 32
    }
    for (const scenario of [full, sqliteIncremental]) {
      const place = await (prepared.get(scenario) as Workspace).copy()
      try {
        for (let kill = 0; kill < RANDOM_KILLS; kill++) {
          const { signal } = await finish(place, scenario, {
            during: async (child) => {
              await sleep(100 + random() * 500)
              child.kill('SIGKILL')
            },
          })
          if (signal !== 'SIGKILL') break
          expect(await complaintsBetween(place, scenario, await stateOf(place))).toEqual([])
        }
        const { jobs } = await stateOf(place).catch(() => ({ jobs: [] }))
        const done = jobs.filter(({ status }) => status === 'succeeded').length > (scenario.earlier ? 1 : 0)
        if (!done) expect(await resume(place, scenario)).toEqual([])
      } finally {
        await place.remove()
      }
    }
  },
  TEST_LIMIT_MS,
)

/** Resolves when the run has looked which transactions are open, or has ended without. */
async function waits(ended: () => boolean): Promise<void> {
  const looked = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'bizon' AND query LIKE 'SELECT l.virtualtransaction%'`
  while (!ended() && (await psql(url, looked)).trim() === '0') await sleep(20)
}

/** A row is written before the run begins, and committed once it has ended or waits. Complains unless both runs give it once. */
async function lateCommit(program: string): Promise<string[]> {
  const place = await Workspace.create({
    'pipeline.yml': pipelineFile(postgres('late', { cursor_field: 'u' }), 'incremental'),
  })
  const late = new Client({ connectionString: url })
  await late.connect()
  try {
    await psql(url, 'DROP TABLE IF EXISTS late; CREATE TABLE late (id int PRIMARY KEY, u timestamptz)')
    await late.query('BEGIN; INSERT INTO late VALUES (1, now())')
    await psql(url, 'INSERT INTO late VALUES (2, now())')
    let ended = false
    const running = place.bizon({ program }).finally(() => {
      ended = true
    })
    await waits(() => ended)
    await late.query('COMMIT')
    const runs = [await running, await place.bizon({ program })]
    const failed = runs.find(({ code }) => code !== 0)
    if (failed) return [failed.stderr]
    const found = (await place.read('out/records.json'))?.toString().trimEnd().split('\n').toSorted().join('\n')
    const all = (await jsonOf('late', 'ORDER BY id')).trimEnd()
    return found === all ? [] : [differenceOf(found, all)]
  } finally {
    await late.end()
    await place.remove()
  }
}

describe('a broken twin is found', () => {
  const STATEMENT = 'connectors/sources/postgres/statement.ts'
  const twins: readonly (readonly [string, Replacement, (program: string) => Promise<string[]>])[] = [
    [
      'that goes on behind the value of the cursor, whatever the key',
      {
        file: STATEMENT,
        find: "`(${columns.join(', ')}) > (${values.join(', ')})`",
        replace: '`${columns[0]} > ${values[0]}`',
      },
      (program) => crash(prepared.get(incremental) as Workspace, incremental, ['cursor.after@2'], program),
    ],
    [
      'that does not wait for open transactions',
      { file: 'connectors/sources/postgres/settle.ts', find: '  await outlast(connection, options)\n', replace: '' },
      lateCommit,
    ],
    [
      'that gives rows of the last value twice',
      {
        file: 'connectors/keyset/boundary.ts',
        find: 'return !(first && this.#known.has(key))',
        replace: 'return true',
      },
      (program) => crash(prepared.get(sqliteIncremental) as Workspace, sqliteIncremental, [], program),
    ],
    [
      'that reads what is newer than the last value alone',
      {
        file: STATEMENT,
        find: 'conditions.push(`${value} >= ${from}`)',
        replace: 'conditions.push(`${value} > ${from}`)',
      },
      (program) => crash(prepared.get(incremental) as Workspace, incremental, [], program),
    ],
    [
      'that takes a table without a key for one that can be gone on in',
      {
        file: 'connectors/sources/postgres/read.ts',
        find: 'next: {}, more: true',
        replace: 'next: placeOf(names, after, boundary)',
      },
      (program) => crash(prepared.get(keyless) as Workspace, keyless, ['cursor.after@1'], program),
    ],
  ]
  test.each(twins)('%s: what it replaces is there', (_, replacement) => checkReplacements([replacement]))

  // By day those of which no other test would tell: the rest breaks what the sources' own tests look at.
  const byDay = [
    'that does not wait for open transactions',
    'that takes a table without a key for one that can be gone on in',
  ]
  test.each(NIGHTLY ? twins : twins.filter(([name]) => byDay.includes(name)))(
    '%s',
    async (name, replacement, complaints) => {
      const twin = await buildTwin(name, [replacement])
      try {
        expect((await inTurn(() => complaints(twin.program))).length).toBeGreaterThan(0)
      } finally {
        await twin.remove()
      }
    },
    TEST_LIMIT_MS,
  )

  test(
    'where the program itself gives no cause for complaint',
    async () => {
      expect(await inTurn(() => lateCommit(BIZON))).toEqual([])
      expect(await inTurn(() => crash(prepared.get(incremental) as Workspace, incremental, []))).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})
