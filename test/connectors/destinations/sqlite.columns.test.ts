// `unnest: columns` in a SQLite file: tables whose columns follow the records, in every mode. The program `sqlite3` looks.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SqliteOptions } from '../../../connectors/destinations/sqlite/config.ts'
import type { Seams } from '../../../connectors/destinations/sqlite/session.ts'
import { SqliteDestination } from '../../../connectors/destinations/sqlite.ts'
import type { DestinationContext, Run } from '../../../lib/destination.ts'
import { type JsonObject, RawJson } from '../../../lib/record.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { load, runOf } from '../../support/load.ts'
import { silent } from '../../support/postgres-destination.ts'
import { sqlite3, sqliteOptions } from '../../support/sqlite-destination.ts'

let folder = ''
let path = ''
let epoch = 0
let warnings: string[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-columns-'))
  path = join(folder, 'data.sqlite3')
  epoch = 0
  warnings = []
})
afterEach(() => rm(folder, { recursive: true }))

interface Given {
  readonly mode?: SyncMode
  readonly options?: Partial<SqliteOptions>
  readonly context?: Partial<DestinationContext>
  readonly run?: Partial<Run>
  readonly publish?: boolean
  readonly seams?: Seams
}

/** Each text is a record; each list of them a page. */
function loaded(
  pages: readonly (readonly string[])[],
  { mode = 'incremental', options, context, run, publish = true, seams }: Given = {},
) {
  let count = 0
  const log = { ...silent, warn: (message: string) => warnings.push(message) }
  const destination = new SqliteDestination(
    sqliteOptions(path, { unnest: 'columns', metadata: 'none', ...options }),
    { stream: 'main', mode, log, ...context },
    seams,
  )
  const all: Run = { ...runOf(`run${++epoch}`, mode, epoch), startOver: mode !== 'stream', ...run }
  const given = pages.map(
    (texts, at): Page => ({
      records: texts.map((text) => ({ id: `r${count++}`, data: RawJson.from(text) })),
      next: at + 1 < pages.length ? { page: at + 1 } : null,
    }),
  )
  return load(destination, all, given, { publish })
}

const rows = (table = 'main') => sqlite3(path, `SELECT * FROM ${table} ORDER BY id`, '-quote', '-header')
const columns = async (table = 'main') =>
  (await sqlite3(path, `SELECT group_concat(name || ' ' || type, ', ') FROM pragma_table_info('${table}')`)).trim()
const tables = async () =>
  (await sqlite3(path, "SELECT group_concat(name, ' ') FROM sqlite_schema WHERE type = 'table'")).trim()

const KEY = { primary_key: ['id'] }
const ALL = [
  ['incremental', {}],
  ['incremental', KEY],
  ['stream', {}],
  ['stream', KEY],
  ['full_refresh', {}],
  ['full_refresh', KEY],
] as const

describe.each(ALL)('%s %o', (mode, options) => {
  const given = { mode, options }
  const run = { complete: mode === 'full_refresh' }

  test('a table gets the columns of its records, each page those that are new, with every digit', async () => {
    await loaded(
      [
        ['{"id":1,"big":9007199254740993,"huge":12345678901234567890,"price":1.10,"name":"a\\tb","on":true}'],
        ['{"id":2,"more":{"x":[1.50]},"never":null}', '{"id":3,"big":0.10}'],
      ],
      given,
    )
    const typed = (await columns()).split(', ').sort()
    expect(typed.join(', ')).toBe('big TEXT, huge TEXT, id INTEGER, more TEXT, name TEXT, on INTEGER, price TEXT')
    expect(await sqlite3(path, 'SELECT id, big, huge, price, name, "on", more FROM main ORDER BY id', '-quote')).toBe(
      [
        "1,'9007199254740993','12345678901234567890','1.10','a\tb',1,NULL",
        '2,NULL,NULL,NULL,NULL,NULL,\'{"x":[1.50]}\'',
        "3,'0.10',NULL,NULL,NULL,NULL,NULL",
        '',
      ].join('\n'),
    )
    expect(await tables()).toBe('_bizon_state main')
  })

  test('a later run: new columns, wider numbers, and null where a column is gone', async () => {
    await loaded([['{"id":1,"a":1,"gone":"x"}', '{"id":2,"a":2,"gone":"y"}']], given)
    await loaded([['{"id":2,"a":5}'], ['{"id":3,"a":0.50,"new":"z"}']], { ...given, run })
    const shown = await sqlite3(path, 'SELECT id, a, gone, "new" FROM main ORDER BY id, a', '-quote')
    const merged = 'primary_key' in options ? [] : ["2,'2','y',NULL"]
    const kept = mode === 'full_refresh' ? [] : ["1,'1','x',NULL", ...merged]
    expect(shown.trim().split('\n')).toEqual([...kept, "2,'5',NULL,NULL", "3,'0.50',NULL,'z'"])
    expect(await tables()).toBe('_bizon_state main')
    // What a column is, the state says: `a` is of numbers, and `gone` of text.
    await expect(loaded([['{"id":4,"gone":1}']], { mode: 'incremental', options })).rejects.toThrow(
      'its field "gone" is integer, and the column is text',
    )
    await expect(loaded([['{"id":4,"a":"x"}']], { mode: 'incremental', options })).rejects.toThrow(
      'its field "a" is text, and the column is number',
    )
  })
})

describe.each([ALL[0], ALL[3], ALL[4]])('%s %o', (mode, options) => {
  const given = { mode, options }
  const run = { complete: mode === 'full_refresh' }

  test('freeze and fail: new fields are left out, and named once, or fail the run', async () => {
    await loaded([['{"id":1,"a":1}']], given)
    const at = (policy: 'freeze' | 'fail') => ({ ...given, options: { ...options, on_schema_change: policy }, run })
    await loaded([['{"id":2,"a":2,"b":1,"none":null}'], ['{"id":3,"a":3,"b":2.5}']], at('freeze'))
    expect(warnings).toEqual(['main: fields without a column are left out, since on_schema_change is freeze: "b"'])
    const before = await rows()
    const startOver = { ...run, startOver: true }
    await expect(loaded([['{"id":5,"a":0.5}']], { ...at('freeze'), run: startOver })).rejects.toMatchObject({
      code: 'invalid_record',
      message: 'record "r0" for main: its field "a" is number, and the column is integer',
    })
    await expect(
      loaded([['{"id":5,"a":5}', '{"id":6,"b":1}']], { ...at('fail'), run: startOver }),
    ).rejects.toMatchObject({
      message: 'record "r1" for main: its field "b" (integer) is no column, and on_schema_change is fail',
    })
    expect(await rows()).toBe(before)
    expect(await columns()).toBe('id INTEGER, a INTEGER')
  })
})

test('a value of another type fails; a full refresh chooses the column anew, of both kinds json', async () => {
  await loaded([['{"id":1,"a":1,"b":1,"c":"x","d":true}']])
  await expect(loaded([['{"id":2,"a":2}', '{"id":3,"a":"x"}']])).rejects.toMatchObject({
    message: 'record "r1" for main: its field "a" is text, and the column is integer',
    hint: expect.stringContaining('--reset, where a column of both kinds becomes json'),
  })
  const pages = [['{"id":2,"a":"x","b":2,"c":"y\\"","d":false}'], ['{"id":3,"a":"y","b":"z","c":1.50,"d":[1]}']]
  await loaded(pages, { mode: 'full_refresh' })
  const shown = `SELECT id, a, b, c, d FROM main ORDER BY id`
  expect(await sqlite3(path, shown, '-quote')).toBe("2,'x','2','\"y\\\"\"','false'\n3,'y','\"z\"','1.50','[1]'\n")
})

describe('a table that people have changed', () => {
  test.each([ALL[0], ALL[3], ALL[4]])('%s %o: keeps its types, defaults and triggers', async (mode, options) => {
    await sqlite3(
      path,
      `CREATE TABLE main (id INT NOT NULL, note VARCHAR(5) DEFAULT 'new', at DATE, ratio REAL, any NUMERIC,
         twice INT AS (id * 2)); CREATE TABLE seen (n); CREATE UNIQUE INDEX one ON main (id);
       CREATE TRIGGER see AFTER INSERT ON main BEGIN INSERT INTO seen VALUES (new.id); END`,
    )
    const run = { complete: mode === 'full_refresh' }
    await loaded([['{"id":1,"at":"2024-01-01"}'], ['{"id":2,"ratio":0.5,"more":1}']], { mode, options, run })
    await loaded([['{"id":3}']], { mode, options, run })
    expect(await columns()).toBe('id INT, note VARCHAR(5), at DATE, ratio REAL, any NUMERIC, more INTEGER')
    const shown = await sqlite3(path, 'SELECT id, note, at, ratio, "more", twice FROM main ORDER BY id', '-quote')
    const [first, second, third] = [
      "1,'new','2024-01-01',NULL,NULL,2",
      "2,'new',NULL,0.5,1,4",
      "3,'new',NULL,NULL,NULL,6",
    ]
    expect(shown.trim().split('\n')).toEqual(mode === 'full_refresh' ? [third] : [first, second, third])
    expect(await sqlite3(path, 'SELECT count(*) FROM seen')).toBe('3\n')
    const again = { mode, options, run }
    await expect(loaded([['{"id":5,"any":1}']], again)).rejects.toThrow(
      'column any has a type that would change values',
    )
    await expect(loaded([['{"id":5,"ratio":"x"}']], again)).rejects.toThrow('column ratio: "x" is not a number')
    await expect(loaded([['{"id":5,"twice":1}']], again)).rejects.toThrow('"twice" is a column that SQLite computes')
    await expect(loaded([['{"id":5,"Note":"x"}']], again)).rejects.toThrow('"Note" and the column "note" have one name')
  })

  test('one that took its new column under another type meanwhile: the run fails until it is put right', async () => {
    await loaded([['{"id":1}']])
    await loaded([['{"id":2,"a":1}']], { publish: false, run: { id: 'x' } })
    await sqlite3(path, 'ALTER TABLE main ADD COLUMN a TEXT')
    const again = { run: { id: 'x', startOver: false } }
    await expect(loaded([['{"id":2,"a":1}']], again)).rejects.toThrow('main: column a is TEXT, not INTEGER')
    await sqlite3(path, 'ALTER TABLE main DROP COLUMN a; ALTER TABLE main ADD COLUMN a INTEGER')
    await loaded([['{"id":2,"a":1}']], again)
    expect(await rows()).toBe("'id','a'\n1,NULL\n2,1\n")
  })
})

test('a full refresh keeps a table’s indexes and views when columns come and change', async () => {
  await loaded([['{"id":1,"a":1}']], { mode: 'full_refresh' })
  await sqlite3(path, 'CREATE INDEX by_id ON main (id); CREATE VIEW shown AS SELECT id FROM main')
  await loaded([['{"id":2,"a":0.5}'], ['{"id":3,"b":"x"}']], { mode: 'full_refresh' })
  await loaded([['{"id":4,"a":7}']], { mode: 'full_refresh' })
  expect(
    await sqlite3(path, "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql > ''; SELECT * FROM shown"),
  ).toBe('by_id\n4\n')
  expect(await sqlite3(path, 'SELECT id, a, b FROM main', '-quote')).toBe("4,'7',NULL\n")
})

describe.each([ALL[0], ALL[1], ALL[2], ALL[3]])('a column that becomes wider, %s %o', (mode, options) => {
  const given = { mode, options }

  test('keeps its place, its default, and the indexes, triggers and views of its table', async () => {
    await sqlite3(
      path,
      `CREATE TABLE main (id INT, a -- whole, so far
         INTEGER(5) NOT NULL DEFAULT 7, "b,(" TEXT DEFAULT ')', c AS (id * 2));
       CREATE TABLE seen (n)`,
    )
    await loaded([['{"id":1,"a":5}', '{"id":2,"a":9007199254740993}', '{"id":3,"a":7}']], given)
    await sqlite3(
      path,
      `CREATE INDEX ia ON main (a, id); CREATE INDEX ib ON main (id) WHERE a > 6;
       CREATE VIEW va AS SELECT id, a FROM main WHERE CAST(a AS REAL) > 6;
       CREATE TRIGGER ta AFTER INSERT ON main BEGIN INSERT INTO seen VALUES (new.a); END`,
    )
    await loaded([['{"id":4,"a":6.50,"d":1}']], given)
    const made = `SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE name NOT LIKE '%bizon%' ORDER BY name)`
    expect(await sqlite3(path, made)).toBe('ia ib main seen ta va\n')
    expect(await sqlite3(path, `SELECT name, type, "notnull", dflt_value FROM pragma_table_xinfo('main')`)).toBe(
      "id|INT|0|\na|TEXT|1|7\nb,(|TEXT|0|')'\nc||0|\nd|INTEGER|0|\n",
    )
    expect(await sqlite3(path, 'SELECT id, a, "b,(", c, d FROM main ORDER BY id', '-quote')).toBe(
      "1,'5',')',2,NULL\n2,'9007199254740993',')',4,NULL\n3,'7',')',6,NULL\n4,'6.50',')',8,1\n",
    )
    expect(await sqlite3(path, 'SELECT id FROM va ORDER BY id; SELECT n FROM seen; PRAGMA integrity_check')).toBe(
      '2\n3\n4\n6.50\nok\n',
    )
    const warning =
      'main: column "a" becomes TEXT, which keeps every digit of numbers that are not whole; queries that compare or order it need CAST("a" AS REAL)'
    expect(warnings).toEqual([warning])
    await loaded([['{"id":5,"a":8.25}']], given)
    expect(warnings).toEqual([warning])
    expect(await sqlite3(path, 'SELECT n FROM seen ORDER BY n')).toBe('6.50\n8.25\n')
  })
})

test('a column that becomes wider, cut off anywhere: the table is as it was, and the next run has it whole', async () => {
  await loaded([['{"id":1,"a":5}']])
  await sqlite3(path, 'CREATE INDEX ia ON main (a)')
  const dump = () =>
    sqlite3(path, "SELECT sql FROM sqlite_schema WHERE tbl_name = 'main'; SELECT * FROM main", '-quote')
  const before = await dump()
  const again = (seams?: Seams) =>
    loaded([['{"id":2,"a":0.5}']], { run: { id: 'x', startOver: false }, ...(seams && { seams }) })
  const points = [
    'CREATE TABLE "main__',
    'INSERT INTO "main__',
    'DROP TABLE "main"',
    'ALTER TABLE "main__',
    'CREATE INDEX',
  ]
  for (const point of points) {
    const stopped = again({
      before(operation) {
        if (operation.startsWith(point)) throw new Error(`stopped at ${point}`)
      },
    })
    await expect(stopped).rejects.toThrow(`stopped at ${point}`)
    expect(await dump()).toBe(before)
  }
  await again()
  expect(await dump()).toContain('CREATE INDEX ia ON main (a)')
  expect(await sqlite3(path, 'SELECT id, a FROM main ORDER BY id', '-quote')).toBe("1,'5'\n2,'0.5'\n")
})

describe('a column that would become wider is refused before a row is written, by name:', () => {
  test.each([
    ['a INTEGER, a2 AS (a * 2)', 'a2 AS (a * 2)'],
    ['a INTEGER CHECK (a > 0)', 'a INTEGER CHECK (a > 0)'],
    ['a INTEGER, CHECK ("A" > 0)', 'CHECK ("A" > 0)'],
    ['a INTEGER PRIMARY KEY', 'a INTEGER PRIMARY KEY'],
    ['a INTEGER, UNIQUE (id, [a])', 'UNIQUE (id, [a])'],
    ['a INTEGER, n INTEGER PRIMARY KEY AUTOINCREMENT', 'n INTEGER PRIMARY KEY AUTOINCREMENT'],
  ])('%s', async (definitions, what) => {
    await sqlite3(path, `CREATE TABLE main (id INTEGER, ${definitions})`)
    await loaded([['{"id":1,"a":1}']])
    const dumped = await sqlite3(path, '.dump main')
    const wider = () => loaded([['{"id":2,"a":2}'], ['{"id":3,"a":0.5}']], { run: { id: 'x', startOver: false } })
    for (const _ of [1, 2]) {
      await expect(wider()).rejects.toMatchObject({
        message: `table main: column a would become TEXT, to keep every digit, and in the way is: ${what}`,
        hint: expect.stringContaining('on_schema_change: fail'),
      })
    }
    expect(await sqlite3(path, '.dump main')).toBe(dumped)
    expect(warnings).toEqual([])
    if (!definitions.includes('a2')) return
    await sqlite3(path, 'ALTER TABLE main DROP COLUMN a2')
    await wider()
    expect(await sqlite3(path, 'SELECT id, a FROM main ORDER BY id')).toBe('1|1\n2|2\n3|0.5\n')
  })
})

test('what the source says chooses columns, also of a table without rows', async () => {
  const schema: JsonObject = {
    properties: {
      id: { type: 'integer', format: 'int64' },
      at: { type: 'string', format: 'date-time' },
      never: { type: 'boolean' },
    },
  }
  await loaded([['{"id":1,"at":"2024-12-05T12:00:00Z"}']], { context: { schema } })
  expect(await columns()).toBe('id INTEGER, at TEXT, never INTEGER')
  await expect(loaded([['{"id":2,"at":"soon"}']], { context: { schema } })).rejects.toThrow(
    'column at: "soon" is not a time',
  )
  const options = { destinationId: 'empty' }
  await loaded([[]], { mode: 'full_refresh', context: { schema }, options })
  expect(await columns('empty')).toBe('id INTEGER, at TEXT, never INTEGER')
  await loaded([[]], { mode: 'full_refresh', options: { destinationId: 'none' } })
  expect(await tables()).toBe('_bizon_state main empty')
})

test.each([
  ['CREATE TABLE main (id INTEGER UNIQUE)', 'UNIQUE constraint failed: main.id', /Remove one, or the index/],
  ['CREATE TABLE main (id INTEGER, other INT NOT NULL)', 'NOT NULL constraint failed: main.other', /take NOT NULL out/],
  ['CREATE TABLE main (id INTEGER CHECK (id > 1))', 'CHECK constraint failed: id > 1', /take the check out/],
])('what helps against the constraint of somebody else: %s', async (sql, message, hint) => {
  await sqlite3(path, sql)
  await expect(loaded([['{"id":1}', '{"id":1}']])).rejects.toMatchObject({
    message: `${path}: ${message}`,
    hint: expect.stringMatching(hint),
  })
})

describe('is refused, naming it:', () => {
  test.each([
    ['{"":1}', {}, /table main, record "r0": its field "" is no name in SQLite/],
    ['{"a":1,"A":2}', {}, /its field "a" and the column "A" have one name in SQLite/],
    ['{"BIZON_ID":1}', { metadata: 'bizon' }, /its field "BIZON_ID" is a column of its own, unless metadata is none/],
    ['{"a":null}', {}, /neither it nor the rest of its page has a value/],
    ['{"a":1}', KEY, /its primary_key "id" is no column/],
    ['{"id":1}', { ...KEY, cursor_field: 'at' }, /its cursor_field "at" is no column/],
  ] as const)('%s %o', async (text, options, message) => {
    await expect(loaded([[text]], { options })).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringMatching(message),
    })
  })

  test('on_schema_change where columns do not follow', () => {
    expect(() => loaded([[]], { options: { unnest: false, on_schema_change: 'freeze' } })).toThrow(
      'unnest is not columns',
    )
  })
})
