import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import sqlite, { sqliteStore } from '../../../connectors/stores/sqlite.ts'
import { decide } from '../../../lib/job.ts'
import type { BeginJob, Identity, StateStore, StateView, StoredCheckpoint } from '../../../lib/state.ts'
import { storeContract } from '../../contract/store.ts'
import { PYTHON_ROWS, PYTHON_TABLES } from '../../support/python-state.ts'
import { startScript } from '../../support/script.ts'

const CREATURES: Identity = { name: 'test', source: 'dummy', stream: 'creatures' }

describe('sqlite', () => {
  storeContract((folder) => ({ type: 'sqlite', database: join(folder, 'state'), schema: 'unused', echo: false }), {
    persistent: true,
  })
})

let folder: string
let file: string
const opened: StateStore[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-sqlite-'))
  file = join(folder, 'bizon.sqlite3')
})
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close()
  await rm(folder, { recursive: true, force: true })
})

function createStore(database = join(folder, 'bizon')): StateStore {
  const store = sqlite.create({ type: 'sqlite', database, schema: '', echo: false })
  opened.push(store)
  return store
}

async function openStore(): Promise<StateStore> {
  const store = createStore()
  await store.open()
  return store
}

/** What the `sqlite3` program makes of it: never the module under test. */
function query(sql: string): string[] {
  return execFileSync('sqlite3', ['-batch', file, sql], { encoding: 'utf8' }).split('\n').filter(Boolean)
}

function beginJob(fields: Partial<BeginJob> = {}): BeginJob {
  return { identity: CREATURES, cancel: [], mode: 'stream', complete: false, consume: [], bindReset: false, ...fields }
}

async function openView(): Promise<StateView> {
  const view = sqlite.look?.({ type: 'sqlite', database: join(folder, 'bizon'), schema: '', echo: false }) as StateView
  await view.open()
  return view
}

describe('a look at the state', () => {
  test('creates no file, and knows of nothing where there is none', async () => {
    const view = await openView()
    expect(await view.unfinishedJobs(CREATURES)).toEqual([])
    expect(await view.nextLease(CREATURES)).toEqual({ epoch: expect.any(Number) })
    await view.close()
    expect(await readdir(folder)).toEqual([])
  })

  test('sees what is committed, in the file or still in its log, and who holds the lock', async () => {
    const store = await openStore()
    const lease = await store.acquire(CREATURES, 'somebody')
    const job = await store.begin(lease, beginJob())
    await store.saveCheckpoint(lease, job, { run: job.id, page: 3, rows: 30, position: { at: 3 }, end: false }, 'file')
    const [during, names] = [await openView(), await readdir(folder)]
    expect(await during.unfinishedJobs(CREATURES)).toEqual([job])
    expect(await during.lastCheckpoint(job)).toMatchObject({ page: 3 })
    const next = await during.nextLease(CREATURES)
    expect(next).toMatchObject({ heldBy: 'somebody' })
    expect(next.epoch).toBeGreaterThan(lease.epoch)
    await during.close()
    expect(await readdir(folder)).toEqual(names)
    // The file alone does not have it: whoever read nothing else would not have seen it.
    expect((await readFile(file)).includes(job.id)).toBe(false)

    await lease.release()
    await store.close()
    const before = await readFile(file)
    const after = await openView()
    expect(await after.unfinishedJobs(CREATURES)).toEqual([job])
    expect((await after.nextLease(CREATURES)).heldBy).toBe(undefined)
    await after.close()
    expect(await readFile(file)).toEqual(before)
    expect(await readdir(folder)).toEqual(['bizon.sqlite3'])
  })

  test('takes no lock and changes nothing, whatever is asked of it', async () => {
    const view = (await openView()) as unknown as StateStore
    await expect(view.acquire(CREATURES, 'me')).rejects.toMatchObject({ code: 'internal' })
    await view.requestReset(CREATURES)
    await view.close()
    expect(await readdir(folder)).toEqual([])
  })
})

describe('a database of the Python program', () => {
  // Times without a zone are UTC, wherever we are.
  const { TZ } = process.env
  beforeEach(() => {
    process.env.TZ = 'Asia/Tokyo'
  })
  afterEach(() => {
    if (TZ === undefined) delete process.env.TZ
    else process.env.TZ = TZ
  })

  test('is taken over with its jobs, finished and interrupted', async () => {
    query(PYTHON_TABLES + PYTHON_ROWS)
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
  })

  test('is looked at without a change, not even of a byte', async () => {
    query(PYTHON_TABLES + PYTHON_ROWS)
    const before = await readFile(file)
    const view = await openView()
    expect((await view.lastSucceeded(CREATURES))?.id).toBe('a'.repeat(32))
    expect(await view.unfinishedJobs(CREATURES)).toHaveLength(2)
    await view.close()
    expect(await readFile(file)).toEqual(before)
    expect(await readdir(folder)).toEqual(['bizon.sqlite3'])
  })

  test('is looked at as it was before a change in which its program was killed', async () => {
    query(PYTHON_TABLES + PYTHON_ROWS)
    const change = `
import os, sqlite3
database = sqlite3.connect('${file}', isolation_level=None)
database.execute('pragma cache_size = 1')
database.execute('pragma synchronous = off')
database.execute('begin')
database.execute("update stream_jobs set status = 'cancelled', error_message = hex(zeroblob(10000))")
os._exit(0)`
    execFileSync('python3', ['-c', change])
    const names = ['bizon.sqlite3', 'bizon.sqlite3-journal']
    expect(await readdir(folder)).toEqual(names)
    const before = await Promise.all(names.map((name) => readFile(join(folder, name))))
    const view = await openView()
    expect(await view.unfinishedJobs(CREATURES)).toHaveLength(2)
    await view.close()
    expect(await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))))).toEqual(before)
  })

  test('is read up to the first range that failed, not to the newest that worked', async () => {
    query(PYTHON_TABLES + PYTHON_ROWS)
    const store = await openStore()
    const [, job] = await store.unfinishedJobs(CREATURES)
    expect(job && (await store.lastCheckpoint(job))).toEqual({
      run: 'b'.repeat(32),
      page: 2,
      rows: 20,
      position: { cursor: 'after-1', n: 2 },
      end: false,
    })
  })

  test.each<[title: string, cursors: [from: number, to: number, success: number][], page: number | undefined]>([
    ['no cursor is no checkpoint', [], undefined],
    ['a failed first range is no checkpoint', [[0, 1, 0]], undefined],
    [
      'ranges that follow one another reach the end of the last',
      [
        [0, 1, 1],
        [2, 2, 1],
        [3, 7, 1],
      ],
      8,
    ],
    [
      'a gap ends it',
      [
        [0, 1, 1],
        [3, 4, 1],
      ],
      2,
    ],
    [
      'a range that worked at the second attempt counts',
      [
        [0, 1, 1],
        [2, 3, 0],
        [2, 3, 1],
        [4, 5, 1],
      ],
      6,
    ],
    [
      'a range that was written twice counts',
      [
        [0, 1, 1],
        [0, 1, 1],
        [2, 3, 1],
      ],
      4,
    ],
  ])('of whose cursors %s', async (_, cursors, page) => {
    const rows = cursors.map(
      ([from, to, success], i) =>
        `INSERT INTO destination_cursors VALUES ('c${i}', '${'b'.repeat(32)}', 'test', 'dummy', 'creatures', 'file',
           ${from}, ${to}, 10, ${success}, 0, NULL, '2024-05-01 00:00:00.000000', NULL, '{"n": ${to + 1}}');`,
    )
    query(`${PYTHON_TABLES + PYTHON_ROWS} DELETE FROM destination_cursors; ${rows.join('\n')}`)
    const store = await openStore()
    const [, job] = await store.unfinishedJobs(CREATURES)
    const checkpoint = job && (await store.lastCheckpoint(job))
    expect(checkpoint?.page).toBe(page)
    expect(checkpoint?.position).toEqual(page === undefined ? undefined : { n: page })
  })

  test('loses no watermark when its unfinished runs are cancelled', async () => {
    query(PYTHON_TABLES + PYTHON_ROWS)
    const store = await openStore()
    const unfinished = await store.unfinishedJobs(CREATURES)
    const lastSucceeded = await store.lastSucceeded(CREATURES)
    const decision = decide({
      mode: 'incremental',
      force: false,
      reset: false,
      unfinished,
      lastSucceeded,
      resets: await store.resets(
        CREATURES,
        unfinished.map(({ id }) => id),
      ),
      resumable: true,
    })
    expect(decision).toMatchObject({ action: 'start', since: { time: new Date('2024-04-30T22:15:00.123Z') } })
    const lease = await store.acquire(CREATURES, 'test')
    const job = await store.begin(lease, beginJob({ ...decision, mode: 'incremental' }))
    expect(await store.unfinishedJobs(CREATURES)).toEqual([job])
    expect(query('SELECT status FROM stream_jobs ORDER BY rowid')).toEqual([
      'succeeded',
      'cancelled',
      'cancelled',
      'cancelled',
      'running',
    ])
  })

  test('can be read by it afterwards: the same columns, words and times', async () => {
    query(PYTHON_TABLES + PYTHON_ROWS)
    const before = query('SELECT * FROM stream_jobs')
    const store = await openStore()
    const lease = await store.acquire(CREATURES, 'test')
    const job = await store.begin(lease, beginJob({ mode: 'full_refresh', totalRecords: 7 }))
    await store.saveCheckpoint(lease, job, at(job.id, 3), 'file')
    await store.saveCheckpoint(lease, job, at(job.id, 5), 'file')
    await store.saveCheckpoint(lease, job, at(job.id, 6, { position: null, end: true }), 'file')
    await store.finish(lease, job, { status: 'succeeded' })

    expect(query('SELECT * FROM stream_jobs').slice(0, 4)).toEqual(before.map((row) => `${row}||||`))
    expect(
      query(`SELECT sync_mode, attempt, total_records_to_fetch, status,
             created_at GLOB '????-??-?? ??:??:??.??????', updated_at >= created_at
             FROM stream_jobs WHERE id = '${job.id}'`),
    ).toEqual(['full_refresh|0|7|succeeded|1|1'])
    expect(
      query(`SELECT destination_name, from_source_iteration, to_source_iteration, rows_written, success, pagination
             FROM destination_cursors WHERE job_id = '${job.id}' ORDER BY rowid`),
    ).toEqual(['file|0|2|30|1|{"page":3}', 'file|3|4|20|1|{"page":5}', 'file|5|5|10|1|'])
    expect(query('PRAGMA integrity_check; PRAGMA foreign_key_check')).toEqual(['ok'])
  })

  test('stays as it was when it cannot be migrated whole', async () => {
    query(`${PYTHON_TABLES} CREATE VIEW bizon_leases AS SELECT 1 AS one;`)
    const before = query('SELECT sql FROM sqlite_schema')
    await expect(createStore().open()).rejects.toMatchObject({ code: 'state', message: expect.stringContaining(file) })
    expect(query('SELECT sql FROM sqlite_schema')).toEqual(before)
    expect(query('PRAGMA user_version')).toEqual(['0'])
  })

  test('shows its runs, and the checkpoints it made, with the rows so far', async () => {
    query(PYTHON_TABLES + PYTHON_ROWS)
    const store = await openStore()
    const jobs = await store.jobs(CREATURES)
    expect(jobs.map(({ ours }) => ours)).toEqual(jobs.map(() => false))
    const [, job] = await store.unfinishedJobs(CREATURES)
    const logged = job ? await store.checkpoints(job) : []
    expect(logged.map(({ run, page, rows }) => ({ run, page, rows }))).toEqual(
      query(`SELECT to_source_iteration + 1, sum(rows_written) OVER (ORDER BY rowid) FROM destination_cursors
             WHERE job_id = '${job?.id}' AND success ORDER BY rowid`).map((row) => {
        const [page, rows] = row.split('|').map(Number)
        return { run: job?.id, page, rows }
      }),
    )
    expect(logged.length).toBeGreaterThan(1)
    expect(job && (await store.checkpoints(job, 1))).toEqual(logged.slice(-1))
  })

  test('of an age before some tables and columns gets those too', async () => {
    query(`CREATE TABLE stream_jobs (id VARCHAR(100) NOT NULL, name VARCHAR(100) NOT NULL,
      source_name VARCHAR(100) NOT NULL, stream_name VARCHAR(100) NOT NULL, sync_mode VARCHAR(100) NOT NULL,
      created_at DATETIME NOT NULL, status VARCHAR(100), PRIMARY KEY (id));
      INSERT INTO stream_jobs VALUES ('a', 'test', 'dummy', 'creatures', 'incremental', '2024-05-01 00:00:00', 'running')`)
    const store = await openStore()
    expect(await store.unfinishedJobs(CREATURES)).toMatchObject([{ id: 'a', attempt: 0, ours: false }])
    expect(await store.requestReset(CREATURES)).toBe(true)
  })
})

test('a database of version 1 is taken over with its jobs, of whose configuration nothing is known', async () => {
  const earlier = await openStore()
  const lease = await earlier.acquire(CREATURES, 'test')
  const job = await earlier.begin(lease, beginJob({ mode: 'incremental' }))
  await earlier.saveCheckpoint(lease, job, at(job.id, 3), 'file')
  await lease.release()
  await earlier.close()
  query(
    'ALTER TABLE stream_jobs DROP COLUMN config_hash; ALTER TABLE stream_jobs DROP COLUMN rewound_to; PRAGMA user_version = 1',
  )
  const store = await openStore()
  expect(query('PRAGMA user_version')).toEqual(['3'])
  expect(await store.unfinishedJobs(CREATURES)).toEqual([job])
  expect(await store.lastCheckpoint(job)).toEqual(at(job.id, 3))
  const next = await store.acquire(CREATURES, 'test')
  const resumed = await store.begin(next, beginJob({ mode: 'incremental', resume: job.id, configHash: 'abc' }))
  expect(resumed.configHash).toBe('abc')
})

test('jobs are synced to disk, checkpoints are not', async () => {
  const statements: string[] = []
  const store = sqliteStore({
    path: file,
    place: file,
    onStatement: (sql) => statements.push(sql),
    lock: async () => ({ release: async () => {} }),
  })
  opened.push(store)
  await store.open()
  /** What `synchronous` is at each commit. */
  const commits = (): string[] => {
    let level = 'NORMAL'
    const levels: string[] = []
    for (const sql of statements.splice(0)) {
      level = /synchronous = (\w+)/.exec(sql)?.[1] ?? level
      if (sql === 'COMMIT') levels.push(level)
    }
    return levels
  }
  commits()
  const lease = await store.acquire(CREATURES, 'test')
  expect(commits()).toEqual(['FULL'])
  const job = await store.begin(lease, beginJob())
  expect(commits()).toEqual(['FULL'])
  await store.saveCheckpoint(lease, job, at(job.id, 3), 'file')
  expect(commits()).toEqual(['NORMAL'])
  await store.finish(lease, job, { status: 'succeeded' })
  expect(commits()).toEqual(['FULL'])
})

describe('a new database', () => {
  test('has the tables that the Python program makes, with null allowed where we added', async () => {
    await openStore()
    const columns = (database: string): string[] =>
      execFileSync('sqlite3', ['-batch', database, COLUMNS], { encoding: 'utf8' }).split('\n').filter(Boolean)
    const theirs = join(folder, 'python.sqlite3')
    execFileSync('sqlite3', ['-batch', theirs, PYTHON_TABLES])
    const ours = columns(file)
    expect(ours.filter((column) => columns(theirs).includes(column))).toEqual(columns(theirs))
    const added = ours.filter((column) => !columns(theirs).includes(column) && !column.startsWith('bizon_leases'))
    expect(added).toEqual([
      'destination_cursors checkpoint 0',
      'stream_jobs complete 0',
      'stream_jobs config_hash 0',
      'stream_jobs epoch 0',
      'stream_jobs rewound_to 0',
    ])
  })

  test('keeps the newest hundred cursors of a stream, and all of other jobs', async () => {
    const store = await openStore()
    const lease = await store.acquire(CREATURES, 'test')
    const stream = await store.begin(lease, beginJob({ mode: 'stream' }))
    const full = await store.begin(lease, beginJob({ mode: 'full_refresh' }))
    for (let page = 1; page <= 150; page++) {
      await store.saveCheckpoint(lease, stream, at(stream.id, page), 'file')
      await store.saveCheckpoint(lease, full, at(full.id, page), 'file')
    }
    const count = `SELECT count(*), min(to_source_iteration) FROM destination_cursors WHERE job_id`
    expect(query(`${count} = '${stream.id}'`)).toEqual(['100|50'])
    expect(query(`${count} = '${full.id}'`)).toEqual(['150|0'])
  })

  test('forgets the cursors behind the place a run went back to', async () => {
    const store = await openStore()
    const lease = await store.acquire(CREATURES, 'test')
    const job = await store.begin(lease, beginJob({ mode: 'full_refresh' }))
    for (const page of [2, 4, 6, 3, 5]) await store.saveCheckpoint(lease, job, at(job.id, page), 'file')
    expect(
      query('SELECT from_source_iteration, to_source_iteration, rows_written FROM destination_cursors ORDER BY rowid'),
    ).toEqual(['0|1|20', '2|2|10', '3|4|20'])
  })

  test('leaves no other file behind once it is closed', async () => {
    const store = await openStore()
    const lease = await store.acquire(CREATURES, 'test')
    expect((await readdir(folder)).filter((name) => /^bizon\.sqlite3\.[0-9a-f]{8}\.lock$/.test(name))).toHaveLength(1)
    await lease.release()
    await store.close()
    expect(await readdir(folder)).toEqual(['bizon.sqlite3'])
  })

  test('is locked as one by whatever link it is reached', async () => {
    const store = await openStore()
    await store.acquire(CREATURES, 'the one')
    await mkdir(join(folder, 'links'))
    await symlink(file, join(folder, 'links', 'other.sqlite3'))
    const other = createStore(join(folder, 'links', 'other'))
    await other.open()
    await expect(other.acquire(CREATURES, 'the other')).rejects.toMatchObject({ code: 'locked' })
  })

  test('refuses the writes of a run whose lock file somebody removed', async () => {
    const store = await openStore()
    const lease = await store.acquire(CREATURES, 'the one')
    const job = await store.begin(lease, beginJob())
    for (const name of await readdir(folder)) if (name.endsWith('.lock')) await rm(join(folder, name))
    const other = await openStore()
    await other.acquire(CREATURES, 'the other')
    await expect(store.saveCheckpoint(lease, job, at(job.id, 1), 'file')).rejects.toMatchObject({ code: 'fenced' })
    expect(await other.lastCheckpoint(job)).toBeUndefined()
  })
})

describe('a database that cannot be used', () => {
  const refusal = (message: string | RegExp) => ({
    code: 'state',
    message: typeof message === 'string' ? message : expect.stringMatching(message),
    hint: expect.any(String),
  })

  test('of a newer program is refused and left alone', async () => {
    query('CREATE TABLE t (x); PRAGMA user_version = 4')
    await expect(createStore().open()).rejects.toMatchObject(
      refusal(`${file}: its tables have version 4, and this program knows 3 at most`),
    )
    expect(query('PRAGMA user_version; PRAGMA journal_mode; SELECT name FROM sqlite_schema')).toEqual([
      '4',
      'delete',
      't',
    ])
  })

  test('that is something else is refused', async () => {
    await writeFile(file, 'name,species\n'.repeat(100))
    await expect(createStore().open()).rejects.toMatchObject(refusal(`${file}: not a SQLite database`))
  })

  test('that is damaged is refused', async () => {
    query(`${PYTHON_TABLES}${PYTHON_ROWS}`)
    await truncate(file, 5000)
    const store = createStore()
    await expect(store.open().then(() => store.unfinishedJobs(CREATURES))).rejects.toMatchObject(
      refusal(`${file}: the database is damaged`),
    )
  })

  test('that is a folder is refused', async () => {
    await mkdir(file)
    await expect(createStore().open()).rejects.toMatchObject(refusal(`${file}: is a folder, not a database file`))
  })

  test('in a folder that is missing is refused, and can be closed', async () => {
    const store = createStore(join(folder, 'no', 'bizon'))
    await expect(store.open()).rejects.toMatchObject(refusal(/folder .*no does not exist/))
    await store.close()
    await store.close()
  })

  test('in a folder that takes no files is refused', async () => {
    await expect(createStore('/proc/bizon').open()).rejects.toMatchObject(
      refusal('/proc/bizon.sqlite3: cannot be opened'),
    )
  })

  test('that may only be read is refused', async () => {
    const store = await openStore()
    await store.close()
    await chmod(folder, 0o755)
    await chmod(file, 0o444)
    const script = await startScript(new URL('../../support/scripts/open-as-nobody.ts', import.meta.url), [
      join(folder, 'bizon'),
    ])
    expect(await script.line()).toMatch(/^state .*bizon\.sqlite3: (may not be written to|cannot be opened)$/)
    expect(await script.ended).toMatchObject({ code: 0, stderr: '' })
  })

  test('that another program keeps locked can be read, and a write is refused after the busy timeout', async () => {
    await openStore()
    const script = await startScript(new URL('../../support/scripts/lock-database.ts', import.meta.url), [file])
    expect(await script.line()).toBe('locked')
    const impatient = sqliteStore({
      path: file,
      place: file,
      busyTimeoutMs: 50,
      lock: async () => ({ release: async () => {} }),
    })
    opened.push(impatient)
    await impatient.open()
    expect(await impatient.unfinishedJobs(CREATURES)).toEqual([])
    await expect(impatient.requestReset(CREATURES)).rejects.toMatchObject({
      ...refusal(`${file}: locked by another process`),
      retriable: true,
    })
    script.signal('SIGKILL')
    await script.ended
    expect(await impatient.requestReset(CREATURES)).toBe(true)
  })

  test.each([
    ['is not JSON', '{"run":'],
    ['is not a checkpoint', '{"run":"x","page":-1}'],
    ['has a position that is no object', '{"run":"x","page":1,"rows":1,"position":[1],"end":false}'],
  ])('because a checkpoint %s is refused, never taken for none', async (_, text) => {
    const store = await openStore()
    const lease = await store.acquire(CREATURES, 'test')
    const job = await store.begin(lease, beginJob())
    await store.saveCheckpoint(lease, job, at(job.id, 1), 'file')
    query(`UPDATE destination_cursors SET checkpoint = '${text}'`)
    await expect(store.lastCheckpoint(job)).rejects.toMatchObject(
      refusal(new RegExp(`${job.id} checkpoint: cannot be`)),
    )
  })

  test('because a time is none is refused', async () => {
    query(`${PYTHON_TABLES + PYTHON_ROWS} UPDATE stream_jobs SET created_at = '2024-13-01 00:00:00'`)
    const store = await openStore()
    await expect(store.lastSucceeded(CREATURES)).rejects.toMatchObject(
      refusal(/created_at: cannot be understood: "2024-13-/),
    )
  })
})

function at(run: string, page: number, fields: Partial<StoredCheckpoint> = {}): StoredCheckpoint {
  return { run, page, rows: page * 10, position: { page }, end: false, ...fields }
}

const COLUMNS = `SELECT m.name || ' ' || c.name || ' ' || c."notnull" FROM sqlite_schema m, pragma_table_info(m.name) c
  WHERE m.type = 'table' ORDER BY 1`
