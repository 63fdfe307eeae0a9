// What publishing does to a table that people use, and who sees it when. The program sqlite3 looks, and does what they do.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { SqliteOptions } from '../../../connectors/destinations/sqlite/config.ts'
import { SqliteThread } from '../../../connectors/sqlite/thread.ts'
import type { Run } from '../../../lib/destination.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { load, never, pagesOf, runOf } from '../../support/load.ts'
import { idsIn, sqlite3, sqliteDestination } from '../../support/sqlite-destination.ts'

const thread = new SqliteThread()
const root = await mkdtemp(join(tmpdir(), 'bizon-sqlite-'))
afterAll(async () => {
  await thread.stop()
  await rm(root, { recursive: true })
})
let path = ''
let epoch = 0
let count = 0
beforeEach(() => {
  path = join(root, `${++count}.sqlite3`)
  epoch = 0
})

const destinationOf = (mode: SyncMode, options: Partial<SqliteOptions> = {}) =>
  sqliteDestination({ path, mode, options, seams: { thread } })

function published(
  id: string,
  mode: SyncMode = 'full_refresh',
  options: Partial<SqliteOptions> = {},
  run: Partial<Run> = {},
) {
  const whole = { ...runOf(id, mode, ++epoch, mode === 'full_refresh'), ...run }
  return load(destinationOf(mode, options), whole, pagesOf(id, 2))
}

const OLD = ['old0', 'old1', 'old2', 'old3', 'old4', 'old5']
const NEW = ['new0', 'new1', 'new2', 'new3', 'new4', 'new5']
const schema = (): Promise<string> =>
  sqlite3(path, "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name")

describe('a full refresh', () => {
  test('keeps indexes and views, and leaves nothing but the table and the state', async () => {
    await published('old')
    await sqlite3(
      path,
      `CREATE INDEX "by ""id""" ON main (source_record_id DESC) WHERE source_record_id <> 'it''s';
       CREATE UNIQUE INDEX once ON MAIN (bizon_id); CREATE INDEX price ON main (source_data ->> '$.exact');
       CREATE VIEW seen AS SELECT source_record_id AS id FROM main; CREATE VIEW broken AS SELECT * FROM nowhere`,
    )
    const before = await schema()
    await published('new')
    expect(await idsIn(path, 'main')).toEqual(NEW)
    expect(await sqlite3(path, 'SELECT id FROM seen')).toBe(`${NEW.join('\n')}\n`)
    expect(await schema()).toBe(before)
    expect(await sqlite3(path, 'PRAGMA integrity_check')).toBe('ok\n')
  })

  test('fills the same table where people have changed it: columns, checks, keys stay; triggers see each row go and come', async () => {
    await sqlite3(
      path,
      `CREATE TABLE main (n INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT NOT NULL DEFAULT 'x' CHECK (note <> ''), source_record_id VARCHAR(20) UNIQUE, half AS (n / 2));
       CREATE TABLE child (id TEXT REFERENCES main (source_record_id) ON DELETE CASCADE);
       INSERT INTO main (source_record_id) VALUES ('theirs'); INSERT INTO child VALUES ('theirs');
       CREATE TABLE log (what TEXT);
       CREATE TRIGGER came AFTER INSERT ON main BEGIN INSERT INTO log VALUES ('+' || NEW.source_record_id); END;
       CREATE TRIGGER went AFTER DELETE ON main BEGIN INSERT INTO log VALUES ('-' || OLD.source_record_id); END`,
    )
    await published('new')
    expect(await idsIn(path, 'main')).toEqual(NEW)
    expect(await sqlite3(path, 'SELECT group_concat(what) FROM log')).toBe(`-theirs,${NEW.map((id) => `+${id}`)}\n`)
    expect(await sqlite3(path, 'SELECT min(n), min(note), min(half) FROM main; SELECT id FROM child')).toBe(
      '2|x|1\ntheirs\n',
    )
    expect((await schema()).match(/^(?:table|trigger)\|\w+/gm)).toEqual([
      'table|_bizon_state',
      'table|child',
      'table|log',
      'table|main',
      'trigger|came',
      'trigger|went',
    ])
  })

  test('publishes an empty table when nothing came, and leaves it alone with on_empty keep', async () => {
    await published('old')
    const nothing = (options: Partial<SqliteOptions>) =>
      load(destinationOf('full_refresh', options), runOf(`none${epoch}`, 'full_refresh', ++epoch), [
        { records: [], next: null },
      ])
    await nothing({ on_empty: 'keep' })
    expect(await idsIn(path, 'main')).toEqual(OLD)
    await nothing({})
    expect(await idsIn(path, 'main')).toEqual([])
    await nothing({ destinationId: 'other' })
    expect(await idsIn(path, 'other')).toEqual([])
  })

  test('readers see all of the old rows or all of the new ones, and one in the middle is not cut off', async () => {
    await published('old')
    const reader = new Database(path, { readonly: true })
    try {
      reader.exec('BEGIN')
      const ids = reader.prepare('SELECT source_record_id FROM main ORDER BY rowid').pluck()
      expect(ids.all()).toEqual(OLD)
      await published('new')
      expect(ids.all()).toEqual(OLD)
      reader.exec('COMMIT')
      expect(ids.all()).toEqual(NEW)
    } finally {
      reader.close()
    }
  })
})

test('a program that is not ours takes the place of the tables that it names, by rows or by a page without any', async () => {
  const options = { destinationId: '{stream}' }
  const named = (stream: string, page: Page): Page => ({ ...page, stream: { name: stream } })
  const foreign = (id: string, pages: Page[], also: Partial<SqliteOptions> = {}) =>
    load(
      destinationOf('full_refresh', { ...options, ...also }),
      { ...runOf(id, 'full_refresh', ++epoch), keepsOthers: true },
      pages,
    )
  for (const table of ['named', 'emptied', 'kept']) await foreign(table, [named(table, pagesOf(table, 1)[0] as Page)])
  await foreign('next', [
    named('emptied', { records: [], next: { n: 1 } }),
    named('named', pagesOf('new', 1)[0] as Page),
  ])
  expect(await idsIn(path, 'named')).toEqual(['new0', 'new1', 'new2'])
  expect(await idsIn(path, 'emptied')).toEqual([])
  expect(await idsIn(path, 'kept')).toEqual(['kept0', 'kept1', 'kept2'])
  await foreign('last', [named('kept', { records: [], next: null })], { on_empty: 'keep' })
  expect(await idsIn(path, 'kept')).toEqual(['kept0', 'kept1', 'kept2'])
})

describe('rows that were staged, or added, and are not there any more', () => {
  test.each([
    ['full_refresh', true],
    ['incremental', false],
  ] as const)('are missed: %s', async (mode, complete) => {
    await load(destinationOf(mode), runOf('x', mode, 10, complete), pagesOf('x', 2), { publish: false })
    const staging = (await sqlite3(path, "SELECT name FROM sqlite_schema WHERE name LIKE 'main__bizon_%'")).trim()
    await sqlite3(path, `DELETE FROM ${staging} WHERE source_record_id = 'x3'`)
    await expect(load(destinationOf(mode), runOf('x', mode, 11, complete), [])).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('has 5 rows, and this run put 6 there'),
    })
  })

  test('as those of an append that is to be taken back', async () => {
    await published('one', 'incremental')
    await published('two', 'incremental', {}, { previous: 'one' })
    await sqlite3(path, "DELETE FROM main WHERE source_record_id = 'two1'")
    await expect(published('three', 'incremental', {}, { previous: 'one' })).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('has 5 rows of run two, which is to be taken back, and it added 6'),
    })
    await expect(published('three', 'incremental', { metadata: 'none' }, { previous: 'one' })).rejects.toThrow(
      'was last published by run',
    )
  })

  test('as rows that a trigger throws away', async () => {
    await published('old', 'incremental')
    await sqlite3(
      path,
      "CREATE TRIGGER no BEFORE INSERT ON main WHEN NEW.source_record_id = 'new1' BEGIN SELECT RAISE(IGNORE); END",
    )
    for (const mode of ['incremental', 'full_refresh', 'stream'] as const) {
      await expect(published('new', mode)).rejects.toThrow(/table main took \d of \d rows/)
    }
    expect(await idsIn(path, 'main')).toEqual(OLD)
  })

  test.each(['incremental', 'stream'] as const)('as rows to be merged that a trigger throws away: %s', async (mode) => {
    const options = { primary_key: ['id'] }
    await published('old', mode, options)
    await sqlite3(
      path,
      "CREATE TRIGGER no BEFORE INSERT ON main WHEN NEW.source_record_id = 'new1' BEGIN SELECT RAISE(IGNORE); END",
    )
    await expect(published('new', mode, options)).rejects.toThrow(/table main took \d of \d rows/)
    expect(await idsIn(path, 'main')).toEqual(OLD)
  })

  test('or still there, because a trigger keeps them', async () => {
    await published('old', 'full_refresh')
    await sqlite3(
      path,
      "CREATE TRIGGER no BEFORE DELETE ON main WHEN OLD.source_record_id = 'old1' BEGIN SELECT RAISE(IGNORE); END",
    )
    for (const pages of [pagesOf('new', 1), [{ records: [], next: null }]]) {
      const run = runOf(`full${++epoch}`, 'full_refresh', epoch)
      await expect(load(destinationOf('full_refresh'), run, pages)).rejects.toMatchObject({
        code: 'destination',
        message: 'table main: 1 rows stay when they are deleted',
      })
    }
    expect(await idsIn(path, 'main')).toEqual(OLD)
  })
})

test('a table that records named and somebody dropped is forgotten by the next full refresh', async () => {
  const full = (id: string, options: Partial<SqliteOptions>, table?: string) =>
    load(
      destinationOf('full_refresh', options),
      runOf(id, 'full_refresh', ++epoch),
      pagesOf(id, 1, (n) => (n === 1 ? table : undefined)),
    )
  const schemaOf = (destinationId: string) => ({
    destinationId,
    columns: [
      { name: 'id', type: 'STRING' },
      { name: 'exact', type: 'NUMERIC' },
      { name: 'big', type: 'NUMERIC' },
    ],
  })
  await full('a', { unnest: true, recordSchemas: [schemaOf('main'), schemaOf('gone')] }, 'gone')
  await sqlite3(path, 'DROP TABLE gone')
  await full('b', { unnest: true, recordSchemas: [schemaOf('main')] })
  await published('c', 'incremental', { unnest: true, recordSchemas: [schemaOf('main')] })
  expect(
    await sqlite3(path, "SELECT count(*), (SELECT count(*) FROM sqlite_schema WHERE name = 'gone') FROM main"),
  ).toBe('9|0\n')
})

test('routed tables belong to the pipeline that routes to them', async () => {
  const routed = (id: string, destinationId: string, table: string, pipeline = 'trial') =>
    load(
      destinationOf('incremental', { destinationId }),
      { ...runOf(id, 'incremental', ++epoch, true), pipeline },
      pagesOf(id, 1, (n) => (n === 1 ? table : undefined)),
    )
  await routed('a', 'main', 'other')
  await routed('b', 'main', 'OTHER')
  expect(await idsIn(path, 'other')).toEqual(['b1'])
  await expect(routed('c', 'third', 'Other', 'another')).rejects.toMatchObject({
    code: 'edited',
    message: expect.stringContaining('belongs to the pipeline of main, whose records were routed there'),
  })
  await expect(routed('d', 'Other', 'x', 'another')).rejects.toThrow('belongs to the pipeline of main')
  await expect(routed('e', 'third', 'main', 'another')).rejects.toThrow('belongs to the pipeline of main')
  await sqlite3(path, 'CREATE TABLE theirs (source_record_id TEXT); INSERT INTO theirs VALUES (1)')
  for (const mode of ['full_refresh', 'incremental', 'stream'] as const) {
    const run = runOf(mode, mode, ++epoch, mode !== 'stream')
    await expect(
      load(
        destinationOf(mode),
        run,
        pagesOf('x', 1, () => 'theirs'),
      ),
    ).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('to which records are routed, is not this pipeline'),
    })
  }
  expect(await idsIn(path, 'theirs')).toEqual(['1'])
})

test('a routed table that was never published, or is gone, is free again for whoever makes one', async () => {
  const routed = (id: string, table?: string, publish = true) =>
    load(
      destinationOf('full_refresh'),
      runOf(id, 'full_refresh', ++epoch),
      pagesOf(id, 1, (n) => (n === 1 ? table : undefined)),
      { publish },
    )
  await routed('a', 'shared', false)
  await routed('b', 'dropped')
  await sqlite3(path, 'DROP TABLE dropped')
  await routed('c')
  for (const table of ['shared', 'dropped']) {
    await sqlite3(path, `CREATE TABLE ${table} (source_record_id TEXT); INSERT INTO ${table} VALUES ('mine')`)
    await expect(routed(`d${table}`, table)).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('to which records are routed, is not this pipeline'),
    })
    expect(await idsIn(path, table)).toEqual(['mine'])
  }
})

test('two pipelines load into two tables of one file at once', async () => {
  const other = new SqliteThread()
  try {
    const one = destinationOf('full_refresh', { destinationId: 'one' })
    const two = sqliteDestination({ path, options: { destinationId: 'two' }, seams: { thread: other } })
    await Promise.all([
      load(one, runOf('one', 'full_refresh', 1), pagesOf('one', 20)),
      load(two, { ...runOf('two', 'full_refresh', 1), pipeline: 'second' }, pagesOf('two', 20)),
    ])
    expect(await sqlite3(path, 'SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two)')).toBe('60|60\n')
  } finally {
    await other.stop()
  }
})

test('while a run has nothing to write, others may', async () => {
  const destination = destinationOf('stream')
  await destination.open(runOf('run', 'stream', 1), never)
  await destination.write(pagesOf('a', 1)[0] as Page, never)
  await sqlite3(path, 'CREATE TABLE theirs (n)')
  await destination.flush({ run: 'run', page: 1, rows: 3, position: { n: 1 }, end: false })
  await sqlite3(path, 'INSERT INTO theirs VALUES (1)')
  await destination.close()
  expect(await idsIn(path, 'main')).toEqual(['a0', 'a1', 'a2'])
})
