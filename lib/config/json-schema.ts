// The JSON Schema of a whole pipeline file, for editors: the common schemas beside those of every connector, one
// branch for each, chosen by its name. Where it takes more than the loader does, the loader has the last word.

import {
  brokerConfigs,
  type Connectors,
  listDestinations,
  listPlannedDestinations,
  listPlannedSources,
  listSources,
  plannedEngine,
} from '../registry.ts'
import type { StreamInfo } from '../source.ts'
import { IGNORED as IGNORED_AT_TOP } from './blocks.ts'
import { OVERRIDABLE } from './connector.ts'
import { IGNORED as IGNORED_BESIDE_TYPE } from './engine.ts'
import { lenient, lenientDefinitions } from './json-schema-lenient.ts'
import { type JsonSchema, jsonSchemaOf, mapInner, onlyIf, withKeys } from './json-schema-of.ts'
import { type DestinationShape, notBuilt, type Release, type SourceShape } from './planned.ts'
import { destinationConfigSchema, destinationSchema, engineSchemaWith, pipelineSchema, sourceSchema } from './schema.ts'

/** A connector by its name; with `release`, one that is not built yet. */
interface Described<Shape> {
  readonly name: string
  readonly shape: Shape
  readonly release?: string
}

/** Every source that a file may name: those that are there, then those that are planned. */
export async function everySource(connectors?: Connectors): Promise<readonly Described<SourceShape>[]> {
  const built = (await listSources(connectors)).map(({ name, definition }) => ({ name, shape: definition }))
  return [...built, ...(await listPlannedSources(connectors))]
}

/** Every destination that a file may name: those that are there, then those that are planned. */
export async function everyDestination(connectors?: Connectors): Promise<readonly Described<DestinationShape>[]> {
  const built = (await listDestinations(connectors)).map(({ name, definition }) => ({ name, shape: definition }))
  return [...built, ...(await listPlannedDestinations(connectors))]
}

/** As `bizon schema` prints it. */
export async function pipelineJsonSchema(connectors?: Connectors): Promise<JsonSchema & { readonly $schema: string }> {
  const source = jsonSchemaOf(sourceSchema)
  const sources = (await everySource(connectors)).map((one) => sourceBranch(source, one))
  const destination = jsonSchemaOf(destinationSchema)
  const destinations = (await everyDestination(connectors)).map((one) => destinationBranch(destination, one))
  const top = jsonSchemaOf(pipelineSchema)
  const described = (key: string) => notesOf(keyOf(top, key))
  const blocks = {
    source: { ...described('source'), ...choice(sources, customs('source', source)) },
    destination: { ...described('destination'), ...choice(destinations, customs('destination', destination)) },
    engine: { ...(await engine(connectors)), ...described('engine') },
    ...ignoredKeys(IGNORED_AT_TOP),
  }
  const { schema, definitions } = hoisted(
    withKeys(top, { properties: blocks, required: ['name', 'source', 'destination'] }),
  )
  const common = {
    source: lenient(source),
    destination: lenient(destination),
    'destination.config': lenient(jsonSchemaOf(destinationConfigSchema)),
  }
  const document = {
    ...lenient(schema),
    definitions: mapInner({ definitions }, (one) => lenient(one)).definitions ?? {},
  }
  const { definitions: found, ...rest } = shared(document, common)
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'bizon pipeline',
    ...rest,
    // One end is enough for bizon-extract or bizon-load.
    required: ['name'],
    anyOf: [{ required: ['source'] }, { required: ['destination'] }],
    definitions: { ...lenientDefinitions, ...found },
  }
}

const keyOf = (schema: JsonSchema, key: string): JsonSchema => schema.properties?.[key] ?? {}

function notesOf({ title, description }: JsonSchema): JsonSchema {
  return { ...(title !== undefined && { title }), ...(description !== undefined && { description }) }
}

/** The common keys beside a connector's own. A key of both must fit both, unless the connector may reshape it. */
function withOwnKeys(common: JsonSchema, own: JsonSchema): JsonSchema {
  const shared = Object.entries(own.properties ?? {})
    .filter(([key]) => common.properties?.[key] && !OVERRIDABLE.includes(key))
    .map(([key, schema]) => [key, { ...notesOf(schema), allOf: [keyOf(common, key), schema] }])
  return withKeys(withKeys(common, own), { properties: Object.fromEntries(shared) })
}

function sourceBranch(common: JsonSchema, { name, shape, release }: Described<SourceShape>): JsonSchema {
  const own = named(jsonSchemaOf(shape.config), `source.${name}`)
  const keys = withKeys(withOwnKeys(common, own), {
    properties: { stream: streamKey(keyOf(common, 'stream'), shape.streams()), ...ignoredKeys(shape.ignored) },
  })
  // The loader has them from `streams`.
  const required = keys.required?.filter((key) => key !== 'topics')
  return branch('source', name, summaryOf(name, shape.summary, release), { ...keys, ...(required && { required }) })
}

function destinationBranch(common: JsonSchema, { name, shape, release }: Described<DestinationShape>): JsonSchema {
  const own = named(jsonSchemaOf(shape.config), `destination.${name}`)
  const inner = withKeys(withOwnKeys(jsonSchemaOf(destinationConfigSchema), own), {
    properties: ignoredKeys(shape.ignored),
  })
  const config = { ...notesOf(keyOf(common, 'config')), ...inner }
  const keys = withKeys(common, {
    properties: { config, ...ignoredKeys(shape.ignoredBeside) },
    ...(inner.required && { required: ['config'] }),
  })
  return branch('destination', name, summaryOf(name, shape.summary, release), keys)
}

function summaryOf(name: string, summary: string, release?: string): string {
  return release === undefined ? summary : `${summary} ${sentence(name, { release })}`
}

const sentence = (name: string, release: Release): string => `(${notBuilt(name, release)}.)`

/**
 * The name is asked first, the rest only where it is right: editors show what is wrong with the branch that fits best,
 * and by the keys alone that could be another connector's.
 */
function branch(kind: string, name: string, summary: string, keys: JsonSchema): JsonSchema {
  const chosen = { properties: { name: { const: name, description: summary } }, required: ['name'] }
  return {
    title: `${kind} ${name}`,
    description: summary,
    type: 'object',
    ...chosen,
    ...onlyIf(chosen, withKeys(keys, chosen)),
  }
}

/** One of the branches. The names stand beside them too, since editors propose what only the best branches hold. */
function choice(branches: readonly JsonSchema[], others: readonly JsonSchema[]): JsonSchema {
  const names = branches.map((one) => keyOf(one, 'name'))
  return { properties: { name: { anyOf: [...names, { type: 'string' }] } }, anyOf: [...branches, ...others] }
}

/** Keys that are accepted with a warning: not proposed, and said to be in vain. */
function ignoredKeys(ignored: Readonly<Record<string, string>> = {}): Readonly<Record<string, JsonSchema>> {
  const keys = Object.entries(ignored)
  return Object.fromEntries(
    keys.map(([key, instead]) => [key, { description: `Has no effect; ${instead}.`, doNotSuggest: true }]),
  )
}

/** `engine`, whose types that are not built yet say so. */
async function engine(connectors?: Connectors): Promise<JsonSchema> {
  const { properties = {}, ...rest } = jsonSchemaOf(engineSchemaWith(await brokerConfigs(connectors)))
  const planned = await plannedEngine(connectors)
  const marked = Object.entries(properties).map(([key, schema]) => {
    const later = key in planned ? planned[key as keyof typeof planned] : {}
    const ignored = key === 'backend' ? { properties: ignoredKeys(IGNORED_BESIDE_TYPE) } : {}
    return [key, { ...withKeys(markedTypes(schema, later), ignored), ...notesOf(schema) }]
  })
  return { ...rest, properties: Object.fromEntries(marked) }
}

function markedTypes(schema: JsonSchema, later: { readonly [type: string]: Release }): JsonSchema {
  const note = (word: unknown) => (later[String(word)] ? sentence(String(word), later[String(word)] as Release) : '')
  const mark = (type: JsonSchema): JsonSchema => ({
    ...type,
    ...(type.const !== undefined && { description: `${type.description ?? ''} ${note(type.const)}`.trim() }),
    ...(type.enum?.some(note) && { enumDescriptions: type.enum.map(note) }),
  })
  const { oneOf, anyOf, properties, ...rest } = schema
  const alternatives = anyOf ?? oneOf
  if (alternatives) return { ...rest, anyOf: alternatives.map((one) => markedTypes(one, later)) }
  const { type } = properties ?? {}
  return { ...rest, ...(properties && { properties: { ...properties, ...(type && { type: mark(type) }) } }) }
}

/** The names that there are, unless any will do or they depend on the config. */
function streamKey(common: JsonSchema, streams: readonly StreamInfo[]): JsonSchema {
  if (streams.length === 0 || streams.some(({ name }) => name === '*')) return common
  const able = (incremental: boolean | undefined) =>
    incremental ? 'Full refresh and incremental.' : 'Full refresh only.'
  return {
    ...notesOf(common),
    enum: streams.map(({ name }) => name),
    enumDescriptions: streams.map(({ incremental }) => able(incremental)),
  }
}

/** A connector in a file of the user's own: any name, and keys that only that file knows. */
function customs(kind: string, common: JsonSchema): readonly JsonSchema[] {
  const path = `${kind}_file_path`
  if (!common.properties?.[path]) return []
  // Keys of a source stand beside the common ones, those of a destination under `config`.
  const keys = withKeys(common, { required: [path], ...(kind === 'source' && { additionalProperties: {} }) })
  const condition = { required: [path] }
  const said = { title: `custom ${kind}`, description: `A ${kind} that the file of ${path} defines.` }
  return [{ ...said, type: 'object', ...condition, ...onlyIf(condition, keys) }]
}

/** With definitions that carry a name of their own, so that they can stand beside those of others. */
function named(schema: JsonSchema, name: string): JsonSchema {
  const rename = (text: string) =>
    text.replace(/^#(?:\/definitions\/(.*))?$/, (_, own) => `#/definitions/${own ? `${name}.${own}` : name}`)
  let isCircular = false
  const walk = (one: JsonSchema): JsonSchema => {
    isCircular ||= one.$ref === '#'
    return { ...mapInner(one, walk), ...(one.$ref !== undefined && { $ref: rename(one.$ref) }) }
  }
  const { definitions = {}, ...rest } = walk(schema)
  const own = Object.entries(definitions).map(([key, one]) => [`${name}.${key}`, one])
  const all = Object.fromEntries(isCircular ? [...own, [name, rest]] : own)
  return Object.keys(all).length === 0 ? rest : { ...rest, definitions: all }
}

/** References can only lead to the definitions of the document. */
function hoisted(schema: JsonSchema): { schema: JsonSchema; definitions: Readonly<Record<string, JsonSchema>> } {
  const found: Record<string, JsonSchema> = {}
  const walk = (one: JsonSchema): JsonSchema => {
    const { definitions, ...rest } = mapInner(one, walk)
    Object.assign(found, definitions)
    return rest
  }
  return { schema: walk(schema), definitions: found }
}

/** Keys that stand in every connector's branch are written once. */
function shared(document: JsonSchema, blocks: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const keys = Object.entries(blocks).flatMap(([block, { properties = {} }]) =>
    Object.entries(properties).map(([key, schema]) => [`${block}.${key}`, schema] as const),
  )
  const names = new Map(keys.map(([name, schema]) => [JSON.stringify(schema), name]))
  const walk = (schema: JsonSchema): JsonSchema => {
    const name = names.get(JSON.stringify(schema))
    return name === undefined ? mapInner(schema, walk) : { $ref: `#/definitions/${name}` }
  }
  const { definitions, ...rest } = walk(document)
  return { ...rest, definitions: { ...Object.fromEntries(keys), ...definitions } }
}
