// What Parquet output holds, read back by DuckDB and by our own source, and what becomes of folders that somebody else
// has changed.

import { copyFile, mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { realPartDisk } from '../../../connectors/destinations/file/parquet/disk.ts'
import { nameOf, TYPES, typeOf } from '../../../connectors/destinations/file/parquet/types.ts'
import { ParquetDestination } from '../../../connectors/destinations/file/parquet.ts'
import type { FileOptions } from '../../../connectors/destinations/file.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import { duckdb } from '../../support/duckdb.ts'
import { first, full, more, newPlace, type Place, removePlace, stream } from '../../support/file-destination.ts'
import { texts } from '../../support/file-source.ts'
import { load, never, pagesOf } from '../../support/load.ts'
import { CHECKOUT } from '../../support/sandbox.ts'

let place: Place
let epoch = 0
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => removePlace(place))

function create(options: Partial<FileOptions> = {}, disk = realPartDisk): ParquetDestination {
  return new ParquetDestination(
    {
      format: 'parquet',
      metadata: 'bizon',
      durability: 'process',
      visibility: 'run',
      on_empty: 'publish',
      destinationId: place.path('main'),
      unnest: false,
      recordSchemas: [],
      ...options,
    },
    { stream: 'main' },
    disk,
  )
}

const raw = (id: string, text: string): SourceRecord => ({ id, data: RawJson.from(text) })
const typed = (types: { readonly [name: string]: string }): Partial<FileOptions> => ({
  unnest: true,
  recordSchemas: [
    { destinationId: place.path('main'), columns: Object.entries(types).map(([name, type]) => ({ name, type })) },
  ],
})
const glob = (): string => `read_parquet('${place.path('main/current/*.parquet')}')`

async function published(records: readonly SourceRecord[], options: Partial<FileOptions> = {}): Promise<void> {
  epoch += 1
  await load(create(options), full(`run ${epoch}`, epoch), [{ records, next: null }])
}

describe('types of record_schemas', () => {
  test.each([
    ['string', '"é\\n\\u0041 𝄞"', 'VARCHAR', 'é\nA 𝄞'],
    ['string', '1.10', 'VARCHAR', '1.10'],
    ['string', '{"a": 1}', 'VARCHAR', '{"a": 1}'],
    ['int64', '9223372036854775807', 'BIGINT', '9223372036854775807'],
    ['integer', '"-12"', 'BIGINT', '-12'],
    ['double', '0.1', 'DOUBLE', 0.1],
    ['float64', '1e300', 'DOUBLE', 1e300],
    ['boolean', 'true', 'BOOLEAN', true],
    ['bool', '"false"', 'BOOLEAN', false],
    ['decimal(9,2)', '1.1', 'DECIMAL(9,2)', '1.10'],
    ['decimal(9,2)', '-0.05e0', 'DECIMAL(9,2)', '-0.05'],
    ['decimal(9,2)', '1200e-4', 'DECIMAL(9,2)', '0.12'],
    ['decimal(9,2)', '12e3', 'DECIMAL(9,2)', '12000.00'],
    ['numeric', '12345678901234567890123456789.123456789', 'DECIMAL(38,9)', '12345678901234567890123456789.123456789'],
    [
      'decimal(38,0)',
      '-99999999999999999999999999999999999999',
      'DECIMAL(38,0)',
      '-99999999999999999999999999999999999999',
    ],
    ['date', '"2024-02-29"', 'DATE', '2024-02-29'],
    ['date', '"1969-12-31"', 'DATE', '1969-12-31'],
    ['timestamp', '"2024-12-05T14:00:00.123456+02:00"', 'TIMESTAMP WITH TIME ZONE', '2024-12-05 12:00:00.123456+00'],
    ['timestamp', '"1969-12-31T23:59:59.999999Z"', 'TIMESTAMP WITH TIME ZONE', '1969-12-31 23:59:59.999999+00'],
    ['datetime', '"2024-12-05T12:00:00.5"', 'TIMESTAMP', '2024-12-05 12:00:00.5'],
    ['time', '"12:34:56.000001"', 'TIME', '12:34:56.000001'],
    ['json', '{"a": 1.10,"b":[]}', 'JSON', '{"a": 1.10,"b":[]}'],
    ['bytes', '"AP8="', 'BLOB', '\\x00\\xFF'],
    ['bytes', '""', 'BLOB', ''],
    ['bytes', 'null', 'BLOB', null],
    ['int64', 'null', 'BIGINT', null],
    ['int64', '""', 'BIGINT', null],
    ['string', '""', 'VARCHAR', ''],
  ])('%s: %s is the %s %j', async (type, json, sqlType, value) => {
    await published([raw('1', `{"v":${json},"n":1}`)], typed({ v: type, n: 'int64' }))
    await duckdb("SET TimeZone = 'UTC'")
    const [row] = await duckdb(
      `SELECT typeof(v) AS type, CASE WHEN typeof(v) IN ('DOUBLE', 'BOOLEAN') THEN NULL ELSE v::VARCHAR END AS text, v FROM ${glob()}`,
    )
    expect(row?.type).toBe(sqlType)
    expect(typeof value === 'string' || value === null ? row?.text : row?.v).toEqual(value)
  })

  test.each([
    ['int64', '9223372036854775808'],
    ['int64', '1.0'],
    ['int64', '"x"'],
    ['double', '1e400'],
    ['decimal(4,2)', '123'],
    ['numeric', '123456789012345678901234567890'],
    ['numeric', '0.0000000001'],
    ['decimal(4,2)', '0.001'],
    ['boolean', '1'],
    ['date', '"2024-02-30"'],
    ['timestamp', '"2024-01-01T00:00:00"'],
    ['timestamp', '"2024-01-01T00:00:00.0000001Z"'],
    ['bytes', '"?"'],
    ['string', '"\\ud800"'],
  ])('%s refuses %s, naming record, column and value', async (type, json) => {
    const failing = published([raw('r7', `{"v":${json}}`)], typed({ v: type }))
    await expect(failing).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringContaining('record "r7" for '),
    })
    await expect(failing).rejects.toThrow(`cannot hold ${json} as it is`)
  })

  test('half of a character in an id is refused, not replaced', async () => {
    await expect(published([raw('a\ud800', '{}')])).rejects.toMatchObject({
      code: 'invalid_record',
      message: 'record "a\\ud800": its id has half of a surrogate pair, which is no text',
    })
  })

  test.each(['geography', 'decimal(39,0)', 'decimal(2,3)', 'int64(4)'])('%s is no type', async (type) => {
    await expect(published([raw('1', '{"v":1}')], typed({ v: type }))).rejects.toMatchObject({ code: 'config' })
  })

  test('the page of the destination has them all, and what they become', async () => {
    const page = await readFile(join(CHECKOUT, 'docs/connectors/destination-file.md'), 'utf8')
    const [, table = ''] = page.split('| Type in `record_schemas` | Column | What fits |\n')
    const rows = [...(table.split('\n\n')[0] ?? '').matchAll(/^\| (`.*?`) \| (.*?) \| /gm)]
    const named = rows.flatMap(([, types = '', column = '']) =>
      [...types.matchAll(/`(.+?)`/g)].map(([, type = '']) => ({ type, column: column.toLowerCase() })),
    )
    for (const { type, column } of named) {
      const name = nameOf(typeOf(type.replace('(n)', '(9)').replace('(p,s)', '(9,2)'), 'v')).replace('(9,2)', '(p,s)')
      expect(column, type).toContain(name === 'datetime' ? 'timestamp without zone' : name)
    }
    const names = named.map(({ type }) => type.replace(/\(.*/, '').toLowerCase())
    expect([...new Set(names)].sort()).toEqual(Object.keys(TYPES).sort())
  })

  test('what is written is read again, to the character', async () => {
    const types = { s: 'string', i: 'int64', d: 'decimal(38,9)', t: 'timestamp', j: 'json', b: 'boolean', f: 'double' }
    const text =
      '{"s":"é\\n","i":9007199254740993,"d":1.100000000,"t":"2024-12-05T12:00:00.123456Z","j":{"a": [1.10]},"b":true,"f":0.1}'
    await published(
      [raw('1', text), raw('2', '{"s":null,"i":null,"d":null,"t":null,"j":null,"b":null,"f":null}')],
      typed(types),
    )
    expect(await texts({ path: place.path('main/current/*.parquet') })).toEqual([
      text,
      '{"s":null,"i":null,"d":null,"t":null,"j":null,"b":null,"f":null}',
    ])
  })
})

test('six columns, times as times and the record as its text', async () => {
  const text = '{"a": "é\\n\\"", "n":1.10}'
  await published([{ ...raw('id "1"', text), timestamp: '2024-12-05T14:00:00.123456789+02:00' }, raw('2', '{}')])
  const rows = await duckdb(`SELECT * EXCLUDE (bizon_loaded_at) FROM ${glob()}`)
  expect(rows[0]).toMatchObject({ source_record_id: 'id "1"', source_data: text })
  expect(String(rows[0]?.source_timestamp)).toContain('12:00:00.123456')
  expect(rows[1]?.bizon_id).toBe(`${String(rows[0]?.bizon_id).slice(0, 31)}1`)
})

test('many rows make row groups of bounded size in one part', async () => {
  const page = (at: number): Page => ({
    records: Array.from({ length: 100 }, (_, n) =>
      raw(`${at * 100 + n}`, `{"n":${at * 100 + n},"x":"${'y'.repeat(9000)}"}`),
    ),
    next: at < 29 ? { at } : null,
  })
  const destination = create()
  const signal = new AbortController().signal
  await destination.open(full('run', ++epoch), signal)
  for (let at = 0; at < 30; at++) await destination.write(page(at), signal)
  await destination.flush({ run: 'run', page: 30, rows: 3000, position: null, end: true })
  await destination.publish()
  await destination.close()
  const [counts] = await duckdb(
    `SELECT count(DISTINCT row_group_id)::INT AS groups, count(DISTINCT file_name)::INT AS files FROM parquet_metadata('${place.path('main/current/*.parquet')}')`,
  )
  expect(counts).toEqual({ groups: 3, files: 1 })
  expect(await duckdb(`SELECT count(*)::INT AS n, sum((source_data->>'n')::INT)::INT AS sum FROM ${glob()}`)).toEqual([
    { n: 3000, sum: (2999 * 3000) / 2 },
  ])
})

test('metadata none needs columns', () => {
  expect(() => create({ metadata: 'none' })).toThrow(/no columns to write/)
})

describe('what readers see', () => {
  const ids = async (): Promise<unknown[]> =>
    (await duckdb(`SELECT source_record_id AS id FROM ${glob()}`)).map(({ id }) => id)

  test('a reader who has listed a version can finish reading it after the next was published', async () => {
    await load(create(), full('one', ++epoch), pagesOf('a', 2))
    const version = await import('node:fs/promises').then(({ realpath }) => realpath(place.path('main/current')))
    await load(create(), full('two', ++epoch), pagesOf('b', 1))
    expect(await ids()).toEqual(['b0', 'b1', 'b2'])
    expect(await duckdb(`SELECT count(*)::INT AS n FROM read_parquet('${version}/*.parquet')`)).toEqual([{ n: 6 }])
    await load(create(), full('three', ++epoch), pagesOf('c', 1))
    expect((await readdir(place.path('main'))).filter((name) => name.startsWith('.run-'))).toHaveLength(2)
  })

  test('parts without rows are left out, but for one when there are no others', async () => {
    await load(create(), first('one', ++epoch), [
      ...pagesOf('a', 1).map((page) => ({ ...page, next: {} })),
      { records: [], next: null },
    ])
    const { parts, rows } = JSON.parse((await place.read('main/current/_manifest.json')) as string)
    expect([parts.length, rows]).toEqual([1, 3])
    await load(create(), { ...more('two', ++epoch), previous: 'one' }, [{ records: [], next: null }])
    expect(await ids()).toEqual(['a0', 'a1', 'a2'])
    await load(create(), full('three', ++epoch), [{ records: [], next: null }])
    expect(await ids()).toEqual([])
  })

  test('on_empty: keep leaves what was there', async () => {
    await load(create(), full('one', ++epoch), pagesOf('a', 1))
    await load(create({ on_empty: 'keep' }), full('two', ++epoch), [{ records: [], next: null }])
    expect(await ids()).toEqual(['a0', 'a1', 'a2'])
    // Also where a stream is named without rows.
    const named = { ...full('three', ++epoch), keepsOthers: true }
    await load(create({ on_empty: 'keep' }), named, [{ records: [], next: null, stream: { name: 'main' } }])
    expect(await ids()).toEqual(['a0', 'a1', 'a2'])
  })

  test('a stream adds to the published version, each commit at once', async () => {
    await load(create(), full('one', ++epoch), pagesOf('a', 1))
    await load(create(), stream('two', ++epoch), pagesOf('b', 3).slice(0, 2), { publish: false })
    expect(await ids()).toEqual(['a0', 'a1', 'a2', 'b0', 'b1', 'b2', 'b3', 'b4', 'b5'])
    await load(create(), { ...more('three', ++epoch), previous: 'two' }, pagesOf('c', 1))
    expect(await ids()).toHaveLength(12)
  })
})

describe('columns are those of what is published', () => {
  const EVERY = {
    s: 'string',
    y: 'bytes',
    i: 'int64',
    f: 'double',
    n: 'numeric',
    d: 'decimal(9,2)',
    b: 'boolean',
    a: 'date',
    c: 'time',
    l: 'datetime',
    t: 'timestamp',
    j: 'json',
  }
  const row = (types: { readonly [name: string]: string }, next: Page['next'] = null): Page => ({
    records: [raw('1', `{${Object.keys(types).map((name) => `"${name}":null`)}}`)],
    next,
  })
  const refused = (difference: string) => ({
    code: 'edited',
    message: `${place.path('main')} has other columns than the rows to add: ${difference}`,
  })
  const count = async (): Promise<unknown> => (await duckdb(`SELECT count(*)::INT AS n FROM ${glob()}`))[0]?.n

  test.each([
    ['incremental', more],
    ['stream', stream],
  ] as const)('of every type, under another name too: rows are added in mode %s', async (_, run) => {
    await load(create(typed(EVERY)), run('one', ++epoch), [row(EVERY)])
    const renamed = { ...EVERY, s: 'TEXT', i: 'INTEGER', f: 'FLOAT', n: 'DECIMAL(38, 9)', t: 'timestamptz', j: 'JSONB' }
    await load(create(typed(renamed)), { ...run('two', ++epoch), previous: 'one' }, [row(EVERY)])
    expect(await count()).toBe(2)
  })

  test.each(Object.keys(EVERY).filter((name) => name !== 's'))('column %s is not text', async (name) => {
    const types = { [name]: EVERY[name as keyof typeof EVERY] }
    await load(create(typed(types)), more('one', ++epoch), [row(types)])
    const next = { ...more('two', ++epoch), previous: 'one' }
    const failing = load(create(typed({ [name]: 'string' })), next, [])
    const stored = types[name] === 'numeric' ? 'decimal(38,9)' : types[name]
    await expect(failing).rejects.toMatchObject(
      refused(`column "${name}" is of type ${stored} there, and of type string in the rows`),
    )
  })

  const OLD = { v: 'string', n: 'decimal(9,2)' }
  const CHANGED = [
    [{ ...OLD, w: 'integer' }, 'column "w" is not there, and of type int64 in the rows'],
    [{ ...OLD, v: 'integer' }, 'column "v" is of type string there, and of type int64 in the rows'],
    [{ ...OLD, n: 'decimal(9,3)' }, 'column "n" is of type decimal(9,2) there, and of type decimal(9,3) in the rows'],
    [{ v: 'string' }, 'column "n" is of type decimal(9,2) there, and not in the rows'],
    [{ n: 'decimal(9,2)', v: 'string' }, 'column 1 is "v" (string) there, and "n" (decimal(9,2)) in the rows'],
    [
      { x: 'date', n: 'decimal(9,2)' },
      'column "x" is not there, and of type date in the rows; column "v" is of type string there, and not in the rows',
    ],
  ] as const

  describe.each(CHANGED)('%j', (types, difference) => {
    test.each([
      ['incremental', more, /another destination_id .* run with --reset/],
      ['stream', stream, /another destination_id .* move the output and its state file away/],
    ] as const)('is refused in mode %s before anything is read', async (_, run, hint) => {
      await load(create(typed(OLD)), run('one', ++epoch), [row(OLD)])
      const destination = create(typed(types))
      await expect(destination.open({ ...run('two', ++epoch), previous: 'one' }, never)).rejects.toMatchObject({
        ...refused(difference),
        hint: expect.stringMatching(hint),
      })
      await destination.close()
    })
  })

  test('the columns as before are added to again; a reset and a full refresh take others', async () => {
    const wider = { ...OLD, w: 'integer' }
    await load(create(typed(OLD)), first('one', ++epoch), [row(OLD)])
    const two = { ...more('two', ++epoch), previous: 'one' }
    await expect(load(create(typed(wider)), two, [row(wider)])).rejects.toThrow('column "w" is not there')
    await load(create(typed(OLD)), { ...two, epoch: ++epoch }, [row(OLD)])
    expect(await count()).toBe(2)
    await load(create(typed(wider)), first('three', ++epoch), [row(wider)])
    await load(create(typed(wider)), { ...more('four', ++epoch), previous: 'three' }, [row(wider)])
    expect(await duckdb(`SELECT count(*)::INT AS n, typeof(any_value(w)) AS w FROM ${glob()}`)).toMatchObject([
      { n: 2 },
    ])
    await load(create(typed(OLD)), full('five', ++epoch), [row(OLD)])
    expect(await duckdb(`SELECT * FROM ${glob()}`)).toEqual([{ v: null, n: null }])
  })

  test('the six columns are not added to columns of their own, nor these to those', async () => {
    await load(create(), more('one', ++epoch), pagesOf('a', 1))
    const failing = load(create(typed(OLD)), { ...more('two', ++epoch), previous: 'one' }, [])
    await expect(failing).rejects.toThrow('column "bizon_id" is of type string there, and not in the rows')
    await load(create(typed(OLD)), first('three', ++epoch), [row(OLD)])
    const back = load(create(), { ...more('four', ++epoch), previous: 'three' }, [])
    await expect(back).rejects.toThrow('column "bizon_extracted_at" is not there, and of type timestamp in the rows')
  })

  test('each target is looked at', async () => {
    const both = (types: { readonly [name: string]: string }): Partial<FileOptions> => {
      const { recordSchemas = [] } = typed(OLD)
      const other = { destinationId: place.path('other'), columns: [{ name: 'v', type: types.v as string }] }
      return { unnest: true, recordSchemas: [...recordSchemas, other] }
    }
    const [record] = row({ v: 'string' }).records
    const routed = { ...(record as SourceRecord), destinationId: place.path('other') }
    await load(create(both({ v: 'string' })), more('one', ++epoch), [{ records: [routed], next: null }])
    await expect(load(create(both({ v: 'date' })), { ...more('two', ++epoch), previous: 'one' }, [])).rejects.toThrow(
      `${place.path('other')} has other columns than the rows to add: column "v" is of type string there`,
    )
  })

  test.each([
    ['full_refresh', full, 'force_ignore_checkpoint'],
    ['incremental', more, '--reset'],
    ['stream', stream, 'force_ignore_checkpoint'],
  ] as const)('an unfinished run is gone on with in its own columns: %s', async (_, run, remedy) => {
    const changed = { ...OLD, v: 'integer' }
    const pages = [row(OLD, { at: 1 }), row(OLD)]
    await load(create(typed(OLD)), run('one', ++epoch), pages.slice(0, 1), { publish: false })
    await expect(load(create(typed(changed)), run('one', ++epoch), pages)).rejects.toMatchObject({
      ...refused('column "v" is of type string there, and of type int64 in the rows'),
      hint: expect.stringContaining(remedy),
    })
    await load(create(typed(OLD)), run('one', ++epoch), pages)
    expect(await count()).toBe(2)
  })
})

describe('what somebody else has done', () => {
  const half = () => load(create(), full('run', ++epoch), pagesOf('a', 3).slice(0, 2), { publish: false })
  const resumed = () => load(create(), full('run', ++epoch), pagesOf('a', 3))
  const part = async (at = -1): Promise<string> => {
    const names = (await readdir(place.path('main'), { recursive: true })).filter((name) =>
      /\.run-.*\.parquet$/.test(name),
    )
    return place.path(join('main', names.sort().at(at) as string))
  }

  test.each([-1, 0])('a staged part that is cut off (%i) is an error that names it', async (at) => {
    await half()
    const path = await part(at)
    await truncate(path, 200)
    await expect(resumed()).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining(`${path} was changed by somebody else: it is no whole Parquet file`),
    })
  })

  test('a staged part in the place of another is an error', async () => {
    await half()
    await copyFile(await part(0), await part(-1))
    await expect(resumed()).rejects.toThrow('its footer is of another part')
  })

  test('a staged part that is gone: the run goes on from before it', async () => {
    await half()
    await rm(await part(-1))
    const destination = create()
    expect(await destination.open(full('run', ++epoch), new AbortController().signal)).toMatchObject({
      page: 1,
      rows: 3,
    })
    await destination.close()
    await resumed()
    expect(await duckdb(`SELECT count(*)::INT AS n FROM ${glob()}`)).toEqual([{ n: 9 }])
  })

  test.each([
    ['a published part that is cut off', async () => truncate(await part(), 200), 'it has 200 bytes'],
    ['a published part that is gone', async () => rm(await part()), 'it has 0 bytes'],
    [
      'a manifest that was edited',
      () => writeFile(place.path('main/current/_manifest.json'), '{}\n'),
      '_manifest.json was changed',
    ],
    ['a manifest that is gone', () => rm(place.path('main/current/_manifest.json')), '_manifest.json was changed'],
  ])('%s: nothing is added to it, and it can be replaced', async (_, edit, message) => {
    await load(create(), first('one', ++epoch), pagesOf('a', 1))
    await edit()
    const adding = load(create(), { ...more('two', ++epoch), previous: 'one' }, pagesOf('b', 1))
    await expect(adding).rejects.toMatchObject({ code: 'edited', message: expect.stringContaining(message) })
    await load(create(), full('three', ++epoch), pagesOf('c', 1))
    expect(await duckdb(`SELECT count(*)::INT AS n FROM ${glob()}`)).toEqual([{ n: 3 }])
  })

  test('a folder that is not ours is refused and left as it is', async () => {
    await mkdir(place.path('main'))
    await writeFile(place.path('main/mine.txt'), 'mine')
    for (const work of [() => load(create(), full('run', ++epoch), pagesOf('a', 1)), () => create().check()]) {
      await expect(work()).rejects.toMatchObject({
        code: 'edited',
        message: `${place.path('main')} exists, and ${place.path('.main.parquet.state.json')} does not say that this pipeline wrote it`,
      })
    }
    expect(await readdir(place.path('main'))).toEqual(['mine.txt'])
  })

  test('a folder in the place of the link is refused; the run publishes once it is moved away', async () => {
    await half()
    await mkdir(place.path('main/current'))
    await expect(resumed()).rejects.toThrow(/current is no symbolic link/)
    await rename(place.path('main/current'), place.path('elsewhere'))
    await resumed()
    expect(await duckdb(`SELECT count(*)::INT AS n FROM ${glob()}`)).toEqual([{ n: 9 }])
  })

  test('a link that leads elsewhere is put right by the next publish', async () => {
    await load(create(), full('one', ++epoch), pagesOf('a', 1))
    await rm(place.path('main/current'))
    await symlink('..', place.path('main/current'))
    await load(create(), full('two', ++epoch), pagesOf('b', 1))
    expect(await duckdb(`SELECT count(*)::INT AS n FROM ${glob()}`)).toEqual([{ n: 3 }])
  })

  test('two processes cannot both commit: the second finds the name taken', async () => {
    const taken = {
      ...realPartDisk,
      link: async (from: string, to: string) => {
        await copyFile(from, to)
        return realPartDisk.link(from, to)
      },
    }
    await expect(load(create({}, taken), full('run', ++epoch), pagesOf('a', 1))).rejects.toMatchObject({
      code: 'fenced',
    })
  })

  test('the state file is that of the folder: another pipeline is refused', async () => {
    await load(create(), full('one', ++epoch), pagesOf('a', 1))
    const other = load(create(), { ...full('two', ++epoch), pipeline: 'other' }, pagesOf('b', 1))
    await expect(other).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('belongs to pipeline'),
    })
    const state = await readFile(place.path('.main.parquet.state.json'), 'utf8')
    await writeFile(place.path('.main.parquet.state.json'), state.replace('"one"', '"uno"'))
    await expect(load(create(), full('three', ++epoch), pagesOf('b', 1))).rejects.toThrow('is damaged')
  })
})
