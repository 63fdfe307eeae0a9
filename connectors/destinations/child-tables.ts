// `unnest: tables` in a database: when rows of several tables may stand for one record, and how they name each other.

import { type Links, under } from '../../lib/child-tables/names.ts'
import type { DestinationOptions } from '../../lib/destination.ts'
import { members, stringAt } from '../../lib/json.ts'
import type { RawJson } from '../../lib/record.ts'

interface Options {
  readonly metadata: string
}

/** Why this config has no child tables; undefined: it has. */
export function refusesChildTables(
  options: Options & { readonly replace_scope: readonly string[] },
): string | undefined {
  const { metadata, replace_scope: scope } = options
  if (metadata === 'none') return 'with metadata none rows have no id by which those of child tables could name them'
  if (scope.length > 0)
    return 'with replace_scope rows take the place of others, and rows of lists have no scope; add rows, or replace them all'
  return undefined
}

/** As readers of the other columns expect. */
export function linksOf({ metadata }: Pick<Options, 'metadata'>): Links {
  return metadata === 'dlt'
    ? { parent: '_dlt_parent_id', root: '_dlt_root_id', index: '_dlt_list_idx' }
    : { parent: '_bizon_parent_id', root: '_bizon_root_id', index: '_bizon_index' }
}

/** Tables of records before those of their lists: what becomes of their rows decides about the others. */
export function recordsFirst<Table>(tables: Iterable<Table>, isOfLists: (table: Table) => boolean): Table[] {
  return [...tables].sort((one, other) => Number(isOfLists(one)) - Number(isOfLists(other)))
}

const ID_BYTES = 32
const RUN_BYTES = 16
const ZERO = 0x30

/** What a row says of others without the run that they are of, so that the rows of two runs can be compared. Writes to the buffer. */
export function hideRun({ buffer, start, end }: RawJson, { parent, root }: Links): void {
  members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    if (valueEnd - valueStart !== ID_BYTES + 2) return
    const name = stringAt(buffer, keyStart, keyEnd)
    if (name === parent || name === root) buffer.fill(ZERO, valueStart + 1, valueStart + 1 + RUN_BYTES)
  })
}

/**
 * Child tables without a row in this run, though it replaces their parents: what they hold is of lists that are empty or gone.
 */
export function orphanedTables(
  { metadata, unnestDepth }: Pick<Options, 'metadata'> & Pick<DestinationOptions, 'unnestDepth'>,
  { staged, published, columnsOf, fold = (name) => name }: Orphaning,
): string[] {
  if (unnestDepth === undefined) return []
  const { root: link } = linksOf({ metadata })
  const isStaged = new Set(staged.map(fold))
  const roots = [...new Set([...staged, ...published])].filter((table) => !columnsOf(table)?.includes(link))
  // `orders__old__items` is of `orders__old`, where that has records, and else of `orders`.
  roots.sort((one, other) => other.length - one.length)
  return published.filter((table) => {
    const name = fold(table)
    const root = roots.find((one) => name.startsWith(under(fold(one), '')))
    return root !== undefined && isStaged.has(fold(root)) && !isStaged.has(name) && !roots.includes(table)
  })
}

interface Orphaning {
  /** Tables that this run replaces. */
  readonly staged: readonly string[]
  /** Those that were published before. */
  readonly published: readonly string[]
  /** Columns that rows of a table were written with. */
  readonly columnsOf: (table: string) => readonly string[] | undefined
  /** Equal for names that are one. */
  readonly fold?: (name: string) => string
}
