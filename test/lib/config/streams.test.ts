import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { loadConfig } from '../../../lib/config.ts'
import { type DestinationDefinition, defineDestination } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { Connectors } from '../../../lib/registry.ts'
import { defineSource, type SourceDefinition } from '../../../lib/source.ts'
import { connectors, load, pipeline, problemsOf } from '../../support/yaml-config.ts'

const unopened = (): never => {
  throw new Error('a config is loaded without creating anything')
}

/** Reads topics, as kafka does. */
const topical = defineSource({
  summary: 'Has topics.',
  config: z.strictObject({
    topics: z.array(z.strictObject({ name: z.string(), destination_id: z.string() })).min(1),
  }),
  streams: () => [{ name: 'topic' }],
  create: unopened,
})

/** Knows more of a column than its name, as BigQuery does. */
const typed = defineDestination({
  summary: 'Has column lists of its own.',
  config: z.strictObject({
    record_schemas: z
      .array(
        z.looseObject({
          destination_id: z.string(),
          record_schema: z.array(z.looseObject({ name: z.string(), type: z.enum(['INTEGER', 'STRING']) })),
          clustering_keys: z.array(z.string()).optional(),
        }),
      )
      .default([]),
  }),
  tableId: z.string().regex(/^\w+\.\w+\.\w+$/),
  appendOnly: true,
  create: unopened,
})

const table: Connectors = {
  ...connectors,
  sources: { ...connectors.sources, topical: async () => ({ default: topical as SourceDefinition }) },
  destinations: { ...connectors.destinations, typed: async () => ({ default: typed as DestinationDefinition }) },
}

const columns = [{ name: 'id', type: 'INTEGER', mode: 'REQUIRED' }]
const orders = { name: 'orders', source: { topic: 'shop.orders' }, destination: { table_id: 'p.d.orders' } }
const refunds = { name: 'refunds', source: { topic: 'shop.refunds' }, destination: { table_id: 'p.d.refunds' } }
const withColumns = (stream: typeof orders, more: object = {}) => ({
  ...stream,
  destination: { ...stream.destination, record_schema: columns, ...more },
})

function config(
  streams: unknown,
  {
    source = {},
    destination = { name: 'file', config: {} },
    ...rest
  }: { source?: object; destination?: object; engine?: object } = {},
) {
  return {
    name: 'tiny',
    source: { name: 'topical', stream: 'topic', sync_mode: 'stream', ...source },
    destination,
    streams,
    ...rest,
  }
}

const loaded = (given: Record<string, unknown>) => loadConfig(given, ['source', 'destination'], {}, table)

async function said(given: Record<string, unknown>): Promise<string[]> {
  const error: unknown = await loaded(given).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error === undefined) return []
  if (!(error instanceof BizonError) || error.code !== 'config') throw error
  return error.message.split('\n').map((line) => line.replace('<config> ', ''))
}

describe('what streams say is copied', () => {
  test('to the topics of the source, each with its target', async () => {
    const { source } = await loaded(
      config([orders, refunds, { ...orders, name: 'x', source: {}, destination: { table_id: 'x' } }]),
    )
    expect(source.options).toEqual({
      topics: [
        { name: 'shop.orders', destination_id: 'p.d.orders' },
        { name: 'shop.refunds', destination_id: 'p.d.refunds' },
      ],
    })
  })

  test('but topics that are given stay, those of a stream with the stream’s target', async () => {
    const topics = [
      { name: 'shop.orders', destination_id: 'elsewhere' },
      { name: 'shop.people', destination_id: 'people' },
    ]
    const { source } = await loaded(config([orders, refunds], { source: { topics } }))
    expect(source.options).toEqual({
      topics: [
        { name: 'shop.orders', destination_id: 'p.d.orders' },
        { name: 'shop.people', destination_id: 'people' },
      ],
    })
  })

  test.each([[[]], [null]])('and topics that are %j are as good as none', async (topics) => {
    const { source } = await loaded(config([orders], { source: { topics } }))
    expect(source.options).toEqual({ topics: [{ name: 'shop.orders', destination_id: 'p.d.orders' }] })
  })

  test('not to a source without topics', async () => {
    const { source } = await loaded(config([orders], { source: { name: 'zoo', stream: 'plants' } }))
    expect(source.options).toEqual({ sleep: 0 })
  })

  test.each([[undefined], [null], [{}], [{ unnest: true }], [{ record_schemas: [] }]])(
    'to the column lists of the destination, with config %j',
    async (inside) => {
      const streams = [withColumns(orders, { clustering_keys: ['id'] }), refunds].slice(
        0,
        inside && 'unnest' in inside ? 1 : 2,
      )
      const { destination } = await loaded(config(streams, { destination: { name: 'file', config: inside } }))
      expect(destination.options.recordSchemas).toEqual([
        { destinationId: 'p.d.orders', columns: [{ name: 'id', type: 'INTEGER' }] },
      ])
    },
  )

  test('as far as the destination knows it', async () => {
    const streams = [withColumns(orders, { clustering_keys: ['id'] })]
    const { destination } = await loaded(config(streams, { destination: { name: 'typed', config: {} } }))
    expect(destination.options).toMatchObject({
      record_schemas: [{ destination_id: 'p.d.orders', record_schema: columns, clustering_keys: ['id'] }],
    })
  })

  test('beside the lists that are given, which stay', async () => {
    const given = [{ destination_id: 'p.d.orders', record_schema: [{ name: 'number', type: 'string' }] }]
    const streams = [withColumns(orders), withColumns(refunds)]
    const { destination } = await loaded(
      config(streams, { destination: { name: 'file', config: { record_schemas: given, unnest: true } } }),
    )
    expect(destination.options.recordSchemas).toEqual([
      { destinationId: 'p.d.orders', columns: [{ name: 'number', type: 'string' }] },
      { destinationId: 'p.d.refunds', columns: [{ name: 'id', type: 'INTEGER' }] },
    ])
  })

  test('and the mapping that was given is not changed', async () => {
    const given = config([withColumns(orders)])
    const before = structuredClone(given)
    await loaded(given)
    expect(given).toEqual(before)
  })
})

describe('the runner', () => {
  test('is stream where there are streams', async () => {
    expect((await loaded(config([orders]))).engine.runner.type).toBe('stream')
    expect((await loaded(config([orders], { engine: { runner: { type: null } } }))).engine.runner.type).toBe('stream')
    expect((await loaded(config([], { source: { name: 'zoo', stream: 'plants' } }))).engine.runner.type).toBe('thread')
  })

  test('must be stream when it is named', async () => {
    expect(await said(config([orders], { engine: { runner: { type: 'stream' } } }))).toEqual([])
    expect(await said(config([orders], { engine: { runner: { type: 'thread' } } }))).toEqual([
      'engine.runner.type: there are streams, which need the runner stream; write stream, or leave it out',
    ])
  })
})

describe('streams are checked:', () => {
  const typedDestination = { name: 'typed', config: { unnest: true } }
  test.each<[string, Record<string, unknown>, string[]]>([
    ['a mapping', config({ orders }), ['streams: expected a list, got a mapping']],
    ['a list of text', config(['orders']), ['streams[0]: expected a mapping, got "orders"']],
    [
      'an unknown key',
      config([{ ...orders, topic: 'x' }]),
      ['streams[0].topic: unknown key; it belongs under "source"'],
    ],
    [
      'sync_mode',
      config([orders], { source: { sync_mode: 'full_refresh' } }),
      ['source.sync_mode: there are streams, which need sync_mode stream'],
    ],
    [
      'no sync_mode',
      config([orders], { source: { sync_mode: null } }),
      ['source.sync_mode: there are streams, which need sync_mode stream'],
    ],
    [
      'the same name',
      config([orders, { ...refunds, name: 'orders' }, { ...orders, destination: { table_id: 'x' } }]),
      ['streams[1].name: "orders" is taken by streams[0]', 'streams[2].name: "orders" is taken by streams[0]'],
    ],
    [
      'the same target',
      config([orders, { ...refunds, destination: orders.destination }]),
      ['streams[1].destination.table_id: "p.d.orders" is taken by streams[0]'],
    ],
    [
      'the same column',
      config([{ ...orders, destination: { ...orders.destination, record_schema: [...columns, ...columns] } }]),
      ['streams[0].destination.record_schema[1].name: there is a column of this name already'],
    ],
    [
      'a target that the destination does not take',
      config([{ ...orders, destination: { table_id: 'orders' } }], { destination: { name: 'typed', config: {} } }),
      ['streams[0].destination.table_id: does not match /^\\w+\\.\\w+\\.\\w+$/, got "orders"'],
    ],
    [
      'a column that the destination does not take, where the stream stands',
      config([withColumns(orders), withColumns(refunds, { record_schema: [{ name: 'a', type: 'integer' }] })], {
        destination: typedDestination,
      }),
      [
        'streams[1].destination.record_schema[0].type: expected one of INTEGER, STRING, got "integer"; did you mean "INTEGER"?',
      ],
    ],
    [
      'a stream without columns beside unnest',
      config([withColumns(orders), refunds], { destination: typedDestination }),
      ['streams[1].destination.record_schema: is required, since destination.config.unnest is true'],
    ],
    [
      'no columns at all beside unnest',
      config([orders], { destination: { name: 'file', config: { unnest: 'yes' } } }),
      ['streams[0].destination.record_schema: is required, since destination.config.unnest is true'],
    ],
    ['no source', { ...config([orders]), source: null }, ['source: is required']],
    ['no topic where one is needed', config([{ ...orders, source: {} }]), ['source.topics: is required']],
  ])('%s', async (_title, given, expected) => {
    expect(await said(given)).toEqual(expected)
  })

  test('BigQuery counts the parts of a table', async () => {
    const yaml = (id: string) =>
      pipeline({
        source: 'source: {name: zoo, stream: plants, sync_mode: stream}\n',
        destination: 'destination:\n  name: bigquery_streaming\n  config: {project_id: p, dataset_id: d}\n',
        rest: `streams:\n  - name: a\n    destination: {table_id: "${id}"}\n`,
      })
    const problem = async (id: string) => (await problemsOf(yaml(id))).filter((line) => line.includes('table_id'))
    const at = 'config.yml:8:29 streams[0].destination.table_id: expected project.dataset.table, got'
    expect(await problem('p.d.t')).toEqual([])
    expect(await problem('t')).toEqual([`${at} 1 part`])
    expect(await problem('p.d.t.x')).toEqual([`${at} 4 parts`])
    expect(await problem('..')).toEqual([`${at} an empty part`])
  })
})

describe('a destination that can only add rows', () => {
  const source = { topics: [{ name: 'a', destination_id: 'a' }] }
  const only = (keys: object) =>
    config([], { source: { ...source, ...keys }, destination: { name: 'typed', config: {} } })

  test('refuses a reset', async () => {
    const plants = { name: 'zoo', stream: 'plants', sync_mode: 'incremental', reset: 'yes' }
    expect(await said({ ...only({}), source: plants })).toEqual(['source.reset: destination "typed" can only add rows'])
    expect(await said({ ...only({}), source: { ...plants, reset: false } })).toEqual([])
  })

  test('but not where a reset means nothing', async () => {
    expect(await said(only({ reset: true }))).toEqual([])
  })
})

test('a place in the file is told for what was copied', async () => {
  const yaml = pipeline({
    source: 'source: {name: zoo, stream: plants, sync_mode: stream}\n',
    destination: 'destination: {name: file, config: {unnest: true}}\n',
    rest: 'streams:\n  - name: a\n    destination:\n      table_id: a\n      record_schema: [{name: x}]\n',
  })
  expect(await problemsOf(yaml)).toEqual(['config.yml:8:23 streams[0].destination.record_schema[0].type: is required'])
  const fixed = await load(yaml.replace('{name: x}', '{name: x, type: s}'))
  expect(fixed.destination.options.recordSchemas).toEqual([{ destinationId: 'a', columns: [{ name: 'x', type: 's' }] }])
})
