// What `open` does before anything is written, in one transaction: finds out how the last process left the tables, and
// puts them right.
//
//   same run:   go on from its checkpoint; what was not committed, the server has undone
//   a stream:   the same, also when the state store has lost its run
//   other run:  take back its append if the store does not know of it, drop what it staged, begin

import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { startingOver } from '../../../lib/job.ts'
import { idPrefixOf, idSuffixOf } from '../../../lib/row-id.ts'
import type { Queries } from '../../postgres.ts'
import { checkNaming } from '../naming.ts'
import {
  beginning,
  followsUnknown,
  isDirect,
  ownState,
  publisherOf,
  showsBatches,
  standingOf,
  type Words,
} from '../recovery.ts'
import { checkTable, useOf } from './check.ts'
import type { PostgresOptions } from './config.ts'
import { qualified } from './names.ts'
import { releaseTables } from './owners.ts'
import type { Site } from './publish.ts'
import { dropStaged } from './staging.ts'
import { REMOVING, type StateRow, type TableState } from './state.ts'
import { findTable } from './tables.ts'

/** The state to go on from, still to be written in the same transaction. */
export async function recover(transaction: Queries, site: Site, row: StateRow, run: Run): Promise<TableState> {
  const read = await row.read(transaction)
  const found = read && { ...read, direct: isShown(read, site.options) }
  const own = ownState(found, run, wordsOf(site, row))
  const state = own ? await resume(transaction, site, run, own) : await begin(transaction, site, row, run, found)
  await dropStaged(
    transaction,
    site,
    Object.values(state.tables).flatMap(({ staging }) => staging ?? []),
  )
  if (state.phase === 'staging') await checkMains(transaction, site, row, run, state)
  return { ...state, epoch: run.epoch }
}

/** Whether its rows are in the published tables: as their names say, and without any as this run would have it. */
function isShown(state: TableState, { visibility }: PostgresOptions): boolean {
  const [first] = Object.values(state.tables)
  if (state.mode !== 'incremental') return false
  return first ? first.staging === null : showsBatches(state, visibility)
}

async function resume(transaction: Queries, site: Site, run: Run, found: TableState): Promise<TableState> {
  const { options } = site
  if (found.phase === 'published') return found
  for (const [table, { staging }] of Object.entries(found.tables)) {
    const name = staging ?? table
    if (await findTable(transaction, options.schema, name)) continue
    throw new BizonError('edited', `${options.schema}.${name} is missing, where rows of this run were`, {
      hint: `Put it back. Or ${startingOver(found.mode)}.`,
    })
  }
  await removeAhead(transaction, site, run, found)
  return found
}

/**
 * The store remembers more of rows that are published than the state row does: a copy of that, or of the whole database, was put back.
 * Rows behind the row's checkpoint come again, so that none may be there. Merged ones replace themselves, but not where lists
 * name them: what comes again may be other rows by then, under the same numbers.
 */
async function removeAhead(transaction: Queries, site: Site, run: Run, found: TableState): Promise<void> {
  const rows = found.checkpoint?.rows ?? 0
  if (!isDirect(found) || (site.key && !site.lists) || (run.stored?.rows ?? 0) <= rows) return
  const { schema } = site.options
  const { rowId } = site.naming
  if (rowId === undefined) {
    throw new BizonError(
      'edited',
      `the state of ${schema}.${site.target} is an older copy: it ends at row ${rows}, and ${run.stored?.rows} were durable`,
      { hint: `Restore the newer one. Or ${startingOver(found.mode)}.` },
    )
  }
  const prefix = idPrefixOf(found.run, found)
  for (const table of new Set([...Object.keys(found.tables), ...Object.keys(found.published)])) {
    await checkRows(transaction, site, table)
    await transaction.query(`DELETE FROM ${qualified(schema, table)} WHERE ${rowId} COLLATE "C" BETWEEN $1 AND $2`, [
      prefix + idSuffixOf(rows),
      `${prefix}${'f'.repeat(16)}`,
    ])
  }
}

async function begin(
  transaction: Queries,
  site: Site,
  row: StateRow,
  run: Run,
  found: TableState | undefined,
): Promise<TableState> {
  const publishedBy = found ? await publisherAfter(transaction, site, row, run, found) : null
  const published = found?.published ?? {}
  // Without the row nobody else knows whose the tables are that records named.
  if (found && !site.partition)
    await releaseTables(transaction, site.options.schema, site.target, Object.keys(published))
  const direct = showsBatches(run, site.options.visibility)
  return { ...beginning(run), direct, tables: {}, published, publishedBy }
}

/** The run whose rows are published, once an append is taken back that is not to stay. */
async function publisherAfter(
  transaction: Queries,
  site: Site,
  row: StateRow,
  run: Run,
  found: TableState,
): Promise<string | null> {
  // Merging rows, or replacing them, a second time changes nothing; others are known by their ids.
  const isRepeatable = site.key !== undefined || site.scope !== undefined
  const canUndo = isRepeatable || site.naming.rowId !== undefined
  const hasWritten = Object.keys(found.tables).length > 0
  const standing = standingOf(found, run, { hasWritten, canUndo }, wordsOf(site, row))
  if (standing === 'stays') return publisherOf(found, hasWritten)
  if (!isRepeatable) await takeBack(transaction, site, found)
  return run.previous ?? null
}

async function takeBack(transaction: Queries, site: Site, found: TableState): Promise<void> {
  const { options, naming } = site
  const { rowId } = naming
  const prefix = idPrefixOf(found.run, found)
  for (const [table, { rows }] of Object.entries(found.tables)) {
    const main = qualified(options.schema, table)
    await checkRows(transaction, site, table)
    const { count } = await transaction.query(`DELETE FROM ${main} WHERE left(${rowId}, 16) = $1`, [prefix])
    if (count === rows) continue
    throw new BizonError(
      'edited',
      `${options.schema}.${table} has ${count} rows of run ${found.run}, which is to be taken back, and it added ${rows}`,
      { hint: `Put the table back as it was. Or ${startingOver('incremental')}.` },
    )
  }
}

/** Rejects unless the rows of a table are known by the column that this config knows them by. */
async function checkRows(transaction: Queries, { options }: Site, table: string): Promise<void> {
  const found = await findTable(transaction, options.schema, table)
  if (found) checkNaming(options, `${options.schema}.${table}`, [...found.columns.keys()])
}

/** Before the source is asked for anything: can the published tables take what this run brings? */
async function checkMains(transaction: Queries, site: Site, row: StateRow, run: Run, state: TableState): Promise<void> {
  const { options, target } = site
  const names = Object.keys(state.published)
  const use = useOf(state, options)
  for (const table of new Set([target, ...(run.keepsOthers ? [] : names)])) {
    const name = `${options.schema}.${table}`
    const isKnown = Object.hasOwn(state.published, table)
    const found = await checkTable(transaction, site, table, {
      use,
      columns: table === target ? site.fixedOf(table) : undefined,
      mayReplace: state.mode === 'full_refresh' || isKnown,
    })
    if (found || use !== 'add' || !isKnown) continue
    throw new BizonError('edited', `${name} is missing, and this run would only add to it`, {
      hint: `Put it back, or set destination_id back. Or ${startingOver(state.mode)}.`,
    })
  }
  // Rows that are only what is new since another run belong behind what that run left.
  if (!followsUnknown(state, run, names.length)) return
  throw new BizonError(
    'edited',
    `${row.place} is missing, and this run would only add what is new since the last one that succeeded to ${options.schema}.${target}`,
    { hint: `Put it back, or set destination_id back. Or ${startingOver(state.mode)}.` },
  )
}

function wordsOf({ options, target }: Site, { place }: StateRow): Words {
  return {
    state: place,
    target: `${options.schema}.${target}`,
    told: 'how many of the rows count',
    otherPipeline:
      'Set another destination.config.destination_id or schema. Or delete that row, if the other pipeline is gone.',
    removing: REMOVING,
    whole: 'the table',
  }
}
