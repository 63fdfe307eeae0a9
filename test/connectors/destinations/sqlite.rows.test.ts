// What stands in the table: each value as the source wrote it, or an error that names the record. The program sqlite3 looks.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { SqliteOptions } from '../../../connectors/destinations/sqlite/config.ts'
import { SqliteThread } from '../../../connectors/sqlite/thread.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { load, runOf } from '../../support/load.ts'
import { sqlite3, sqliteDestination } from '../../support/sqlite-destination.ts'

const thread = new SqliteThread()
const root = await mkdtemp(join(tmpdir(), 'bizon-sqlite-'))
afterAll(async () => {
  await thread.stop()
  await rm(root, { recursive: true })
})
let path = ''
let count = 0
beforeEach(() => {
  path = join(root, `${++count}.sqlite3`)
})

const record = (id: string, json: string, more: Partial<SourceRecord> = {}): SourceRecord => ({
  id,
  data: RawJson.from(json),
  ...more,
})

function loaded(
  records: readonly SourceRecord[],
  options: Partial<SqliteOptions> = {},
  mode: SyncMode = 'full_refresh',
) {
  const destination = sqliteDestination({ path, mode, options, seams: { thread } })
  return load(destination, runOf(`run ${++count}`, mode, count), [{ records, next: null }])
}

const columns = (types: Readonly<Record<string, string>>, destinationId = 'main') => ({
  unnest: true,
  metadata: 'none' as const,
  recordSchemas: [{ destinationId, columns: Object.entries(types).map(([name, type]) => ({ name, type })) }],
})

test('six columns, the record as the text that came', async () => {
  const text =
    '{"id": 1,"big":12345678901234567890,"price":1.10,"zero":-0,"text":"é\\u0041\\n\\u0000 𝄞","nested":{"a":[1e400]}}'
  await loaded([
    record('one', text, { timestamp: '2024-12-05T12:00:00.1234567+02:00' }),
    record('it\'s "é" 𝄞\n', '{}', { timestamp: new Date(0) }),
  ])
  const rows = JSON.parse(await sqlite3(path, 'SELECT * FROM main ORDER BY rowid', '-json'))
  expect(rows).toEqual([
    {
      bizon_id: expect.stringMatching(/^[0-9a-f]{16}0{16}$/),
      bizon_extracted_at: '1970-01-01T00:00:00+00:00',
      bizon_loaded_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      source_record_id: 'one',
      source_timestamp: '2024-12-05T10:00:00.123456+00:00',
      source_data: text,
    },
    expect.objectContaining({ source_record_id: 'it\'s "é" 𝄞\n', source_timestamp: '1970-01-01T00:00:00+00:00' }),
  ])
  expect(rows[1].bizon_id).toBe(`${rows[0].bizon_id.slice(0, 31)}1`)
})

test('records of every size, over many segments, in their order', async () => {
  const sizes = [1, 3 << 20, 10, 1 << 20, ...Array.from({ length: 30_000 }, (_, n) => n % 97)]
  const records = sizes.map((size, n) => record(`${n}`, `{"n":${n},"pad":"${'é'.repeat(size)}"}`))
  await loaded(records, { metadata: 'none' })
  const { createHash } = await import('node:crypto')
  const expected = records.map(({ data }) => `${data}\n`).join('')
  const found = await sqlite3(path, 'SELECT source_data FROM main ORDER BY rowid')
  expect(createHash('sha256').update(found).digest('hex')).toBe(createHash('sha256').update(expected).digest('hex'))
})

test('columns of every type', async () => {
  await loaded(
    [
      record(
        'all',
        '{"s":"a\\n\\u00e9\\"","i":-9223372036854775808,"f":1.10,"d":12345678901234567890.10,"b":true,"day":"2024-12-05","t":"2024-12-05T12:00:00.123456789Z","j":{"a":[1.10]},"extra":[]}',
      ),
      record('reordered', '{"extra":1.10,"j":"x","b":false,"s":5.0,"i":"12","f":3,"d":"0.10"}'),
      record('nothing', '{"s":null}'),
    ],
    columns({
      s: 'STRING',
      i: 'INT64',
      f: 'FLOAT',
      d: 'NUMERIC(38, 9)',
      b: 'BOOLEAN',
      day: 'DATE',
      t: 'TIMESTAMP',
      j: 'JSON',
      extra: 'text',
    }),
  )
  const quoted =
    'SELECT quote(s), quote(i), quote(f), quote(d), quote(b), quote(day), quote(t), quote(j), quote(extra) FROM main ORDER BY rowid'
  expect(await sqlite3(path, quoted)).toBe(
    `'a\né"'|-9223372036854775808|1.1|'12345678901234567890.10'|1|'2024-12-05'|'2024-12-05T12:00:00.123456789Z'|'{"a":[1.10]}'|'[]'\n` +
      `'5.0'|12|3.0|'0.10'|0|NULL|NULL|'"x"'|'1.10'\n` +
      'NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL\n',
  )
})

test('a double is the one that JavaScript makes of its text', async () => {
  let seed = 7
  const next = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return seed
  }
  const bits = new DataView(new ArrayBuffer(8))
  const doubles = Array.from({ length: 5000 }, (_, n) => {
    bits.setUint32(0, next())
    bits.setUint32(4, next())
    const any = bits.getFloat64(0)
    return n % 2 === 0 && Number.isFinite(any) ? any : next() / 10 ** (next() % 12)
  })
  await loaded(
    doubles.map((value, n) => record(`${n}`, `{"v":${value}}`)),
    columns({ v: 'FLOAT' }),
  )
  const { default: Database } = await import('better-sqlite3')
  const database = new Database(path, { readonly: true })
  try {
    expect(database.prepare('SELECT v FROM main ORDER BY rowid').pluck().all()).toEqual(doubles)
  } finally {
    database.close()
  }
})

describe('a value that its column cannot hold is an error that names the record', () => {
  test.each([
    ['INTEGER', '9223372036854775808', 'a whole number of 64 bits'],
    ['INTEGER', '-9223372036854775809', 'a whole number of 64 bits'],
    ['INTEGER', '1.5', 'a whole number of 64 bits'],
    ['INTEGER', '1e3', 'a whole number of 64 bits'],
    ['INTEGER', '-0', 'a whole number of 64 bits'],
    ['INTEGER', '"007"', 'a whole number of 64 bits'],
    ['INTEGER', 'true', 'a whole number of 64 bits'],
    ['FLOAT', '1e400', 'a number that a double can hold'],
    ['FLOAT', '"NaN"', 'a number that a double can hold'],
    ['NUMERIC', '"1,5"', 'a number'],
    ['BOOLEAN', '"yes"', 'true or false'],
    ['BOOLEAN', '2', 'true or false'],
    ['BOOLEAN', '1', 'true or false'],
    ['DATE', '"5.12.2024"', 'a day such as'],
    ['DATE', '"2026-02-30"', 'a day such as'],
    ['DATE', '"2026-13-01"', 'a day such as'],
    ['TIMESTAMP', '"2026-02-30T10:00:00Z"', 'a time such as'],
    ['TIMESTAMP', '"2026-02-03T25:00:00Z"', 'a time such as'],
    ['TIMESTAMP', '1733400000', 'a time such as'],
    ['TIMESTAMP', '{"a":1}', 'a time such as'],
  ])('%s %s', async (type, value, what) => {
    await expect(loaded([record('r"1', `{"v":${value}}`)], columns({ v: type }))).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringContaining(`table main, record "r\\"1": column v: ${value} is not ${what}`),
      hint: expect.stringContaining('transform'),
    })
  })

  test('a field that is no column, half of a surrogate pair', async () => {
    const one = columns({ v: 'STRING' })
    await expect(loaded([record('r', '{"v":1,"w":2}')], one)).rejects.toThrow('record "r": its field "w" is no column')
    await expect(loaded([record('r', '{"v":"\\ud800"}')], one)).rejects.toThrow('column v: half of a surrogate pair')
    await expect(loaded([record('\ud800', '{}')])).rejects.toThrow('its id: half of a surrogate pair')
  })
})

test('names of any spelling; that of a table is the same in capitals', async () => {
  const name = 'Order "items"; DROP TABLE é.𝄞'
  await loaded([record('1', `{"a ${'"b"'.replaceAll('"', '\\"')}":1}`)], {
    destinationId: name,
    ...columns({ 'a "b"': 'INTEGER' }, name),
  })
  expect(await sqlite3(path, `SELECT "a ""b""" FROM "${name.replaceAll('"', '""')}"`)).toBe('1\n')
  await loaded([record('a', '{}'), record('b', '{}', { destinationId: 'EVENTS' })], { destinationId: 'Events' })
  await loaded([record('c', '{}')], { destinationId: 'events' }, 'incremental')
  expect(await sqlite3(path, 'SELECT source_record_id FROM events')).toBe('a\nb\nc\n')
  for (const wrong of ['', 'a\0b', 'sqlite_x', '_BIZON_state']) {
    expect(() => sqliteDestination({ path, options: { destinationId: wrong } })).toThrow(/destination_id/)
  }
})

test('a new column is added; a column that is gone stays, and is null', async () => {
  await loaded([record('1', '{"a":1}')], columns({ a: 'INTEGER' }), 'incremental')
  await loaded([record('2', '{"b":"x"}')], columns({ b: 'STRING' }), 'incremental')
  await loaded([record('3', '{"c":2.5}')], columns({ c: 'FLOAT' }), 'stream')
  expect(await sqlite3(path, 'SELECT quote(a), quote(b), quote(c) FROM main')).toBe(
    "1|NULL|NULL\nNULL|'x'|NULL\nNULL|NULL|2.5\n",
  )
})

test('the schema of columns is checked: types, names, tables', async () => {
  expect(() => sqliteDestination({ path, options: columns({ a: 'WIDGET' }) })).toThrow('"WIDGET", which is not known')
  expect(() => sqliteDestination({ path, options: columns({ a: 'STRING', A: 'STRING' }) })).toThrow(
    'two columns named A',
  )
  await expect(loaded([record('1', '{}')], columns({ a: 'STRING' }, 'other'))).rejects.toThrow(
    'no entry for table "main"',
  )
})
