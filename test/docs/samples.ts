// Pipelines that try every key of a schema with values that fit and values that do not, one at a time. Whether one
// fits is not said here: two programs are asked, and must agree.

import type { JsonSchema } from '../../lib/config/json-schema-of.ts'
import type { Json, JsonObject } from '../../lib/record.ts'

export interface Sample {
  /** `max_record_bytes: -1`. */
  readonly what: string
  readonly keys: JsonObject
}

/** Says of a mapping whether it is tried elsewhere. */
export type Known = (mapping: JsonSchema) => boolean

/** Mappings that fit the schema but for one key, or quite. Each holds what is required. */
export function samplesOf(schema: JsonSchema, path = '', isKnown: Known = () => false): Sample[] {
  const alternatives = schema.anyOf ?? schema.oneOf
  if (alternatives) return alternatives.flatMap((one) => samplesOf(one, path, isKnown))
  const { properties = {}, required = [] } = schema
  const least = leastOf(schema)
  const whole = { what: `${path}: what is required`, keys: least }
  const misspelt = { what: `${path}.misspelt: 1`, keys: { ...least, misspelt: 1 } }
  const without = required.map((key) => ({ what: `no ${path}.${key}`, keys: without1(least, key) }))
  const tried = Object.entries(properties).flatMap(([key, inner]) => [
    ...valuesFor(inner, key).map((value) => ({
      what: `${path}.${key}: ${JSON.stringify(value)}`,
      keys: { ...least, [key]: value },
    })),
    ...insideOf(inner, `${path}.${key}`, isKnown).map(({ what, value }) => ({
      what,
      keys: { ...least, [key]: value },
    })),
  ])
  return [whole, misspelt, ...without, ...tried]
}

const without1 = (keys: JsonObject, key: string): JsonObject =>
  Object.fromEntries(Object.entries(keys).filter(([name]) => name !== key))

/** The same of the mappings within. */
function insideOf(schema: JsonSchema, path: string, isKnown: Known): { what: string; value: Json }[] {
  const alternatives = schema.anyOf ?? schema.oneOf
  if (alternatives) return alternatives.flatMap((one) => insideOf(one, path, isKnown))
  if (schema.items)
    return insideOf(schema.items, `${path}[]`, isKnown).map(({ what, value }) => ({ what, value: [value] }))
  const { additionalProperties: values } = schema
  if (schema.properties === undefined && typeof values === 'object') {
    return insideOf(values, `${path}.${NAME}`, isKnown).map(({ what, value }) => ({ what, value: { [NAME]: value } }))
  }
  if (schema.properties === undefined || isKnown(schema)) return []
  return samplesOf(schema, path, isKnown).map(({ what, keys }) => ({ what, value: keys }))
}

/** A key of a mapping that takes any; also the name of a stream that takes any. */
export const NAME = 'records'

/** What must be there, and nothing else. */
export function leastOf(schema: JsonSchema): JsonObject {
  const [{ properties = {}, required = [] } = {}] = schema.anyOf ?? schema.oneOf ?? [schema]
  return Object.fromEntries(required.map((key) => [key, valueFor(properties[key] ?? {}, key)]))
}

/** What could stand there: the example that the schema gives, else a word that says what is meant. */
function valueFor(schema: JsonSchema, key: string): Json {
  const { examples, enum: words, const: only, default: fallback, type, format } = schema
  const said = [examples?.[0], only, fallback, words?.[0]].find((value) => value !== undefined)
  if (said !== undefined) return said
  const choice = (schema.anyOf ?? schema.oneOf)?.[0]
  if (choice) return valueFor(choice, key)
  if (type === 'object' && schema.properties) return leastOf(schema)
  const { additionalProperties: values } = schema
  if (type === 'object') return typeof values === 'object' && values.type ? { [NAME]: valueFor(values, NAME) } : {}
  if (type === 'array') return [valueFor(schema.items ?? {}, key)]
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1
  if (type === 'boolean') return true
  if (format === 'uri' || /url$|endpoint$/.test(key)) return `https://api.example/${key.replaceAll('_', '-')}`
  return /secret|password|token|key$/.test(key) ? `env://${key.toUpperCase()}` : `my-${key.replaceAll('_', '-')}`
}

const ANYTHING: readonly Json[] = [null, true, 7, 'words', [], {}, [7]]
/** Only for what can be written as text: what it stands for is unknown here, and would hide that it cannot. */
const REFERENCES: readonly Json[] = ['env://BIZON_NOT_SET', '${env://BIZON_NOT_SET}']

function valuesFor(schema: JsonSchema, key: string): readonly Json[] {
  const values = [...ANYTHING, valueFor(schema, key), ...ownValues(schema), ...(isScalar(schema) ? REFERENCES : [])]
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()]
}

function isScalar({ anyOf, oneOf, type, enum: words, const: only }: JsonSchema): boolean {
  if (words || only !== undefined) return true
  const types = [type ?? []].flat()
  return types.some((one) => !['object', 'array', 'null'].includes(one)) || (anyOf ?? oneOf ?? []).some(isScalar)
}

function ownValues(schema: JsonSchema): readonly Json[] {
  const { anyOf, oneOf, default: fallback, examples = [], enum: words = [], minimum = 1, maximum, type } = schema
  const values = [...examples, ...words, ...(fallback === undefined ? [] : [fallback])]
  const inner = (anyOf ?? oneOf ?? []).flatMap(ownValues)
  const types = [type].flat()
  const isNumber = types.includes('integer') || types.includes('number')
  const numbers = isNumber ? [minimum, minimum - 1, ...(maximum === undefined ? [] : [maximum, maximum + 1])] : []
  const asText = isNumber ? [`${minimum}`, ` ${minimum} `, '1e3', '1.5', 'one'] : []
  const switches = types.includes('boolean') ? ['yes', 'Off', '1', 0, 1, 'maybe'] : []
  return [...values, ...inner, ...numbers, ...asText, ...switches]
}
