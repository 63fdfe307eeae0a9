// What the sqlite source gives of each kind of value, while programs write to the file, and what it leaves behind.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BizonError } from '../../../lib/errors.ts'
import type { Start } from '../../../lib/source.ts'
import {
  idsOf,
  listeningLog,
  openTable,
  pagesBeforeFailure,
  pagesOf,
  positionOf,
  sinceOf,
  textsOf,
} from '../../support/table-source.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-sqlite-'))
  path = join(folder, 'data.sqlite')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** By SQLite's own program. */
async function sqlite3(sql: string): Promise<string> {
  return (await promisify(execFile)('sqlite3', ['-batch', path, sql])).stdout
}

const open = (config: object, given = {}) => openTable('sqlite', { path, ...config }, given)
const read = (config: object, from: Start = {}) => pagesOf(open(config), from)
const increment = (config: object, from: Start = {}) =>
  pagesOf(open({ cursor_field: 'u', ...config }, { mode: 'incremental' }), from)

test.each([
  ['9223372036854775807', '9223372036854775807'],
  ['-9223372036854775808', '-9223372036854775808'],
  ['0.1 + 0.2', '0.30000000000000004'],
  ['5.0', '5.0'],
  ['-0.0', '-0.0'],
  ['1e100', '1e+100'],
  ['123456789.123456789', '123456789.12345679'],
  ['4.9e-324', '5e-324'],
  ['-9e999', '"-Infinity"'],
  ['NULL', 'null'],
  [`'a"\\' || char(10, 0, 8232) || '😀'`, '"a\\"\\\\\\n\\u0000\u2028😀"'],
  [`'{"json": "stays text"}'`, '"{\\"json\\": \\"stays text\\"}"'],
  ["x'00ff10'", '"AP8Q"'],
  ["x''", '""'],
])('%s is %s', async (sql, json) => {
  await sqlite3(`CREATE TABLE records (v); INSERT INTO records VALUES (${sql})`)
  const [text = ''] = textsOf(await read({}))
  expect(text).toBe(`{"v":${json}}`)
})

test('every double comes back as the same one', async () => {
  const database = new Sqlite(path)
  database.exec('CREATE TABLE records (id INTEGER PRIMARY KEY, v)')
  const insert = database.prepare('INSERT INTO records (v) VALUES (?)')
  const bits = new DataView(new ArrayBuffer(8))
  const values: number[] = []
  for (let n = 1; values.length < 2000; n++) {
    bits.setUint32(0, Math.imul(n, 0x9e3779b1))
    bits.setUint32(4, Math.imul(n, 0x85ebca6b))
    const value = bits.getFloat64(0)
    if (Number.isFinite(value)) values.push(value)
  }
  database.transaction(() => {
    for (const value of values) insert.run(value)
  })()
  database.close()
  const found = textsOf(await read({})).map((text) => JSON.parse(text).v)
  expect(found.every((value, at) => Object.is(value, values[at]))).toBe(true)
})

test('a table of a thousand columns, and names of any spelling', async () => {
  const names = Array.from({ length: 1000 }, (_, at) => `c "${at}'}`)
  const quoted = names.map((name) => `"${name.replaceAll('"', '""')}"`)
  await sqlite3(
    `CREATE TABLE "a ""b.c" (${quoted.join(', ')}); INSERT INTO "a ""b.c" (${quoted[0]}, ${quoted[999]}) VALUES ('}', 'x')`,
  )
  const [text = ''] = textsOf(await read({ table: 'A "B.c' }))
  expect(JSON.parse(text)).toEqual(
    Object.fromEntries(names.map((name, at) => [name, at === 0 ? '}' : at === 999 ? 'x' : null])),
  )
})

test('a key whose values are of several kinds, and nothing is lost where a read goes on', async () => {
  await sqlite3(
    `CREATE TABLE records (k PRIMARY KEY); INSERT INTO records VALUES ('1'), (1), (1.5), (x'31'), ('b'), ('B'), (-0.5), (9223372036854775807)`,
  )
  const pages = await read({ page_size: 1 })
  const expected = ['-0.5', '1', '1.5', '9223372036854775807', '"1"', '"B"', '"b"', '"MQ=="'].map((v) => `{"k":${v}}`)
  expect(textsOf(pages)).toEqual(expected)
  for (const [at, page] of pages.entries()) {
    if (page.next) expect(textsOf(await read({}, positionOf(page)))).toEqual(expected.slice(at + 1))
  }
})

test.each(['UTF-16le', 'UTF-16be'])('text of a file in %s', async (encoding) => {
  await sqlite3(
    `PRAGMA encoding = '${encoding}'; CREATE TABLE records (k TEXT PRIMARY KEY, v); INSERT INTO records VALUES ('a', 'plain'), ('é', x'00ff'), ('😀', 1.5)`,
  )
  const pages = await read({ page_size: 1 })
  // In the order of the file's own bytes.
  expect(textsOf(pages).sort()).toEqual(['{"k":"a","v":"plain"}', '{"k":"é","v":"AP8="}', '{"k":"😀","v":1.5}'])
  expect(idsOf(await read({}, positionOf(pages[0])))).toEqual(idsOf(pages).slice(1))
})

test('a key is compared as its column says', async () => {
  await sqlite3(
    `CREATE TABLE records (k TEXT COLLATE NOCASE PRIMARY KEY); INSERT INTO records VALUES ('b'), ('A'), ('C'), ('d')`,
  )
  const pages = await read({ page_size: 1 })
  expect(idsOf(pages)).toEqual(['A', 'b', 'C', 'd'])
  expect(idsOf(await read({}, positionOf(pages[1])))).toEqual(['C', 'd'])
})

describe('a file that a program writes to', () => {
  test('is read as it was when the read began, and left as it is', async () => {
    const writer = new Sqlite(path)
    writer.pragma('journal_mode = wal')
    writer.exec('CREATE TABLE records (id INTEGER PRIMARY KEY); INSERT INTO records VALUES (1), (2), (3), (4)')
    const ids: string[] = []
    for await (const page of open({ page_size: 1 }).read({}, new AbortController().signal)) {
      if (ids.length === 0) writer.exec('DELETE FROM records WHERE id = 3; INSERT INTO records VALUES (5)')
      ids.push(...page.records.map(({ id }) => id))
    }
    expect(ids).toEqual(['1', '2', '3', '4'])
    expect((await readdir(folder)).sort()).toEqual(['data.sqlite', 'data.sqlite-shm', 'data.sqlite-wal'])
    expect(idsOf(await read({}))).toEqual(['1', '2', '4', '5'])
    writer.close()
  })

  test('has no more files beside it than before, and not a byte changed', async () => {
    await sqlite3(
      'PRAGMA journal_mode = wal; CREATE TABLE records (id INTEGER PRIMARY KEY); INSERT INTO records VALUES (1)',
    )
    const before = await readFile(path)
    expect(await readdir(folder)).toEqual(['data.sqlite'])
    expect(idsOf(await read({}))).toEqual(['1'])
    expect(await readdir(folder)).toEqual(['data.sqlite'])
    expect(await readFile(path)).toEqual(before)
  })

  test('cannot be changed by a query', async () => {
    await sqlite3('CREATE TABLE records (id INTEGER PRIMARY KEY)')
    await expect(read({ query: 'DELETE FROM records RETURNING id' })).rejects.toMatchObject({ code: 'config' })
  })
})

describe('incremental', () => {
  test('gives what is new or changed, and rows with the last value once', async () => {
    await sqlite3(
      `CREATE TABLE records (id INTEGER PRIMARY KEY, u TEXT); INSERT INTO records VALUES (5, '2026-01-02'), (3, '2026-01-02'), (9, '2026-01-01')`,
    )
    const first = await increment({ page_size: 1 })
    const second = await increment({}, sinceOf(first))
    await sqlite3(`INSERT INTO records VALUES (1, '2026-01-02'); UPDATE records SET u = '2026-01-03' WHERE id = 9`)
    const third = await increment({}, sinceOf(second))
    await sqlite3('DELETE FROM records')
    const fourth = await increment({}, sinceOf(third))
    expect([first, second, third, fourth].map(idsOf)).toEqual([['9', '3', '5'], [], ['1', '9'], []])
    await sqlite3(`INSERT INTO records VALUES (9, '2026-01-03'), (10, '2026-01-03')`)
    expect(idsOf(await increment({}, sinceOf(fourth)))).toEqual(['10'])
  })

  test('says so when more rows have the last value than can be told apart', async () => {
    await sqlite3(
      'CREATE TABLE records (id INTEGER PRIMARY KEY, u INT); WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < 10002) INSERT INTO records SELECT g, 7 FROM s',
    )
    const log = listeningLog()
    const first = await pagesOf(open({ cursor_field: 'u' }, { mode: 'incremental', log }))
    expect(log.said.join()).toContain('2 rows more than can be told apart have the last u')
    expect(idsOf(await increment({}, sinceOf(first)))).toEqual(['10001', '10002'])
  })

  test('is refused after a full refresh, which left nothing to go on from, rather than doubling all rows', async () => {
    await sqlite3('CREATE TABLE records (id INTEGER PRIMARY KEY, u); INSERT INTO records VALUES (1, 1)')
    const full = await read({ cursor_field: 'u' })
    await expect(increment({}, sinceOf(full))).rejects.toMatchObject({
      code: 'config',
      message: 'the last run left no u to go on from, as it was not incremental',
    })
  })

  test('begins with all rows after one that found none', async () => {
    await sqlite3('CREATE TABLE records (id INTEGER PRIMARY KEY, u)')
    const first = await increment({})
    await sqlite3('INSERT INTO records VALUES (1, 1)')
    expect(idsOf(await increment({}, sinceOf(first)))).toEqual(['1'])
  })

  test('is refused where the values have become of another kind, which would never come', async () => {
    await sqlite3(`CREATE TABLE records (id INTEGER PRIMARY KEY, u); INSERT INTO records VALUES (1, '2026-01-01')`)
    const first = await increment({})
    await sqlite3('UPDATE records SET u = 1767225600')
    await expect(increment({}, sinceOf(first))).rejects.toMatchObject({
      message: expect.stringContaining('records has rows whose u is a number, and the run before ended with text'),
    })
  })

  test('after a kill goes on among rows of one value', async () => {
    await sqlite3(
      'CREATE TABLE records (id INTEGER PRIMARY KEY, u INT); WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < 15) INSERT INTO records SELECT g * 10, g / 4 FROM s',
    )
    const first = (await increment({ page_size: 3 })).slice(0, -1)
    await sqlite3('INSERT INTO records VALUES (125, 3), (1, 4), (55, 1)')
    const rest = await increment({ page_size: 3 }, positionOf(first.at(-1)))
    expect([...idsOf(first), ...idsOf(rest)]).toHaveLength(16)
    expect(idsOf(await increment({}, sinceOf(rest)))).toEqual(['1'])
  })
})

describe('refusals', () => {
  const NOT_UTF8 = "CAST(x'61ff' AS TEXT)"
  test.each<readonly [string, string, object, object, RegExp]>([
    [
      'a table that is misspelt',
      'CREATE TABLE orders (id INTEGER PRIMARY KEY)',
      { table: 'ordres' },
      {},
      /no table or view "ordres"; did you mean "orders"\?/,
    ],
    [
      'a column that is misspelt',
      'CREATE TABLE records (id INTEGER PRIMARY KEY, total)',
      { columns: ['totl'] },
      {},
      /source\.columns: table records has no column "totl"; did you mean "total"\?/,
    ],
    [
      'text that is not UTF-8',
      `CREATE TABLE records (id INTEGER PRIMARY KEY, v); INSERT INTO records VALUES (1, 'x'), (2, ${NOT_UTF8})`,
      {},
      {},
      /table records: the row after 1 holds text that is not UTF-8/,
    ],
    [
      'the same in a key that is not read',
      `CREATE TABLE records (k TEXT PRIMARY KEY, v); INSERT INTO records VALUES (${NOT_UTF8}, 1)`,
      { columns: ['v'] },
      {},
      /table records: row 1 holds text that is not UTF-8/,
    ],
    [
      'a key that is none',
      'CREATE TABLE records (a); INSERT INTO records VALUES (1), (2), (2)',
      { primary_key: ['a'] },
      {},
      /records has two rows of the key i2 \(a\)/,
    ],
    [
      'a key with nulls',
      'CREATE TABLE records (a TEXT PRIMARY KEY); INSERT INTO records VALUES (NULL)',
      {},
      {},
      /records has a row whose key is null/,
    ],
    [
      'no cursor_field',
      'CREATE TABLE records (id INTEGER PRIMARY KEY)',
      {},
      { mode: 'incremental' },
      /needs source\.cursor_field/,
    ],
    [
      'no key, incremental',
      'CREATE TABLE records (u)',
      { cursor_field: 'u' },
      { mode: 'incremental' },
      /records has no key/,
    ],
    [
      'a null cursor',
      'CREATE TABLE records (id INTEGER PRIMARY KEY, u); INSERT INTO records VALUES (1, NULL)',
      { cursor_field: 'u' },
      { mode: 'incremental' },
      /records has rows whose u is null/,
    ],
    [
      'a cursor of numbers and of text',
      `CREATE TABLE records (id INTEGER PRIMARY KEY, u); INSERT INTO records VALUES (1, '2026-01-01'), (2, 1767225600)`,
      { cursor_field: 'u' },
      { mode: 'incremental' },
      /records has rows whose u is a number, and others whose is not/,
    ],
    [
      'a query that fails',
      'CREATE TABLE records (id INTEGER PRIMARY KEY)',
      { query: 'SELECT nope FROM records' },
      {},
      /source\.query: no such column: nope/,
    ],
    [
      'two columns of one name',
      'CREATE TABLE records (id)',
      { query: 'SELECT 1 AS a, 2 AS a' },
      {},
      /two columns of the name "a"/,
    ],
  ])('%s', async (_, sql, config, given, message) => {
    await sqlite3(sql)
    const refused = async (): Promise<unknown> => pagesOf(open(config, given))
    const error: BizonError = await refused().then(
      () => expect.fail('it did not fail'),
      (thrown) => thrown,
    )
    expect(error.message).toMatch(message)
    expect(error.name).toBe('BizonError')
  })

  test('a file that is none, is not there, or is damaged', async () => {
    await expect(read({})).rejects.toMatchObject({ message: `${path}: cannot be opened` })
    await writeFile(path, 'not a database, but long enough to be looked at '.repeat(40))
    await expect(read({})).rejects.toMatchObject({ message: `${path}: not a SQLite database` })
    await expect(read({ path: folder })).rejects.toMatchObject({
      message: `${folder}: is a folder, not a database file`,
    })
  })

  test('two rows of one key, also by the run after the one that met them', async () => {
    await sqlite3('CREATE TABLE records (a, b); INSERT INTO records VALUES (1, 1), (2, 2), (2, 3), (3, 4)')
    const config = { primary_key: ['a'], page_size: 1 }
    const pages = await pagesBeforeFailure(open(config))
    expect(idsOf(pages)).toEqual(['1'])
    await expect(read(config, positionOf(pages.at(-1)))).rejects.toMatchObject({ code: 'invalid_record' })
  })

  test('a key that has changed since the run stood there', async () => {
    await sqlite3('CREATE TABLE records (a INTEGER PRIMARY KEY, b); INSERT INTO records VALUES (1, 1), (2, 2)')
    const [first] = await read({ page_size: 1 })
    await expect(read({ primary_key: ['b'] }, positionOf(first))).rejects.toMatchObject({
      message: 'table records is read by b now, and the run stands at a row of the order a: its key has changed',
    })
  })
})
