// The character U+0000, which PostgreSQL cannot store, taken out of JSON text; and what may become alike without it.

import { members } from '../../../lib/json.ts'
import { RawJson } from '../../../lib/record.ts'

const NUL_ESCAPE = /(?<!\\)((?:\\\\)*)\\u0000/g

/** The payload without U+0000; the same object when it has none. */
export function withoutNul(raw: RawJson): RawJson {
  const text = raw.toString()
  const stripped = text.replaceAll(NUL_ESCAPE, '$1')
  return stripped === text ? raw : RawJson.from(stripped)
}

/** Whether somewhere two fields of an object have one name afterwards, so that one of them would be lost. */
export function merges(before: RawJson, after: RawJson): boolean {
  return countFields(JSON.parse(before.toString())) !== countFields(JSON.parse(after.toString()))
}

function countFields(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inside = Object.values(value).reduce((sum: number, each) => sum + countFields(each), 0)
  return Array.isArray(value) ? inside : inside + Object.keys(value).length
}

/** The text of a field at the top; undefined: it has none. */
export function fieldOf({ buffer, start, end }: RawJson, name: string): string | undefined {
  let found: string | undefined
  members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    if (JSON.parse(buffer.toString('utf8', keyStart, keyEnd)) === name)
      found = buffer.toString('utf8', valueStart, valueEnd)
  })
  return found
}
