// A Singer tap that sends tables whole, and one that sends files.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Ledger, ledger } from '../../support/ledger.ts'
import { activate, idsOf, type Line, type Loading, loadSinger, record, schemaOf, state } from '../../support/singer.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-singer-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const loaded = (on: Ledger, lines: readonly Line[], options: Loading = {}) => loadSinger(folder, on, lines, options)

describe('ACTIVATE_VERSION', () => {
  const whole = (version: number, ...ids: number[]): Line[] => [
    schemaOf('a'),
    ...ids.map((id) => record('a', id, { version })),
    activate('a', version),
  ]

  test('behind a stream that has one version from the start: what came replaces what was there', async () => {
    const on = ledger()
    await loaded(on, [...whole(1, 1, 2), state({ v: 1 })])
    const { said } = await loaded(on, [...whole(2, 2, 3), state({ v: 2 })])
    expect(on.runs.map(({ mode }) => mode)).toEqual(['full_refresh', 'full_refresh'])
    expect(idsOf(on.published)).toEqual(['a 2', 'a 3'])
    expect(said).toEqual(['{"v":2}'])
  })

  test('no STATE is told before all is published, so that no part is taken for the whole', async () => {
    const on = ledger()
    const said: [string, number][] = []
    const acknowledged = (value: { toString(): string }): void =>
      void said.push([value.toString(), on.published.length])
    const [schema, ...rest] = whole(1, 1, 2)
    await loaded(on, [schema as Line, state({ v: 0 }), ...rest, state({ v: 1 })], { acknowledged })
    expect(said).toEqual([['{"v":1}', 2]])
  })

  test('first and last, as at a first sync, and of an empty table', async () => {
    const on = ledger()
    await loaded(on, [schemaOf('a'), activate('a', 1), record('a', 1, { version: 1 }), activate('a', 1)])
    expect(idsOf(on.published)).toEqual(['a 1'])
    await loaded(on, [schemaOf('a'), activate('a', 2)])
    expect(on.published).toEqual([])
  })

  test('records without a version are added', async () => {
    const on = ledger()
    await loaded(on, [schemaOf('a'), record('a', 1, { version: null })])
    await loaded(on, [schemaOf('a'), record('a', 2)])
    expect(idsOf(on.published)).toEqual(['a 1', 'a 2'])
  })

  test.each<[string, Line[], string]>([
    ['none behind the records', whole(1, 1, 2).slice(0, -1), 'has not come behind its last record'],
    [
      'one before the last record',
      [...whole(1, 1), record('a', 2, { version: 1 })],
      'has not come behind its last record',
    ],
    ['another version', [...whole(1, 1).slice(0, -1), activate('a', 2)], 'version 2 of a comes behind version 1'],
    ['two versions', [...whole(1, 1), record('a', 2, { version: 2 }), activate('a', 2)], 'version 2 of a comes behind'],
    ['a stream beside it that has none', [...whole(1, 1), schemaOf('b'), record('b', 1)], 'of b has no version'],
    ['a stream beside it of which nothing came', [...whole(1, 1), schemaOf('b')], 'ACTIVATE_VERSION of b has not come'],
    [
      'records without one before it',
      [schemaOf('a'), record('a', 1), activate('a', 1)],
      'behind records without a version',
    ],
    [
      'a version in the middle',
      [schemaOf('a'), record('a', 1), record('a', 2, { version: 1 })],
      'the first one of the pipe has none',
    ],
  ])('%s: refused, and what was there stays', async (_what, lines, message) => {
    const on = ledger()
    await loaded(on, whole(0, 9))
    await expect(loaded(on, [...lines, state({ v: 1 })])).rejects.toThrow(message)
    expect(idsOf(on.published)).toEqual(['a 9'])
  })
})

describe('BATCH', () => {
  const batch = (manifest: unknown, more: object = {}): object => ({
    type: 'BATCH',
    stream: 'a',
    encoding: { format: 'jsonl', compression: 'none' },
    manifest,
    ...more,
  })
  const lines = (...ids: number[]): string => ids.map((id) => `{"id": ${id}.0}\n`).join('')

  test('files are read as records between the others, gzipped or not, and stay', async () => {
    const on = ledger()
    await writeFile(join(folder, 'one.jsonl'), lines(2, 3))
    await writeFile(join(folder, 'two of them.jsonl'), lines(4).trimEnd())
    await writeFile(join(folder, 'three.gz'), Buffer.concat([gzipSync(lines(5, 6)), gzipSync(lines(7))]))
    const { said } = await loaded(on, [
      schemaOf('a'),
      record('a', 1),
      batch([pathToFileURL(join(folder, 'one.jsonl')), pathToFileURL(join(folder, 'two of them.jsonl'))]),
      batch([`file://${folder}/three.gz`], { encoding: { format: 'jsonl', compression: 'gzip' } }),
      record('a', 8),
      state({ n: 1 }),
    ])
    expect(on.published.map(({ text }) => text)).toEqual([
      '{"id":1}',
      ...[2, 3, 4, 5, 6, 7].map((id) => `{"id": ${id}.0}`),
      '{"id":8}',
    ])
    expect(said).toEqual(['{"n":1}'])
    await loaded(ledger(), [schemaOf('a'), batch([join(folder, 'one.jsonl')])])
  })

  test.each(['file://', 'file:', '', 'FILE://'])(
    'a path behind %j is relative to where the load runs',
    async (scheme) => {
      const on = ledger()
      await loaded(on, [schemaOf('a', { key_properties: ['name'] }), batch([`${scheme}package.json`])], {
        onInvalid: 'skip',
      }).catch((error: Error) => expect(error.message).not.toContain('cannot read'))
      expect(on.published).toEqual([])
    },
  )

  test('more than fits into memory at once comes in pages', async () => {
    const on = ledger()
    await writeFile(join(folder, 'large.jsonl'), lines(...Array.from({ length: 40_000 }, (_, n) => n)))
    await loaded(on, [schemaOf('a'), batch([`file://${folder}/large.jsonl`]), state({ n: 1 })], { chunkBytes: 11 })
    expect(on.published).toHaveLength(40_000)
    expect(Math.max(...on.pages.map(({ records }) => records))).toBeLessThanOrEqual(5000)
  })

  test('with a version it counts as records with one', async () => {
    const on = ledger()
    await writeFile(join(folder, 'one.jsonl'), lines(1))
    const versioned = (version: number): object => batch([`file://${folder}/one.jsonl`], { version })
    await loaded(on, [schemaOf('a'), versioned(1), activate('a', 1)])
    await loaded(on, [schemaOf('a'), versioned(2), activate('a', 2)])
    expect(idsOf(on.published)).toEqual(['a 1.0'])
    await expect(loaded(on, [schemaOf('a'), versioned(3)])).rejects.toThrow('has not come behind its last record')
  })

  test.each<[string, object, string]>([
    ['a file that is not there', batch(['file:///not/there.jsonl']), 'cannot read /not/there.jsonl'],
    ['a folder', batch(['file:///']), 'cannot read /'],
    ['another format', batch([], { encoding: { format: 'parquet' } }), 'the format "parquet" cannot be read'],
    ['no format', batch([], { encoding: null }), 'cannot be read; jsonl can'],
    ['another compression', batch([], { encoding: { format: 'jsonl', compression: 'zstd' } }), 'compression "zstd"'],
    ['another place', batch(['s3://bucket/one.jsonl']), 's3://bucket/one.jsonl is not on this machine'],
    ['no manifest', batch(undefined), 'a BATCH has no manifest'],
    ['a manifest that is none', batch('file:///x'), 'no list of names'],
    ['no schema', { ...batch([]), stream: 'b' }, 'a BATCH of b comes before its SCHEMA'],
  ])('%s: refused', async (_what, message, why) => {
    const on = ledger()
    await expect(loaded(on, [schemaOf('a'), record('a', 1), message, state({ n: 1 })])).rejects.toThrow(why)
    expect([on.durable, on.published]).toEqual([[], []])
  })

  test('what is no record in it is named by file and line; what is cut off is not taken for whole', async () => {
    const path = join(folder, 'bad.jsonl')
    await writeFile(path, `${lines(1)}{"no":1}\n`)
    const pipe = [schemaOf('a'), batch([path]), state({ n: 1 })]
    await expect(loaded(ledger(), pipe)).rejects.toThrow(`line 2 of ${path}: a record of a has no id, which is a key`)
    const cut = join(folder, 'cut.gz')
    await writeFile(cut, gzipSync(lines(1, 2, 3)).subarray(0, -9))
    const gzipped = batch([cut], { encoding: { format: 'jsonl', compression: 'gzip' } })
    await expect(loaded(ledger(), [schemaOf('a'), gzipped])).rejects.toThrow(`cannot read ${cut}`)
  })
})
