// The records of a page, for tables whose columns follow them: what is the same in each database.

import type { DestinationContext, DestinationOptions } from '../../../lib/destination.ts'
import type { JsonObject, SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import type { Step } from './table.ts'

export type Context = Pick<DestinationContext, 'schema' | 'isTransformed'> & Partial<Pick<DestinationContext, 'log'>>

/** Whose columns are looked at, table by table. */
export interface Tables {
  /** The table of records that name none; throws when it cannot be one. */
  usual(): string
  /** A table without rows, that is replaced. */
  readonly mentioned: string | undefined
  readonly tableOf: (record: SourceRecord) => string
}

export function recordsByTable(
  records: readonly SourceRecord[],
  { mentioned, tableOf }: Tables,
): ReadonlyMap<string, readonly SourceRecord[]> {
  const byTable = new Map<string, SourceRecord[]>(mentioned === undefined ? [] : [[mentioned, []]])
  for (const record of records) {
    const table = tableOf(record)
    const some = byTable.get(table)
    if (some) some.push(record)
    else byTable.set(table, [record])
  }
  return byTable
}

/** What the source says of the records of a table; undefined: nothing, or nothing that is so. */
export function schemaOf(
  { stream }: Page,
  { schema, isTransformed }: Context,
  { unnestDepth }: Pick<DestinationOptions, 'unnestDepth'>,
  { table, usual }: { readonly table: string } & Pick<Tables, 'usual'>,
): JsonObject | undefined {
  const isOfRecords = unnestDepth === undefined || table === usual()
  if (isTransformed || !isOfRecords) return undefined
  return stream ? stream.schema : schema
}

/** `place`: the table, as people know it. */
export function warnLeftOut({ log }: Context, place: string, { leftOut }: Step): void {
  if (leftOut.length === 0) return
  const names = leftOut.map((name) => JSON.stringify(name)).join(', ')
  log?.warn(`${place}: fields without a column are left out, since on_schema_change is freeze: ${names}`)
}
