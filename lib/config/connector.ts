// What the blocks of sources and destinations have in common: a name that stands for a connector, whose own keys
// stand beside the common ones.

import * as z from 'zod'
import { BizonError } from '../errors.ts'
import { notBuilt, type Release } from './planned.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { checkKeys } from './validate.ts'
import { keysOf } from './zod.ts'

/** Keys that a connector may give a shape of its own. */
export const OVERRIDABLE: readonly string[] = [
  'authentication',
  'api_config',
  'record_schemas',
  'init_pipeline',
  'destination_id',
]

export type Raw = Readonly<Record<string, unknown>>

/** The path in `key`, when the block has one: the definition is in that file, and `name` only a label. */
export function fileIn(raw: Raw, key: string): string | undefined {
  const path = raw[key]
  return typeof path === 'string' && path !== '' ? path : undefined
}

/** The definition in a file; undefined, and reported at `path`, when there is none. */
export async function fromFile<Definition>(
  file: string,
  path: ConfigPath,
  problems: Problems,
  load: (file: string) => Promise<Definition>,
): Promise<{ readonly shape: Definition; readonly definition: Definition } | undefined> {
  try {
    const definition = await load(file)
    return { shape: definition, definition }
  } catch (error) {
    if (!(error instanceof BizonError) || error.code !== 'config') throw error
    const said = problems.isHidden(path) ? error.message.replaceAll(file, problems.show(path, file)) : error.message
    problems.add(path, problems.scrub(said), { hint: error.hint })
    return undefined
  }
}

/** What the block's `name` names; undefined, and reported, when there is nothing of that name. */
export async function named<Found>(
  { name }: Raw,
  at: ConfigPath,
  problems: Problems,
  find: (name: string) => Promise<Found>,
): Promise<Found | undefined> {
  return lookUp(name, [...at, 'name'], problems, find)
}

/** What the value at `path` names. */
export async function lookUp<Found>(
  name: unknown,
  path: ConfigPath,
  problems: Problems,
  find: (name: string) => Promise<Found>,
): Promise<Found | undefined> {
  if (typeof name !== 'string' || name === '' || problems.has(path)) return undefined
  try {
    return await find(name)
  } catch (error) {
    if (!(error instanceof BizonError) || error.code !== 'config') throw error
    const said = problems.isHidden(path)
      ? `there is no ${path[0]} of the name ${problems.show(path, name)}`
      : error.message
    problems.add(path, said, { hint: error.hint })
    return undefined
  }
}

/** Reports that a connector is known, valid, and not there yet. */
export function addNotBuilt({ name }: Raw, at: ConfigPath, release: Release, problems: Problems): void {
  const path = [...at, 'name']
  problems.add(path, notBuilt(problems.isHidden(path) ? problems.show(path, name) : String(name), release))
}

/**
 * Which keys of a block go to the common schema and which to the connector's. A key that both know goes to both,
 * unless the connector gives it a shape of its own.
 */
export function split(
  commonSchema: z.ZodObject,
  ownSchema: z.ZodType | undefined,
  raw: Raw,
  at: ConfigPath,
  problems: Problems,
): { common: Record<string, unknown>; own: Record<string, unknown> } {
  const commonKeys = new Set(Object.keys(commonSchema.shape))
  const ownKeys = new Set(ownSchema ? keysOf(ownSchema, raw) : [])
  const common: Record<string, unknown> = {}
  const own: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(raw)) {
    const isCommon = commonKeys.has(key) && !(ownKeys.has(key) && OVERRIDABLE.includes(key))
    if (isCommon) common[key] = value
    if (!isCommon || ownKeys.has(key)) own[key] = value
  }
  if (ownSchema) {
    const kept = Object.entries(commonSchema.shape).filter(([key]) => !(ownKeys.has(key) && OVERRIDABLE.includes(key)))
    const rest = z.object(Object.fromEntries(kept))
    checkKeys([rest, ownSchema], raw, at, problems)
  }
  return { common, own }
}

/** The block without the keys that do nothing; each of them is a warning. */
export function withoutIgnored(
  raw: Raw,
  ignored: Readonly<Record<string, string>> | undefined,
  at: ConfigPath,
  problems: Problems,
): Raw {
  if (ignored === undefined) return raw
  const isIgnored = (key: string) => Object.hasOwn(ignored, key)
  for (const key of Object.keys(raw).filter(isIgnored)) {
    problems.warn([...at, key], `has no effect; ${ignored[key]}`, { part: 'key' })
  }
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !isIgnored(key)))
}
