// Rows with other columns are never put beside parts that are there: a reader of them all would take the columns of one,
// and lose the others without a word.

import { BizonError } from '../../../../lib/errors.ts'
import { startingOver } from '../../../../lib/job.ts'
import type { SyncMode } from '../../../../lib/source.ts'
import type { Column, SchemaTree } from '../../../parquet.ts'
import { nameOf, storedNameOf } from './types.ts'

/** A column of a part, with the name that `nameOf` gives its type. */
export interface StoredColumn {
  readonly name: string
  readonly type: string
}

export function storedColumns({ children }: SchemaTree): readonly StoredColumn[] {
  return children.map(({ element }) => ({ name: element.name, type: storedNameOf(element) }))
}

/** Rejects unless names, order and types are the same. `home`: the folder of the target. */
export function checkColumns(
  home: string,
  found: readonly StoredColumn[],
  columns: readonly Column[],
  { staged, mode }: { readonly staged: boolean; readonly mode: SyncMode },
): void {
  const ours = columns.map(({ name, type }) => ({ name, type: nameOf(type) }))
  const differences = differencesOf(found, ours)
  if (differences.length === 0) return
  const shown = differences.slice(0, SHOWN)
  if (differences.length > SHOWN) shown.push(`and ${differences.length - SHOWN} more`)
  throw new BizonError('edited', `${home} has other columns than the rows to add: ${shown.join('; ')}`, {
    hint: `${staged ? 'Give the columns as they were, until the unfinished run is published' : 'Choose another destination_id for the new columns'}. Or ${startingOver(mode)}.`,
  })
}

const SHOWN = 10

function differencesOf(found: readonly StoredColumn[], ours: readonly StoredColumn[]): string[] {
  const theirs = new Map(found.map(({ name, type }) => [name, type]))
  const differences = ours.flatMap(({ name, type }) => {
    const there = theirs.get(name)
    theirs.delete(name)
    if (there === type) return []
    const column = `column ${JSON.stringify(name)}`
    if (there === undefined) return [`${column} is not there, and of type ${type} in the rows`]
    return [`${column} is of type ${there} there, and of type ${type} in the rows`]
  })
  for (const [name, type] of theirs) {
    differences.push(`column ${JSON.stringify(name)} is of type ${type} there, and not in the rows`)
  }
  const moved = ours.findIndex(({ name }, at) => found[at]?.name !== name)
  if (differences.length > 0 || moved === -1) return differences
  const [there, here] = [found[moved], ours[moved]].map((column) => `${JSON.stringify(column?.name)} (${column?.type})`)
  return [`column ${moved + 1} is ${there} there, and ${here} in the rows`]
}
