// From staged to visible: one transaction that changes the published tables, drops what was staged, and marks the run
// published. A kill before its COMMIT leaves all as it was, one after it nothing to do. What changes a table for which
// readers would have to wait is done in a short one before it.

import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { startingOver } from '../../../lib/job.ts'
import type { Partition } from '../../../lib/partition.ts'
import { quoteName } from '../../postgres.ts'
import { orphanedTables } from '../child-tables.ts'
import type { Naming } from '../naming.ts'
import { emptiedTargets, replaces } from '../recovery.ts'
import { checkTable, type Use, useOf } from './check.ts'
import type { Column } from './columns.ts'
import type { PostgresOptions } from './config.ts'
import { swallowed } from './errors.ts'
import { alterTable, stagedColumns } from './follow.ts'
import type { Lists } from './lists.ts'
import type { Key } from './merge.ts'
import { qualified } from './names.ts'
import { replaceByRename } from './replace.ts'
import type { Scope } from './scope.ts'
import type { Transaction } from './session.ts'
import { checkShape } from './shape.ts'
import type { PublishedTable, StagedTable, TableState } from './state.ts'
import type { TableIndex } from './table-index.ts'
import { countRows, createTable, findTable, listOf, prepareTable, removeRows, tableOfIndex } from './tables.ts'

/** What recovering and publishing work with. */
export interface Site {
  readonly options: PostgresOptions
  /** Table of the configured destination id. */
  readonly target: string
  /** That which this process writes. Absent: all of it. */
  readonly partition: Partition | undefined
  readonly key: Key | undefined
  /** Where rows of lists go with those that are merged by key. */
  readonly lists: Lists | undefined
  /** By what rows are replaced that are not all replaced; undefined: by nothing. */
  readonly scope: Scope | undefined
  readonly naming: Naming
  /** Those that rows are written with, as far as they are known. */
  columnsOf(table: string): readonly Column[]
  /** Those that rows are written with whatever the records are. */
  fixedOf(table: string): readonly Column[]
  /** What the state says of the columns of a table with rows of this run. */
  writtenTo(table: string): Pick<StagedTable, 'columns'>
}

/** Columns and indexes of tables that go on being there. Repeatable. */
export async function preparePublish(transaction: Transaction, site: Site, state: TableState): Promise<void> {
  const { options } = site
  const { schema } = options
  const use = useOf(state, options)
  if (use === 'swap') return
  for (const table of Object.keys(state.tables)) {
    const found = await checkTable(transaction, site, table, asked(site, state, table, use))
    if (!found) continue
    await prepareTable(transaction, schema, table, site.fixedOf(table), options.unnest === 'columns')
    await dropStaleIndex(transaction, site, state, table)
    // Rows that are about to be replaced may have one key twice.
    if (use === 'add') await indexFor(site, found.columns)?.ensure(transaction, schema, table)
  }
}

/** That which merging needs of a table with such columns. */
export function indexFor(
  { key, lists }: Pick<Site, 'key' | 'lists'>,
  columns: { has(name: string): boolean },
): TableIndex | undefined {
  return lists?.isIn(columns) ? lists.index : key?.isIn(columns) ? key.index : undefined
}

/** The index of a key that was another, and by which rows that are different now would be refused. */
export async function dropStaleIndex(
  transaction: Transaction,
  site: Site,
  state: TableState,
  table: string,
): Promise<void> {
  const stale = staleIndex(site, state, table)
  const { schema } = site.options
  // A table that was renamed has taken its index along.
  if (stale === null || (await tableOfIndex(transaction, schema, stale)) !== table) return
  await transaction.query(`DROP INDEX ${qualified(schema, stale)}`)
}

function staleIndex({ key, lists }: Site, { published }: TableState, table: string): string | null {
  const index = Object.hasOwn(published, table) ? (published[table]?.index ?? null) : null
  return [key, lists].some((one) => one?.index.nameOn(table) === index) ? null : index
}

/** What the state says of a table that has this run's rows. */
export function publishedTable({ key, lists }: Site, table: string, { columns }: StagedTable): PublishedTable {
  const { index } = (lists?.isIn(new Set(columns)) ? lists : key) ?? {}
  return { index: index?.nameOn(table) ?? null, ...(columns && { columns }) }
}

/**
 * The published state, still to be written in the same transaction. `keepsOthers`: tables that this run does not name
 * stay as they are; else they are emptied.
 */
export async function publish(
  transaction: Transaction,
  site: Site,
  state: TableState,
  { keepsOthers }: { readonly keepsOthers: boolean },
): Promise<TableState> {
  if (state.direct) return { ...state, phase: 'published', publishedBy: state.run }
  const { lists } = site
  const staged = Object.entries(state.tables)
  const tables = lists?.recordsFirst(staged, ([, { columns = [] }]) => columns) ?? staged
  const use = useOf(state, site.options)
  await lists?.begin(transaction)
  const published: Record<string, PublishedTable> = { ...state.published }
  for (const [table, staged] of tables) {
    await publishTable(transaction, site, table, staged, state, use)
    published[table] = publishedTable(site, table, staged)
    faultPoint('publish.mid')
  }
  if (replaces(state)) await emptyOthers(transaction, site, state, keepsOthers, published)
  else await lists?.clearOthers(transaction, site.options.schema, othersIn(published, state.tables))
  return { ...state, phase: 'published', published, publishedBy: state.run }
}

/** Published tables that rows have not come for, with their columns. */
export function othersIn(
  published: TableState['published'],
  tables: object,
): (readonly [table: string, columns: readonly string[]])[] {
  return Object.entries(published).flatMap(([table, { columns = [] }]) =>
    Object.hasOwn(tables, table) ? [] : [[table, columns] as const],
  )
}

const asked = (site: Site, { mode, published }: TableState, table: string, use: Use) => ({
  use,
  columns: site.fixedOf(table),
  mayReplace: mode === 'full_refresh' || Object.hasOwn(published, table),
})

async function publishTable(
  transaction: Transaction,
  site: Site,
  table: string,
  staged: StagedTable,
  state: TableState,
  use: Use,
): Promise<void> {
  const { options, scope, lists } = site
  const { schema, unnest } = options
  const staging = stagingOf(staged, table)
  const [main, next] = [qualified(schema, table), qualified(schema, staging)]
  const isThere = (await findTable(transaction, schema, table)) !== undefined
  // First of all, so that what is found is still so at the end. Readers go on reading.
  if (isThere)
    await transaction.query(
      `LOCK TABLE ${main} IN ${use === 'add' && !scope && !lists ? '' : 'SHARE '}ROW EXCLUSIVE MODE`,
    )
  if (isThere) await checkTable(transaction, site, table, asked(site, state, table, use))
  const count = await countRows(transaction, next)
  if (count !== staged.rows) throw miscounted(schema, staging, count, staged, state)
  const follows = unnest === 'columns' ? await stagedColumns(transaction, site, next, staged) : undefined
  const columns = follows?.columns ?? site.columnsOf(table)
  // A table for which no row came may not have the columns of the key.
  const key = follows?.hasKey === false ? undefined : site.key
  if (key) await key.deduplicate(transaction, next)
  const isList = lists?.isIn(new Set(staged.columns)) ?? false
  const index = (isList ? lists : key)?.index
  if (isList) await lists?.clearStaged(transaction, next, table)
  if (use === 'add') {
    await prepareTable(transaction, schema, table, follows ? site.fixedOf(table) : columns, follows !== undefined)
    if (follows) await alterTable(transaction, main, columns)
    await index?.ensure(transaction, schema, table)
    if (isList) await lists?.clearPublished(transaction, main, table)
    if (scope && staged.rows > 0) {
      await scope.clear(transaction, main, next, table)
      faultPoint('publish.mid')
    }
    if (key) await key.merge(transaction, schema, table, next, columns)
    else await fill(transaction, { schema, table, columns, from: next })
    await transaction.query(`DROP TABLE ${next}`)
    return
  }
  if (isThere && use === 'fill') {
    await removeRows(transaction, main, table)
    if (follows) await alterTable(transaction, main, columns)
    await fill(transaction, { schema, table, columns, from: next })
    await transaction.query(`DROP TABLE ${next}`)
    await index?.ensure(transaction, schema, table)
    return
  }
  // Before it takes the place: while the index is built, readers still have the other one.
  if (isThere) await checkShape(transaction, schema, table, staging, follows !== undefined)
  await index?.ensure(transaction, schema, table, staging)
  if (isThere) await replaceByRename(transaction, schema, table, staging, staleIndex(site, state, table))
  else await transaction.query(`COMMENT ON TABLE ${next} IS NULL; ALTER TABLE ${next} RENAME TO ${quoteName(table)}`)
}

async function fill(
  transaction: Transaction,
  {
    schema,
    table,
    columns,
    from,
  }: {
    readonly schema: string
    readonly table: string
    readonly columns: readonly Column[]
    readonly from: string
  },
): Promise<void> {
  const list = listOf(columns)
  const main = qualified(schema, table)
  const sent = await countRows(transaction, from)
  // Without rows there need not be a column either.
  if (sent === 0) return
  const { count } = await transaction.query(`INSERT INTO ${main} (${list}) SELECT ${list} FROM ${from}`)
  if (count !== sent) throw swallowed(table, count, sent)
}

/** Tables that have no rows any more. One that somebody has dropped is forgotten. */
async function emptyOthers(
  transaction: Transaction,
  site: Site,
  state: TableState,
  keepsOthers: boolean,
  published: Record<string, PublishedTable>,
): Promise<void> {
  const { schema, on_empty: onEmpty } = site.options
  const [staged, others] = [Object.keys(state.tables), Object.keys(state.published)]
  const columnsOf = (table: string): readonly string[] | undefined => published[table]?.columns
  const orphans = orphanedTables(site.options, { staged, published: others, columnsOf })
  const empty = emptiedTargets({ target: site.target, staged, published: others, keepsOthers, onEmpty, orphans })
  for (const table of empty) {
    const name = qualified(schema, table)
    if (await findTable(transaction, schema, table)) {
      await transaction.query(`LOCK TABLE ${name} IN SHARE ROW EXCLUSIVE MODE`)
      await checkTable(transaction, site, table, { use: 'fill', columns: undefined, mayReplace: true })
      await removeRows(transaction, name, table)
      if (!Object.hasOwn(published, table)) published[table] = { index: null }
    } else if (table === site.target) {
      await createTable(transaction, name, site.columnsOf(table))
      published[table] = { index: null }
    } else delete published[table]
    faultPoint('publish.mid')
  }
}

export function miscounted(
  schema: string,
  staging: string,
  count: number,
  { rows }: StagedTable,
  { mode }: TableState,
) {
  return new BizonError('edited', `${schema}.${staging} has ${count} rows, and this run put ${rows} there`, {
    hint: `Put it back as it was. Or ${startingOver(mode)}.`,
  })
}

export function stagingOf({ staging }: StagedTable, table: string): string {
  if (staging === null) throw new BizonError('internal', `the rows of ${table} are not staged`)
  return staging
}
