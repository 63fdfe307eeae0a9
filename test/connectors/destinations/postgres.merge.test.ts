// Merging by key: one row for each, the newer one, whatever comes in which order. psql reads.

import { beforeEach, describe, expect, test } from 'vitest'
import type { PostgresOptions } from '../../../connectors/destinations/postgres/config.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { load, runOf } from '../../support/load.ts'
import { postgresDestination } from '../../support/postgres-destination.ts'
import { freshDatabase, psql } from '../../support/services/postgres.ts'

let url = ''
let epoch = 0
beforeEach(async () => {
  url = (await freshDatabase()).url
  epoch = 0
})

/** `at` is the time of the change, `v` what it changed to. */
const row = (key: string, at: number, v: string): SourceRecord => ({
  id: `${key}/${v}`,
  data: RawJson.from(`{"k":${key},"at":${at},"v":"${v}"}`),
  timestamp: `2024-01-01T00:00:${String(at).padStart(2, '0')}Z`,
})
const page = (records: readonly SourceRecord[], next: Page['next'] = null): Page => ({ records, next })

interface Variant {
  readonly title: string
  readonly options: Partial<PostgresOptions>
  readonly read: string
}

const columns = ['k', 'at', 'v'].map((name) => ({ name, type: name === 'v' ? 'STRING' : 'INTEGER' }))
const unnest = { unnest: true, recordSchemas: [{ destinationId: 'main', columns }] }
const FROM_JSON = `SELECT source_data->>'k', source_data->>'v' FROM main ORDER BY 1`
const VARIANTS: readonly Variant[] = [
  { title: 'jsonb, by a field', options: { primary_key: ['k'], cursor_field: 'at' }, read: FROM_JSON },
  {
    title: 'jsonb alone, by a field',
    options: { primary_key: ['k'], cursor_field: 'at', metadata: 'none' },
    read: FROM_JSON,
  },
  {
    title: 'columns, by a field',
    options: { primary_key: ['k'], cursor_field: 'at', metadata: 'none', ...unnest },
    read: 'SELECT k, v FROM main ORDER BY k',
  },
]

describe.each(VARIANTS)('$title', ({ options, read }) => {
  const loaded = (id: string, mode: SyncMode, pages: readonly Page[], complete = false) =>
    load(postgresDestination({ url, mode, options }), runOf(id, mode, ++epoch, complete), pages)

  test.each(['incremental', 'stream'] as const)(
    '%s: the newer of two rows with one key stays, within a batch, a run and between runs',
    async (mode) => {
      await loaded(
        'one',
        mode,
        [
          page([row('1', 5, 'newer'), row('1', 3, 'older'), row('2', 1, 'first')], { n: 1 }),
          page([row('2', 4, 'second'), row('3', 7, 'kept'), row('3', 7, 'as new, later')]),
        ],
        mode === 'incremental',
      )
      expect(await psql(url, read)).toBe('1|newer\n2|second\n3|as new, later\n')
      await loaded('two', mode, [
        page([row('1', 4, 'late'), row('2', 4, 'as new'), row('3', 8, 'newest')], { n: 1 }),
        page([row('4', 1, 'new'), row('3', 6, 'late')]),
      ])
      expect(await psql(url, read)).toBe('1|newer\n2|as new\n3|newest\n4|new\n')
    },
  )

  test('a full refresh has one row for each key as well, and merging goes on behind it', async () => {
    await loaded('one', 'full_refresh', [page([row('1', 1, 'a'), row('1', 2, 'b')])], true)
    await loaded('two', 'full_refresh', [page([row('1', 1, 'c'), row('2', 2, 'd'), row('2', 1, 'e')])], true)
    expect(await psql(url, read)).toBe('1|c\n2|d\n')
    await loaded('three', 'incremental', [page([row('2', 3, 'f'), row('3', 1, 'g')])])
    expect(await psql(url, read)).toBe('1|c\n2|f\n3|g\n')
    expect(await psql(url, "SELECT count(*) FROM pg_index WHERE indrelid = 'main'::regclass AND indisunique")).toBe(
      '1\n',
    )
    expect(
      await psql(
        url,
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'main'::regclass AND attname LIKE '%arrival%'",
      ),
    ).toBe('0\n')
  })

  test.each([
    ['missing', '{"at":1,"v":"x"}'],
    ['null', '{"k":null,"at":1,"v":"x"}'],
  ])('a key that is %s is refused, naming the record', async (_, text) => {
    for (const mode of ['full_refresh', 'incremental', 'stream'] as const) {
      const records = [row('1', 1, 'a'), { id: 'bad', data: RawJson.from(text) }]
      await expect(loaded(mode, mode, [page(records)], mode === 'full_refresh')).rejects.toMatchObject({
        code: 'invalid_record',
        message: expect.stringMatching(/record "bad".*: a field of its primary_key is null or missing/),
      })
    }
  })
})

test('without a cursor the row that comes last stays, whatever the clock says', async () => {
  for (const mode of ['incremental', 'stream', 'full_refresh'] as const) {
    const options = { primary_key: ['k'], destinationId: mode }
    const loaded = (id: string, records: readonly SourceRecord[]) =>
      load(postgresDestination({ url, mode, options }), runOf(id, mode, ++epoch), [page(records)])
    await loaded(`${mode}1`, [row('1', 9, 'a'), row('1', 5, 'b'), row('2', 9, 'c')])
    await loaded(`${mode}2`, [row('2', 3, 'd'), row('1', 4, 'e'), row('1', 2, 'f')])
    expect(await psql(url, `SELECT source_data->>'v' FROM ${mode} ORDER BY source_data->>'k'`)).toBe('f\nd\n')
  }
})

describe('a cursor that is text', () => {
  // By letters the first of each is the greater one.
  const cases = [
    ['number', '"9"', '"10"'],
    ['number', '"2"', '1e1'],
    ['timestamp', '"2024-01-01T09:00:00+05:00"', '"2024-01-01T08:00:00Z"'],
    ['timestamp', '"2024-01-02 00:30:00+02"', '"2024-01-01T23:00:00.000001Z"'],
  ] as const
  const unnested = {
    metadata: 'none' as const,
    unnest: true,
    recordSchemas: [{ destinationId: 'main', columns: ['k', 'at', 'v'].map((name) => ({ name, type: 'STRING' })) }],
  }
  const shapes: readonly Partial<PostgresOptions>[] = [{}, unnested]

  test.each(cases)('is compared as a %s: %s is older than %s', async (cursor_type, older, newer) => {
    for (const [n, more] of shapes.entries()) {
      const destinationId = `main${n}`
      const options = {
        primary_key: ['k'],
        cursor_field: 'at',
        cursor_type,
        ...more,
        recordSchemas: unnested.recordSchemas.map((schema) => ({ ...schema, destinationId })),
        destinationId,
      }
      const record = (v: string, at: string) => ({ id: v, data: RawJson.from(`{"k":"1","at":${at},"v":"${v}"}`) })
      const loaded = (id: string, records: readonly SourceRecord[]) =>
        load(postgresDestination({ url, mode: 'incremental', options }), runOf(id, 'incremental', ++epoch), [
          page(records),
        ])
      const v = n === 0 ? "source_data->>'v'" : 'v'
      await loaded(`a${n}`, [record('new', newer), record('old', older)])
      expect(await psql(url, `SELECT ${v} FROM ${destinationId}`)).toBe('new\n')
      await loaded(`b${n}`, [record('late', older)])
      expect(await psql(url, `SELECT ${v} FROM ${destinationId}`)).toBe('new\n')
    }
  })

  test('and is none is refused by the name of its record', async () => {
    const options = { primary_key: ['k'], cursor_field: 'at', cursor_type: 'timestamp' as const }
    const records = [row('1', 1, 'a'), { id: 'bad', data: RawJson.from('{"k":2,"at":"yesterday or so"}') }]
    const timed = records.map(({ id, data }) => ({
      id,
      data: RawJson.from(String(data).replace('"at":1', '"at":"2024-01-01T00:00:00Z"')),
    }))
    await expect(
      load(postgresDestination({ url, options }), runOf('one', 'full_refresh', 1), [page(timed)]),
    ).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringMatching(/record "bad": invalid input syntax for type timestamp.*yesterday or so/),
    })
  })

  test('cursor_type without cursor_field is refused', () => {
    expect(() => postgresDestination({ url, options: { primary_key: ['k'], cursor_type: 'number' } })).toThrow(
      'cursor_type: is given, and no cursor_field',
    )
  })
})

describe('a primary_key that is another now', () => {
  test.each(['incremental', 'full_refresh', 'stream'] as const)(
    '%s: rows are no more refused by the old one',
    async (mode) => {
      const loaded = (id: string, primary_key: string[], records: readonly SourceRecord[]) =>
        load(
          postgresDestination({ url, mode, options: { primary_key } }),
          { ...runOf(id, mode, ++epoch), startOver: true },
          [page(records)],
        )
      const indexes = () => psql(url, "SELECT count(*) FROM pg_index WHERE indrelid = 'main'::regclass")
      await loaded('one', ['k'], [row('1', 1, 'a'), row('2', 2, 'b')])
      await loaded('two', ['k', 'v'], [row('1', 1, 'a'), row('1', 1, 'c')])
      expect(await indexes()).toBe('1\n')
      await loaded('three', [], [row('1', 1, 'a'), row('1', 1, 'a')])
      expect(await indexes()).toBe('0\n')
      expect(await psql(url, 'SELECT count(*) FROM main')).toBe(mode === 'full_refresh' ? '2\n' : '5\n')
    },
  )
})

test('a key of several fields; a row that has no cursor is older than any that has', async () => {
  const options = { primary_key: ['a', 'b'], cursor_field: 'at' }
  const record = (text: string): SourceRecord => ({ id: text, data: RawJson.from(text) })
  const loaded = (id: string, texts: readonly string[]) =>
    load(postgresDestination({ url, mode: 'incremental', options }), runOf(id, 'incremental', ++epoch), [
      page(texts.map(record)),
    ])
  await loaded('one', ['{"a":1,"b":"x","v":1}', '{"a":1,"b":"y","at":5,"v":2}', '{"a":"1","b":"x","at":null,"v":3}'])
  await loaded('two', ['{"a":1,"b":"x","at":1,"v":4}', '{"a":1,"b":"y","v":5}', '{"a":1.0,"b":"x","at":0,"v":6}'])
  expect(await psql(url, "SELECT source_data->>'v' FROM main ORDER BY 1")).toBe('2\n3\n4\n')
})

test('an append of which the state store does not know is merged again, not taken back', async () => {
  const options = { primary_key: ['k'], metadata: 'none' as const, cursor_field: 'at' }
  const loaded = (id: string, previous: string | undefined, records: readonly SourceRecord[]) =>
    load(
      postgresDestination({ url, mode: 'incremental', options }),
      { ...runOf(id, 'incremental', ++epoch, previous === undefined), ...(previous !== undefined && { previous }) },
      [page(records)],
    )
  await loaded('one', undefined, [row('1', 1, 'a')])
  await loaded('two', 'one', [row('2', 2, 'b')])
  await loaded('again', 'one', [row('2', 2, 'b'), row('3', 3, 'c')])
  expect(await psql(url, FROM_JSON)).toBe('1|a\n2|b\n3|c\n')
})

test('rows that are doubled already are told', async () => {
  await load(postgresDestination({ url, mode: 'stream' }), runOf('one', 'stream', 1), [
    page([row('1', 1, 'a'), row('1', 2, 'b')]),
  ])
  const merging = postgresDestination({ url, mode: 'stream', options: { primary_key: ['k'] } })
  await expect(
    load(merging, { ...runOf('two', 'stream', 2), startOver: true }, [page([row('1', 3, 'c')])]),
  ).rejects.toMatchObject({
    code: 'destination',
    message: expect.stringContaining('is duplicated'),
    hint: expect.stringContaining('primary_key'),
  })
})

test('a key that is no column is refused before anything is done', () => {
  expect(() => postgresDestination({ url, options: { ...unnest, primary_key: ['id'] } })).toThrow(
    'table main has no column id, by which rows are merged',
  )
})
