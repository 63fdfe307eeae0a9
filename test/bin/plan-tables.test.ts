// bizon plan on tables, folders of parts, and with the state in PostgreSQL: what it says comes true, and nothing is changed
// or created on the way.

import { createHash } from 'node:crypto'
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { planText } from '../../bin/commands/plan/text.ts'
import { loadConfig, type PipelineConfig } from '../../lib/config.ts'
import { BizonError } from '../../lib/errors.ts'
import { runPipeline, silentLog } from '../../lib/index.ts'
import { planRun, type RunPlan } from '../../lib/plan/run.ts'
import type { SyncMode } from '../../lib/source.ts'
import { CHECKOUT, runIn } from '../support/sandbox.ts'
import { dropDatabase, freshDatabase, psql, type TestDatabase } from '../support/services/postgres.ts'

const BIZON = `node ${join(CHECKOUT, 'dist/bin/bizon.js')}`

let database: TestDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => dropDatabase(database))

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-plan-tables-'))
  await writeFile(join(folder, 'events.ndjson'), [1, 2, 3].map((n) => `{"n":${n}}\n`).join(''))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
  await psql(database.url, 'DROP TABLE IF EXISTS events, other, _bizon_state; DROP SCHEMA IF EXISTS states CASCADE')
})

type Kind = 'sqlite' | 'postgres' | 'parquet'

interface Given {
  readonly mode?: SyncMode
  readonly destination?: object
  readonly reset?: boolean
  readonly inPostgres?: boolean
}

function pipeline(
  kind: Kind,
  { mode = 'full_refresh', destination, inPostgres = false }: Given,
): { readonly [key: string]: unknown } {
  const own = {
    sqlite: { path: join(folder, 'data.sqlite3'), destination_id: 'events' },
    postgres: { url: database.url, destination_id: 'events' },
    parquet: { format: 'parquet', destination_id: join(folder, 'out/events') },
  }[kind]
  const server = new URL(database.url)
  const state = inPostgres
    ? {
        type: 'postgres',
        config: {
          ...{ host: server.hostname, port: Number(server.port), username: server.username, schema: 'states' },
          ...{ database: server.pathname.slice(1), sslmode: 'disable', syncCursorInDBEvery: 1 },
        },
      }
    : { type: 'sqlite', config: { database: join(folder, 'state'), syncCursorInDBEvery: 1 } }
  return {
    name: 'p',
    source: {
      ...{ name: 'file', stream: 'events', path: join(folder, 'events.ndjson'), sync_mode: mode, page_bytes: 8 },
      id_field: 'n',
    },
    destination: { name: kind === 'parquet' ? 'file' : kind, config: { buffer_size: 0, ...own, ...destination } },
    engine: { backend: state },
  }
}

const configOf = async (kind: Kind, given: Given): Promise<PipelineConfig> =>
  (await loadConfig(pipeline(kind, given), ['source', 'destination'], { reset: given.reset })) as PipelineConfig

/** Of all files but the index of a log, and of all that is in the database. */
async function fingerprint(): Promise<string> {
  const hash = createHash('sha256')
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (path.endsWith('-shm')) continue
    hash.update(path)
    if (entry.isFile()) hash.update(await readFile(path))
  }
  const catalogue = await psql(
    database.url,
    `SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1;
     SELECT relnamespace::regnamespace, relname, relfilenode, xmin FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_|information' ORDER BY 1, 2`,
  )
  return hash.update(catalogue).digest('hex')
}

async function planned(kind: Kind, given: Given): Promise<RunPlan> {
  const before = await fingerprint()
  try {
    return await planRun(await configOf(kind, given))
  } finally {
    expect(await fingerprint()).toBe(before)
  }
}

async function run(kind: Kind, given: Given): Promise<readonly string[]> {
  const said: string[] = []
  await runPipeline(await configOf(kind, given), { log: { ...silentLog, info: (text) => void said.push(text) } })
  return said
}

async function killed(kind: Kind, given: Given, point: string): Promise<void> {
  await writeFile(join(folder, 'p.yml'), JSON.stringify(pipeline(kind, given)))
  const done = await runIn(folder, `BIZON_FAILPOINT=${point}:kill ${BIZON} run p.yml --quiet || exit $?`)
  expect(done).toMatchObject({ code: 137 })
}

const add = (): Promise<void> => appendFile(join(folder, 'events.ndjson'), '{"n":4}\n')
const shown = ({ changes = [] }: RunPlan): string[] =>
  changes.map(({ action, target, reason }) => {
    const name = target
      .replace(/^.*(?:data\.sqlite3: |public\.|out\/events\/)/, '')
      .replace(/staging_\w+|\.run-\d+/, 'staged')
    return `${action} ${name}${reason === undefined ? '' : `: ${reason}`}`
  })

const TARGET = { sqlite: 'events', postgres: 'events', parquet: 'current' } as const

describe.each(['sqlite', 'postgres', 'parquet'] as const)('%s', (kind) => {
  const target = TARGET[kind]
  const incremental = { mode: 'incremental' } as const

  test('before the first run, and over what is published', async () => {
    const first = await planned(kind, {})
    expect(shown(first)).toEqual([`create ${target}`])
    expect(await run(kind, {})).toEqual(first.reasons)
    expect(shown(await planned(kind, {}))).toEqual([`replace ${target}`])
  })

  test('an increment, and a reset of it', async () => {
    await run(kind, incremental)
    await add()
    const next = await planned(kind, incremental)
    expect(shown(next)).toEqual([`append ${target}`])
    expect(shown(await planned(kind, { ...incremental, reset: true }))).toEqual([`replace ${target}`])
    expect(await run(kind, incremental)).toEqual(next.reasons)
  })

  test('what a killed run has staged is gone on with, or removed', async () => {
    await killed(kind, {}, 'commit.after@3')
    const resumed = await planned(kind, {})
    expect(shown(resumed)).toEqual([`create ${target}`])
    expect(resumed.from?.rows).toBeGreaterThan(0)
    const other = shown(await planned(kind, incremental))
    expect(other.at(-1)).toBe(`create ${target}`)
    expect(other[0]).toMatch(/^remove .*staged: an earlier run has left it$/)
    expect(await run(kind, {})).toEqual(resumed.reasons)
  })
})

describe.each(['sqlite', 'postgres'] as const)('%s, a table', (kind) => {
  const merging = { mode: 'incremental', destination: { primary_key: ['n'] } } as const

  test('that is merged into', async () => {
    await run(kind, merging)
    await add()
    const next = await planned(kind, merging)
    expect(shown(next)).toEqual(['merge events'])
    expect(next.reasons[1]).toMatch(/^fetches what is newer than .* and merges it by primary_key$/)
    expect(await run(kind, merging)).toEqual(next.reasons)
  })

  test('in which rows of a scope are replaced', async () => {
    const given = { mode: 'incremental', destination: { replace_scope: ['n'], unnest: 'columns' } } as const
    await run(kind, given)
    await add()
    const next = await planned(kind, given)
    expect(shown(next)).toEqual(['replace_scope events'])
    expect(next.reasons[1]).toMatch(/ and replaces the rows of the same scope by it$/)
    expect(planText(await configOf(kind, given), next)).toMatch(
      /events (?:\(.* now\) )?is added to, and its rows of the same scope are replaced$/m,
    )
    expect(await run(kind, given)).toEqual(next.reasons)
  })

  test('of which the state store is lost is refused as a run is', async () => {
    const adds = { mode: 'incremental' } as const
    await run(kind, adds)
    await add()
    await killed(kind, adds, 'publish.after')
    await rm(join(folder, 'state.sqlite3'))
    const told = async (work: Promise<unknown>) =>
      work.then(
        () => 'done',
        (error: BizonError) => [error.code, error.message, error.hint],
      )
    const refused = await told(planned(kind, adds))
    expect(refused).toEqual(await told(run(kind, adds)))
  })

  test('that a run refuses is refused in the same words', async () => {
    const create = 'CREATE TABLE events (n int); INSERT INTO events VALUES (1)'
    if (kind === 'postgres') await psql(database.url, create)
    else await runIn(folder, `sqlite3 data.sqlite3 '${create}'`)
    const words = async (work: Promise<unknown>) =>
      work.then(
        () => 'done',
        (error: unknown) => {
          expect(error).toBeInstanceOf(BizonError)
          const { code, message, hint } = error as BizonError
          return { code, message, hint }
        },
      )
    const refused = await words(planned(kind, { mode: 'incremental' }))
    expect(refused).toHaveProperty('message')
    expect(await words(run(kind, { mode: 'incremental' }))).toEqual(refused)
  })

  test('that a run holds', async () => {
    await writeFile(join(folder, 'p.yml'), JSON.stringify(pipeline(kind, {})))
    const script = `
      BIZON_FAILPOINT=commit.before@2:stop ${BIZON} run p.yml --quiet & run=$!
      while kill -0 $run && [ "$(ps -o state= $run)" != T ]; do sleep 0.05; done
      rm -f state.sqlite3*
      ${BIZON} plan p.yml --json
      kill -KILL $run`
    const { stdout, stderr } = await runIn(folder, script)
    expect({ stdout, stderr }).toMatchObject({ stdout: expect.stringContaining('"locked_by":"p') })
  })
})

describe('the state in PostgreSQL', () => {
  const given = { inPostgres: true } as const

  test('is looked at: nothing yet, a run to go on with, one that is published', async () => {
    await psql(database.url, 'CREATE SCHEMA states')
    const first = await planned('parquet', given)
    expect(first).toMatchObject({ decision: { action: 'start' }, heldBy: undefined })
    await killed('parquet', given, 'commit.after@3')
    const resumed = await planned('parquet', given)
    expect(resumed).toMatchObject({ decision: { action: 'resume' }, heldBy: undefined })
    expect(await run('parquet', given)).toEqual(resumed.reasons)
    expect(shown(await planned('parquet', given))).toEqual(['replace current'])
  })

  test('a run that holds the lock is told', async () => {
    await psql(database.url, 'CREATE SCHEMA states')
    await writeFile(join(folder, 'p.yml'), JSON.stringify(pipeline('sqlite', given)))
    const script = `
      BIZON_FAILPOINT=commit.before@2:stop ${BIZON} run p.yml --quiet & run=$!
      while kill -0 $run && [ "$(ps -o state= $run)" != T ]; do sleep 0.05; done
      ${BIZON} plan p.yml --json
      kill -KILL $run`
    const { stdout } = await runIn(folder, script)
    expect(JSON.parse(stdout)).toMatchObject({
      action: 'resume',
      changes: null,
      locked_by: expect.stringMatching(/pid/),
    })
  })

  test('without its schema it is refused as a run is', async () => {
    await expect(planned('sqlite', given)).rejects.toThrow('there is no schema states')
    await expect(run('sqlite', given)).rejects.toThrow('there is no schema states')
  })
})
