// What of a record arrives in which column, exactly, and what is refused. psql reads.

import { beforeEach, describe, expect, test } from 'vitest'
import { BinaryRows } from '../../../connectors/destinations/postgres/binary.ts'
import type { PostgresOptions } from '../../../connectors/destinations/postgres/config.ts'
import { CopyRows } from '../../../connectors/destinations/postgres/copy.ts'
import { timestampText } from '../../../connectors/destinations/record.ts'
import { stringifyJson } from '../../../lib/json.ts'
import { type Json, RawJson, type SourceRecord } from '../../../lib/record.ts'
import { load, runOf } from '../../support/load.ts'
import { postgresDestination } from '../../support/postgres-destination.ts'
import { freshDatabase, psql } from '../../support/services/postgres.ts'

let url = ''
beforeEach(async () => {
  url = (await freshDatabase()).url
})

const raw = (id: string, text: string): SourceRecord => ({ id, data: RawJson.from(text) })

function loaded(records: readonly SourceRecord[], options: Partial<PostgresOptions> = {}): Promise<unknown> {
  const destination = postgresDestination({ url, options })
  return load(destination, runOf('run', 'full_refresh', 1), [{ records, next: null }])
}

describe('the record as jsonb', () => {
  test('beside its id and times, to the microsecond', async () => {
    const record = { ...raw('a', '{"n":1}'), timestamp: '2024-12-05T12:00:00.123456+02:00' }
    await loaded([record, raw('b', '{}')])
    expect(
      await psql(
        url,
        "SET timezone = 'UTC'; SELECT source_record_id, source_timestamp, bizon_extracted_at, source_data, right(bizon_id, 16) FROM main ORDER BY bizon_id",
      ),
    ).toBe(
      'a|2024-12-05 10:00:00.123456+00|1970-01-01 00:00:00+00|{"n": 1}|0000000000000000\n' +
        'b|1970-01-01 00:00:00+00|1970-01-01 00:00:00+00|{}|0000000000000001\n',
    )
    const types = await psql(
      url,
      "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'main'::regclass AND attnum > 0 ORDER BY attnum",
    )
    expect(types).toBe(
      'bizon_id|text\nbizon_extracted_at|timestamp with time zone\nbizon_loaded_at|timestamp with time zone\nsource_record_id|text\nsource_timestamp|timestamp with time zone\nsource_data|jsonb\n',
    )
  })

  test.each([
    [
      'numbers that a double would change',
      '{"a":9007199254740993,"b":1.10,"c":12345678901234567890.12345678901234567890,"d":1E+2}',
    ],
    ['escapes', String.raw`{"a":"\\ \" \n \t \r \\n \\t \\u0000 é \u00e9 𝄞","b\\":"\\\\"}`],
    ['white space between tokens', '\r\n\t{ "a" :\n[ 1 ,\t2 ]\r\n}\n'],
    ['text that COPY has a meaning for', String.raw`{"a":"\\N","b":"\\.","c":"\b\f"}`],
    ['duplicate keys: the last counts', '{"a":1,"a":2}'],
  ])('%s', async (_, text) => {
    await loaded([raw('a', text), raw('b', '{"after":1}')])
    const literal = `$json$${text}$json$::jsonb`
    expect(
      await psql(
        url,
        `SELECT source_data = ${literal}, source_data::text = ${literal}::text FROM main WHERE source_record_id = 'a'`,
      ),
    ).toBe('t|t\n')
  })

  test('objects as well as text, ids of any spelling, and payloads larger than a buffer', async () => {
    const large = 'x'.repeat(3 << 20)
    const ids = ['tab\there', 'line\nbreak\r', 'back\\slash', '\\N', '', 'é𝄞', '\\.']
    const objects = ids.map((id) => ({ id, data: { id, large: 1 } }))
    await loaded([...objects, { id: 'large', data: { large } }])
    const found = await psql(
      url,
      "SELECT json_agg(source_record_id ORDER BY bizon_id), bool_and(source_record_id = source_data->>'id') FROM main WHERE source_record_id <> 'large'",
    )
    expect(found).toBe(
      `${await psql(url, `SELECT $json$${stringifyJson(ids)}$json$::json`).then((text) => text.trim().replaceAll(',', ', '))}|t\n`,
    )
    expect(await psql(url, "SELECT length(source_data->>'large') FROM main WHERE source_record_id = 'large'")).toBe(
      `${large.length}\n`,
    )
  })

  test('at any time that both know, as the server itself reads it', async () => {
    const times = [
      '0001-01-01T00:00:00Z',
      '1969-12-31T23:59:59.999999Z',
      '1999-12-31T23:59:59.999999+00:00',
      '2000-01-01T00:00:00Z',
      '2262-04-12T00:00:00.000001Z',
      '9999-12-31T23:59:59.999999Z',
    ]
    await loaded(times.map((timestamp) => ({ ...raw(timestamp, '{}'), timestamp })))
    expect(await psql(url, 'SELECT count(*) FROM main WHERE source_timestamp = source_record_id::timestamptz')).toBe(
      `${times.length}\n`,
    )
  })

  test.each(['0000-12-31T23:59:59Z', '9999-12-31T23:59:59-01:00', new Date(Date.UTC(-1, 0))])(
    'not at %s, which is refused by the name of its record',
    (timestamp) => {
      const rows = new BinaryRows()
      rows.begin('bad', 1, 8)
      expect(() => rows.time(timestampText(timestamp, 'bad'), 'bad')).toThrow(
        /^record "bad": its timestamp .* is not within the years 1 to 9999$/,
      )
    },
  )

  test('alone, with metadata none', async () => {
    await loaded([raw('a', '{"n":1}')], { metadata: 'none' })
    expect(await psql(url, 'SELECT * FROM main')).toBe('{"n": 1}\n')
  })
})

describe('the character U+0000', () => {
  test.each([
    ['its data', raw('r7', '{"a":"x\\u0000y"}')],
    ['its id', { id: 'r\0', data: { a: 1 } }],
  ])('in %s fails by default, naming the record', async (where, record) => {
    await expect(loaded([raw('ok', '{}'), record])).rejects.toMatchObject({
      code: 'invalid_record',
      message: `record ${JSON.stringify(record.id)}: ${where} holds the character U+0000, which PostgreSQL cannot store`,
      hint: expect.stringContaining('on_nul'),
    })
  })

  test('is taken out where that is asked for, and nothing else', async () => {
    const text = String.raw`{"a":"x\u0000y","b":"\\u0000","c":"\\\u0000\u0000","k\u0000":1}`
    await loaded([raw('r\0', text), raw('s', '{"a":"\\u0001"}')], { on_nul: 'strip' })
    expect(await psql(url, 'SELECT source_record_id, source_data FROM main ORDER BY bizon_id')).toBe(
      'r|{"a": "xy", "b": "\\\\u0000", "c": "\\\\", "k": 1}\ns|{"a": "\\u0001"}\n',
    )
  })
})

test.each([
  ['two fields alike', '{"deep":[{"k\\u0000":1,"k":2}]}', 'two of its fields', {}],
  ['a key like that of another record', '{"id":"a\\u0000"}', 'its primary_key id', { primary_key: ['id'] }],
])('U+0000 is not stripped where that makes %s', async (_, text, what, more) => {
  await expect(loaded([raw('bad', text)], { on_nul: 'strip', ...more })).rejects.toMatchObject({
    code: 'invalid_record',
    message: expect.stringContaining(`record "bad": without the character U+0000, ${what}`),
  })
})

test('half of a surrogate pair in an id is refused, not replaced', async () => {
  await expect(loaded([{ id: 'a\ud800', data: {} }])).rejects.toMatchObject({
    code: 'invalid_record',
    message: 'record "a\\ud800", its id: half of a surrogate pair',
  })
})

test('bytes that are no UTF-8 are refused by the name of their record', async () => {
  const bytes = Buffer.from('{"a":"x"}')
  bytes[6] = 0xff
  await expect(
    loaded([raw('ok', '{}'), { id: 'bad', data: new RawJson(bytes, 0, bytes.length) }]),
  ).rejects.toMatchObject({
    code: 'invalid_record',
    message: expect.stringMatching(/table main, record "bad".*invalid byte sequence for encoding "UTF8"/),
  })
})

test.each([
  ['stripped', false],
  ['stripped, or was changed by a transform', true],
])('a page of which every record is %s is looked through once', async (_, changed) => {
  const line = (n: number) => `{"n":${n},"a":"\\u0000","pad":"${'.'.repeat(500)}"}`
  const lines = Array.from({ length: 20_000 }, (_, n) => line(n))
  const buffer = Buffer.from(lines.join('\n'))
  let start = 0
  const records = lines.map((text, n) => {
    const data = new RawJson(buffer, start, start + Buffer.byteLength(text))
    start = data.end + 1
    return { id: String(n), data: changed && n % 2 === 0 ? RawJson.from(text) : data }
  })
  let looked = 0
  const indexOf = buffer.indexOf.bind(buffer)
  buffer.indexOf = ((what: Buffer, from: number) => {
    const found = indexOf(what, from)
    looked += (found < 0 ? buffer.length : found) - from
    return found
  }) as typeof buffer.indexOf
  await loaded(records, { on_nul: 'strip' })
  expect(looked).toBeLessThan(6 * buffer.length)
  expect(await psql(url, 'SELECT count(*) FROM main')).toBe('20000\n')
})

test('what a table with few rows takes in memory is little, however many tables there are', () => {
  const tables = Array.from({ length: 1000 }, () => new CopyRows())
  for (const rows of tables) {
    rows.begin('id', 100)
    rows.text('row')
    rows.end()
  }
  const bytes = tables.reduce((sum, rows) => sum + rows.bytes, 0)
  expect(bytes).toBeGreaterThan(0)
  expect(bytes).toBeLessThan(8 << 20)
})

test.each([
  [
    'half of a surrogate pair',
    '{"a":"\\ud800"}',
    /record "bad", column source_data: invalid input syntax for type json/,
  ],
  ['a number of too many digits', '{"a":1e200000}', /record "bad", column source_data: value overflows numeric format/],
])('%s, which jsonb cannot hold, is refused by the name of its record', async (_, text, message) => {
  const many = Array.from({ length: 50_000 }, (_, n) => raw(`r${n}`, `{"n":${n},"pad":"${'.'.repeat(100)}"}`))
  const records = [...many.slice(0, 60), raw('bad', text), ...many]
  await expect(loaded(records)).rejects.toMatchObject({
    code: 'invalid_record',
    message: expect.stringMatching(message),
  })
})

describe('names', () => {
  test.each(['Events', 'order items', 'quo"ted', "apo'strophe", 'a.b', 'é𝄞', 'select', '--', '$1', 'x'.repeat(63)])(
    'a table may be called %s',
    async (name) => {
      const schema = `Sche "${name.slice(0, 8)}`
      const options = { schema, create_schema: true, destinationId: name, primary_key: ["i'd"], cursor_field: 'a"t' }
      for (const [n, mode] of (['full_refresh', 'incremental', 'stream', 'full_refresh'] as const).entries()) {
        const data = RawJson.from(`{"i'd":${n},"a\\"t":1}`)
        await load(postgresDestination({ url, mode, options }), runOf(`run${n}`, mode, n + 1), [
          { records: [{ id: 'a', data }], next: null },
        ])
      }
      expect(
        await psql(
          url,
          'SELECT count(*) FROM pg_class WHERE relkind = $$r$$ AND relname NOT LIKE $$\\_bizon%$$ AND relnamespace::regnamespace::text LIKE $$%Sche%$$',
        ),
      ).toBe('1\n')
    },
  )

  test.each([
    ['x'.repeat(64), /has 64 bytes, and PostgreSQL takes 63/],
    ['_bizon_state', /is the table of the state/],
    ['a\0b', /is no name/],
  ])('and may not be called %s', (name, message) => {
    expect(() => postgresDestination({ url, options: { destinationId: name } })).toThrow(message)
  })
})

describe('unnest: columns of their own types', () => {
  const COLUMNS = {
    s: 'STRING',
    i: 'INTEGER',
    f: 'FLOAT64',
    n: 'NUMERIC',
    p: 'numeric(6,2)',
    b: 'BOOLEAN',
    d: 'DATE',
    t: 'TIMESTAMP',
    dt: 'DATETIME',
    j: 'JSON',
    v: 'varchar(5)',
    u: 'uuid',
  }
  const typed = (columns: Readonly<Record<string, string>> = COLUMNS): Partial<PostgresOptions> => ({
    unnest: true,
    recordSchemas: [
      {
        destinationId: 'main',
        columns: Object.entries(columns).map(([name, type]) => ({ name, type, description: `it's ${name}` })),
      },
    ],
  })

  test('each value as it came, what is missing or null as null, with its description', async () => {
    const record: Record<string, Json> = {
      s: 'a\tb\n\\N "é" \\',
      b: true,
      d: '2024-02-29',
      t: '2024-12-05T12:00:00.123456+02:00',
      dt: '2024-12-05T12:00:00.5',
      j: { a: [1, null] },
      v: 'é2345',
      u: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    }
    const exact = '"i":9007199254740993,"f":0.1,"n":12345678901234567890.10,"p":1234.50'
    const text = `${JSON.stringify(record).slice(0, -1)},${exact}}`
    await loaded([raw('a', text), raw('b', '{"s":null,"j":null}'), raw('c', '{"s":[1, 2],"j":"x"}')], typed())
    const found = await psql(
      url,
      "SET timezone = 'UTC'; SELECT source_record_id, to_json(s), i, f, n, p, b, d, t, dt, j, v, u FROM main ORDER BY bizon_id",
    )
    expect(found).toBe(
      `a|${JSON.stringify(record.s)}|9007199254740993|0.1|12345678901234567890.10|1234.50|t|2024-02-29|2024-12-05 10:00:00.123456+00|2024-12-05 12:00:00.5|{"a": [1, null]}|é2345|${record.u}\n` +
        'b||||||||||||\n' +
        'c|"[1, 2]"|||||||||"x"||\n',
    )
    expect(
      await psql(
        url,
        "SELECT col_description('main'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'main'::regclass AND attname = 's'",
      ),
    ).toBe("it's s\n")
  })

  test.each([
    ['i', '"abc"', /record "bad", column i: "abc" is not a whole number/],
    ['i', '9223372036854775808', /record "bad", column i: value "9223372036854775808" is out of range for type bigint/],
    ['i', '1.5', /record "bad", column i: invalid input syntax for type bigint: "1.5"/],
    ['p', '12345', /record "bad", column p: numeric field overflow/],
    ['v', '"123456"', /record "bad", column v: value too long for type character varying\(5\) \("123456"\)/],
    ['i', '" 12 "', /record "bad", column i: " 12 " is not a whole number/],
    ['f', '"NaN"', /column f: "NaN" is not a number/],
    ['n', '"infinity"', /column n: "infinity" is not a number/],
    ['p', '1.239', /column p: 1.239 has more than 2 digits behind the point/],
    ['p', '1239e-3', /column p: 1239e-3 has more than 2 digits behind the point/],
    ['b', '1', /column b: 1 is neither true nor false/],
    ['b', '"yes"', /column b: "yes" is neither true nor false/],
    ['d', '"2024-12-05T12:00:00Z"', /column d: "2024-12-05T12:00:00Z" is not a date/],
    ['d', '"today"', /column d: "today" is not a date/],
    ['d', '20241205', /column d: 20241205 is not a date/],
    ['dt', '"2024-12-05T12:00:00+02:00"', /column dt: .* is not a date and time without offset/],
    ['t', '"2024-12-05T12:00:00.1234567Z"', /column t: .* is not a time, .*, to the microsecond/],
    ['t', '"2016-12-31T23:59:60Z"', /column t: "2016-12-31T23:59:60Z" is not a time/],
    ['t', '"now"', /column t: "now" is not a time/],
    ['v', '"12345 "', /column v: "12345 " has more than 5 characters/],
    ['d', '"2023-02-29"', /record "bad", column d: date\/time field value out of range: "2023-02-29"/],
    ['b', '"perhaps"', /record "bad", column b: "perhaps" is neither true nor false/],
    ['s', '"\\ud800"', /record "bad", column s: half of a surrogate pair/],
    ['x', '1', /record "bad": its field "x" is no column/],
  ])('%s: %s is refused by record, column and value', async (name, value, message) => {
    const records = [raw('a', '{}'), raw('bad', `{"${name}":${value}}`), raw('c', '{}')]
    await expect(loaded(records, typed())).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringMatching(message),
    })
    expect(await psql(url, "SELECT to_regclass('main') IS NULL")).toBe('t\n')
  })

  test('a new column is added to the table, once its rows are published', async () => {
    const part = { metadata: 'none', ...typed({ i: 'INTEGER' }) } as const
    await loaded([raw('a', '{"i":1}')], part)
    const more = { ...part, ...typed({ i: 'INTEGER', s: 'STRING' }) }
    const run = { ...runOf('two', 'incremental', 2), complete: false }
    await load(postgresDestination({ url, mode: 'incremental', options: more }), run, [
      { records: [raw('b', '{"i":2,"s":"x"}')], next: null },
    ])
    expect(await psql(url, 'SELECT * FROM main ORDER BY i')).toBe('1|\n2|x\n')
  })

  test.each([
    [{ i: 'GEOGRAPHY' }, /column main.i has type "GEOGRAPHY", which is not known/],
    [{ i: 'date(3)' }, /which is not known/],
    [{ bizon_id: 'STRING' }, /two columns named bizon_id/],
  ])('columns %o are refused before anything is done', (columns, message) => {
    const options = typed(columns as Record<string, string>)
    expect(() => postgresDestination({ url, options })).toThrow(message)
  })
})

test('a restarted run gives its rows the ids that they had', async () => {
  const pages = [1, 2, 3].map((n) => ({
    records: [raw(`a${n}`, '{}'), raw(`b${n}`, '{}')],
    next: n < 3 ? { n } : null,
  }))
  await load(postgresDestination({ url }), runOf('run', 'full_refresh', 1), pages.slice(0, 1), { publish: false })
  await load(postgresDestination({ url }), runOf('run', 'full_refresh', 2), pages)
  expect(await psql(url, 'SELECT right(bizon_id, 1), source_record_id FROM main ORDER BY bizon_id')).toBe(
    '0|a1\n1|b1\n2|a2\n3|b2\n4|a3\n5|b3\n',
  )
  expect(await psql(url, 'SELECT count(DISTINCT left(bizon_id, 16)) FROM main')).toBe('1\n')
})
