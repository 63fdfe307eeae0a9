// What a Singer target must do, whatever tap stands before it.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { load } from '../../../lib/load.ts'
import { FromPipe, type FromPipeOptions } from '../../../lib/pipe/from.ts'
import { pipeline } from '../../../lib/pipeline.ts'
import { testConfig } from '../../support/engine.ts'
import { type Ledger, ledger, ledgerDestination } from '../../support/ledger.ts'
import { scriptedSource } from '../../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-singer-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

type Line = object | string

interface Loading extends FromPipeOptions {
  readonly chunkBytes?: number
  readonly checkpointPages?: number
  readonly interfere?: (step: string) => void
}

/** Loads the lines; resolves to the STATE values that were told and the warnings. */
async function loaded(on: Ledger, lines: readonly Line[], options: Loading = {}) {
  const { chunkBytes = 1 << 16, checkpointPages = 1, interfere, ...from } = options
  const text = lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('')
  const config = await testConfig({
    folder,
    source: scriptedSource({ pages: [] }),
    destination: ledgerDestination(on, interfere),
    checkpointPages,
  })
  const said: string[] = []
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  const log = { trace() {}, debug() {}, info() {}, warn, error() {} }
  const bytes = Buffer.from(text)
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield Buffer.from(bytes.subarray(at, at + chunkBytes))
  }
  const pipe = new FromPipe(chunks(), config, { acknowledged: (value) => void said.push(value.toString()), ...from })
  const outcome = await pipeline(pipe, load(config), { log })
  await pipe.settled()
  return { outcome, said, warnings }
}

const schemaOf = (stream: string, more: object = {}) => ({
  type: 'SCHEMA',
  stream,
  schema: { type: 'object', properties: { id: { type: 'integer' } } },
  key_properties: ['id'],
  ...more,
})
const record = (stream: string, id: number, more: object = {}) => ({ type: 'RECORD', stream, record: { id }, ...more })
const state = (value: unknown) => ({ type: 'STATE', value })
const activate = (stream: string, version: number) => ({ type: 'ACTIVATE_VERSION', stream, version })
const idsOf = (rows: Ledger['published']): string[] => rows.map(({ stream, id }) => `${stream} ${id}`).sort()

describe('streams', () => {
  test('several at once, each in its order, in few pages', async () => {
    const on = ledger()
    const turns = Array.from({ length: 1000 }, (_, n) => [record('a', n), record('b', n)]).flat()
    await loaded(on, [schemaOf('a'), schemaOf('b'), ...turns, state({ at: 1 })])
    expect(on.published.filter(({ stream }) => stream === 'a').map(({ id }) => Number(id))).toEqual(
      Array.from({ length: 1000 }, (_, n) => n),
    )
    expect(on.published).toHaveLength(2000)
    expect(on.pages.length).toBeLessThan(10)
    expect(on.pages.every(({ stream, records }) => stream !== undefined || records === 0)).toBe(true)
  })

  test('a SCHEMA that is repeated changes nothing; one that changed holds for what follows', async () => {
    const on = ledger()
    const wider = { schema: { type: 'object', properties: { id: { type: 'integer' }, name: { type: 'string' } } } }
    await loaded(on, [
      schemaOf('a'),
      record('a', 1),
      schemaOf('a'),
      record('a', 2),
      schemaOf('a', wider),
      record('a', 3),
      state({ at: 1 }),
    ])
    expect(idsOf(on.published)).toEqual(['a 1', 'a 2', 'a 3'])
    expect(
      on.pages.filter(({ records }) => records > 0).map(({ stream, records }) => [stream?.schema, records]),
    ).toEqual([
      [schemaOf('a').schema, 2],
      [wider.schema, 1],
    ])
  })

  test('keys are the id; without key_properties the records are numbered', async () => {
    const on = ledger()
    const two = { schema: {}, key_properties: ['id', 'kind'] }
    await loaded(on, [
      schemaOf('a', two),
      { type: 'RECORD', stream: 'a', record: { kind: 'x', id: 7 } },
      schemaOf('b', { key_properties: undefined }),
      record('b', 7),
      schemaOf('c', { key_properties: [] }),
      record('c', 7, { time_extracted: '2026-01-02T03:04:05.000006Z' }),
    ])
    expect(on.published.map(({ stream, id }) => [stream, id])).toEqual([
      ['a', '7_x'],
      ['b', '1'],
      ['c', '2'],
    ])
    expect(on.published[2]?.timestamp).toBe('2026-01-02T03:04:05.000006Z')
    expect(on.pages[0]?.stream?.primaryKey).toEqual(['id', 'kind'])
  })

  test('key_properties inside the schema say nothing, and that is told', async () => {
    const on = ledger()
    const inside = { schema: { type: 'object', properties: {}, key_properties: ['id'] }, key_properties: undefined }
    const { warnings } = await loaded(on, [schemaOf('a', inside), record('a', 7)])
    expect(warnings).toEqual([expect.stringContaining('key_properties of a is inside its schema')])
    expect(idsOf(on.published)).toEqual(['a 1'])
  })

  test('types are read in any case, and those that nobody knows are passed over once aloud', async () => {
    const on = ledger()
    const { warnings, said } = await loaded(on, [
      { ...schemaOf('a'), type: 'schema' },
      { ...record('a', 1), type: 'Record' },
      { type: 'METRIC', value: 1 },
      { type: 'Metric', value: 2 },
      { ...state({ at: 1 }), type: 'state' },
    ])
    expect(idsOf(on.published)).toEqual(['a 1'])
    expect(said).toEqual(['{"at":1}'])
    expect(warnings).toEqual(['messages of type METRIC are passed over; the first is line 3'])
  })
})

describe('refused, and nothing of its page is durable:', () => {
  const before = [schemaOf('a'), record('a', 1), state({ at: 1 }), record('a', 2)]
  test.each<[string, Line, string]>([
    ['a RECORD without a SCHEMA', record('b', 1), 'line 5 of the pipe: a RECORD of b comes before its SCHEMA'],
    ['a record without a key', { type: 'RECORD', stream: 'a', record: { n: 1 } }, 'has no id, which is a key'],
    [
      'a RECORD that is none',
      { type: 'RECORD', stream: 'a', record: [1] },
      'line 5 of the pipe: a RECORD has no record',
    ],
    ['a line that is no JSON', 'INFO starting', 'it is no JSON object, from byte 1 on: INFO starting'],
    ['a SCHEMA without a stream', { type: 'SCHEMA', schema: {} }, 'a SCHEMA has no stream'],
    ['keys that are no names', schemaOf('a', { key_properties: 'id' }), 'key_properties of a is no list of names'],
    ['a STATE without a value', { type: 'STATE' }, 'a STATE has no value'],
    ['a schema of a list', schemaOf('c', { schema: { type: 'array' } }), 'its type is "array", not object'],
    [
      'a schema of unknown types',
      schemaOf('c', { schema: { properties: { at: { type: 'date' } } } }),
      'at has an unknown',
    ],
    ['properties that are a list', schemaOf('c', { schema: { type: 'object', properties: [] } }), 'are no object'],
    ['a property that is no schema', schemaOf('c', { schema: { properties: { at: 'string' } } }), 'at is "string"'],
    ['an empty list of types', schemaOf('c', { schema: { type: [] } }), 'not object'],
    ['a broken anyOf', schemaOf('c', { schema: { properties: { x: { anyOf: {} } } } }), 'x has an "anyOf"'],
    [
      'a deep one',
      schemaOf('c', { schema: { properties: { x: { items: { type: 'x' } } } } }),
      'x[] has an unknown type',
    ],
  ])('%s', async (_what, line, message) => {
    const on = ledger()
    await expect(loaded(on, [...before, line, state({ at: 2 })])).rejects.toThrow(message)
    expect(idsOf(on.durable)).toEqual(['a 1'])
    expect(on.published).toEqual([])
  })

  test.each([
    [{ type: ['null', 'object'], properties: {} }],
    [{}],
    [{ properties: { a: true, b: { type: ['null', 'string'], format: 'date-time' }, c: { items: [{}, {}] } } }],
    [{ type: 'object', properties: { a: { anyOf: [{ type: 'null' }, { type: 'number', multipleOf: 1e-10 }] } } }],
    [{ type: 'object', additionalProperties: false, properties: { a: { type: 'object', required: ['x'] } } }],
  ])('but not the schema %j', async (schema) => {
    const on = ledger()
    await loaded(on, [schemaOf('a', { schema }), record('a', 1)])
    expect(idsOf(on.published)).toEqual(['a 1'])
  })
})

describe('STATE', () => {
  test('is told byte for byte once all before it is durable, the newest of what became so together', async () => {
    const on = ledger()
    const durable: [string, number][] = []
    const acknowledged = (value: { toString(): string }): void =>
      void durable.push([value.toString(), on.durable.length + on.published.length])
    const lines = [1, 2, 3, 4, 5].flatMap((n) => [
      record(n % 2 ? 'a' : 'b', n),
      `{"type":"STATE","value":{"n" : ${n}.0}}`,
    ])
    await loaded(on, [schemaOf('a'), schemaOf('b'), ...lines], { checkpointPages: 2, acknowledged })
    expect(durable).toEqual([
      ['{"n" : 2.0}', 2],
      ['{"n" : 4.0}', 4],
      ['{"n" : 5.0}', 5 + 5],
    ])
  })

  test('is not told when what comes before it does not become durable', async () => {
    const on = ledger()
    const said: string[] = []
    let flushes = 0
    const interfere = (step: string): void => {
      if (step === 'flush' && ++flushes === 2) throw new Error('disk full')
    }
    const acknowledged = (value: { toString(): string }): void => void said.push(value.toString())
    const lines = [schemaOf('a'), record('a', 1), state({ n: 1 }), record('a', 2), state({ n: 2 })]
    await expect(loaded(on, lines, { acknowledged, interfere })).rejects.toThrow('disk full')
    expect(said).toEqual(['{"n":1}'])
  })

  test('that holds nothing is not told: it would take the place of one that somebody keeps', async () => {
    const on = ledger()
    const lines = [schemaOf('a'), record('a', 1), state({ n: 1 }), record('a', 2), state({}), state(null)]
    expect((await loaded(on, lines)).said).toEqual(['{"n":1}'])
    expect((await loaded(ledger(), [schemaOf('a'), record('a', 1), state({})])).said).toEqual([])
    expect((await loaded(ledger(), [state(null)])).said).toEqual([])
  })

  test('that came last is told once, also when records follow it', async () => {
    const { said } = await loaded(ledger(), [schemaOf('a'), state({ n: 1 }), record('a', 2)])
    expect(said).toEqual(['{"n":1}'])
  })
})

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
