// One accepted and one rejected value for every key of a schema: the cases, and which keys there are to have some.

import * as z from 'zod'
import { leavesOf } from '../../lib/config/zod.ts'
import { loadConfig } from '../../lib/config.ts'
import { BizonError } from '../../lib/errors.ts'

/** A value that is fine, one that is not, and what is said about that one. */
export type KeyCase = readonly [accepted: unknown, rejected: unknown, said: string]

export interface KeyGroup {
  readonly title: string
  /** A valid config that holds the block. */
  readonly base: Readonly<Record<string, unknown>>
  /** The block within it; empty for the whole. */
  readonly at: string
  readonly schema: z.ZodType
  /** By path within the block; `[]` is the first of a list. */
  readonly keys: Readonly<Record<string, KeyCase>>
  /** Keys of the schema whose cases are in another group. */
  readonly elsewhere?: readonly string[]
}

/** Every key that a schema names, as paths; `value` chooses between shapes. */
export function keyPaths(schema: z.ZodType, value: unknown): string[] {
  return [...new Set(keysIn(schema, value, '').map(({ path }) => path))].sort()
}

/** Those that have no description. */
export function undescribed(schema: z.ZodType, value: unknown): string[] {
  return keysIn(schema, value, '').flatMap(({ path, schema: own }) => (describes(own) ? [] : [path]))
}

interface Key {
  readonly path: string
  readonly schema: z.ZodType
}

function keysIn(schema: z.ZodType, value: unknown, path: string): Key[] {
  return leavesOf(schema, value).flatMap((leaf) => {
    if (leaf instanceof z.ZodArray) return keysIn(leaf.element as z.ZodType, valueIn(value, 0), `${path}[]`)
    if (!(leaf instanceof z.ZodObject)) return []
    return Object.entries(leaf.shape as Record<string, z.ZodType>).flatMap(([key, inner]) => {
      const place = path === '' ? key : `${path}.${key}`
      return [{ path: place, schema: inner }, ...keysIn(inner, valueIn(value, key), place)]
    })
  })
}

/** Also when a default or the like stands around what has the description. */
function describes(schema: z.ZodType): boolean {
  if (schema.description !== undefined) return true
  const { innerType } = schema.def as { innerType?: z.ZodType }
  return innerType !== undefined && describes(innerType)
}

/** The values that enumerations and constants allow. */
export function wordsOf(leaves: readonly z.ZodType[]): unknown[] {
  return leaves.flatMap((leaf) => {
    if (leaf instanceof z.ZodEnum) return leaf.options
    return leaf instanceof z.ZodLiteral ? [...leaf.values] : []
  })
}

/** A copy of the config with another value at the path. */
export function withValue(config: unknown, path: string, value: unknown): Record<string, unknown> {
  const copy = structuredClone(config) as Record<string, unknown>
  const steps = path.replaceAll('[]', '.0').split('.')
  let inner: Record<string, unknown> = copy
  for (const step of steps.slice(0, -1)) {
    inner[step] ??= {}
    inner = inner[step] as Record<string, unknown>
  }
  inner[steps.at(-1) as string] = value
  return copy
}

export function valueAtPath(config: unknown, path: string): unknown {
  const steps = path === '' ? [] : path.replaceAll('[]', '.0').split('.')
  return steps.reduce<unknown>(valueIn, config)
}

/** All that is said about a config, `<config> ` cut off; not that something comes later. */
export async function saidAbout(config: Record<string, unknown>): Promise<string[]> {
  const error = await loadConfig(config, ['source', 'destination']).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error === undefined) return []
  if (!(error instanceof BizonError) || error.code !== 'config') throw error
  const lines = error.message.split('\n').map((line) => line.replace('<config> ', ''))
  return lines.filter((line) => !line.includes(' is not built yet; it comes with bizon '))
}

function valueIn(value: unknown, key: string | number): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[key] : undefined
}
