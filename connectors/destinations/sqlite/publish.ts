// From staged to visible: one transaction that changes the published tables, drops what was staged, and marks the run
// published. A kill before its COMMIT leaves all as it was, one after it nothing to do. Readers see the old or the new.

import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { startingOver } from '../../../lib/job.ts'
import { orphanedTables } from '../child-tables.ts'
import { emptiedTargets, replaces } from '../recovery.ts'
import { alterTable, kindsIn } from './alter.ts'
import type { Column } from './columns.ts'
import { columnsFor, hasKey, isOwn } from './follow.ts'
import type { Lists } from './lists.ts'
import { dropKeys, isKeyIndex, type Key } from './merge.ts'
import { foldName, quoteName } from './names.ts'
import { checkRows, type Site } from './recover.ts'
import type { Kinds, StagedTable, TableState } from './state.ts'
import {
  belongingsOf,
  countOf,
  creationOf,
  emptyTable,
  type FoundTable,
  findTable,
  listOf,
  missingColumns,
  prepareTable,
  swallowed,
} from './tables.ts'

/**
 * The published state, still to be written in the same transaction. `keepsOthers`: tables that this run does not name
 * stay as they are; else they are emptied.
 */
export async function publish(site: Site, state: TableState, keepsOthers: boolean): Promise<TableState> {
  if (state.direct) return { ...state, phase: 'published', publishedBy: state.run }
  const { lists, session } = site
  const written = Object.entries(state.tables)
  const tables = lists?.recordsFirst(written, ([, { kinds = {} }]) => Object.keys(kinds)) ?? written
  await lists?.begin(session)
  for (const [table, staged] of tables) {
    const all = site.followed ? columnsFor(site, staged.kinds ?? {}) : site.columnsOf(table).all
    const from: Staged = { table, staging: await stagedIn(site, table, staged, state, all), all, rows: staged.rows }
    if (all.length === 0) await leaveEmpty(site, table, state)
    else if (replaces(state)) await replace(site, from, state)
    else await append(site, from, state)
    faultPoint('publish.mid')
  }
  const published = new Set([...state.published, ...tables.map(([table]) => table)])
  if (replaces(state)) await emptyOthers(site, state, keepsOthers, published)
  else await clearOthers(site, state)
  await lists?.end(session)
  const next = { ...state, phase: 'published', published: [...published], publishedBy: state.run } as const
  return { ...next, ...kindsAfter(site, state, state.tables) }
}

/** What the columns of published tables keep, once these are. */
export function kindsAfter(site: Site, { kinds }: TableState, tables: TableState['tables']): Pick<TableState, 'kinds'> {
  if (!site.followed && !kinds) return {}
  const written = Object.entries(tables).map(([table, { kinds: own = listedKinds(site, table) }]) => {
    return [table, { ...kinds?.[table], ...own }]
  })
  return { kinds: { ...kinds, ...Object.fromEntries(written) } }
}

/** A column that followed the records once may have become another that `record_schemas` lists. */
function listedKinds({ options, naming, columnsOf }: Site, table: string): Kinds {
  if (options.unnest !== true) return {}
  const own = naming.columns.map(({ name }) => name)
  return Object.fromEntries(
    columnsOf(table).all.flatMap(({ name, kind }) => (own.includes(name) ? [] : [[name, kind]])),
  )
}

interface Staged {
  readonly table: string
  readonly staging: string
  readonly all: readonly Column[]
  readonly rows: number
}

/** No record came, and of no column anything is known: there is no table to take the place of another. */
async function leaveEmpty({ session }: Site, table: string, state: TableState): Promise<void> {
  if (replaces(state) && (await findTable(session, table))) await emptyTable(session, table)
}

/** What this run needs of the published table, where it goes on being there. */
async function prepare(site: Site, { table, all }: Staged, state: TableState): Promise<void> {
  const { session } = site
  if (!site.followed) return prepareTable(session, table, all)
  const kinds = kindsIn(await findTable(session, table), state.kinds?.[table] ?? {})
  await alterTable(session, { table, columns: all, kinds, mayTurn: false })
}

const keyOf = (site: Site, { all }: Staged): Key | undefined =>
  site.followed && !hasKey(site, all) ? undefined : site.key

/** Where the rows are those of lists, and go with others. */
const listsIn = ({ lists }: Site, { all }: Staged): Lists | undefined =>
  lists?.isIn(all.map(({ name }) => name)) ? lists : undefined

async function replace(site: Site, from: Staged, state: TableState): Promise<void> {
  const { session } = site
  const { table, staging, all } = from
  const key = keyOf(site, from)
  const lists = listsIn(site, from)
  const found = await findTable(session, table)
  if (key) await key.deduplicate(session, staging, all)
  await lists?.clearStaged(session, staging)
  if (!found) await rename(site, staging, table)
  else if (canGive(site, found, from, state)) await replaceByRename(site, table, staging)
  else await refill(site, from, state)
  if (key) await key.ensureIndex(session, table)
  await lists?.ensureIndex(session, table)
}

/** Whether the table has nothing but what this program gave it, and indexes. */
function canGive(site: Site, found: FoundTable, { table, all }: Staged, { kinds }: TableState): boolean {
  if (!site.followed) return found.sql === creationOf(table, all) && !found.hasTriggers
  return isOwn(site, found, kinds?.[table] ?? {})
}

/** The table has nothing but what this program gave it, and indexes. Views name it, and go on doing so. */
async function replaceByRename(site: Site, table: string, staging: string): Promise<void> {
  const { session, key } = site
  const belongings = await belongingsOf(session, table)
  await session.change(`DROP TABLE ${quoteName(table)}`)
  await rename(site, staging, table)
  for (const { name, sql } of belongings) {
    if (!isKeyIndex(table, name) || key?.isIndex(table, name)) await session.change(sql)
  }
}

/** The same table with other rows: what people have given it stays, and its triggers see each row go and come. */
async function refill(site: Site, from: Staged, state: TableState): Promise<void> {
  const { session } = site
  await dropKeys(session, from.table)
  await prepare(site, from, state)
  await emptyTable(session, from.table)
  await moveRows(site, { ...from, rows: await countOf(session, from.staging) })
}

async function append(site: Site, from: Staged, state: TableState): Promise<void> {
  const { session } = site
  const { table, staging, all } = from
  const key = keyOf(site, from)
  const lists = listsIn(site, from)
  const found = await findTable(session, table)
  if (found) checkRows(site.options, found, table)
  await prepare(site, from, state)
  if (!key) {
    await dropKeys(session, table)
    if (site.scope && from.rows > 0) {
      await site.scope.clear(session, table, staging)
      faultPoint('publish.mid')
    }
    if (lists) {
      await lists.ensureIndex(session, table)
      await lists.clearStaged(session, staging)
      await lists.clearPublished(session, table)
    }
    await moveRows(site, { ...from, rows: lists ? await countOf(session, staging) : from.rows })
    return
  }
  await key.ensureIndex(session, table)
  await key.merge(session, table, staging, all)
  await session.change(`DROP TABLE ${quoteName(staging)}`)
}

async function moveRows({ session }: Site, { table, staging, all, rows }: Staged): Promise<void> {
  const list = listOf(all)
  const count = await session.change(
    `INSERT INTO ${quoteName(table)} (${list}) SELECT ${list} FROM ${quoteName(staging)} ORDER BY rowid`,
  )
  if (count !== rows) throw swallowed(table, count, rows)
  await session.change(`DROP TABLE ${quoteName(staging)}`)
}

/** Tables that have no rows any more. One that somebody has dropped is forgotten. */
async function emptyOthers(site: Site, state: TableState, keepsOthers: boolean, published: Set<string>): Promise<void> {
  const { session, target, options } = site
  const staged = Object.keys(state.tables)
  const others = state.published
  const columnsOf = (table: string): string[] => Object.keys(state.kinds?.[table] ?? state.tables[table]?.kinds ?? {})
  const orphans = orphanedTables(options, { staged, published: others, columnsOf, fold: foldName })
  const onEmpty = options.on_empty
  for (const table of emptiedTargets({ target, staged, published: others, keepsOthers, onEmpty, orphans })) {
    const found = await findTable(session, table)
    const all = found || table !== target ? [] : site.columnsOf(table).all
    const isMade = all.length > 0
    if (found) await emptyTable(session, table)
    else if (isMade) await session.change(creationOf(table, all))
    if (found || isMade) published.add(table)
    else published.delete(table)
    faultPoint('publish.mid')
  }
}

/** The lists of records that are replaced, in tables that no row came for. */
async function clearOthers({ session, lists }: Site, { kinds = {}, published, tables }: TableState): Promise<void> {
  for (const table of published) {
    const names = Object.keys(kinds[table] ?? {})
    if (lists?.isIn(names) && !Object.hasOwn(tables, table) && (await findTable(session, table)))
      await lists.clearPublished(session, table)
  }
}

async function rename({ session }: Site, from: string, to: string): Promise<void> {
  await session.change(`ALTER TABLE ${quoteName(from)} RENAME TO ${quoteName(to)}`)
}

/** The staging table, with every row that was put there. */
async function stagedIn(
  site: Site,
  table: string,
  staged: StagedTable,
  { mode }: TableState,
  all: readonly Column[],
): Promise<string> {
  const { session } = site
  const { staging, rows } = staged
  if (staging === null) throw new BizonError('internal', `the rows of ${table} are not staged`)
  const found = await findTable(session, staging)
  const count = found ? await countOf(session, staging) : 0
  if ((!found && all.length > 0) || count !== rows) {
    throw new BizonError('edited', `${staging} of ${session.path} has ${count} rows, and this run put ${rows} there`, {
      hint: `Put it back as it was. Or ${startingOver(mode)}.`,
    })
  }
  if (found) missingColumns(found, all, staging)
  return staging
}
