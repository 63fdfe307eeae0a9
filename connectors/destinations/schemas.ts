// What destinations with columns ask of `record_schemas` and of the text that goes into a column.

import { InvalidKey, inDestination } from '../../lib/config/invalid-key.ts'
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
  throw new InvalidKey(
    inDestination('unnest'),
    `record_schemas has no entry for ${what} ${JSON.stringify(target)}, only for ${known || 'none'}`,
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
  throw new InvalidKey(inDestination('replace_scope'), `cannot be together with ${other}`, {
    hint: 'Leave one of them out.',
  })
}

interface KeyOptions {
  readonly primary_key: readonly string[]
  readonly cursor_field?: string | undefined
}

/** Fields by which rows are merged, the key's first. */
export function keyFields({ primary_key: key, cursor_field: cursor }: KeyOptions): readonly string[] {
  return cursor === undefined ? key : [...key, cursor]
}

interface KeyedOptions extends KeyOptions, Pick<DestinationOptions, 'recordSchemas'> {
  readonly replace_scope?: readonly string[]
}

/** Rejects lists of columns that lack one by which rows are merged. `columnsOf`: those of the destination id's table. */
export function checkKeyColumns(
  options: KeyedOptions,
  columnsOf: (destinationId: string) => readonly { readonly name: string }[],
): void {
  const { replace_scope: scope = [], recordSchemas } = options
  for (const { destinationId } of recordSchemas) {
    const names = columnsOf(destinationId).map(({ name }) => name)
    const outside = scope.find((name) => !names.includes(name))
    if (outside !== undefined) {
      throw new InvalidKey(
        inDestination('record_schemas'),
        `table ${destinationId} has no column ${outside}, by which rows are replaced`,
        { hint: 'Add the column, or change replace_scope.' },
      )
    }
    const missing = keyFields(options).find((name) => !names.includes(name))
    if (missing === undefined) continue
    throw new InvalidKey(
      inDestination('record_schemas'),
      `table ${destinationId} has no column ${missing}, by which rows are merged`,
      { hint: 'Add the column, or change primary_key and cursor_field.' },
    )
  }
}

/**
 * Where columns follow the records: rejects those that have no column for a field by which rows are merged or replaced.
 * `isMerged`: they are. `of`: the first record and its table.
 */
export function requireKeyColumns(
  options: KeyOptions & { readonly replace_scope: readonly string[] },
  { columns, isMerged, of }: { readonly columns: readonly string[]; readonly isMerged: boolean; readonly of: string },
): void {
  const { primary_key: key, replace_scope: scope } = options
  const missing = [...scope, ...(isMerged ? keyFields(options) : [])].find((name) => !columns.includes(name))
  if (missing === undefined) return
  const which = scope.includes(missing) ? 'replace_scope' : key.includes(missing) ? 'primary_key' : 'cursor_field'
  throw new BizonError(
    'invalid_record',
    `${of}: its ${which} ${JSON.stringify(missing)} is no column, since no record so far has a value there`,
    { hint: `Correct it in a transform, or change ${which}. With on_schema_change: freeze, add the column by hand.` },
  )
}

/** Whether UTF-8 could not hold it. */
export function isHalfPair(text: string): boolean {
  // Node 20 has it, and the types of ES2023 do not.
  return !(text as string & { isWellFormed(): boolean }).isWellFormed()
}
