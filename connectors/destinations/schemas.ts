// What destinations with columns ask of `record_schemas` and of the text that goes into a column.

import type { DestinationOptions, RecordSchema } from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'

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

interface KeyedOptions extends Pick<DestinationOptions, 'recordSchemas'> {
  readonly primary_key: readonly string[]
  readonly cursor_field?: string | undefined
}

/** Rejects lists of columns that lack one by which rows are merged. `columnsOf`: those of the destination id's table. */
export function checkKeyColumns(
  { primary_key: key, cursor_field: cursor, recordSchemas }: KeyedOptions,
  columnsOf: (destinationId: string) => readonly { readonly name: string }[],
): void {
  for (const { destinationId } of recordSchemas) {
    const names = columnsOf(destinationId).map(({ name }) => name)
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
