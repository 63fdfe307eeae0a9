// Whoever looks a key up, in the docs or in the editor, finds what it is for: in a sentence, with its default.

import { expect, test } from 'vitest'
import { lenient } from '../../lib/config/json-schema-lenient.ts'
import { type JsonSchema, jsonSchemaOf, mapInner } from '../../lib/config/json-schema-of.ts'
import { pipelineSchema } from '../../lib/config/schema.ts'
import { blocks } from './config-page.ts'
import { everyConnector } from './connector-pages.ts'

const connectors = await everyConnector()
const described: readonly (readonly [string, JsonSchema])[] = [
  ['the whole file', jsonSchemaOf(pipelineSchema)],
  ...blocks().map(({ title, schema }) => [title, schema] as const),
  ...connectors.map(({ kind, name, own }) => [`${kind} ${name}`, own] as const),
]

/** Every key at any depth, by its path. */
function keysIn(schema: JsonSchema, path = ''): (readonly [string, JsonSchema])[] {
  const own = Object.entries(schema.properties ?? {}).map(([key, inner]) => [`${path}.${key}`, inner] as const)
  const found: (readonly [string, JsonSchema])[] = [...own]
  const properties = new Map(own.map(([place, inner]) => [inner, place]))
  mapInner(schema, (inner) => {
    found.push(...keysIn(inner, properties.get(inner) ?? path))
    return inner
  })
  return found
}

test.each(described)('%s: every key has a description that ends with a full stop', (_, schema) => {
  const keys = keysIn(schema)
  expect(keys.filter(([, { description }]) => !/\S.*\.$/s.test(description ?? '')).map(([path]) => path)).toEqual([])
})

test.each(described)('%s: an editor is told every default', (_, schema) => {
  const hasDefault = ({ default: value }: JsonSchema) => value !== undefined && value !== ''
  const silent = keysIn(schema).filter(
    ([, inner]) =>
      hasDefault(inner) && typeof inner.default !== 'object' && !/Default/.test(lenient(inner).description ?? ''),
  )
  expect(silent.map(([path]) => path)).toEqual([])
})

test.each(connectors)('$kind $name says in one sentence what it is', ({ summary }) => {
  expect(summary).toMatch(/^[A-Z].*\.$/)
})
