// Placeholders in what a user writes of a request: `{name}` in a path, a parameter or a body.

import { BizonError } from '../../../lib/errors.ts'
import type { Json, JsonObject } from '../../../lib/record.ts'

const PLACEHOLDER = /\{([A-Za-z_]\w*)\}/g

export type Scope = Readonly<Record<string, string>>

/** The names, of all strings in it. */
export function placeholdersIn(value: Json): string[] {
  if (typeof value === 'string') return [...value.matchAll(PLACEHOLDER)].map((match) => match[1] as string)
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(placeholdersIn)
}

/** The path of a URL; values are escaped, so that none can lead to another path. */
export function fillPath(path: string, scope: Scope): string {
  return path.replace(PLACEHOLDER, (whole, name: string) => {
    const value = scope[name]
    if (value === undefined) return whole
    // URLs resolve dots away, however they are escaped.
    if (value === '' || value === '.' || value === '..') {
      throw new BizonError('source', `${JSON.stringify(value)} cannot stand for {${name}} in the path ${path}`)
    }
    return encodeURIComponent(value)
  })
}

/** All strings in a value. What has no value stays as it is: braces are common in bodies. */
export function fill<Value extends Json>(value: Value, scope: Scope): Value {
  return filled(value, scope) as Value
}

function filled(value: Json, scope: Scope): Json {
  if (typeof value === 'string') return value.replace(PLACEHOLDER, (whole, name: string) => scope[name] ?? whole)
  if (Array.isArray(value)) return value.map((one: Json) => filled(one, scope))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value as JsonObject).map(([key, inner]) => [key, filled(inner, scope)]))
}

/** A copy with the value at the path; mappings on the way are made. */
export function withValue(json: Json | undefined, [key, ...rest]: readonly string[], value: Json): Json {
  if (key === undefined) return value
  const mapping = typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : {}
  return { ...mapping, [key]: withValue(Object.hasOwn(mapping, key) ? mapping[key] : undefined, rest, value) }
}
