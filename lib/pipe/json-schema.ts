// Whether a SCHEMA describes records at all. What it asks of their values is not checked: the destination's types are
// what counts.

import type { Json, JsonObject } from '../record.ts'
import { isMapping } from '../references.ts'

const TYPES: readonly unknown[] = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object']
const MOST_LEVELS = 100

/** What is wrong with the schema of a stream, in words; undefined: nothing. */
export function problemOfSchema(schema: JsonObject): string | undefined {
  const types = typesOf(schema.type)
  if (types !== undefined && !types.includes('object')) return `its type is ${JSON.stringify(schema.type)}, not object`
  return problemIn(schema, '')
}

function problemIn(schema: Json, path: string, level = 0): string | undefined {
  if (typeof schema === 'boolean') return undefined // everything, or nothing
  const where = path === '' ? 'it' : path
  if (!isMapping(schema)) return `${where} is ${JSON.stringify(schema)}, not a schema`
  if (level > MOST_LEVELS) return `it is nested more than ${MOST_LEVELS} levels deep`
  const { type, properties, required, items, additionalProperties } = schema as JsonObject
  const types = typesOf(type)
  if (types?.length === 0) return `${where} has an empty list of types`
  const unknown = types?.find((each) => !TYPES.includes(each))
  if (unknown !== undefined) return `${where} has an unknown type ${JSON.stringify(unknown)}`
  if (required !== undefined && typeof required !== 'boolean' && !isListOfNames(required)) {
    return `${where} has a "required" that is no list of names`
  }
  if (properties !== undefined && !isMapping(properties)) return `the properties of ${where} are no object`
  const inner: [string, Json][] = Object.entries((properties ?? {}) as JsonObject).map(([name, one]) => [
    path === '' ? name : `${path}.${name}`,
    one,
  ])
  if (items !== undefined) {
    const each = Array.isArray(items) ? (items as Json[]) : [items]
    inner.push(...each.map((one): [string, Json] => [`${path}[]`, one]))
  }
  if (additionalProperties !== undefined) inner.push([`${path}.*`, additionalProperties])
  for (const key of ['anyOf', 'oneOf', 'allOf'] as const) {
    const list = (schema as JsonObject)[key]
    if (list === undefined) continue
    if (!Array.isArray(list)) return `${where} has an ${JSON.stringify(key)} that is no list`
    inner.push(...list.map((one): [string, Json] => [path, one]))
  }
  for (const [at, one] of inner) {
    const problem = problemIn(one, at, level + 1)
    if (problem !== undefined) return problem
  }
  return undefined
}

function typesOf(type: Json | undefined): readonly Json[] | undefined {
  if (type === undefined) return undefined
  return Array.isArray(type) ? type : [type as Json]
}

export function isListOfNames(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string')
}
