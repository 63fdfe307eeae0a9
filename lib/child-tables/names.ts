// Names of child tables and of the columns that nested objects become: the names on the way, joined by two underscores.

import { createHash } from 'node:crypto'

/** What a destination makes of names. */
export interface NameRules {
  /** Bytes that the name of a table or column may have. Absent: any number. */
  readonly longestName?: number
  /** Equal for names that it takes for one. Absent: every spelling is a name of its own. */
  foldName?(name: string): string
}

/** Columns of a child table beside the values of the list. */
export interface Links {
  /** `bizon_id` of the row whose list it is. */
  readonly parent: string
  /** `bizon_id` of the record's own row. */
  readonly root: string
  /** Place in the list, from 0. */
  readonly index: string
}

/** What stands at the end of a name that was too long. */
export const CUT_BYTES = 11

/** `orders` and `items` make `orders__items`. */
export const under = (outer: string, inner: string): string => `${outer}__${inner}`

/** The name, or as much of its beginning as fits, and a hash of all of it: the same for the same name, always. */
export function fitting(name: string, longest = Number.POSITIVE_INFINITY): string {
  if (Buffer.byteLength(name) <= longest) return name
  const end = `_${createHash('sha256')
    .update(name)
    .digest('hex')
    .slice(0, CUT_BYTES - 1)}`
  const letters = [...name]
  while (Buffer.byteLength(letters.join('')) + end.length > longest) letters.pop()
  return letters.join('') + end
}
