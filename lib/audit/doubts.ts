// What nobody can tell of a target to which others write as well, and from which rows may be gone: a topic.

import type { Difference } from './compare.ts'
import type { Reader } from './reader.ts'

interface Counted {
  readonly place: string
  readonly rows: number
  readonly strangers: number
  /** Ids of some of those. */
  readonly examples: readonly string[]
  readonly isBlind: boolean
}

/**
 * Where rows have ids, what others have removed or added makes no other difference; and what is missing where nothing can be
 * gone was lost.
 */
export function isSure(reader: Reader, id: string, kind: Difference['kind']): boolean {
  if (reader.keeps.ids !== true || kind === 'unknown') return false
  return kind !== 'missing' || reader.gone?.(id) === undefined
}

/** Why it cannot be told whether the rows are as they should be. */
export function doubtsOf(
  reader: Reader,
  id: string,
  { table, found }: { readonly table: Counted; readonly found: readonly Difference[] },
): string[] {
  const doubts: string[] = []
  const add = (count: number, what: string): void => {
    doubts.push(`${table.place}: ${count === 1 ? 'a row' : `${count} rows`} ${what}`)
  }
  const gone = reader.gone?.(id)
  const missing = found.reduce((sum, { kind, count }) => sum + (kind === 'missing' ? count : 0), 0)
  const { ids, onlyAdds } = reader.keeps
  if (gone !== undefined) {
    if (missing > 0) add(missing, `${missing === 1 ? 'is' : 'are'} missing, and ${gone}`)
    else if (!ids && (table.isBlind || found.length > 0)) add(table.rows, `cannot be compared without ids: ${gone}`)
  }
  if (!onlyAdds) return doubts
  const surplus = ids ? 0 : found.reduce((sum, { kind, count }) => sum + (kind === 'surplus' ? count : 0), 0)
  if (surplus > 0)
    add(surplus, 'more than were loaded; without ids (metadata: none) nothing tells which are of other programs')
  if (table.strangers > 0) {
    const which = table.examples.length > 0 ? ` (${table.examples.map((one) => JSON.stringify(one)).join(', ')})` : ''
    add(
      table.strangers,
      `${which.trimStart()}${which && ' '}${table.strangers === 1 ? 'is' : 'are'} of no run that the state store knows: of another pipeline or program, or of a run that it has lost`,
    )
  }
  return doubts
}
