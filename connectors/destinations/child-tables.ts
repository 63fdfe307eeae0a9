// `unnest: tables` in a database: when rows of several tables may stand for one record, and how they name each other.

import type { Links } from '../../lib/child-tables/names.ts'

interface Options {
  readonly metadata: string
  readonly primary_key: readonly string[]
  readonly on_empty: 'publish' | 'keep'
}

/** Why this config has no child tables; undefined: it has. */
export function refusesChildTables({ metadata, primary_key: key, on_empty: onEmpty }: Options): string | undefined {
  if (metadata === 'none') return 'with metadata none rows have no id by which those of child tables could name them'
  if (key.length > 0)
    return 'with primary_key rows are merged, and rows of lists have no key; add rows, or replace them'
  if (onEmpty === 'keep') return 'with on_empty keep a child table would keep rows whose parents are gone'
  return undefined
}

/** As readers of the other columns expect. */
export function linksOf({ metadata }: Pick<Options, 'metadata'>): Links {
  return metadata === 'dlt'
    ? { parent: '_dlt_parent_id', root: '_dlt_root_id', index: '_dlt_list_idx' }
    : { parent: '_bizon_parent_id', root: '_bizon_root_id', index: '_bizon_index' }
}
