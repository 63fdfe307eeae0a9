// What a Singer target must do, whatever tap stands before it.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Ledger, ledger } from '../../support/ledger.ts'
import { idsOf, type Line, type Loading, loadSinger, record, schemaOf, state } from '../../support/singer.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-singer-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const loaded = (on: Ledger, lines: readonly Line[], options: Loading = {}) => loadSinger(folder, on, lines, options)

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
