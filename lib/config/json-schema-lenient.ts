// What the loader takes besides the right type, so that an editor does not complain about a file that runs:
// a reference for any scalar, numbers and booleans as text, and nothing (`key:`) for the default.

import { type JsonSchema, mapInner } from './json-schema-of.ts'

const REFERENCE = String.raw`^\s*(?:env|gsm|file)://|\$\{|^BIZON_ENV_`
const NUMBER = String.raw`^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$`
const INTEGER = String.raw`^\s*[+-]?(?:\d+(?:\.0*)?|(?:\d+\.?\d*|\.\d+)[eE]\+?\d+)\s*$`
const BOOLEAN = '^(?:[tT][rR][uU][eE]|[yY][eE][sS]|[oO][nN]|[fF][aA][lL][sS][eE]|[nN][oO]|[oO][fF][fF]|[01tTyYfFnN])$'

const definition = (name: string): JsonSchema => ({ $ref: `#/definitions/${name}` })
export const reference = definition('reference')
const integerText = definition('integerText')
const numberText = definition('numberText')
const booleanText = definition('booleanText')
const nothing = definition('nothing')

/**
 * Must stand under `definitions` of the document. They have titles, because an editor that shows what a value matched
 * counts alternatives without one as the same; and no descriptions, which would be shown before those of a key.
 */
export const lenientDefinitions = {
  reference: { title: 'a reference', type: 'string', pattern: REFERENCE },
  integerText: { title: 'a whole number as text, or a reference', type: 'string', pattern: `${REFERENCE}|${INTEGER}` },
  numberText: { title: 'a number as text, or a reference', type: 'string', pattern: `${REFERENCE}|${NUMBER}` },
  booleanText: {
    title: 'true or false in another spelling, or a reference',
    anyOf: [
      { type: 'string', pattern: `${REFERENCE}|${BOOLEAN}` },
      { type: 'integer', minimum: 0, maximum: 1 },
    ],
  },
  // Not `type: null`, which editors would propose as a value for every key.
  nothing: { title: 'nothing: the default', not: { type: ['string', 'number', 'boolean', 'object', 'array'] } },
} as const satisfies Readonly<Record<string, JsonSchema>>

/** The schema and what else the loader takes for it. `optional`: a value that may be absent may be empty. */
export function lenient(schema: JsonSchema, optional = false): JsonSchema {
  const { title, description, default: fallback, examples, doNotSuggest, ...shape } = schema
  const text = withDefault(description, fallback)
  const said = {
    ...(text !== undefined && { description: text }),
    // Backticks are shown as such in a plain description.
    ...(text?.includes('`') && { markdownDescription: text }),
  }
  const notes = {
    ...(title !== undefined && { title }),
    ...said,
    ...(fallback !== undefined && typeof fallback !== 'object' && { default: fallback }),
    ...(examples && { examples }),
    ...(doNotSuggest && { doNotSuggest }),
  }
  if (Object.keys(shape).length === 0) return notes
  const [first = {}, ...others] = alternativesOf(shape)
  const collection = others.length === 0 && (first.type === 'object' || first.type === 'array')
  if (optional && collection) return { ...notes, ...first, type: [first.type as string, 'null'] }
  if (optional) others.push(nothing)
  if (others.length === 0) return { ...notes, ...first }
  // Editors take what they say of a proposed word from beside the word.
  const repeated = first.enum || first.const !== undefined || others.some(({ $ref }) => $ref === undefined)
  return { ...notes, anyOf: [repeated ? { ...said, ...first } : first, ...others] }
}

/** Editors show no default of their own accord. */
function withDefault(description: string | undefined, fallback: unknown): string | undefined {
  const isShort = fallback !== undefined && fallback !== null && typeof fallback !== 'object' && fallback !== ''
  const isSaid = description === undefined || /\bDefault\b/.test(description)
  return isShort && !isSaid ? `${description} Default \`${fallback}\`.` : description
}

function alternativesOf(shape: JsonSchema): JsonSchema[] {
  const { anyOf, oneOf, ...others } = shape
  const options = anyOf ?? oneOf
  if (options) {
    const choice = unique(
      asText(
        options,
        options.flatMap((option) => flat(lenient(option))),
      ),
    )
    return Object.keys(others).length === 0 ? choice : alternativesOf(others).map((one) => ({ ...one, anyOf: choice }))
  }
  const { type, ...rest } = shape
  if (Array.isArray(type)) {
    const types = type.filter((one) => one !== 'null')
    const own = types.flatMap((one: string) => alternativesOf({ ...rest, type: one }))
    return type.includes('null') ? [...own, nothing] : own
  }
  const required = new Set(shape.required)
  const { properties, additionalProperties } = shape
  const inner: JsonSchema = {
    ...mapInner(shape, (one) => lenient(one)),
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([key, value]) => [key, lenient(value, !required.has(key))]),
      ),
    }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: lenient(additionalProperties, true) }),
  }
  return [inner, ...extras(shape)]
}

/** What may stand for a scalar of this schema. */
function extras({ type, const: only, enum: words, pattern, format, maxLength }: JsonSchema): JsonSchema[] {
  const options = words ?? (only === undefined ? [] : [only])
  if (options.length > 0) return options.some((word) => typeof word === 'string') ? [reference] : []
  if (type === 'integer') return [integerText]
  if (type === 'number') return [numberText]
  if (type === 'boolean') return [booleanText]
  const limited = pattern !== undefined || format !== undefined || maxLength !== undefined
  return type === 'string' && limited ? [reference] : []
}

/** A choice between choices is one choice, unless something is said of the inner one. */
const flat = (schema: JsonSchema): readonly JsonSchema[] =>
  schema.anyOf && Object.keys(schema).length === 1 ? schema.anyOf : [schema]

/** Where any text is one of the choices, it is not taken for a number or a boolean. */
function asText(options: readonly JsonSchema[], choice: readonly JsonSchema[]): readonly JsonSchema[] {
  if (!options.some(({ type, enum: words }) => type === 'string' && words === undefined)) return choice
  const texts = [integerText, numberText, booleanText].map(({ $ref }) => $ref)
  return choice.map((one) => (texts.includes(one.$ref) ? reference : one))
}

function unique(schemas: readonly JsonSchema[]): JsonSchema[] {
  const seen = new Map(schemas.map((schema) => [JSON.stringify(schema), schema]))
  return [...seen.values()]
}
