// The JSON Schema of a pipeline, in what the connectors that are there do not show: recursion, choices, shared keys.

import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { pipelineJsonSchema } from '../../../lib/config/json-schema.ts'
import { lenient, lenientDefinitions } from '../../../lib/config/json-schema-lenient.ts'
import { type JsonSchema, jsonSchemaOf, mapInner } from '../../../lib/config/json-schema-of.ts'
import { type DestinationDefinition, defineDestination } from '../../../lib/destination.ts'
import type { Connectors } from '../../../lib/registry.ts'
import { defineSource, type SourceDefinition, type StreamInfo } from '../../../lib/source.ts'

const never = (): never => {
  throw new Error('a schema is made without creating anything')
}

const sourceOf = (config: z.ZodType, streams: readonly StreamInfo[] = [{ name: '*' }]): SourceDefinition =>
  defineSource({ summary: 'For tests.', config, streams: () => streams, create: never })

const destinationOf = (config: z.ZodType): DestinationDefinition =>
  defineDestination({ summary: 'For tests.', config, create: never })

function withConnectors(
  sources: Readonly<Record<string, SourceDefinition>>,
  destinations: Readonly<Record<string, DestinationDefinition>> = {},
): Connectors {
  const table = <Definition>(entries: Readonly<Record<string, Definition>>) =>
    Object.fromEntries(Object.entries(entries).map(([name, one]) => [name, async () => ({ default: one })]))
  return { sources: table(sources), destinations: table(destinations), stores: {}, queues: {} }
}

/** The keys of the one source there is. */
async function sourceKeys(definition: SourceDefinition): Promise<{ document: JsonSchema; keys: JsonSchema }> {
  const document = await pipelineJsonSchema(withConnectors({ only: definition }))
  return { document, keys: document.properties?.source?.anyOf?.[0]?.then ?? {} }
}

/** Every `$ref` at any depth. */
function references(schema: JsonSchema): string[] {
  const found: string[] = schema.$ref === undefined ? [] : [schema.$ref]
  mapInner(schema, (inner) => {
    found.push(...references(inner))
    return inner
  })
  return found
}

describe('pipelineJsonSchema', () => {
  test('is the same each time', async () => {
    expect(JSON.stringify(await pipelineJsonSchema())).toBe(JSON.stringify(await pipelineJsonSchema()))
  })

  test('has a branch for each connector, by name', async () => {
    const config = z.strictObject({})
    const connectors = withConnectors(
      { one: sourceOf(config), two: sourceOf(config) },
      { three: destinationOf(config) },
    )
    const { properties } = await pipelineJsonSchema(connectors)
    const titles = (key: string) => properties?.[key]?.anyOf?.map(({ title }) => title)
    expect(titles('source')).toEqual(['source one', 'source two', 'custom source'])
    expect(titles('destination')?.[0]).toBe('destination three')
  })

  test('has every definition that it refers to', async () => {
    const document = await pipelineJsonSchema()
    const known = Object.keys(document.definitions ?? {}).map((name) => `#/definitions/${name}`)
    expect(references(document).filter((reference) => !known.includes(reference))).toEqual([])
    expect(references(document).length).toBeGreaterThan(100)
  })

  test('gives the definitions of a recursive connector a name of their own', async () => {
    const node: z.ZodType = z.lazy(() => z.strictObject({ kids: z.array(node).optional() }))
    const { document, keys } = await sourceKeys(sourceOf(z.strictObject({ tree: node, other: node })))
    const [name = ''] = Object.keys(document.definitions ?? {}).filter((key) => key.startsWith('source.only'))
    expect(name).not.toBe('')
    expect(references(keys)).toContain(`#/definitions/${name}`)
    expect(references(document.definitions?.[name] ?? {})).toContain(`#/definitions/${name}`)
  })

  test('a connector that refers to itself as a whole does so in its own definition', async () => {
    const config: z.ZodType = z.strictObject({
      get then_from() {
        return config.optional()
      },
    })
    const { document } = await sourceKeys(sourceOf(config))
    expect(document.definitions?.['source.only']).toBeDefined()
    expect(references(document)).not.toContain('#')
  })

  test('gives each shape of a connector the common keys', async () => {
    const config = z.discriminatedUnion('way', [
      z.strictObject({ way: z.literal('a'), left: z.string() }),
      z.strictObject({ way: z.literal('b'), right: z.string() }),
    ])
    const { keys } = await sourceKeys(sourceOf(config))
    const shapes = keys.anyOf?.map(({ properties = {} }) => Object.keys(properties)) ?? []
    expect(shapes).toHaveLength(2)
    for (const [i, own] of ['left', 'right'].entries()) {
      expect(shapes[i]).toEqual(expect.arrayContaining([own, 'way', 'name', 'stream', 'sync_mode']))
    }
  })

  test('a connector may reshape some common keys, and narrow the others', async () => {
    const config = z.strictObject({ api_config: z.literal('mine'), max_iterations: z.number().max(5).optional() })
    const { keys } = await sourceKeys(sourceOf(config))
    expect(JSON.stringify(keys.properties?.api_config)).toContain('"mine"')
    expect(JSON.stringify(keys.properties?.api_config)).not.toContain('retry_limit')
    expect(keys.properties?.max_iterations?.anyOf?.[0]?.allOf).toHaveLength(2)
  })

  test('lists the streams only where the names are known', async () => {
    const known = await sourceKeys(sourceOf(z.strictObject({}), [{ name: 'a', incremental: true }, { name: 'b' }]))
    expect(known.keys.properties?.stream?.anyOf?.[0]).toMatchObject({ enum: ['a', 'b'] })
    for (const streams of [[{ name: '*' }], []]) {
      const { keys } = await sourceKeys(sourceOf(z.strictObject({}), streams))
      expect(JSON.stringify(keys.properties?.stream)).not.toContain('enum')
    }
  })
})

describe('jsonSchemaOf', () => {
  test.each([
    ['an object takes no other keys', z.object({ a: z.string() }), { additionalProperties: false }],
    ['a loose one does', z.looseObject({ a: z.string() }), { additionalProperties: {} }],
    ['an integer has only bounds that somebody chose', z.int().min(1), { type: 'integer', minimum: 1 }],
    [
      'what is looked at first has the shape that is checked',
      z.preprocess((it) => it, z.boolean()),
      { type: 'boolean' },
    ],
    ['a date is text', z.union([z.number(), z.date()]), { type: ['number', 'string'] }],
    ['a refinement cannot be said', z.string().refine(() => false), { type: 'string' }],
  ])('%s', (_, schema, expected) => {
    expect(jsonSchemaOf(schema)).toMatchObject(expected)
    expect(jsonSchemaOf(schema)).not.toHaveProperty('maximum')
  })

  test('an intersection is one mapping, so that its parts do not forbid each other', () => {
    const schema = jsonSchemaOf(z.intersection(z.object({ a: z.string() }), z.object({ b: z.string().optional() })))
    expect(schema).toMatchObject({ required: ['a'], additionalProperties: false })
    expect(Object.keys(schema.properties ?? {})).toEqual(['a', 'b'])
    expect(schema).not.toHaveProperty('allOf')
  })
})

describe('what is taken besides', () => {
  const pattern = (name: 'reference' | 'integerText' | 'numberText') =>
    new RegExp(lenientDefinitions[name].pattern, 'u')

  test.each([
    [
      'reference',
      ['env://A', ' gsm://a/versions/2', 'file:///run/secrets/a', 'x${env://A}y', 'BIZON_ENV_A'],
      ['a', 'http://a'],
    ],
    ['integerText', ['1', ' -12 ', '1e3', '2.0', 'env://A'], ['1.5', 'one', '']],
    ['numberText', ['1', '.5', '1.5e-3', '${env://A}'], ['one', '1,5', '']],
  ] as const)('%s', (name, taken, refused) => {
    for (const text of taken) expect(text).toMatch(pattern(name))
    for (const text of refused) expect(text).not.toMatch(pattern(name))
  })

  test('nothing, for a key that has a default, and only for that', () => {
    const schema = lenient({ properties: { a: { type: 'string' }, b: { type: 'string' } }, required: ['a'] })
    expect(schema.properties?.a).toEqual({ type: 'string' })
    expect(schema.properties?.b?.anyOf?.at(-1)).toEqual({ $ref: '#/definitions/nothing' })
  })

  test('the description stays outside, with the default that it does not tell', () => {
    const { description, anyOf } = lenient({ type: 'integer', description: 'Rows.', default: 3 })
    expect(description).toBe('Rows. Default `3`.')
    expect(anyOf?.[0]).not.toHaveProperty('description')
  })
})
