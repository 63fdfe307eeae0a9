// What destinations with columns ask of `record_schemas` and of the text that goes into a column.

import type { DestinationOptions, RecordSchema } from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'
import type { SyncMode } from '../../lib/source.ts'
import type { Visibility } from './recovery.ts'

/**
 * The column list of a target. `what` names the target's kind in the error; `isSame` is for names of which several spellings
 * are one.
 */
export function schemaFor(
  schemas: readonly RecordSchema[],
  target: string,
  what: 'destination id' | 'table',
  isSame: (one: string, other: string) => boolean = (one, other) => one === other,
): RecordSchema {
  const found = schemas.find(({ destinationId }) => isSame(destinationId, target))
  if (found) return found
  const known = schemas.map(({ destinationId }) => JSON.stringify(destinationId)).join(', ')
  throw new BizonError(
    'config',
    `unnest: record_schemas has no entry for ${what} ${JSON.stringify(target)}, only for ${known || 'none'}`,
    { hint: 'Add an entry with that destination_id and its columns.' },
  )
}

export const SCOPE_DESCRIPTION =
  'Fields by whose values rows are replaced: what an incremental run brings takes the place of all rows that have the same values in them, such as those of a day. The source must give all rows of each. Default: rows are added.'

interface ScopedOptions {
  readonly primary_key: readonly string[]
  readonly replace_scope: readonly string[]
  readonly visibility: Visibility
}

/** Rejects what cannot be together with `replace_scope`. */
export function checkScope(
  { primary_key: key, replace_scope: scope, visibility }: ScopedOptions,
  mode: SyncMode,
): void {
  if (scope.length === 0) return
  const other =
    key.length > 0
      ? 'primary_key, by which rows are merged'
      : visibility === 'batch'
        ? 'visibility: batch, which adds rows before all of a scope have come'
        : mode === 'stream'
          ? 'sync_mode stream, which has no end at which a scope would be complete'
          : undefined
  if (other === undefined) return
  throw new BizonError('config', `destination.config.replace_scope cannot be together with ${other}`, {
    hint: 'Leave one of them out.',
  })
}

interface KeyedOptions extends Pick<DestinationOptions, 'recordSchemas'> {
  readonly primary_key: readonly string[]
  readonly cursor_field?: string | undefined
  readonly replace_scope?: readonly string[]
}

/** Rejects lists of columns that lack one by which rows are merged. `columnsOf`: those of the destination id's table. */
export function checkKeyColumns(
  { primary_key: key, cursor_field: cursor, replace_scope: scope = [], recordSchemas }: KeyedOptions,
  columnsOf: (destinationId: string) => readonly { readonly name: string }[],
): void {
  for (const { destinationId } of recordSchemas) {
    const names = columnsOf(destinationId).map(({ name }) => name)
    const outside = scope.find((name) => !names.includes(name))
    if (outside !== undefined) {
      throw new BizonError(
        'config',
        `record_schemas: table ${destinationId} has no column ${outside}, by which rows are replaced`,
        { hint: 'Add the column, or change replace_scope.' },
      )
    }
    const missing = [...key, ...(cursor === undefined ? [] : [cursor])].find((name) => !names.includes(name))
    if (missing === undefined) continue
    throw new BizonError(
      'config',
      `record_schemas: table ${destinationId} has no column ${missing}, by which rows are merged`,
      { hint: 'Add the column, or change primary_key and cursor_field.' },
    )
  }
}

/** Whether UTF-8 could not hold it. */
export function isHalfPair(text: string): boolean {
  return /\p{Cs}/u.test(text)
}
