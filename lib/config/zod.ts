// Looking into a zod schema: which plain schemas a value at some path may have to fit. For messages only;
// whether a value fits is zod's to say.

import * as z from 'zod'

type Key = string | number

/** The schema without wrappers: what is optional, has a default, is one of several, or is converted afterwards. */
export function leavesOf(schema: z.ZodType, value?: unknown): z.ZodType[] {
  const through = (inner: z.core.$ZodType) => leavesOf(inner as z.ZodType, value)
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodCatch ||
    schema instanceof z.ZodReadonly ||
    schema instanceof z.ZodNonOptional
  ) {
    return through(schema.def.innerType)
  }
  if (schema instanceof z.ZodPipe) {
    return through(schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in)
  }
  if (schema instanceof z.ZodLazy) return through(schema.def.getter())
  if (schema instanceof z.ZodIntersection) return [...through(schema.def.left), ...through(schema.def.right)]
  if (schema instanceof z.ZodDiscriminatedUnion) return chosen(schema, value).flatMap(through)
  if (schema instanceof z.ZodUnion) return schema.def.options.flatMap(through)
  return [schema]
}

/** The leaves that a value further down must fit. */
export function leavesAt(schemas: readonly z.ZodType[], path: readonly Key[], value?: unknown): z.ZodType[] {
  const leaves = schemas.flatMap((schema) => leavesOf(schema, value))
  const [key, ...rest] = path
  if (key === undefined) return leaves
  const inner = leaves.flatMap((leaf) => child(leaf, key))
  return leavesAt(inner, rest, at(value, key))
}

/** The value at a path, undefined when there is none. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, key) => at(inner, key), value)
}

function at(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<PropertyKey, unknown>)[key]
    : undefined
}

function child(leaf: z.ZodType, key: Key): z.ZodType[] {
  if (leaf instanceof z.ZodObject) {
    const shape: Readonly<Record<string, z.ZodType>> = leaf.shape
    return Object.hasOwn(shape, key) ? [shape[key] as z.ZodType] : []
  }
  if (leaf instanceof z.ZodArray) return [leaf.element as z.ZodType]
  if (leaf instanceof z.ZodRecord) return [leaf.valueType as z.ZodType]
  return []
}

/** The options that the value's own tag selects; all of them when it has none. With a wrong tag only that can be told. */
function chosen(schema: z.ZodDiscriminatedUnion, value: unknown): readonly z.core.$ZodType[] {
  const { options, discriminator } = schema.def
  const tag = at(value, discriminator)
  const tagsOf = (option: z.core.$ZodType) => leavesAt([option as z.ZodType], [discriminator])
  const fitting = options.filter((option) => tagsOf(option).some((leaf) => leaf.safeParse(tag).success))
  if (fitting.length > 0) return fitting
  return tag === undefined ? options : [z.looseObject({ [discriminator]: z.union(options.flatMap(tagsOf)) })]
}

/** The keys that a schema for mappings names. */
export function keysOf(schema: z.ZodType, value: unknown): string[] {
  return leavesOf(schema, value).flatMap((leaf) => (leaf instanceof z.ZodObject ? Object.keys(leaf.shape) : []))
}
