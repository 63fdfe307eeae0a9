// One zod schema against one part of a config. Before it complains it converts gently, as the Python bizon did:
// "10" is a number, "yes" is true, null is the default; a number is never a string.

import * as z from 'zod'
import { isMapping } from '../references.ts'
import { meantKey, suggestion } from '../suggest.ts'
import { explain, UNSAID } from './explain.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { leavesAt, leavesOf, valueAt } from './zod.ts'

type Issue = z.core.$ZodIssue

/** Each round mends all it can see; more are needed only where one value hides another. */
const MAX_ROUNDS = 10

/**
 * The schema's output, or undefined when there are problems, all of them reported. `input` is changed in place
 * by what is converted. Unknown keys are left to `checkKeys`.
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  path: ConfigPath,
  problems: Problems,
): z.output<Schema> | undefined {
  const holder = { input }
  for (let round = 1; ; round++) {
    const result = schema.safeParse(holder.input, { reportInput: true, jitless: true, error: () => UNSAID })
    if (result.success) return result.data
    const { issues } = result.error
    const mended = round < MAX_ROUNDS && issues.map((issue) => mend(holder, ['input'], issue)).includes(true)
    if (mended) continue
    for (const issue of issues) explain(issue, schema, holder.input, path, problems)
    return undefined
  }
}

const isKeyOf = (leaves: readonly z.ZodType[], key: string): boolean =>
  leaves.some((leaf) => leaf instanceof z.ZodObject && Object.hasOwn(leaf.shape, key))

/** Reports every key that none of the schemas knows, at any depth, with what was meant. */
export function checkKeys(schemas: readonly z.ZodType[], input: unknown, path: ConfigPath, problems: Problems): void {
  const leaves = schemas.flatMap((schema) => leavesOf(schema, input))
  if (Array.isArray(input)) {
    const elements = leaves.flatMap((leaf) => (leaf instanceof z.ZodArray ? [leaf.element as z.ZodType] : []))
    for (const [i, item] of input.entries()) checkKeys(elements, item, [...path, i], problems)
    return
  }
  const objects = leaves.filter((leaf) => leaf instanceof z.ZodObject)
  const names = leaves.some((leaf) => leaf instanceof z.ZodRecord) // keys of any name, whose values have keys again
  if (!isMapping(input) || (objects.length === 0 && !names)) return
  const closed = leaves.every((leaf) => !(leaf instanceof z.ZodObject) || isClosed(leaf)) && !leaves.some(takesAnything)
  const known = [...new Set(objects.flatMap((object) => Object.keys(object.shape)))]
  for (const [key, value] of Object.entries(input)) {
    const inner = leavesAt(leaves, [key], input)
    if (inner.length > 0) checkKeys(inner, value, [...path, key], problems)
    else if (closed) {
      const meant = meantKey(key, known)
      const above = meant === undefined && known.find((one) => isKeyOf(leavesAt(leaves, [one], {}), key))
      const said = meant ? `; did you mean ${JSON.stringify(meant)}?` : suggestion(key, known, 'known keys')
      problems.add([...path, key], `unknown key${above ? `; it belongs under ${JSON.stringify(above)}` : said}`, {
        part: 'key',
      })
    }
  }
}

const isClosed = (object: z.ZodObject): boolean =>
  object.def.catchall === undefined || object.def.catchall instanceof z.ZodNever

const takesAnything = (leaf: z.ZodType): boolean =>
  leaf instanceof z.ZodRecord ||
  leaf instanceof z.ZodAny ||
  leaf instanceof z.ZodUnknown ||
  leaf instanceof z.ZodCustom ||
  leaf instanceof z.ZodTransform

/** Converts the value that an issue is about; false when it cannot be. */
function mend(root: unknown, base: readonly PropertyKey[], issue: Issue): boolean {
  const path = [...base, ...issue.path]
  const key = path.at(-1) as string
  const parent = valueAt(root, path.slice(0, -1)) as Record<string, unknown> | undefined
  const value = valueAt(root, path)
  if (parent === undefined) return false
  if (value === null && isMapping(parent)) {
    delete parent[key]
    return true
  }
  if (issue.code === 'invalid_union') {
    return issue.errors.some((branch) => branch.length > 0 && branch.every((one) => mend(root, path, one)))
  }
  const converted = issue.code === 'invalid_type' ? convert(value, issue.expected) : undefined
  if (converted === undefined) return false
  parent[key] = converted
  return true
}

const INTEGER_OR_DECIMAL = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$/
const TRUE = /^(?:true|yes|on|1|t|y)$/i
const FALSE = /^(?:false|no|off|0|f|n)$/i

function convert(value: unknown, expected: string): number | boolean | undefined {
  if (expected === 'number' && typeof value === 'string' && INTEGER_OR_DECIMAL.test(value)) return Number(value)
  if (expected !== 'boolean' || (typeof value !== 'string' && typeof value !== 'number')) return undefined
  if (TRUE.test(String(value))) return true
  return FALSE.test(String(value)) ? false : undefined
}
