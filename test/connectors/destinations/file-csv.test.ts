// What CSV output says, read back by four programs: DuckDB, sqlite3, Python's csv module and our own source.

import { execFileSync } from 'node:child_process'
import { parse as parseCsv } from 'csv-parse/sync'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { realDisk } from '../../../connectors/destinations/file/disk.ts'
import definition, { type FileOptions } from '../../../connectors/destinations/file.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import { shortWrites } from '../../support/disk.ts'
import { duckdb } from '../../support/duckdb.ts'
import { first, full, more, newPlace, type Place, removePlace, stream } from '../../support/file-destination.ts'
import { texts } from '../../support/file-source.ts'
import { load } from '../../support/load.ts'

let place: Place
let epoch = 0
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => removePlace(place))

const raw = (id: string, text: string): SourceRecord => ({ id, data: RawJson.from(text) })
const page = (...records: readonly SourceRecord[]): Page => ({ records, next: null })
const columns = (...names: string[]): Partial<FileOptions> => ({
  format: 'csv',
  metadata: 'bizon',
  unnest: true,
  recordSchemas: [{ destinationId: place.path('main'), columns: names.map((name) => ({ name, type: 'string' })) }],
})

async function published(records: readonly SourceRecord[], options: Partial<FileOptions>, disk = realDisk) {
  epoch += 1
  await load(place.create('full_refresh', options, disk), full(`run ${epoch}`, epoch), [page(...records)])
  return (await place.read('main.csv')) ?? 'no file'
}

describe('with columns (unnest)', () => {
  test.each([
    ['null', ''],
    ['""', '""'],
    ['"plain text"', 'plain text'],
    ['" edges "', ' edges '],
    ['"a,b"', '"a,b"'],
    ['"say \\"hi\\""', '"say ""hi"""'],
    ['"two\\nlines\\r\\n"', '"two\nlines\r\n"'],
    ['"\\u0041\\u00e9\\ud834\\udd1e\\u0022\\t\\/\\\\"', '"Aé𝄞""\t/\\"'],
    ['"é𝄞"', 'é𝄞'],
    ['1.10', '1.10'],
    ['-0', '-0'],
    ['90071992547409931234567890.123456789', '90071992547409931234567890.123456789'],
    ['1E400', '1E400'],
    ['true', 'true'],
    ['false', 'false'],
    ['{"a": [1.10, "x"]}', '"{""a"": [1.10, ""x""]}"'],
    ['[]', '"[]"'],
  ])('%s is the cell %j', async (json, cell) => {
    expect(await published([raw('1', `{"a":1,"b":${json},"c":2}`)], columns('c', 'b', 'a'))).toBe(
      `c,b,a\n2,${cell},1\n`,
    )
  })

  test.each([
    ['JSON', '"x"', 'x'],
    ['JSON', '{"a": 1}', '"{""a"": 1}"'],
    ['JSON', 'null', ''],
    ['INTEGER', '"no number"', 'no number'],
    ['whatever', '1.50', '1.50'],
  ])('its type is not looked at: in a column of type %s, %s is the cell %j', async (type, json, cell) => {
    const recordSchemas = [{ destinationId: place.path('main'), columns: [{ name: 'a', type }] }]
    expect(await published([raw('1', `{"a":${json}}`)], { ...columns(), recordSchemas })).toBe(`a\n${cell}\n`)
  })

  test('names of columns are quoted like cells', async () => {
    const names = ['plain', 'a,b', 'say "x"', 'é']
    const record = raw('1', JSON.stringify(Object.fromEntries(names.map((name) => [name, name]))))
    expect(await published([record], columns(...names))).toBe(`plain,"a,b","say ""x""",é\n`.repeat(2))
  })

  test.each(['\\ud800', '\\udc00', '\\ud800\\u0041', 'x\\udbff'])(
    'half of a character (%s) is an error that names record and column, before a byte is written',
    async (half) => {
      const failing = published([raw('1', '{"a":"x"}'), raw('r7', `{"a":"${half}"}`)], columns('a'))
      await expect(failing).rejects.toMatchObject({
        code: 'invalid_record',
        message: expect.stringMatching(/^record "r7" for .*main\.csv: column "a" has half of a surrogate pair/),
      })
      expect(await place.read('main_temp.csv')).toBeUndefined()
    },
  )

  test('half of a character in an id is refused, not replaced', async () => {
    await expect(published([raw('a\ud800', '{}')], { format: 'csv', metadata: 'bizon' })).rejects.toMatchObject({
      code: 'invalid_record',
      message: 'record "a\\ud800": its id has half of a surrogate pair, which is no text',
    })
  })

  test('metadata none needs columns', () => {
    expect(() => place.create('full_refresh', { format: 'csv', metadata: 'none' })).toThrow(/no columns to write/)
  })
})

test('six columns, the record as JSON text in a quoted cell', async () => {
  const texts = ['{"a": "é\\n\\"", "n":1.10}', '{"b":[1,\n2]}']
  const records = [
    { ...raw('id "2", é', texts[0] as string), timestamp: '2024-12-05T14:00:00.123456789+02:00' },
    raw('', texts[1] as string),
  ]
  const rows: string[][] = parseCsv(await published(records, { format: 'csv', metadata: 'bizon' }))
  expect(rows.map((row) => row.slice(3))).toEqual([
    ['source_record_id', 'source_timestamp', 'source_data'],
    ['id "2", é', '2024-12-05T12:00:00.123456+00:00', texts[0]],
    ['', '1970-01-01T00:00:00+00:00', texts[1]],
  ])
  expect(rows[0]?.slice(0, 3)).toEqual(['bizon_id', 'bizon_extracted_at', 'bizon_loaded_at'])
  expect(rows[2]?.[0]).toBe(`${rows[1]?.[0]?.slice(0, 31)}1`)
})

test('records larger than any buffer arrive whole', async () => {
  const large = (bytes: number): string => `{"x":"${'\\"\\\\x'.repeat(bytes / 5)}"}`
  const texts = ['{"x":"a"}', large(3_000_000), '{"x":"b"}', large(1 << 20), '{"x":null}']
  const records = texts.map((text, at) => raw(`${at}`, text))
  const six: string[][] = parseCsv(await published(records, { format: 'csv', metadata: 'bizon' }), { from: 2 })
  expect(six.map((row, at) => row[5] === texts[at])).toEqual(texts.map(() => true))
  const cells: string[][] = parseCsv(await published(records, columns('x')), { from: 2, skip_empty_lines: false })
  expect(cells.map(([x], at) => x === (JSON.parse(texts[at] as string).x ?? ''))).toEqual(texts.map(() => true))
})

describe('other programs read what was written', () => {
  const ROWS = [
    { id: 'plain', text: 'abc', none: null },
    { id: 'comma, "quote"', text: 'a\nb\r\nc', none: null },
    { id: 'é 𝄞', text: '', none: null },
    { id: '1.10', text: " '", none: null },
  ]
  const strings = ROWS.map(({ id, text }) => [id, text, ''])
  beforeEach(() =>
    published(
      ROWS.map((row, at) => ({ id: `${at}`, data: row })),
      columns('id', 'text', 'none'),
    ),
  )

  test('DuckDB, which tells null from the empty text', async () => {
    const options = `header = true, all_varchar = true, allow_quoted_nulls = false`
    expect(await duckdb(`SELECT * FROM read_csv('${place.path('main.csv')}', ${options})`)).toEqual(ROWS)
  })

  test('sqlite3', () => {
    const found = execFileSync('sqlite3', [
      ':memory:',
      '-json',
      '-cmd',
      `.import --csv ${place.path('main.csv')} t`,
      'SELECT * FROM t',
    ])
    expect(JSON.parse(found.toString()).map((row: object) => Object.values(row))).toEqual(strings)
  })

  test("Python's csv module", () => {
    const program =
      'import csv, json, sys; print(json.dumps(list(csv.reader(open(sys.argv[1], newline=""), strict=True))))'
    const found = JSON.parse(execFileSync('python3', ['-c', program, place.path('main.csv')]).toString())
    expect(found).toEqual([['id', 'text', 'none'], ...strings])
  })

  test('the file source, which has every cell as text', async () => {
    const found = await texts({ path: place.path('main.csv') })
    expect(found.map((text) => Object.values(JSON.parse(text)))).toEqual(strings)
  })
})

test('whatever the values are, each is the cell that other programs read', async () => {
  const value = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string(),
    fc.constantFrom('', ',', '"', '\n', '\r'),
    fc.json().map((text) => JSON.parse(text)),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 5, max: 999 }),
      async (rows, most) => {
        const records = rows.map(([a, b], at) => raw(`${at}`, JSON.stringify({ b, a })))
        const text = await published(records, columns('a', 'b'), shortWrites(realDisk, most))
        const cell = (one: unknown): string => (one === null ? '' : typeof one === 'string' ? one : JSON.stringify(one))
        expect(parseCsv(text, { from: 2, skip_empty_lines: false })).toEqual(rows.map((row) => row.map(cell)))
        const own = (await texts({ path: place.path('main.csv') })).map((row) => Object.values(JSON.parse(row)))
        expect(own).toEqual(rows.map((row) => row.map(cell)))
      },
    ),
    { numRuns: 60 },
  )
})

describe('the header', () => {
  const rows = (...ids: string[]): Page[] =>
    ids.map((id, at) => ({ records: [raw(id, `{"a":"${id}"}`)], next: at + 1 < ids.length ? { at } : null }))

  test.each([
    ['stream', stream],
    ['incremental', more],
    ['full_refresh', full],
  ] as const)('is there once in mode %s, however often the run is cut off', async (mode, run) => {
    const pages = rows('1', '2', '3')
    for (const stop of [0, 1, 1, 2]) {
      await load(place.create(mode, columns('a')), run('one', ++epoch), pages.slice(0, stop), { publish: false })
    }
    await load(place.create(mode, columns('a')), run('one', ++epoch), pages)
    await load(place.create(mode, columns('a')), { ...run('two', ++epoch), previous: 'one' }, rows('4', '5'))
    const expected = mode === 'full_refresh' ? 'a\n4\n5\n' : 'a\n1\n2\n3\n4\n5\n'
    expect(await place.read('main.csv')).toBe(expected)
  })

  test('stands alone when there are no rows', async () => {
    await load(place.create('full_refresh', columns('a')), full('one', ++epoch), [page()])
    expect(await place.read('main.csv')).toBe('a\n')
    await load(place.create('incremental', columns('a')), { ...more('two', ++epoch), previous: 'one' }, rows('1'))
    expect(await place.read('main.csv')).toBe('a\n1\n')
  })

  test('a column more is refused before anything is read; a new file takes it', async () => {
    await load(place.create('incremental', columns('a')), first('one', ++epoch), rows('1'))
    const next = { ...more('two', ++epoch), previous: 'one' }
    await expect(load(place.create('incremental', columns('a', 'b')), next, [])).rejects.toMatchObject({
      code: 'edited',
      message: `${place.path('main.csv')} has other columns: it begins with a, and the rows to add have a,b`,
      hint: expect.stringContaining('--reset'),
    })
    expect(await place.read('main.csv')).toBe('a\n1\n')
    await load(place.create('full_refresh', columns('b')), full('three', ++epoch), [page(raw('1', '{"b":2}'))])
    expect(await place.read('main.csv')).toBe('b\n2\n')
  })

  test('what another program wrote is added to below the same header, and refused below another', async () => {
    const { writeFile } = await import('node:fs/promises')
    await writeFile(place.path('main.csv'), 'a\n0\n')
    await load(place.create('stream', columns('a')), stream('one', ++epoch), rows('1'))
    expect(await place.read('main.csv')).toBe('a\n0\n1\n')
    await writeFile(place.path('main.csv'), 'x\n0\n1\n')
    await expect(load(place.create('stream', columns('a')), stream('two', ++epoch), rows('2'))).rejects.toMatchObject({
      code: 'edited',
    })
  })

  test('a file that was edited between two runs is not added to', async () => {
    await load(place.create('incremental', columns('a')), first('one', ++epoch), rows('1', '2'))
    const { writeFile } = await import('node:fs/promises')
    await writeFile(place.path('main.csv'), 'a\n1\n3\n')
    const failing = load(
      place.create('incremental', columns('a')),
      { ...more('two', ++epoch), previous: 'one' },
      rows('4'),
    )
    await expect(failing).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('main.csv was changed'),
    })
    expect(await place.read('main.csv')).toBe('a\n1\n3\n')
  })
})

test('json and csv of one name lie side by side', async () => {
  await load(place.create('full_refresh', columns('a')), full('one', 1), [page(raw('1', '{"a":1}'))])
  await load(place.create('full_refresh'), { ...full('two', 1), pipeline: 'other' }, [page(raw('1', '{"a":1}'))])
  expect(await place.read('main.csv')).toBe('a\n1\n')
  expect(await place.read('main.json')).toBe('{"a":1}\n')
})

test('csv is an option of the file destination', () => {
  expect(definition.config.parse({ format: 'csv' })).toMatchObject({ format: 'csv', metadata: 'bizon' })
})
