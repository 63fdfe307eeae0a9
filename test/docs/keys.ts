// The keys of a schema as Markdown: one table, read from top to bottom; the shapes of a choice follow it, each with
// a table of its own. Everything is taken from the schema, so that the schema is the place to say it.

import type { JsonSchema } from '../../lib/config/json-schema-of.ts'

interface Row {
  readonly path: string
  readonly schema: JsonSchema
  readonly required: boolean
  /** Where the keys of this mapping are explained. */
  readonly elsewhere?: string | undefined
}

interface Shape {
  readonly path: string
  /** What chooses it: `type: bearer`. */
  readonly choice: string
  readonly schema: JsonSchema
}

export interface Options {
  readonly level?: string
  /** Mappings that are explained elsewhere, as `mappingsIn` found them. */
  readonly known?: ReadonlyMap<string, string>
}

/** `at` is the path of the mapping itself, for anchors and headings: `source`, `destination.config`. */
export function keysOf(schema: JsonSchema, at: string, { level = '###', known }: Options = {}): string {
  const shapes: Shape[] = []
  const rows = rowsOf(schema, '', shapes, known)
  const parts = rows.length > 0 ? [table(rows, at)] : []
  for (const shape of choicesOf(schema, '', shapes)) {
    const { path, choice } = shape
    const whole = [at, path].filter(Boolean).join('.')
    const elsewhere = known?.get(keysText(shape.schema))
    if (elsewhere !== undefined) {
      parts.push(`\`${whole}\` with \`${choice}\` has [the keys that it has everywhere](${elsewhere}).`)
      continue
    }
    const { description } = shape.schema
    const inner = keysOf(shape.schema, placeOf(shape, at), { level, ...(known && { known }) })
    parts.push([`${level} \`${whole}\` with \`${choice}\``, description, inner].filter(Boolean).join('\n\n'))
  }
  return parts.join('\n\n')
}

/** The mappings whose keys `keysOf` shows, and where on the page. */
export function mappingsIn(schema: JsonSchema, at: string, page: string): ReadonlyMap<string, string> {
  const shapes: Shape[] = []
  const rows = rowsOf(schema, '', shapes).filter((row) => hasKeys(row.schema))
  return new Map([
    ...rows.map((row) => [keysText(row.schema), `${page}#${slug(`${at}.${row.path}`)}`] as const),
    ...shapes.map((shape) => [keysText(shape.schema), `${page}#${placeOf(shape, at)}.type`] as const),
  ])
}

/** Two mappings with the same keys are the same. */
export const keysText = ({ properties }: JsonSchema): string => JSON.stringify(properties)

const placeOf = ({ path, choice }: Shape, at: string): string =>
  [at, path, slug(choice.replace(/^\w+: /, ''))].filter(Boolean).join('.')

function choicesOf(schema: JsonSchema, path: string, below: readonly Shape[]): readonly Shape[] {
  return [...(alternatives(schema).length > 1 ? shapesOf(schema, path) : []), ...below]
}

/** The keys at any depth. A mapping's own keys follow it; those of a choice go to `shapes`. */
function rowsOf(schema: JsonSchema, prefix: string, shapes: Shape[], known?: Options['known']): Row[] {
  const required = new Set(schema.required)
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const path = `${prefix}${key}`
    const inner = innerOf(value)
    const mappings = alternatives(inner.schema).filter(hasKeys)
    if (mappings.length > 1) shapes.push(...shapesOf(inner.schema, `${path}${inner.suffix}`))
    const [only = {}] = mappings
    const elsewhere = mappings.length === 1 ? known?.get(keysText(only)) : undefined
    const row = { path, schema: value, required: required.has(key), elsewhere }
    if (mappings.length !== 1 || elsewhere !== undefined) return [row]
    return [row, ...rowsOf(only, `${path}${inner.suffix}.`, shapes, known)]
  })
}

/** What a list or a mapping of any keys holds. */
function innerOf(schema: JsonSchema, suffix = ''): { schema: JsonSchema; suffix: string } {
  const lists = alternatives(schema).flatMap(({ items }) => (items ? [items] : []))
  if (lists.length === 1) return innerOf(lists[0] as JsonSchema, `${suffix}[]`)
  const { additionalProperties } = schema
  const isMapping = typeof additionalProperties === 'object' && !schema.properties
  if (isMapping && hasKeys(additionalProperties)) return { schema: additionalProperties, suffix: `${suffix}.*` }
  return { schema, suffix }
}

const alternatives = (schema: JsonSchema): readonly JsonSchema[] =>
  (schema.anyOf ?? schema.oneOf)?.flatMap(alternatives).filter(({ type }) => type !== 'null') ?? [schema]
const hasKeys = ({ properties }: JsonSchema): boolean => properties !== undefined

function shapesOf(schema: JsonSchema, path: string): Shape[] {
  const mappings = alternatives(schema).filter(hasKeys)
  return mappings.map((mapping, i) => ({ path, schema: mapping, choice: choiceOf(mapping) ?? `shape ${i + 1}` }))
}

/** The key whose value tells a shape from the others. */
function choiceOf({ properties = {} }: JsonSchema): string | undefined {
  for (const [key, { const: only, enum: words }] of Object.entries(properties)) {
    if (only !== undefined) return `${key}: ${only}`
    if (words && key === 'type') return `${key}: ${words.join(' or ')}`
  }
  return undefined
}

function table(rows: readonly Row[], at: string): string {
  const lines = rows.map(({ path, schema, required, elsewhere }) => {
    const { text, fallback } = meaning(schema)
    const name = `<a id="${slug(`${at}.${path}`)}"></a>\`${path}\``
    const type = elsewhere === undefined ? typeOf(schema) : `[${typeOf(schema)}](${elsewhere})`
    return `| ${[name, type, required ? '**required**' : fallback, text].map(cell).join(' | ')} |`
  })
  return ['| Key | Type | Default | Meaning |', '| --- | --- | --- | --- |', ...lines].join('\n')
}

/** `engine.backend.sqlite` for a path, and for a path with what chooses a shape. */
const slug = (path: string): string => path.replace(/^\.|\[\]/g, '').replaceAll(/[^\w.*-]+/g, '-')
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

/** The default, from the schema or from the last words of the description, which need not say it twice. */
function meaning({ description = '', default: given }: JsonSchema): { text: string; fallback: string } {
  const [, before = '', said] = /^(.*?)\s*\bDefault:? (.*)\.$/s.exec(description) ?? [undefined, description]
  const isScalar = given !== undefined && given !== null && typeof given !== 'object'
  const isBlank = typeof given === 'string' && given.trim() === ''
  const shown = isScalar && !isBlank ? `\`${given}\`` : (said ?? (isBlank ? 'empty' : undefined))
  if (shown === undefined) return { text: description, fallback: '' }
  // Two sentences after the word are more than a default, and a default alone is no meaning.
  return said === undefined || said.includes('. ') || before === ''
    ? { text: description, fallback: shown }
    : { text: before, fallback: shown }
}

/** What may stand there: `integer, 0 or more`, `list of strings`, the allowed words. */
export function typeOf(schema: JsonSchema): string {
  const choices = alternatives(schema)
  if (choices.length > 1) {
    const types = [...new Set(choices.map(typeOf))]
    return types.every((type) => type.startsWith('`')) ? types.join(', ') : types.join(' or ')
  }
  if (schema.const !== undefined) return `\`${schema.const}\``
  if (schema.enum) return schema.enum.map((word) => `\`${word}\``).join(', ')
  const types = [schema.type ?? []].flat().filter((type) => type !== 'null')
  return types.length === 0 ? 'anything' : types.map((type) => named(type, schema)).join(' or ')
}

function named(type: string, schema: JsonSchema): string {
  if (type === 'boolean') return '`true` or `false`'
  if (type === 'integer' || type === 'number') return [type, ...bounds(schema)].join(', ')
  if (type === 'array') return `list of ${plural(schema.items ?? {})}`
  if (type === 'string') return schema.format === undefined ? type : `${type} (${schema.format})`
  const { additionalProperties: values, properties } = schema
  return !properties && typeof values === 'object' && values.type !== undefined
    ? `mapping to ${plural(values)}`
    : 'mapping'
}

function plural(schema: JsonSchema): string {
  const type = typeOf(schema)
  if (type.includes(' or ')) return type
  return type.replace(/^(string|integer|number|mapping|list)\b/, '$1s')
}

function bounds({ minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below }: JsonSchema): string[] {
  if (minimum !== undefined && maximum !== undefined) return [`${minimum} to ${maximum}`]
  if (minimum !== undefined) return [`${minimum} or more`]
  if (above !== undefined) return [`above ${above}${maximum === undefined ? '' : `, at most ${maximum}`}`]
  if (maximum !== undefined) return [`at most ${maximum}`]
  return below === undefined ? [] : [`below ${below}`]
}
