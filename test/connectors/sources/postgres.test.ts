// What the postgres source gives of each type, of keys of every kind, and what it says when it cannot read.

import { Client } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import type { BizonError } from '../../../lib/errors.ts'
import { dropDatabase, freshDatabase, psql } from '../../support/services/postgres.ts'
import {
  idsOf,
  listeningLog,
  openTable,
  pagesBeforeFailure,
  pagesOf,
  positionOf,
  textsOf,
} from '../../support/table-source.ts'

const database = await freshDatabase()
const { url } = database
afterAll(() => dropDatabase(database))

const open = (config: object, given = {}) => openTable('postgres', { url, ...config }, given)
const read = (config: object) => pagesOf(open(config))
const failure = (config: object, given = {}): Promise<BizonError> =>
  pagesOf(open(config, given)).then(
    () => {
      throw new Error('it did not fail')
    },
    (error: BizonError) => error,
  )

describe('types', () => {
  test.each([
    ['bigint', '9223372036854775807', '9223372036854775807'],
    ['numeric', '123456789012345678901234567890.10', '123456789012345678901234567890.10'],
    ['numeric', "'NaN'", '"NaN"'],
    ['double precision', '0.1::float8 + 0.2', '0.30000000000000004'],
    ['double precision', "'-Infinity'", '"-Infinity"'],
    ['real', '1.1', '1.1'],
    ['boolean', 'true', 'true'],
    ['text', "E'a\"\\\\\\n\\u2028😀'", '"a\\"\\\\\\n\u2028😀"'],
    ['timestamptz', "'2026-03-01 10:00:00.123456+02'", '"2026-03-01T08:00:00.123456+00:00"'],
    ['timestamp', "'2026-03-01 10:00:00.000001'", '"2026-03-01T10:00:00.000001"'],
    ['timestamptz', "'infinity'", '"infinity"'],
    ['date', "'2026-03-01'", '"2026-03-01"'],
    ['interval', "'1 year 2 days 3.5 seconds'", '"P1Y2DT3.5S"'],
    ['bytea', "'\\x00ff'", '"\\\\x00ff"'],
    ['uuid', "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'],
    ['json', `'{"a": 1.10,\n "a": "\\u0000"}'`, '{"a": 1.10,\n "a": "\\u0000"}'],
    ['jsonb', `'{"b": 1.10, "a": [1,null]}'`, '{"a": [1, null], "b": 1.10}'],
    ['int[]', "'{{1,2},{3,NULL}}'", '[[1,2],[3,null]]'],
    ['mood', "'so so'", '"so so"'],
    ['pair', "ROW(1, 'x')", '{"a":1,"b":"x"}'],
    ['int4range', "'[1,5)'", '"[1,5)"'],
    ['positive', '7', '7'],
    ['inet', "'10.0.0.1/8'", '"10.0.0.1/8"'],
    ['text', 'NULL', 'null'],
  ])('%s %s is %s', async (type, sql, json) => {
    await psql(
      url,
      `DO $$ BEGIN CREATE TYPE mood AS ENUM ('so so', 'fine'); CREATE TYPE pair AS (a int, b text);
         CREATE DOMAIN positive AS int CHECK (VALUE > 0); EXCEPTION WHEN duplicate_object THEN END $$`,
    )
    const query = `SELECT (${sql})::${type} AS v`
    expect(textsOf(await read({ query }))).toEqual([`{"v":${json}}`])
  })

  test('the stream says key and JSON schema of the table', async () => {
    await psql(
      url,
      'CREATE TABLE described (id int PRIMARY KEY, tags text[], total numeric, at timestamptz NOT NULL, x json)',
    )
    const [page] = await read({ table: 'described' })
    expect(page?.stream).toMatchObject({
      primaryKey: ['id'],
      schema: {
        properties: {
          id: { type: 'integer' },
          tags: { type: ['array', 'null'] },
          total: { type: ['number', 'null'] },
          at: { type: 'string', format: 'date-time' },
          x: {},
        },
      },
    })
  })

  test('chosen columns come in their order, also when the key is not among them', async () => {
    await psql(url, `CREATE TABLE chosen (id int PRIMARY KEY, a text, b text); INSERT INTO chosen VALUES (1, 'x', 'y')`)
    const pages = await read({ table: 'chosen', columns: ['b', 'a'] })
    expect([textsOf(pages), idsOf(pages)]).toEqual([['{"b":"y","a":"x"}'], ['1']])
  })
})

describe('keys of any type', () => {
  const KEYS: readonly (readonly [type: string, values: readonly string[]])[] = [
    ['uuid', ['gen_random_uuid()', 'gen_random_uuid()', 'gen_random_uuid()', 'gen_random_uuid()']],
    [
      'timestamptz',
      ["'2026-01-01 00:00:00.000001+00'", "'2026-01-01 00:00:00.000002+00'", "'-infinity'", "'infinity'"],
    ],
    ['numeric', ['1', '1.00000000000000000000000001', '-5', "'NaN'"]],
    ['double precision', ['0.1', '0.30000000000000004', '0.3', "'Infinity'"]],
    ['text COLLATE "en-x-icu"', ["'a'", "'B'", "'b'", "'Ä'"]],
    ['text COLLATE "C"', ["'a'", "'B'", "E'a''\\\\n'", "'Ä'"]],
    ['bytea', ["'\\x00'", "'\\x'", "'\\xff'", "'\\x01'"]],
    ['interval', ["'1 month'", "'29 days'", "'31 days'", "'-1 second'"]],
    ['char(3)', ["'a'", "'ab'", "'abc'", "''"]],
    ['date[]', ["'{2026-01-01}'", "'{}'", "'{2025-01-01,2026-01-01}'", "'{NULL}'"]],
    ['bigint', ['-9223372036854775808', '9223372036854775807', '0', '9007199254740993']],
    ['boolean', ['true', 'false']],
  ]
  test.each(KEYS.map(([type, values], at) => ({ type, values, at })))('$type', async ({ type, values, at }) => {
    const name = `key_${at}`
    await psql(
      url,
      `CREATE TABLE ${name} (k ${type} PRIMARY KEY); INSERT INTO ${name} VALUES ${values.map((v) => `(${v})`).join(',')}`,
    )
    const config = { table: name, page_size: 1 }
    const pages = await read(config)
    const inOrder = await psql(
      url,
      `SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'; SELECT row_to_json(${name}) FROM ${name} ORDER BY k`,
    )
    expect(textsOf(pages)).toEqual(inOrder.trimEnd().split('\n'))
    for (const [page, after] of pages.entries()) {
      if (after.next === null) continue
      expect(textsOf(await pagesOf(open(config), positionOf(after)))).toEqual(textsOf(pages).slice(page + 1))
    }
  })

  test('names of any spelling, and a column that is called as anything here', async () => {
    await psql(
      url,
      `CREATE SCHEMA "S.x"; CREATE TABLE "S.x"."T ""q"".y" ("select" int, "_row" text, "data" text, PRIMARY KEY ("_row", "select"));
       INSERT INTO "S.x"."T ""q"".y" VALUES (1, 'a', 'b')`,
    )
    const expected = ['{"select":1,"_row":"a","data":"b"}']
    expect(textsOf(await read({ schema: 'S.x', table: 'T "q".y' }))).toEqual(expected)
    expect(textsOf(await pagesOf(open({}, { stream: 'S.x.T "q".y' })))).toEqual(expected)
    const some = await read({ schema: 'S.x', table: 'T "q".y', columns: ['_row', 'data'] })
    expect(textsOf(some)).toEqual(['{"_row":"a","data":"b"}'])
  })

  test('a partitioned table, a materialized view, a unique key that is not primary', async () => {
    await psql(
      url,
      `CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
       CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (5); CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (5) TO (9);
       INSERT INTO parts SELECT generate_series(0, 8);
       CREATE MATERIALIZED VIEW seen AS SELECT id AS x FROM parts; CREATE UNIQUE INDEX ON seen (x);
       CREATE TABLE uniques (a int, b int NOT NULL UNIQUE); INSERT INTO uniques VALUES (1, 2), (0, 3)`,
    )
    expect(idsOf(await read({ table: 'parts', page_size: 2 }))).toEqual([...'012345678'])
    expect(idsOf(await read({ table: 'seen', primary_key: ['x'] }))).toEqual([...'012345678'])
    expect(idsOf(await read({ table: 'uniques' }))).toEqual(['2', '3'])
  })

  test('a page ends with the row that makes it full, however large it is', async () => {
    await psql(
      url,
      `CREATE TABLE large (id int PRIMARY KEY, t text); INSERT INTO large VALUES (1, 'x'), (2, repeat('y', 20000000)), (3, 'z'), (4, repeat('ä', 3000000)), (5, '')`,
    )
    const pages = await read({ table: 'large', page_bytes: 20 })
    expect(pages.map(({ bytes }) => bytes)).toEqual([16 + 20_000_015, 16 + 6_000_015, 15])
    expect(textsOf(pages).map((text) => text.length)).toEqual([16, 20_000_015, 16, 3_000_015, 15])
  })
})

test('a read sees one moment, whatever is written meanwhile', async () => {
  await psql(url, 'CREATE TABLE moment (id int PRIMARY KEY); INSERT INTO moment SELECT generate_series(1, 20000)')
  const pages: string[] = []
  const source = open({ table: 'moment', page_size: 10 })
  for await (const page of source.read({}, new AbortController().signal)) {
    if (pages.length === 10) await psql(url, 'DELETE FROM moment WHERE id > 100; INSERT INTO moment VALUES (0)')
    pages.push(...page.records.map(({ id }) => id))
  }
  expect(pages).toEqual(Array.from({ length: 20000 }, (_, at) => String(at + 1)))
})

test('it writes nothing: a query that would is refused', async () => {
  await psql(
    url,
    `CREATE SEQUENCE drawn; CREATE FUNCTION changes() RETURNS int LANGUAGE sql AS $$ SELECT nextval('drawn')::int $$`,
  )
  expect(await failure({ query: 'SELECT changes() AS v' })).toMatchObject({
    message: expect.stringContaining('read-only transaction'),
    hint: expect.stringContaining('may not write'),
  })
})

test('a lost connection is made anew where a key says how to go on', async () => {
  await psql(
    url,
    `CREATE TABLE lost (id int PRIMARY KEY, t text); INSERT INTO lost SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g`,
  )
  const log = listeningLog()
  const ids: string[] = []
  const source = open({ table: 'lost', page_size: 100 }, { log })
  for await (const page of source.read({}, new AbortController().signal)) {
    ids.push(...page.records.map(({ id }) => id))
    if (ids.length === 500) await cutOthers()
  }
  expect(ids).toEqual(Array.from({ length: 20000 }, (_, at) => String(at + 1)))
  expect(log.said.join('\n')).toMatch(/was lost, trying for 60 s\n.*is back/)
})

test('without a key a lost connection fails the read, and says so', async () => {
  await psql(
    url,
    `CREATE TABLE keyless (t text); INSERT INTO keyless SELECT repeat('x', 1000) FROM generate_series(1, 20000)`,
  )
  const reading = open({ table: 'keyless' }).read({}, new AbortController().signal)
  expect((await reading.next()).value).toMatchObject({ more: true })
  await cutOthers()
  const rest = async (): Promise<void> => {
    for await (const _ of reading);
  }
  await expect(rest()).rejects.toMatchObject({
    code: 'source',
    retriable: true,
    hint: expect.stringContaining('primary_key'),
  })
})

/** Ends the connections of the reads of this file. */
async function cutOthers(): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'bizon%'`,
  )
  await client.end()
}

describe('refusals', () => {
  test.each<readonly [string, string, object, object, RegExp]>([
    [
      'a table that is misspelt',
      'CREATE TABLE orders_2026 (id int PRIMARY KEY)',
      { table: 'order_2026' },
      {},
      /no table or view public\.order_2026; did you mean "public\.orders_2026"\?/,
    ],
    [
      'a column that is misspelt',
      'CREATE TABLE c1 (id int PRIMARY KEY, updated_at date)',
      { table: 'c1', cursor_field: 'updatet_at' },
      { mode: 'incremental' },
      /source\.cursor_field: public\.c1 has no column "updatet_at"; did you mean "updated_at"\?/,
    ],
    ['no cursor_field', '', { table: 'c1' }, { mode: 'incremental' }, /needs source\.cursor_field/],
    [
      'no key, incremental',
      'CREATE TABLE c2 (a int)',
      { table: 'c2', cursor_field: 'a' },
      { mode: 'incremental' },
      /public\.c2 has no key/,
    ],
    [
      'a null cursor',
      'CREATE TABLE c3 (id int PRIMARY KEY, u int); INSERT INTO c3 VALUES (1, 1), (2, NULL)',
      { table: 'c3', cursor_field: 'u' },
      { mode: 'incremental' },
      /public\.c3 has rows whose u is null/,
    ],
    [
      'an endless cursor',
      `CREATE TABLE c4 (id int PRIMARY KEY, u timestamptz); INSERT INTO c4 VALUES (1, 'infinity')`,
      { table: 'c4', cursor_field: 'u' },
      { mode: 'incremental' },
      /c4 has rows whose u is infinity/,
    ],
    [
      'an infinite numeric cursor',
      `CREATE TABLE endless (id int PRIMARY KEY, u numeric); INSERT INTO endless VALUES (1, 'Infinity')`,
      { table: 'endless', cursor_field: 'u' },
      { mode: 'incremental' },
      /endless has rows whose u is infinity/,
    ],
    [
      'a key that is none',
      'CREATE TABLE c5 (a int); INSERT INTO c5 VALUES (1), (2), (2)',
      { table: 'c5', primary_key: ['a'] },
      {},
      /c5 has two rows of the key 2 \(a\)/,
    ],
    [
      'a key with nulls',
      'CREATE TABLE c6 (a int); INSERT INTO c6 VALUES (1), (NULL)',
      { table: 'c6', primary_key: ['a'] },
      {},
      /c6 has a row whose key is null/,
    ],
    [
      'a key without order',
      'CREATE TABLE c7 (a json)',
      { table: 'c7', primary_key: ['a'] },
      {},
      /could not identify an ordering operator/,
    ],
    ['a query that fails', '', { query: 'SELECT nothing' }, {}, /column "nothing" does not exist/],
    ['two columns of one name', '', { query: 'SELECT 1 AS a, 2 AS a' }, {}, /two columns of the name "a"/],
    [
      'an error in the middle',
      'CREATE TABLE c8 (id int PRIMARY KEY); INSERT INTO c8 SELECT generate_series(0, 9)',
      { query: 'SELECT id, 1 / (5 - id) AS v FROM c8', primary_key: ['id'] },
      {},
      /division by zero/,
    ],
    ['query and table', '', { query: 'SELECT 1 AS a', table: 'c8' }, {}, /source.query: stands beside table/],
  ])('%s', async (_, sql, config, given, message) => {
    if (sql) await psql(url, sql)
    const refused = async (): Promise<BizonError> => failure(config, given)
    const error = await refused().catch((thrown: BizonError) => thrown)
    expect(error.message).toMatch(message)
    expect(error.name).toBe('BizonError')
  })

  test('an address that is none, which is not shown, for a password may be part of it', () => {
    const broken = () => openTable('postgres', { url: 'postgres:/u:secret@h' })
    expect(broken).toThrow('source.url: is not the URL of a PostgreSQL database')
    expect(() => openTable('postgres', { url, host: 'h', password: 'secret' })).toThrow(
      'source.url: stands beside host, password',
    )
  })

  test('a role without the right', async () => {
    await psql(
      url,
      'CREATE ROLE reader LOGIN; CREATE TABLE secret (id int PRIMARY KEY, a text, b text); GRANT SELECT (id, a) ON secret TO reader',
    )
    const as = url.replace('postgres@', 'reader@')
    expect(await failure({ url: as, table: 'secret' })).toMatchObject({
      message: 'secret: PostgreSQL: permission denied for table secret',
      hint: expect.stringContaining('source.columns'),
    })
    expect(await read({ url: as, table: 'secret', columns: ['id', 'a'] })).toHaveLength(1)
    await psql(url, 'DROP OWNED BY reader; DROP ROLE reader')
  })

  test('two rows of one key, also by the run after the one that met them', async () => {
    await psql(url, 'CREATE TABLE doubled (a int, b int); INSERT INTO doubled VALUES (1, 1), (2, 2), (2, 3), (3, 4)')
    const config = { table: 'doubled', primary_key: ['a'], page_size: 1 }
    const pages = await pagesBeforeFailure(open(config))
    expect(idsOf(pages)).toEqual(['1'])
    await expect(pagesOf(open(config), positionOf(pages.at(-1)))).rejects.toMatchObject({ code: 'invalid_record' })
  })

  test('a key that has changed since the run stood there', async () => {
    await psql(
      url,
      'CREATE TABLE changed (a int PRIMARY KEY, b int UNIQUE NOT NULL); INSERT INTO changed VALUES (1, 2), (3, 4)',
    )
    const [first] = await read({ table: 'changed', page_size: 1 })
    await psql(url, 'ALTER TABLE changed DROP CONSTRAINT changed_pkey')
    await expect(pagesOf(open({ table: 'changed' }), positionOf(first))).rejects.toMatchObject({
      message: 'public.changed is read by b now, and the run stands at a row of the order a: its key has changed',
    })
  })
})
