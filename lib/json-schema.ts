// The JSON Schema of a whole pipeline file, for editors: the common schemas beside those of every connector, one
// branch for each, chosen by its name. Where it takes more than the loader does, the loader has the last word.

import { OVERRIDABLE } from './config-connector.ts'
import {
  destinationConfigSchema,
  destinationSchema,
  engineSchema,
  pipelineSchema,
  sourceSchema,
} from './config-schema.ts'
import { lenient, lenientDefinitions } from './json-schema-lenient.ts'
import { type JsonSchema, jsonSchemaOf, mapInner, withKeys } from './json-schema-of.ts'
import { type Connectors, listDestinations, listSources } from './registry.ts'
import type { StreamInfo } from './source.ts'

/** As `bizon schema` prints it. */
export async function pipelineJsonSchema(connectors?: Connectors): Promise<JsonSchema & { readonly $schema: string }> {
  const source = jsonSchemaOf(sourceSchema)
  const sources = (await listSources(connectors)).map(({ name, definition }) => {
    const own = named(jsonSchemaOf(definition.config), `source.${name}`)
    const streams = { properties: { stream: streamKey(keyOf(source, 'stream'), definition.streams()) } }
    return branch('source', name, definition.summary, withKeys(withOwnKeys(source, own), streams))
  })
  const destination = jsonSchemaOf(destinationSchema)
  const destinations = (await listDestinations(connectors)).map(({ name, definition }) => {
    const own = named(jsonSchemaOf(definition.config), `destination.${name}`)
    const config = {
      ...notesOf(keyOf(destination, 'config')),
      ...withOwnKeys(jsonSchemaOf(destinationConfigSchema), own),
    }
    const needed = config.required ? { required: ['config'] } : {}
    return branch('destination', name, definition.summary, withKeys(destination, { properties: { config }, ...needed }))
  })

  const top = jsonSchemaOf(pipelineSchema)
  const blocks = {
    source: { ...notesOf(keyOf(top, 'source')), anyOf: [...sources, ...customs('source', source)] },
    destination: {
      ...notesOf(keyOf(top, 'destination')),
      anyOf: [...destinations, ...customs('destination', destination)],
    },
    engine: { ...jsonSchemaOf(engineSchema), ...notesOf(keyOf(top, 'engine')) },
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

function branch(kind: string, name: string, summary: string, keys: JsonSchema): JsonSchema {
  const chosen = withKeys(keys, { properties: { name: { const: name, description: summary } } })
  return { title: `${kind} ${name}`, description: summary, ...chosen }
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
  const keys = withKeys(common, { required: [path], additionalProperties: {} })
  return [{ title: `custom ${kind}`, description: `A ${kind} that the file of ${path} defines.`, ...keys }]
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
