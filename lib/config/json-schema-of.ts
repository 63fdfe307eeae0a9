// One zod schema as JSON Schema draft 7: what a person may write, with its descriptions, units and defaults.
// Says what the loader says of keys: what is not listed is an error.

import * as z from 'zod'
import type { Json } from '../record.ts'

/** As much of JSON Schema as zod emits for configs. */
export interface JsonSchema {
  readonly $ref?: string
  readonly title?: string
  readonly description?: string
  /** For editors; where it is absent they show `description`. */
  readonly markdownDescription?: string
  readonly type?: string | readonly string[]
  readonly const?: Json
  readonly enum?: readonly Json[]
  readonly enumDescriptions?: readonly string[]
  /** For editors: a key that is known, and not proposed. */
  readonly doNotSuggest?: boolean
  readonly default?: Json
  readonly examples?: readonly Json[]
  readonly pattern?: string
  readonly format?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly multipleOf?: number
  readonly items?: JsonSchema
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | JsonSchema
  readonly propertyNames?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
  readonly allOf?: readonly JsonSchema[]
  readonly not?: JsonSchema
  readonly if?: JsonSchema
  readonly then?: JsonSchema
  readonly definitions?: Readonly<Record<string, JsonSchema>>
}

type Emitted = JsonSchema & { readonly $schema?: string }

/** What a value of this schema looks like in a file, before defaults. Definitions that it refers to are in it. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return tidy(emit(schema))
}

function emit(schema: z.core.$ZodType): Emitted {
  return z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    // What cannot be said in JSON Schema, such as a refinement, is left out.
    unrepresentable: 'any',
    cycles: 'ref',
    override({ zodSchema, jsonSchema }) {
      // A file has dates as text.
      if (zodSchema instanceof z.ZodDate) jsonSchema.type = 'string'
      // Formats are for people; a scheme is the least that an address needs.
      if (jsonSchema.format === 'uri') jsonSchema.pattern ??= '^[A-Za-z][A-Za-z0-9+.-]*:.'
      // Something looks at the value before it is checked: the shape is that of what checks it.
      if (!(zodSchema instanceof z.ZodPipe) || !(zodSchema.def.in instanceof z.ZodTransform)) return
      const { $schema, ...shape } = emit(zodSchema.def.out)
      Object.assign(jsonSchema, shape, jsonSchema)
    },
  }) as Emitted
}

/** Without what says nothing: the bounds of every integer, the type of every key; objects closed as the loader has it. */
function tidy({ $schema, ...schema }: Emitted): JsonSchema {
  const { propertyNames, minimum, maximum, ...rest } = mapInner(schema, tidy)
  const merged = mergeObjects({
    ...rest,
    ...(minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER && { minimum }),
    ...(maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER && { maximum }),
    ...(propertyNames && Object.keys(propertyNames).join() !== 'type' && { propertyNames }),
  })
  const open = merged.properties === undefined || merged.additionalProperties !== undefined
  return open ? merged : { ...merged, additionalProperties: false }
}

/** An intersection of mappings is one mapping: its parts close it together, not each on its own. */
function mergeObjects(schema: JsonSchema): JsonSchema {
  const { allOf = [], ...rest } = schema
  if (allOf.length === 0 || !allOf.every(({ properties }) => properties)) return schema
  return allOf.reduce<JsonSchema>(withKeys, rest)
}

/** The keys of both; of a key that both have, the second's. A choice between mappings stays one. */
export function withKeys(one: JsonSchema, other: JsonSchema): JsonSchema {
  const { anyOf, oneOf, ...others } = other
  const alternatives = anyOf ?? oneOf
  if (alternatives) return { ...others, anyOf: alternatives.map((alternative) => withKeys(one, alternative)) }
  if (one.anyOf) return { ...one, anyOf: one.anyOf.map((alternative) => withKeys(alternative, other)) }
  const required = [...new Set([...(one.required ?? []), ...(other.required ?? [])])]
  return {
    ...one,
    ...other,
    type: 'object',
    properties: { ...one.properties, ...other.properties },
    ...(required.length > 0 && { required }),
    additionalProperties: one.additionalProperties || other.additionalProperties || false,
  }
}

/** A copy in which every schema directly inside this one is replaced. */
export function mapInner(schema: JsonSchema, change: (inner: JsonSchema) => JsonSchema): JsonSchema {
  const many = (inner: readonly JsonSchema[]) => inner.map(change)
  const named = (inner: Readonly<Record<string, JsonSchema>>) =>
    Object.fromEntries(Object.entries(inner).map(([name, one]) => [name, change(one)]))
  const { items, properties, additionalProperties, propertyNames, anyOf, oneOf, allOf, not, definitions } = schema
  const { if: condition, then: consequence } = schema
  return {
    ...schema,
    ...(items && { items: change(items) }),
    ...(properties && { properties: named(properties) }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: change(additionalProperties) }),
    ...(propertyNames && { propertyNames: change(propertyNames) }),
    ...(anyOf && { anyOf: many(anyOf) }),
    ...(oneOf && { oneOf: many(oneOf) }),
    ...(allOf && { allOf: many(allOf) }),
    ...(not && { not: change(not) }),
    ...(condition && consequence && onlyIf(change(condition), change(consequence))),
    ...(definitions && { definitions: named(definitions) }),
  }
}

/** `if` and `then`. Written so, since an object literal with a `then` looks like a promise. */
export function onlyIf(condition: JsonSchema, consequence: JsonSchema): Pick<JsonSchema, 'if' | 'then'> {
  return Object.fromEntries([
    ['if', condition],
    ['then', consequence],
  ])
}
