// `unnest: columns`: tables whose columns follow the records, in every mode. psql looks.

import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { PostgresOptions } from '../../../connectors/destinations/postgres/config.ts'
import { PostgresDestination } from '../../../connectors/destinations/postgres.ts'
import type { DestinationContext, Run } from '../../../lib/destination.ts'
import { type JsonObject, RawJson } from '../../../lib/record.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { load, runOf } from '../../support/load.ts'
import { postgresOptions, silent } from '../../support/postgres-destination.ts'
import { freshDatabase, psql } from '../../support/services/postgres.ts'

let url = ''
let epoch = 0
let warnings: string[] = []
beforeAll(async () => {
  url = (await freshDatabase()).url
})
beforeEach(async () => {
  await psql(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  epoch = 0
  warnings = []
})

interface Given {
  readonly mode?: SyncMode
  readonly options?: Partial<PostgresOptions>
  readonly context?: Partial<DestinationContext>
  readonly run?: Partial<Run>
  readonly publish?: boolean
  readonly before?: (operation: string) => void
}

let count = 0
/** Each text is a record; each list of them a page. */
const pagesOf = (pages: readonly (readonly string[])[]): Page[] =>
  pages.map((texts, at) => ({
    records: texts.map((text) => ({ id: `r${count++}`, data: RawJson.from(text) })),
    next: at + 1 < pages.length ? { page: at + 1 } : null,
  }))

function loaded(pages: readonly (readonly string[])[], given: Given = {}) {
  const { mode = 'incremental', options, context, run, publish = true, before } = given
  count = 0
  const log = { ...silent, warn: (message: string) => warnings.push(message) }
  const destination = new PostgresDestination(
    postgresOptions(url, { unnest: 'columns', metadata: 'none', ...options }),
    { stream: 'main', mode, log, ...context },
    { otherRunMs: 50, ...(before && { before }) },
  )
  const all: Run = { ...runOf(`run${++epoch}`, mode, epoch), startOver: mode !== 'stream', ...run }
  return load(destination, all, pagesOf(pages), { publish })
}

const rows = (table = 'main') => psql(url, `SELECT to_jsonb(t) FROM ${table} AS t ORDER BY t::text`)
const columns = (table = 'main') =>
  psql(
    url,
    `SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
     WHERE attrelid = '${table}'::regclass AND attnum > 0 AND NOT attisdropped`,
  )
const tables = () =>
  psql(
    url,
    `SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`,
  )

const KEY = { primary_key: ['id'] }
/** A table that goes on being there: rows are added to it. */
const ADDING = [
  ['incremental', {}],
  ['incremental', KEY],
  ['stream', {}],
  ['stream', KEY],
] as const
const REPLACING = [
  ['full_refresh', {}],
  ['full_refresh', KEY],
  ['full_refresh', { replace_strategy: 'truncate_insert' }],
] as const
const ALL = [...ADDING, ...REPLACING]
/** One of each way in which rows get there. */
const WAYS = [ADDING[0], ADDING[3], REPLACING[0]] as const

describe.each(ALL)('%s %o', (mode, options) => {
  const given = { mode, options }
  const run = { complete: mode === 'full_refresh' }

  test('a table gets the columns of its records, each page those that are new, with every digit', async () => {
    await loaded(
      [
        ['{"id":1,"big":9007199254740993,"huge":12345678901234567890,"price":1.10,"name":"a\\tb","on":true}'],
        ['{"id":2,"more":{"x":[1.50]},"never":null}', '{"id":3,"big":0.1}'],
      ],
      given,
    )
    expect(await columns()).toBe(
      'id bigint, big numeric, huge numeric, price numeric, name text, "on" boolean, more jsonb\n'.replaceAll('"', ''),
    )
    expect(await rows()).toBe(
      [
        '{"id": 1, "on": true, "big": 9007199254740993, "huge": 12345678901234567890, "more": null, "name": "a\\tb", "price": 1.10}',
        '{"id": 2, "on": null, "big": null, "huge": null, "more": {"x": [1.50]}, "name": null, "price": null}',
        '{"id": 3, "on": null, "big": 0.1, "huge": null, "more": null, "name": null, "price": null}',
        '',
      ].join('\n'),
    )
    expect(await tables()).toBe('_bizon_state main\n')
  })

  test('a later run: new columns, wider numbers, and null where a column is gone', async () => {
    await loaded([['{"id":1,"a":1,"gone":"x"}', '{"id":2,"a":2,"gone":"y"}']], given)
    await loaded([['{"id":2,"a":5}'], ['{"id":3,"a":0.5,"new":"z"}']], { ...given, run })
    expect(await columns()).toBe('id bigint, a numeric, gone text, new text\n')
    const added = ['{"a": 5, "id": 2, "new": null, "gone": null}', '{"a": 0.5, "id": 3, "new": "z", "gone": null}']
    const first = '{"a": 1, "id": 1, "new": null, "gone": "x"}'
    const merged = 'primary_key' in options ? [] : ['{"a": 2, "id": 2, "new": null, "gone": "y"}']
    const kept = mode === 'full_refresh' ? [] : [first, ...merged]
    expect((await rows()).trim().split('\n').sort()).toEqual([...kept, ...added].sort())
    expect(await tables()).toBe('_bizon_state main\n')
  })
})

describe.each(WAYS)('%s %o', (mode, options) => {
  const given = { mode, options }
  const run = { complete: mode === 'full_refresh' }

  test('freeze: new fields are left out, and named once; a field that is only null is no field', async () => {
    await loaded([['{"id":1,"a":1}']], given)
    const frozen = { ...given, options: { ...options, on_schema_change: 'freeze' } as const, run }
    await loaded([['{"id":2,"a":2,"b":1,"none":null}'], ['{"id":3,"a":3,"b":2.5}'], ['{"id":4,"c":true}']], frozen)
    expect(warnings).toEqual([
      'public.main: fields without a column are left out, since on_schema_change is freeze: "b"',
      'public.main: fields without a column are left out, since on_schema_change is freeze: "c"',
    ])
    expect(await columns()).toBe('id bigint, a bigint\n')
    const before = await rows()
    await expect(loaded([['{"id":5,"a":0.5}']], { ...frozen, run: { ...run, ...undo } })).rejects.toMatchObject({
      code: 'invalid_record',
      message: 'record "r0" for public.main: its field "a" is number, and the column is integer',
      hint: expect.stringContaining('on_schema_change to evolve'),
    })
    expect(await rows()).toBe(before)
  })

  test('fail: the run fails at the first new field, and nothing of it is there', async () => {
    await loaded([['{"id":1,"a":1}']], given)
    const strict = { ...given, options: { ...options, on_schema_change: 'fail' } as const, run }
    await expect(loaded([['{"id":2,"a":2}', '{"id":3,"a":3,"b":1}']], strict)).rejects.toMatchObject({
      code: 'invalid_record',
      message: 'record "r1" for public.main: its field "b" (integer) is no column, and on_schema_change is fail',
    })
    expect(await rows()).toBe('{"a": 1, "id": 1}\n')
    expect(await columns()).toBe('id bigint, a bigint\n')
    await loaded([['{"id":2,"a":2,"none":null}']], { ...strict, run: { ...run, ...undo } })
    expect(await columns()).toBe('id bigint, a bigint\n')
  })
})

const undo = { startOver: true }

describe('a value of another type', () => {
  test.each(ADDING)('%s %o: fails, naming record, field and both types', async (mode, options) => {
    await loaded([['{"id":1,"a":1}']], { mode, options })
    await expect(loaded([['{"id":2,"a":2}', '{"id":3,"a":"x"}']], { mode, options })).rejects.toMatchObject({
      code: 'invalid_record',
      message: 'record "r1" for public.main: its field "a" is text, and the column is integer',
      hint: expect.stringContaining('--reset, where a column of both kinds becomes json'),
    })
    expect(await rows()).toBe('{"a": 1, "id": 1}\n')
  })

  test('full refresh: the column is chosen anew; of both kinds it is json, wherever pages end', async () => {
    await loaded([['{"id":1,"a":1,"b":1,"c":"x"}']], { mode: 'full_refresh' })
    const pages = [['{"id":2,"a":"x","b":2,"c":"y\\"\\u00e9"}'], ['{"id":3,"a":"y","b":"z","c":1.50}']]
    await loaded(pages, { mode: 'full_refresh' })
    expect(await columns()).toBe('id bigint, a text, b jsonb, c jsonb\n')
    const chosen = await rows()
    expect(chosen).toBe('{"a": "x", "b": 2, "c": "y\\"é", "id": 2}\n{"a": "y", "b": "z", "c": 1.50, "id": 3}\n')
    await loaded([pages.flat()], { mode: 'full_refresh', options: { destinationId: 'other' } })
    expect(await rows('other')).toBe(chosen)
  })

  test('a first full refresh whose pages disagree has json too', async () => {
    await loaded([['{"a":1}'], ['{"a":true}'], ['{"a":[2]}']], { mode: 'full_refresh' })
    expect(await rows()).toBe('{"a": 1}\n{"a": [2]}\n{"a": true}\n')
  })

  test('truncate_insert keeps the table, and so its columns', async () => {
    const options = { replace_strategy: 'truncate_insert' } as const
    await loaded([['{"a":1}']], { mode: 'full_refresh', options })
    await expect(loaded([['{"a":"x"}']], { mode: 'full_refresh', options })).rejects.toMatchObject({
      hint: expect.stringContaining('ALTER TABLE'),
    })
    expect(await rows()).toBe('{"a": 1}\n')
  })
})

describe('a table of a person', () => {
  test.each([...WAYS, REPLACING[2]])(
    '%s %o: keeps its types, its defaults and what rows do not have',
    async (mode, options) => {
      await psql(
        url,
        `CREATE TABLE main (id int4 PRIMARY KEY, note varchar(5) DEFAULT 'new', at timestamptz DEFAULT '2024-01-01Z',
         twice int GENERATED ALWAYS AS (id * 2) STORED, price numeric(6,2), doc json)`,
      )
      const run = { complete: mode === 'full_refresh' }
      await loaded([['{"id":1,"doc":"5"}', '{"id":2,"doc":{"b":1}}']], { mode, options, run })
      await loaded([['{"id":3}', '{"id":4,"note":"x","price":1.5}']], { mode, options, run })
      expect(await columns()).toBe(
        'id integer, note character varying(5), at timestamp with time zone, twice integer, price numeric(6,2), doc json\n',
      )
      const all = await psql(url, 'SELECT id, note, twice, price, doc, at FROM main ORDER BY id')
      const last = all.trim().split('\n').slice(-2)
      expect(last[1]).toBe('4|x|8|1.50||2024-01-01 00:00:00+00')
      if (mode !== 'full_refresh') expect(all).toMatch(/^1\|new\|2\|\|"5"\|/)
      await expect(loaded([['{"id":5}', '{"id":6,"note":"too long"}']], { mode, options, run })).rejects.toMatchObject({
        code: 'invalid_record',
        message: expect.stringMatching(/record "r1", column note: value too long.*too long/),
      })
      await expect(loaded([['{"id":5,"twice":1}']], { mode, options, run })).rejects.toThrow(
        'its field "twice" is a column that PostgreSQL computes',
      )
      expect(await psql(url, 'SELECT id, note, twice, price, doc, at FROM main ORDER BY id')).toBe(all)
    },
  )

  test('that somebody has changed since the run before is read anew', async () => {
    await loaded([['{"id":1,"a":1,"b":"x"}']])
    await psql(url, 'ALTER TABLE main ALTER a TYPE text, DROP b')
    await loaded([['{"id":2,"a":"y"}'], ['{"id":3,"b":true}']])
    expect(await columns()).toBe('id bigint, a text, b boolean\n')
  })
})

describe.each([ADDING[0], ADDING[2]])('what helps, %s %o:', (mode, options) => {
  const given = { mode, options }

  test.each([
    ['CREATE VIEW va AS SELECT a FROM main', 'va'],
    ['ALTER TABLE main ADD COLUMN b bigint GENERATED ALWAYS AS (a * 2) STORED', 'b'],
  ])('a column that cannot become wider: %s', async (sql, what) => {
    await loaded([['{"id":1,"a":1}']], given)
    await psql(url, sql)
    const wider = () => loaded([['{"id":2,"a":0.5}']], { ...given, run: { id: 'x', startOver: false } })
    await expect(wider()).rejects.toMatchObject({
      message: expect.stringMatching(`alter type of a column used by .*${what}`),
      hint: expect.stringMatching(/^Drop it, run again.*on_schema_change to freeze or fail/),
    })
    await psql(url, what === 'va' ? 'DROP VIEW va' : 'ALTER TABLE main DROP COLUMN b')
    await wider()
    expect(await psql(url, 'SELECT a FROM main ORDER BY id')).toBe('1\n0.5\n')
  })

  test.each([
    ['b text NOT NULL', /null value in column "b"/, /drop NOT NULL of the column/],
    ['b text CHECK (id > 1)', /violates check constraint/, /drop the constraint/],
  ])('a constraint of somebody else, without the row: %s', async (column, message, hint) => {
    await psql(url, `CREATE TABLE main (id bigint, secret text, ${column})`)
    const failed = loaded([['{"id":1,"secret":"hunter2"}']], given)
    await expect(failed).rejects.toMatchObject({
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    })
    await expect(failed).rejects.not.toThrow('hunter2')
  })
})

test('half of a surrogate pair in a payload: the remedy is one that there is', async () => {
  await expect(
    loaded([['{"id":1,"a":"\\ud800"}']], { options: { unnest: false, metadata: 'bizon' } }),
  ).rejects.toMatchObject({
    message: expect.stringContaining('record "r0"'),
    hint: expect.stringMatching(/^Half of a surrogate pair .* in a transform/),
  })
})

describe('DDL of somebody else meanwhile', () => {
  test('the same column was added: it is taken as it is', async () => {
    await loaded([['{"id":1}']])
    const before = async () => psql(url, 'ALTER TABLE main ADD COLUMN a bigint')
    await loaded([['{"id":2,"a":1}']], { publish: false, run: { id: 'x' } })
    await before()
    await loaded([['{"id":2,"a":1}']], { run: { id: 'x', startOver: false } })
    expect(await rows()).toBe('{"a": null, "id": 1}\n{"a": 1, "id": 2}\n')
  })

  test('one of another type: the run fails, and is gone on with once it is put right', async () => {
    await loaded([['{"id":1}']])
    await loaded([['{"id":2,"a":1}']], { publish: false, run: { id: 'x' } })
    await psql(url, 'ALTER TABLE main ADD COLUMN a text')
    const again = { run: { id: 'x', startOver: false } }
    await expect(loaded([['{"id":2,"a":1}']], again)).rejects.toThrow('column a is text now, not bigint')
    expect(await rows()).toBe('{"a": null, "id": 1}\n')
    await psql(url, 'ALTER TABLE main ALTER a TYPE bigint USING NULL')
    await loaded([['{"id":2,"a":1}']], again)
    expect(await rows()).toBe('{"a": null, "id": 1}\n{"a": 1, "id": 2}\n')
  })
})

describe('what the source says', () => {
  const schema: JsonObject = {
    properties: {
      id: { type: 'integer', format: 'int64' },
      at: { type: ['string', 'null'], format: 'date-time' },
      day: { type: 'string', format: 'date' },
      never: { type: 'boolean' },
    },
  }

  test('chooses the columns, also of a table without rows', async () => {
    await loaded([['{"id":1,"at":"2024-12-05T12:00:00.123456+02:00","day":"2024-12-05"}']], { context: { schema } })
    const typed = 'id bigint, at timestamp with time zone, day date, never boolean\n'
    expect(await columns()).toBe(typed)
    expect(await psql(url, "SELECT at = '2024-12-05T10:00:00.123456Z', day FROM main")).toBe('t|2024-12-05\n')
    await loaded([[]], { mode: 'full_refresh', context: { schema }, options: { destinationId: 'empty' } })
    expect(await columns('empty')).toBe(typed)
    await expect(loaded([['{"id":2,"day":"2024-12-05T12:00:00Z"}']], { context: { schema } })).rejects.toThrow(
      'record "r0", column day: "2024-12-05T12:00:00Z" is not a date, YYYY-MM-DD',
    )
  })

  test('is not believed of what a transform has changed, nor where the values say otherwise', async () => {
    await loaded([['{"id":"x","at":"2024-12-05T12:00:00Z"}']], { context: { schema, isTransformed: true } })
    expect(await columns()).toBe('id text, at text\n')
    await loaded([['{"id":"x"}']], { context: { schema }, options: { destinationId: 'other' } })
    expect(await columns('other')).toBe('id text, at timestamp with time zone, day date, never boolean\n')
  })
})

describe('is refused, naming it:', () => {
  test.each([
    [
      `{"${'n'.repeat(64)}":1}`,
      {},
      /record "r0" for public.main: its field "n+…" has 64 bytes, and PostgreSQL takes 63/,
    ],
    ['{"":1}', {}, /its field "" is no name in PostgreSQL/],
    ['{"ctid":1}', {}, /its field "ctid" has a name that PostgreSQL keeps for itself/],
    ['{"bizon_id":1}', { metadata: 'bizon' }, /its field "bizon_id" is a column of its own, unless metadata is none/],
    ['{"a":null}', {}, /neither it nor the rest of its page has a value/],
    ['{"a":1}', KEY, /its primary_key "id" is no column/],
    ['{"id":1}', { ...KEY, cursor_field: 'at' }, /its cursor_field "at" is no column/],
  ] as const)('%s %o', async (text, options, message) => {
    await expect(loaded([[text]], { mode: 'stream', options })).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringMatching(message),
    })
  })

  test('a record without a key, among others', async () => {
    await expect(loaded([['{"id":1}', '{"id":null,"a":1}']], { options: KEY })).rejects.toThrow(
      'table main, record "r1": a field of its primary_key is null or missing',
    )
  })

  test('on_schema_change where columns do not follow', async () => {
    await expect(async () =>
      loaded([[]], { options: { unnest: false, on_schema_change: 'freeze' } }),
    ).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('unnest is not columns') })
  })
})

test('names of any spelling are columns of their own; what bizon knows of a record stands beside them', async () => {
  await loaded([['{"id":1,"Id":2,"a \\"b\\"":3,"\\u00e9":4}'], ['{"\\u0069d":5,"drop table":6}']], {
    options: { metadata: 'bizon' },
  })
  const shown = await psql(url, `SELECT id, "Id", "a ""b""", "é", "drop table", source_record_id FROM main ORDER BY id`)
  expect(shown).toBe('1|2|3|4||r0\n5||||6|r1\n')
})

test('U+0000 is stripped before columns are chosen', async () => {
  const options = { on_nul: 'strip' } as const
  await loaded([['{"a\\u0000b":"x\\u0000y"}', '{"ab":"z"}']], { options })
  expect(await rows()).toBe('{"ab": "xy"}\n{"ab": "z"}\n')
})

test('records for several tables have columns of their own', async () => {
  const records = ['a', 'b', 'a', 'b'].map((name, at) => ({
    id: `${at}`,
    data: RawJson.from(`{"id":${at},"${name}":${at === 3 ? '0.5' : at}}`),
    destinationId: name,
  }))
  const destination = new PostgresDestination(
    postgresOptions(url, { unnest: 'columns', metadata: 'none' }),
    { stream: 'main', mode: 'full_refresh', log: silent },
    {},
  )
  const pages = records.map((record, at) => ({ records: [record], next: at < 3 ? { at } : null }))
  await load(destination, runOf('run', 'full_refresh', 1), pages)
  expect(await columns('a')).toBe('id bigint, a bigint\n')
  expect(await columns('b')).toBe('id bigint, b numeric\n')
})

test('a transaction that is done again has every column and every row once', async () => {
  for (const mode of ['incremental', 'stream'] as const) {
    const options = { destinationId: mode, ...(mode === 'stream' && KEY) }
    const copies: string[] = []
    const pages = [['{"id":1,"a":1}'], ['{"id":2,"a":0.5,"b":"x"}', '{"id":3,"c":true}']]
    const before = (operation: string): void => {
      if (!operation.startsWith('COPY')) return
      copies.push(operation)
      // As the server does for the sake of another transaction.
      if (copies.length === 2) throw Object.assign(new Error('could not serialize'), { code: '40001' })
    }
    await loaded(pages, { mode, options, before })
    expect(copies).toHaveLength(3)
    expect(await columns(mode)).toBe('id bigint, a numeric, b text, c boolean\n')
    expect(await psql(url, `SELECT id, a, b, c FROM ${mode} ORDER BY id`)).toBe('1|1||\n2|0.5|x|\n3|||t\n')
  }
})
