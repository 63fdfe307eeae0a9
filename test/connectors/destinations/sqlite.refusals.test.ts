// What is wrong with the file, the table or the state: each is told in one error that says where and what to do.

import { chmod, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { SqliteOptions } from '../../../connectors/destinations/sqlite/config.ts'
import { SqliteThread } from '../../../connectors/sqlite/thread.ts'
import type { Run } from '../../../lib/destination.ts'
import type { Page } from '../../../lib/source.ts'
import { load, never, pagesOf, runOf } from '../../support/load.ts'
import { startScript } from '../../support/script.ts'
import { idsIn, sqlite3, sqliteDestination } from '../../support/sqlite-destination.ts'

const thread = new SqliteThread()
const root = await mkdtemp(join(tmpdir(), 'bizon-sqlite-'))
afterAll(async () => {
  await thread.stop()
  await rm(root, { recursive: true })
})
let folder = ''
let path = ''
let count = 0
beforeEach(async () => {
  folder = join(root, String(++count))
  await mkdir(folder)
  path = join(folder, 'data.sqlite3')
})

const destinationOf = (options: Partial<SqliteOptions> = {}, mode: Run['mode'] = 'full_refresh') =>
  sqliteDestination({ path, mode, options, seams: { thread } })
const loaded = (options: Partial<SqliteOptions> = {}, run: Run = runOf('run', 'full_refresh', 2)) =>
  load(destinationOf(options, run.mode), run, pagesOf('a', 2))
const checked = (options: Partial<SqliteOptions> = {}) => destinationOf(options).check(never)

describe('told by the run, and by check', () => {
  const both = async (wanted: object): Promise<void> => {
    await expect(loaded()).rejects.toMatchObject({ code: 'destination', hint: expect.any(String), ...wanted })
    await expect(checked()).rejects.toMatchObject({ code: 'destination', hint: expect.any(String), ...wanted })
  }

  test('a folder that is missing', async () => {
    path = join(folder, 'missing', 'data.sqlite3')
    await both({ message: `cannot open ${path}: there is no folder ${join(folder, 'missing')}` })
  })

  test('a folder in the place of the file', async () => {
    await mkdir(path)
    await both({ message: `${path}: is a folder, not a database file` })
  })

  test('a file in which a state store keeps its jobs', async () => {
    await sqlite3(path, 'CREATE TABLE stream_jobs (id TEXT)')
    await both({ message: `${path} holds the state of pipelines, and is not for records` })
  })

  test('a file that is not a database', async () => {
    await writeFile(path, 'name,price\n'.repeat(200))
    await both({ message: `${path}: not a SQLite database` })
    expect(await readdir(folder)).toEqual(['data.sqlite3'])
  })

  test.each(['VIEW main AS SELECT 1 AS n', 'VIRTUAL TABLE main USING fts5(n)'])(
    'a target that is no table: %s',
    async (what) => {
      await sqlite3(path, `CREATE ${what}`)
      await both({ message: expect.stringMatching(/^main of .* is a (?:view|virtual), not a table$/) })
    },
  )

  test.each(['INTEGER', 'NUMERIC', 'REAL', 'JSON'])('a column of another type: %s', async (type) => {
    await sqlite3(path, `CREATE TABLE main (source_data ${type})`)
    await both({ message: `main: column source_data is ${type}, not TEXT` })
  })

  test('a column that is computed, and one that records cannot fill', async () => {
    await sqlite3(path, 'CREATE TABLE main (n, bizon_id TEXT AS (n))')
    await both({ message: 'main: column bizon_id is computed, not TEXT' })
    await sqlite3(path, 'DROP TABLE main; CREATE TABLE main (n TEXT NOT NULL)')
    await both({ message: 'main: column n is NOT NULL, and records have none' })
  })
})

test('check finds nothing wrong with a file that is there or not, and makes none', async () => {
  await checked()
  expect(await readdir(folder)).toEqual([])
  await loaded()
  await checked()
})

test('a database in UTF-16', async () => {
  await sqlite3(path, "PRAGMA encoding = 'UTF-16le'; CREATE TABLE x (n)")
  await expect(loaded()).rejects.toMatchObject({
    code: 'destination',
    message: `${path}: the database holds text as UTF-16le, not as UTF-8`,
  })
})

test.each([
  ['file', 0o777, 0o444],
  ['folder', 0o555, 0o666],
])('a %s that may not be written to', async (what, folderMode, fileMode) => {
  await sqlite3(path, 'CREATE TABLE x (n)')
  await chmod(root, 0o755)
  await chmod(folder, folderMode)
  await chmod(path, fileMode)
  // Who is root may write everywhere, so that somebody else is asked.
  const script = await startScript(new URL('../../support/scripts/write-as-nobody.ts', import.meta.url), [
    path,
    createRequire(import.meta.url).resolve('better-sqlite3'),
  ])
  const wrong = what === 'file' ? path : folder
  expect(await script.line()).toBe(`check: destination ${wrong} may not be written to`)
  expect(await script.line()).toMatch(/^open: destination \S+: (?:may not be written to|cannot be opened)$/)
  expect(await script.ended).toMatchObject({ code: 0, stderr: '' })
})

describe('a file that another program holds', () => {
  test('is waited for no longer than lock_timeout, and then told; the next run goes on', async () => {
    await loaded({}, runOf('old', 'full_refresh', 1))
    const holder = new Database(path)
    try {
      holder.exec('BEGIN IMMEDIATE')
      await expect(loaded({ lock_timeout: 0 })).rejects.toMatchObject({
        code: 'destination',
        retriable: true,
        message: `${path}: locked by another process`,
      })
      const waiting = loaded({ lock_timeout: 30 })
      setTimeout(() => holder.exec('COMMIT'), 400)
      await waiting
    } finally {
      holder.close()
    }
    expect(await idsIn(path, 'main')).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'a5'])
  })

  test('a run that waits can be stopped', async () => {
    await loaded({}, runOf('old', 'full_refresh', 1))
    const holder = new Database(path)
    const reason = new Error('stop')
    try {
      holder.exec('BEGIN IMMEDIATE')
      const controller = new AbortController()
      const destination = destinationOf({ lock_timeout: 3600 })
      const opening = destination.open(runOf('run', 'full_refresh', 2), controller.signal)
      setTimeout(() => controller.abort(reason), 50)
      await expect(opening).rejects.toBe(reason)
      await destination.close()
    } finally {
      holder.close()
    }
  })
})

test('a disk that is full: the batch is undone, and the next run goes on', async () => {
  await loaded({}, runOf('old', 'full_refresh', 1))
  // SQLite is told that there is room for a few pages more.
  const pages = await sqlite3(path, 'PRAGMA page_count')
  const destination = destinationOf()
  await destination.open(runOf('run', 'full_refresh', 2), never)
  await thread.query(`PRAGMA max_page_count = ${Number(pages) + 10}`)
  const big: Page = {
    records: Array.from({ length: 500 }, (_, n) => ({ id: `${n}`, data: { pad: 'x'.repeat(1000) } })),
    next: null,
  }
  await destination.write(big, never)
  await expect(destination.flush({ run: 'run', page: 1, rows: 500, position: null, end: true })).rejects.toMatchObject({
    code: 'destination',
    message: `${path}: the disk is full`,
    hint: 'Make room, then try again.',
  })
  await destination.close()
  expect(await sqlite3(path, 'PRAGMA integrity_check; SELECT count(*) FROM main')).toBe('ok\n6\n')
  await load(destinationOf(), runOf('run', 'full_refresh', 3), [big])
  expect(await sqlite3(path, 'SELECT count(*) FROM main')).toBe('500\n')
})

describe('a first incremental run', () => {
  test('does not replace rows that nobody says are its own', async () => {
    await loaded({}, runOf('stream', 'stream', 1))
    await sqlite3(path, 'DELETE FROM _bizon_state')
    const run = runOf('first', 'incremental', 2, true)
    await expect(loaded({}, run)).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('table main exists'),
      hint: expect.stringContaining('--reset'),
    })
    await sqlite3(path, 'DELETE FROM main')
    await loaded({}, run)
    expect(await idsIn(path, 'main')).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'a5'])
  })
})

describe('the state row', () => {
  const begun = () =>
    load(destinationOf(), runOf('run', 'full_refresh', 1), pagesOf('a', 2).slice(0, 1), { publish: false })
  const stored = { run: 'run', page: 1, rows: 3, position: null, end: false, receipt: { state: '_bizon_state' } }

  test.each([
    'epoch = 0',
    "state = json_set(state, '$.run', 'other')",
    "state = json_set(state, '$.checkpoint.rows', 2)",
    "state = '{}'",
    'state = NULL',
    "sha256 = '0'",
    'sha256 = NULL',
  ])('edited (%s) is damaged, never a fresh start', async (edit) => {
    await begun()
    await sqlite3(path, `UPDATE _bizon_state SET ${edit}`)
    await expect(loaded()).rejects.toMatchObject({
      code: 'edited',
      message: `the row of "main" in _bizon_state of ${path} is damaged: it is not as this program wrote it`,
    })
  })

  test('missing, while the state store knows of one', async () => {
    await begun()
    await sqlite3(path, 'DELETE FROM _bizon_state')
    await expect(loaded({}, { ...runOf('run', 'full_refresh', 2), stored })).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('is missing, so how many of the rows count is not known'),
    })
  })

  test('missing while the table is there: what is new is not put behind rows that nobody knows', async () => {
    await loaded({}, runOf('one', 'incremental', 1))
    await sqlite3(path, 'DELETE FROM _bizon_state')
    await expect(loaded({}, { ...runOf('two', 'incremental', 2), previous: 'one' })).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining(`the row of "main" in _bizon_state of ${path} is missing`),
      hint: expect.stringContaining('--reset'),
    })
    expect(await sqlite3(path, 'SELECT count(*) FROM main')).toBe('6\n')
  })

  test('of another pipeline', async () => {
    await begun()
    await expect(loaded({}, { ...runOf('run', 'full_refresh', 2), pipeline: 'another' })).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('belongs to pipeline trial/test/main, not to another/test/main'),
    })
  })

  test('and a staging table that was dropped', async () => {
    await begun()
    const staging = (await sqlite3(path, "SELECT name FROM sqlite_schema WHERE name LIKE 'main__bizon_%'")).trim()
    await sqlite3(path, `DROP TABLE ${staging}`)
    await expect(loaded()).rejects.toMatchObject({
      code: 'edited',
      message: `table ${staging} of ${path} is missing, where rows of this run were`,
    })
  })

  test('of an older copy of the file: the run goes back to what is there', async () => {
    const pages = pagesOf('a', 3)
    await load(destinationOf(), runOf('run', 'full_refresh', 1), pages.slice(0, 1), { publish: false })
    await cp(path, `${path}.copy`)
    await load(destinationOf(), runOf('run', 'full_refresh', 2), pages.slice(0, 2), { publish: false })
    for (const name of await readdir(folder)) if (!name.endsWith('.copy')) await rm(join(folder, name))
    await cp(`${path}.copy`, path)
    const destination = destinationOf()
    const at = await destination.open(
      { ...runOf('run', 'full_refresh', 3), stored: { ...stored, page: 2, rows: 6 } },
      never,
    )
    expect(at).toMatchObject({ page: 1, rows: 3 })
    await destination.close()
  })

  test('changed or put back from a copy while a run is under way: nothing more is committed', async () => {
    const destination = destinationOf({}, 'stream')
    await destination.open(runOf('run', 'stream', 1), never)
    await sqlite3(path, 'CREATE TABLE copy AS SELECT * FROM _bizon_state')
    const pages = pagesOf('a', 2)
    await destination.write(pages[0] as Page, never)
    await destination.flush({ run: 'run', page: 1, rows: 3, position: { n: 1 }, end: false })
    await sqlite3(path, 'DELETE FROM _bizon_state; INSERT INTO _bizon_state SELECT * FROM copy')
    await destination.write(pages[1] as Page, never)
    const flushed = destination.flush({ run: 'run', page: 2, rows: 6, position: null, end: true })
    await expect(flushed).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('was removed or changed while this run was writing'),
    })
    await destination.close()
    expect(await idsIn(path, 'main')).toEqual(['a0', 'a1', 'a2'])
  })
})
