// Merging by key, as the program sqlite3 sees it: the newer row stays, in whatever order rows come, and numbers and text
// that a double would make one remain two.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { SqliteOptions } from '../../../connectors/destinations/sqlite/config.ts'
import { SqliteThread } from '../../../connectors/sqlite/thread.ts'
import { RawJson } from '../../../lib/record.ts'
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

/** Each in a page of its own batch. */
function merged(
  batches: readonly (readonly string[])[],
  options: Partial<SqliteOptions>,
  mode: SyncMode = 'incremental',
) {
  const pages = batches.map((lines, at) => ({
    records: lines.map((line, n) => ({ id: `${at}.${n}`, data: RawJson.from(line) })),
    next: at + 1 < batches.length ? { at } : null,
  }))
  const destination = sqliteDestination({ path, mode, options, seams: { thread } })
  return load(destination, runOf(`run ${++count}`, mode, count), pages)
}

const TYPED: Partial<SqliteOptions> = {
  unnest: true,
  recordSchemas: [
    {
      destinationId: 'main',
      columns: [
        { name: 'id', type: 'STRING' },
        { name: 'v', type: 'INTEGER' },
        { name: 'at', type: 'INTEGER' },
      ],
    },
  ],
}
const values = (typed: boolean): Promise<string> =>
  sqlite3(
    path,
    typed
      ? 'SELECT id, v FROM main ORDER BY id'
      : "SELECT source_data ->> 'id', source_data ->> 'v' FROM main ORDER BY 1",
  )

describe.each([
  ['JSON text', false],
  ['columns', true],
])('%s', (_, typed) => {
  const options: Partial<SqliteOptions> = { ...(typed ? TYPED : {}), primary_key: ['id'], cursor_field: 'at' }

  describe.each(['full_refresh', 'incremental', 'stream'] as const)('%s', (mode) => {
    test('the newest row of each key stays; of equals the later one; a row that has no cursor is older than any', async () => {
      await merged(
        [
          ['{"id":"a","v":1,"at":5}', '{"id":"b","v":1,"at":5}', '{"id":"a","v":2,"at":4}'],
          [
            '{"id":"b","v":2,"at":5}',
            '{"id":"c","v":1}',
            '{"id":"a","v":3,"at":null}',
            '{"id":"c","v":2}',
            '{"id":"d","v":1}',
            '{"id":"d","v":2,"at":1}',
          ],
        ],
        options,
        mode,
      )
      expect(await values(typed)).toBe('a|1\nb|2\nc|2\nd|2\n')
    })
  })

  test('an older row that comes in a later run changes nothing', async () => {
    await merged([['{"id":"a","v":1,"at":5}', '{"id":"b","v":1,"at":5}']], options)
    await merged([['{"id":"a","v":9,"at":4}', '{"id":"b","v":2,"at":6}', '{"id":"c","v":1,"at":1}']], options)
    expect(await values(typed)).toBe('a|1\nb|2\nc|1\n')
  })

  test('without cursor_field the one that came later stays', async () => {
    const { cursor_field: _, ...plain } = options
    await merged([['{"id":"a","v":2}', '{"id":"a","v":1}']], plain)
    expect(await values(typed)).toBe('a|1\n')
    await merged([['{"id":"a","v":0}']], plain)
    expect(await values(typed)).toBe('a|0\n')
  })

  test.each(['{"v":1}', '{"id":null,"v":1}'])('a record without a key is refused: %s', async (line) => {
    for (const mode of ['full_refresh', 'incremental', 'stream'] as const) {
      await expect(merged([['{"id":"a"}', line]], options, mode)).rejects.toMatchObject({
        code: 'invalid_record',
        message: 'table main, record "0.1": field "id" of its primary_key is null or missing',
      })
    }
  })
})

test('keys are what their text says: large numbers, fractions, types and escapes', async () => {
  const keys = [
    '12345678901234567890',
    '12345678901234567891',
    '1',
    '"1"',
    '1.10',
    '"é"',
    '"a\\"b"',
    'true',
    '[1]',
    '{"a":1}',
  ]
  const again = '"\\u00e9"'
  const key = { primary_key: ['id', 'a "b".c'] }
  const line = (id: string, v: number): string => `{"id":${id},"a \\"b\\".c":0,"v":${v}}`
  await merged([keys.map((id) => line(id, 1))], key)
  await merged([[...keys, again].map((id) => line(id, 2))], key)
  expect(await sqlite3(path, "SELECT count(*), min(source_data ->> 'v') FROM main")).toBe('10|2\n')
})

describe('cursor values', () => {
  const newest = async (cursor_type: SqliteOptions['cursor_type'], older: string, newer: string): Promise<void> => {
    const options = { primary_key: ['id'], cursor_field: 'at', cursor_type }
    const line = (at: string, v: string): string => `{"id":1,"at":${at},"v":"${v}"}`
    await merged([[line(newer, 'newer'), line(older, 'older')]], options)
    expect(await sqlite3(path, "SELECT source_data ->> 'v' FROM main")).toBe('newer\n')
    await merged([[line(older, 'older')]], options)
    expect(await sqlite3(path, "SELECT source_data ->> 'v' FROM main")).toBe('newer\n')
  }
  test.each([
    ['value', '9', '10'],
    ['value', '9007199254740992', '9007199254740993'],
    ['timestamp', '"2024-01-01T00:00:00Z"', '"2024-01-01T00:00:00.5Z"'],
    ['timestamp', '"2024-01-01T03:00:00+02:00"', '"2024-01-01T02:00:00Z"'],
    ['timestamp', '"2024-01-01T00:00:00.1234561Z"', '"2024-01-01T00:00:00.1234562Z"'],
    ['timestamp', '"2024-01-01T12:00+02"', '"2024-01-01T11:00Z"'],
    ['timestamp', '"2024-01-01 12:00:00+0200"', '"2024-01-01T11:00:00Z"'],
    ['value', '"a"', '"b"'],
    ['timestamp', '"2024-01-01 03:00:00+02:00"', '"2024-01-01T02:00:00Z"'],
    ['number', '"9"', '"10"'],
    ['number', '9', '"10.5"'],
    ['value', '"10"', '"9"'],
    ['value', '"2024-01-01T02:00:00Z"', '"2024-01-01T03:00:00+02:00"'],
  ] as const)('%s: %s is older than %s', async (type, older, newer) => newest(type, older, newer))
})

test.each(['full_refresh', 'incremental', 'stream'] as const)(
  '%s: a cursor in a NUMERIC column is a number, though it is kept as text',
  async (mode) => {
    const columns = [
      { name: 'id', type: 'INTEGER' },
      { name: 'v', type: 'STRING' },
      { name: 'at', type: 'NUMERIC' },
    ]
    const options = {
      unnest: true,
      recordSchemas: [{ destinationId: 'main', columns }],
      primary_key: ['id'],
      cursor_field: 'at',
    }
    await merged([['{"id":1,"v":"newer","at":10.5}', '{"id":1,"v":"older","at":9}']], options, mode)
    expect(await sqlite3(path, 'SELECT v, at FROM main')).toBe('newer|10.5\n')
    if (mode === 'full_refresh') return
    await merged([['{"id":1,"v":"older","at":9}'], ['{"id":1,"v":"newest","at":100}']], options, mode)
    expect(await sqlite3(path, 'SELECT v FROM main')).toBe('newest\n')
  },
)

test('another primary_key, or none, takes the place of the one before', async () => {
  const keys = () =>
    sqlite3(path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'main\\_\\_bizon\\_key%' ESCAPE '\\'")
  await merged([['{"id":1,"n":1}', '{"id":2,"n":2}']], { primary_key: ['id'] })
  await merged([['{"id":1,"n":3}']], { primary_key: ['n'] })
  expect(await keys()).toBe('1\n')
  await merged([['{"id":1,"n":3}']], {})
  expect(await keys()).toBe('0\n')
  expect(await sqlite3(path, 'SELECT count(*) FROM main')).toBe('4\n')
  await expect(merged([['{"id":5}']], { primary_key: ['n'] })).rejects.toThrow(
    '"n" of its primary_key is null or missing',
  )
  await expect(merged([['{"id":5,"n":9}']], { primary_key: ['n'] })).rejects.toMatchObject({
    code: 'destination',
    message: expect.stringContaining('UNIQUE constraint failed'),
  })
})

test('a key that is no column is told at once', () => {
  expect(() => sqliteDestination({ path, options: { ...TYPED, primary_key: ['nope'] } })).toThrow(
    'table main has no column nope',
  )
})
