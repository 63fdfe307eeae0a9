// Parquet files that DuckDB and our own destination wrote, as the file source reads them.

import { readFile, stat, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { Position } from '../../../lib/source.ts'
import { duckdb } from '../../support/duckdb.ts'
import { failure, pagesOf, read, seenIn, texts, useFolder } from '../../support/file-source.ts'
import { parquetOf } from '../../support/parquet.ts'

const folder = useFolder()

async function fromDuckdb(select: string, options = ''): Promise<string> {
  const path = folder.path('x.parquet')
  await duckdb(`COPY (${select}) TO '${path}' (FORMAT parquet${options})`)
  return path
}

describe('values', () => {
  it.each([
    ["'é\"\n\u0001𝄞'::VARCHAR", JSON.stringify('é"\n\u0001𝄞')],
    ["''::VARCHAR", '""'],
    ['NULL::VARCHAR', 'null'],
    ['9223372036854775807::BIGINT', '9223372036854775807'],
    ['-9007199254740993::BIGINT', '-9007199254740993'],
    ['18446744073709551615::UBIGINT', '18446744073709551615'],
    ['4294967295::UINTEGER', '4294967295'],
    ['-5::TINYINT', '-5'],
    ['true', 'true'],
    ['0.1::DOUBLE', '0.1'],
    ["'-0'::DOUBLE", '-0'],
    ["'nan'::DOUBLE", '"NaN"'],
    ["'-inf'::DOUBLE", '"-Infinity"'],
    ['1.10::DECIMAL(9,2)', '1.10'],
    ['-0.05::DECIMAL(18,2)', '-0.05'],
    ['12345678901234567890123456789.123456789::DECIMAL(38,9)', '12345678901234567890123456789.123456789'],
    ['-1::DECIMAL(38,0)', '-1'],
    ["'2024-02-29'::DATE", '"2024-02-29"'],
    ["'1969-12-31'::DATE", '"1969-12-31"'],
    ["'2024-12-05 12:00:00.123456'::TIMESTAMP", '"2024-12-05T12:00:00.123456"'],
    ["'1969-12-31 23:59:59.999999'::TIMESTAMP", '"1969-12-31T23:59:59.999999"'],
    ["'2024-12-05 12:00:00'::TIMESTAMP_S", '"2024-12-05T12:00:00"'],
    ["'2024-12-05 12:00:00.5'::TIMESTAMP_MS", '"2024-12-05T12:00:00.500"'],
    ["'2024-12-05 12:00:00.123456789'::TIMESTAMP_NS", '"2024-12-05T12:00:00.123456789"'],
    ["'2024-12-05 12:00:00.123456+00'::TIMESTAMPTZ", '"2024-12-05T12:00:00.123456Z"'],
    ["'12:34:56.000001'::TIME", '"12:34:56.000001"'],
    ["'\\x00\\xFF'::BLOB", '"AP8="'],
    ["'123e4567-e89b-12d3-a456-426614174000'::UUID", '"123e4567-e89b-12d3-a456-426614174000"'],
    [`'{"a": 1.10,"b":[]}'::JSON`, '{"a": 1.10,"b":[]}'],
    ['[1, NULL, 3]', '[1,null,3]'],
    ['[]::BIGINT[]', '[]'],
    ['NULL::BIGINT[]', 'null'],
    ['[[1.10::DECIMAL(9,2)], [], NULL]', '[[1.10],[],null]'],
    ["{'a': 1::BIGINT, 'b': {'c': '2024-01-01'::DATE, 'd': NULL::VARCHAR}}", '{"a":1,"b":{"c":"2024-01-01","d":null}}'],
    ["[{'a': 1.5::DECIMAL(38,1)}, {'a': NULL}]", '[{"a":1.5},{"a":null}]'],
    ["MAP {'x': 9007199254740993::BIGINT}", '{"x":9007199254740993}'],
  ])('%s is %s', async (sql, json) => {
    expect(await texts({ path: await fromDuckdb(`SELECT ${sql} AS v, 1 AS n`) })).toEqual([`{"v":${json},"n":1}`])
  })

  it.each([
    ["'infinity'::TIMESTAMP", /x\.parquet is damaged or not to be read, in row 2 of row group 1: /, undefined],
    ['INTERVAL 1 DAY', /x\.parquet .* in row group 1: .*not supported/, /without columns of that type/],
  ])('%s, which has no JSON, is told with its place', async (sql, message, hint) => {
    const select = `SELECT NULL AS v UNION ALL SELECT ${sql}`
    const error = await failure({ path: await fromDuckdb(`SELECT * FROM (${select}) ORDER BY v NULLS FIRST`) })
    expect(error).toMatchObject({ code: 'source', message: expect.stringMatching(message) })
    if (hint) expect(error.hint).toMatch(hint)
  })

  it.each(['uncompressed', 'snappy', 'gzip', 'brotli'])('compressed by %s', async (codec) => {
    const path = await fromDuckdb(
      "SELECT i, repeat('x', i::INT % 50) AS s FROM range(500) t(i)",
      `, COMPRESSION ${codec}`,
    )
    const found = (await texts({ path })).map((text) => JSON.parse(text))
    expect(found).toEqual(Array.from({ length: 500 }, (_, i) => ({ i, s: 'x'.repeat(i % 50) })))
  })

  it('a codec that is not known is an error that says so', async () => {
    const path = await fromDuckdb("SELECT repeat('x', 99) AS s FROM range(500)", ', COMPRESSION lz4_raw')
    const error = await failure({ path })
    expect(error).toMatchObject({
      code: 'source',
      message: expect.stringContaining(`${path} is damaged or not to be read`),
    })
    expect(error.hint).toContain('snappy')
  })
})

const ROWS = Array.from({ length: 50 }, (_, at) => ({ id: `r${at}`, note: `note ${at}` }))

it('ids are the number of the row, or a field; times come from a field', async () => {
  const path = await fromDuckdb(
    "SELECT i AS key, '2024-01-01 00:00:00.000001+00'::TIMESTAMPTZ AS at FROM range(2) t(i)",
  )
  expect((await read({ path })).map(({ id }) => id)).toEqual([`${path}:1`, `${path}:2`])
  const found = await read({ path, id_field: 'key', timestamp_field: 'at' })
  expect(found.map(({ id, timestamp }) => [id, timestamp])).toEqual([
    ['0', '2024-01-01T00:00:00.000001Z'],
    ['1', '2024-01-01T00:00:00.000001Z'],
  ])
})

it('a row that is too long is put aside like any other record', async () => {
  const path = await folder.write(
    'x.parquet',
    await parquetOf(
      [
        { id: 'a', note: 'x'.repeat(99) },
        { id: 'b', note: '' },
      ],
      9,
    ),
  )
  expect(await texts({ path, max_record_bytes: 50, on_invalid: 'skip' })).toEqual(['{"id":"b","note":""}'])
  expect((await failure({ path, max_record_bytes: 50 })).message).toContain(`${path}:1 is longer than max_record_bytes`)
})

describe('incremental', () => {
  it('reads new files, and those that were read not again', async () => {
    const config = { path: folder.path('*.parquet'), id_field: 'id' }
    await folder.write('a.parquet', await parquetOf(ROWS.slice(0, 20), 7))
    const first = await pagesOf(config, { mode: 'incremental' })
    expect(seenIn(first)).toHaveLength(20)
    await folder.write('b.parquet', await parquetOf(ROWS.slice(20), 7))
    const since = { time: new Date(0), value: first.at(-1)?.watermark ?? null }
    const next = await read(config, { mode: 'incremental', from: { since } })
    expect(next.map(({ id }) => id)).toEqual(ROWS.slice(20).map(({ id }) => id))
  })

  it('a file that was replaced since is an error that names it', async () => {
    const path = await folder.write('a.parquet', await parquetOf(ROWS.slice(0, 20), 7))
    const first = await pagesOf({ path }, { mode: 'incremental' })
    await writeFile(path, await parquetOf(ROWS, 7))
    const since = { time: new Date(0), value: first.at(-1)?.watermark ?? null }
    const error = await failure({ path }, { mode: 'incremental', from: { since } })
    expect(error.message).toBe(`${path} is not the file it was, so that nobody knows where to go on in it`)
    expect(error.hint).toContain('--reset')
  })
})

describe('files that are not whole', () => {
  it.each([0, 3, 11, 100, -1, -8, -40])('cut to %i bytes: an error that names the file', async (bytes) => {
    const whole = await parquetOf(ROWS, 20)
    const path = await folder.write('cut.parquet', whole.subarray(0, bytes < 0 ? whole.length + bytes : bytes))
    expect(await failure({ path })).toMatchObject({
      code: 'source',
      message: expect.stringContaining(`${path} is cut off, or no Parquet file: `),
    })
  })

  it('damaged inside: an error that names file and row group, and what is before it is not lost', async () => {
    const whole = await parquetOf(ROWS, 20)
    const size = whole.length
    for (let at = size / 2 - 60; at < size / 2; at++) whole[Math.floor(at)] = 0xff
    const path = await folder.write('damaged.parquet', whole)
    expect((await failure({ path })).message).toMatch(
      /damaged\.parquet is damaged or not to be read, in row group \d: /,
    )
  })

  it('a resume in a file that was cut since is an error', async () => {
    const path = await folder.write('a.parquet', await parquetOf(ROWS, 7))
    const [page] = await pagesOf({ path, page_bytes: 100 })
    await writeFile(path, (await readFile(path)).subarray(0, (await stat(path)).size - 30))
    const error = await failure({ path, page_bytes: 100 }, { from: { position: page?.next as Position } })
    expect(error.message).toContain('is not the file it was')
  })

  it.each([
    [{ path: '-', format: 'parquet' }, 'standard input'],
    [{ path: 'x.parquet.gz' }, 'gzipped as a whole'],
  ])('%j cannot be read from its end', async (config, why) => {
    await folder.write('x.parquet.gz', 'x')
    const path = config.path === '-' ? '-' : folder.path(config.path)
    expect((await failure({ ...config, path })).message).toContain(why)
  })
})
