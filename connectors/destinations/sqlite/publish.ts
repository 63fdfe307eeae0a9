// From staged to visible: one transaction that changes the published tables, drops what was staged, and marks the run
// published. A kill before its COMMIT leaves all as it was, one after it nothing to do. Readers see the old or the new.

import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { startingOver } from '../../../lib/job.ts'
import { emptiedTargets, replaces } from '../recovery.ts'
import { dropKeys, isKeyIndex } from './merge.ts'
import { quoteName } from './names.ts'
import { checkRows, type Site } from './recover.ts'
import type { StagedTable, TableState } from './state.ts'
import {
  countOf,
  creationOf,
  emptyTable,
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
  const tables = Object.entries(state.tables)
  for (const [table, staged] of tables) {
    const staging = await stagedIn(site, table, staged, state)
    if (replaces(state)) await replace(site, table, staging)
    else await append(site, table, staging, staged)
    faultPoint('publish.mid')
  }
  const published = new Set([...state.published, ...tables.map(([table]) => table)])
  if (replaces(state)) await emptyOthers(site, state, keepsOthers, published)
  return { ...state, phase: 'published', published: [...published], publishedBy: state.run }
}

async function replace(site: Site, table: string, staging: string): Promise<void> {
  const { session, key } = site
  const { all } = site.columnsOf(table)
  const found = await findTable(session, table)
  if (key) await key.deduplicate(session, staging, all)
  if (!found) await rename(site, staging, table)
  else if (found.sql === creationOf(table, all) && !found.hasTriggers) await replaceByRename(site, table, staging)
  else await refill(site, table, staging)
  if (key) await key.ensureIndex(session, table)
}

/** The table has nothing but what this program gave it, and indexes. Views name it, and go on doing so. */
async function replaceByRename(site: Site, table: string, staging: string): Promise<void> {
  const { session, key } = site
  const indexes = await session.read(
    `SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL ORDER BY rowid`,
    [table],
  )
  await session.change(`DROP TABLE ${quoteName(table)}`)
  await rename(site, staging, table)
  for (const { name, sql } of indexes) {
    if (!isKeyIndex(table, String(name)) || key?.isIndex(table, String(name))) await session.change(String(sql))
  }
}

/** The same table with other rows: what people have given it stays, and its triggers see each row go and come. */
async function refill(site: Site, table: string, staging: string): Promise<void> {
  const { session } = site
  await dropKeys(session, table)
  await prepareTable(session, table, site.columnsOf(table).all)
  await emptyTable(session, table)
  await moveRows(site, table, staging, await countOf(session, staging))
}

async function append(site: Site, table: string, staging: string, { rows }: StagedTable): Promise<void> {
  const { session, key } = site
  const { all } = site.columnsOf(table)
  const found = await findTable(session, table)
  if (found) checkRows(site.options, found, table)
  await prepareTable(session, table, all)
  if (!key) {
    await dropKeys(session, table)
    if (site.scope) {
      await site.scope.clear(session, table, staging)
      faultPoint('publish.mid')
    }
    await moveRows(site, table, staging, rows)
    return
  }
  await key.ensureIndex(session, table)
  await key.merge(session, table, staging, all)
  await session.change(`DROP TABLE ${quoteName(staging)}`)
}

async function moveRows({ session, columnsOf }: Site, table: string, staging: string, rows: number): Promise<void> {
  const list = listOf(columnsOf(table).all)
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
  for (const table of emptiedTargets({ target, staged, published: others, keepsOthers, onEmpty: options.on_empty })) {
    const found = await findTable(session, table)
    if (found) await emptyTable(session, table)
    else if (table === target) await session.change(creationOf(table, site.columnsOf(table).all))
    if (found || table === target) published.add(table)
    else published.delete(table)
    faultPoint('publish.mid')
  }
}

async function rename({ session }: Site, from: string, to: string): Promise<void> {
  await session.change(`ALTER TABLE ${quoteName(from)} RENAME TO ${quoteName(to)}`)
}

/** The staging table, with every row that was put there. */
async function stagedIn(site: Site, table: string, staged: StagedTable, { mode }: TableState): Promise<string> {
  const { session } = site
  const { staging, rows } = staged
  if (staging === null) throw new BizonError('internal', `the rows of ${table} are not staged`)
  const found = await findTable(session, staging)
  const count = found ? await countOf(session, staging) : 0
  if (!found || count !== rows) {
    throw new BizonError('edited', `${staging} of ${session.path} has ${count} rows, and this run put ${rows} there`, {
      hint: `Put it back as it was. Or ${startingOver(mode)}.`,
    })
  }
  missingColumns(found, site.columnsOf(table).all, staging)
  return staging
}
