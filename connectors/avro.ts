// The only file that imports avsc, which reads Avro schemas: names, references, what is valid. An optional peer, loaded
// when a config says that messages are Avro. What comes out is a tree of our own, for `sources/kafka/avro`.

import type { Type } from 'avsc'
import { BizonError, type ErrorCode, messageOf, systemCode } from '../lib/errors.ts'

/** How bytes of a type are to be read; a record may contain itself. */
export type AvroNode =
  | { readonly kind: Primitive; readonly logical?: Logical }
  | { readonly kind: 'fixed'; readonly size: number; readonly logical?: Logical }
  | { readonly kind: 'enum'; readonly symbols: readonly string[] }
  | { readonly kind: 'array' | 'map'; readonly items: AvroNode }
  | { readonly kind: 'union'; readonly branches: readonly AvroNode[] }
  | { readonly kind: 'record'; readonly fields: readonly { readonly name: string; readonly node: AvroNode }[] }

export type Primitive = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'

export interface Logical {
  readonly name: string
  /** Of decimals. */
  readonly scale: number
}

/** What a logical type may be made of. Others, as the standard says, are the type that they are made of. */
const LOGICAL: Readonly<Record<string, readonly string[]>> = {
  decimal: ['bytes', 'fixed'],
  'big-decimal': ['bytes'],
  uuid: ['string', 'fixed'],
  date: ['int'],
  'time-millis': ['int'],
  'time-micros': ['long'],
  'timestamp-millis': ['long'],
  'timestamp-micros': ['long'],
  'timestamp-nanos': ['long'],
  'local-timestamp-millis': ['long'],
  'local-timestamp-micros': ['long'],
  'local-timestamp-nanos': ['long'],
  duration: ['fixed'],
}

/** The schema names a type that neither it nor its references define. */
export class UnknownType extends Error {
  override readonly name = 'UnknownType'
}

export type ParseAvro = (schema: string, references: readonly string[]) => AvroNode

/**
 * Rejects with a BizonError of the code when avsc is not installed. The function it gives takes JSON text, references
 * first; it throws `UnknownType`, or another error that says what is wrong with the schema.
 */
export async function loadAvro(code: ErrorCode): Promise<ParseAvro> {
  let avsc: typeof import('avsc')
  try {
    const loaded = (await import('avsc')) as typeof import('avsc') & { default?: typeof import('avsc') }
    avsc = loaded.default ?? loaded
  } catch (cause) {
    if (systemCode(cause) !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new BizonError(code, 'the package avsc, which reads Avro, is not installed', {
      cause,
      hint: 'npm install avsc',
    })
  }
  return (schema, references) => parse(avsc, schema, references)
}

function parse(avsc: typeof import('avsc'), schema: string, references: readonly string[]): AvroNode {
  const tags = new Map<Type, Logical>()
  class Tagged extends avsc.types.LogicalType {
    constructor(attributes: unknown, options?: unknown) {
      super(attributes as ConstructorParameters<typeof avsc.types.LogicalType>[0], options)
      // One that is not as the standard says is none: avsc then takes the type below.
      tags.set(this, logicalOf(attributes as Attributes, this.underlyingType.typeName))
    }
  }
  const options = {
    registry: {},
    logicalTypes: Object.fromEntries(Object.keys(LOGICAL).map((name) => [name, Tagged])),
    omitRecordMethods: true,
    wrapUnions: 'always' as const,
    typeHook: (given: unknown) => {
      const inner = innerOf(given)
      return inner === undefined ? undefined : avsc.Type.forSchema(inner as never, options)
    },
  }
  try {
    for (const text of references) avsc.Type.forSchema(withoutExtras(JSON.parse(text)) as never, options)
    return nodeOf(avsc.Type.forSchema(withoutExtras(JSON.parse(schema)) as never, options), tags, new Map())
  } catch (cause) {
    const unknown = /undefined type name: (.*)/.exec(messageOf(cause))
    if (unknown) throw new UnknownType(`it names the type ${unknown[1]}, which is defined nowhere`, { cause })
    throw cause
  }
}

/**
 * What avsc refuses, and others write: defaults, which say nothing of bytes that are there, of logical types or of another
 * branch of a union; and names of types that hold more than letters, as in `my-server.shop.Order`. Names of fields stay.
 */
function withoutExtras(schema: unknown): unknown {
  if (typeof schema === 'string') return BUILT_IN.has(schema) ? schema : simpleName(schema)
  if (Array.isArray(schema)) return schema.map(withoutExtras)
  if (typeof schema !== 'object' || schema === null) return schema
  const kept = Object.entries(schema).filter(([key]) => key !== 'default' && key !== 'aliases')
  return Object.fromEntries(
    kept.map(([key, value]) => {
      if (key === 'type' || key === 'items' || key === 'values') return [key, withoutExtras(value)]
      if (key === 'fields' && Array.isArray(value)) return [key, value.map(withoutDefault)]
      return [key, (key === 'name' || key === 'namespace') && typeof value === 'string' ? simpleName(value) : value]
    }),
  )
}

const withoutDefault = ({ name, type }: { name: unknown; type: unknown }): object => ({
  name,
  type: withoutExtras(type),
})

const simpleName = (name: string): string => name.replaceAll(/[^\w.]/g, '_').replaceAll(/(?<=^|\.)(?=\d)/g, '_')

type Attributes = {
  readonly logicalType: string
  readonly scale?: unknown
  readonly precision?: unknown
  readonly size?: unknown
}

function logicalOf({ logicalType: name, scale = 0, precision, size }: Attributes, kind: string): Logical {
  const fits = LOGICAL[name]?.includes(kind) ?? false
  const sized = kind !== 'fixed' || name === 'decimal' || size === (name === 'uuid' ? 16 : 12)
  const scaled =
    name !== 'decimal' ||
    (Number.isInteger(precision) &&
      Number.isInteger(scale) &&
      (scale as number) >= 0 &&
      (scale as number) <= (precision as number))
  if (!fits || !sized || !scaled) throw new Error(`${name} is not valid`)
  return { name, scale: scale as number }
}

/** `{type: {…}}`, and `{type: 'name'}` of a type that was named before, are what they hold. */
function innerOf(given: unknown): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined
  const { type } = given as { type?: unknown }
  if (typeof type === 'object' && type !== null) return type
  return typeof type === 'string' && !BUILT_IN.has(type) ? type : undefined
}

const BUILT_IN = new Set([
  ...['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'],
  ...['record', 'error', 'request', 'enum', 'array', 'map', 'fixed', 'union', 'intersection'],
])

function nodeOf(type: Type, tags: ReadonlyMap<Type, Logical>, known: Map<Type, AvroNode>): AvroNode {
  const found = known.get(type)
  if (found) return found
  const inner = (one: Type): AvroNode => nodeOf(one, tags, known)
  const made = (node: AvroNode): AvroNode => {
    known.set(type, node)
    return node
  }
  const parts = type as Type & Parts
  const logical = tags.get(type)
  if (logical) {
    const below = inner(parts.underlyingType)
    return made({ ...below, logical } as AvroNode)
  }
  switch (type.typeName) {
    case 'record':
    case 'error': {
      const fields: { name: string; node: AvroNode }[] = []
      const node = made({ kind: 'record', fields })
      for (const field of parts.fields) fields.push({ name: field.name, node: inner(field.type) })
      return node
    }
    case 'array':
      return made({ kind: 'array', items: inner(parts.itemsType) })
    case 'map':
      return made({ kind: 'map', items: inner(parts.valuesType) })
    case 'enum':
      return made({ kind: 'enum', symbols: parts.symbols })
    case 'fixed':
      return made({ kind: 'fixed', size: parts.size })
    case 'union:wrapped':
    case 'union:unwrapped':
      return made({ kind: 'union', branches: parts.types.map(inner) })
    default:
      return made({ kind: type.typeName as Primitive })
  }
}

/** What types of avsc have, each kind some of it. */
interface Parts {
  readonly underlyingType: Type
  readonly fields: readonly { readonly name: string; readonly type: Type }[]
  readonly itemsType: Type
  readonly valuesType: Type
  readonly symbols: readonly string[]
  readonly size: number
  readonly types: readonly Type[]
}
