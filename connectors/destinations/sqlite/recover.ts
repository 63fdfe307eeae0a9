// What `open` does before anything is written, in one transaction: finds out how the last process left the tables, and
// puts them right.
//
//   same run:   go on from its checkpoint; what was not committed, SQLite has undone
//   a stream:   the same, also when the state store has lost its run
//   other run:  take back its append if the store does not know of it, drop what it staged, begin

import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { startingOver } from '../../../lib/job.ts'
import { idPrefixOf } from '../../../lib/row-id.ts'
import { checkNaming, type Naming } from '../naming.ts'
import {
  beginning,
  followsUnknown,
  ownState,
  publisherOf,
  replaces,
  showsBatches,
  standingOf,
  type Words,
} from '../recovery.ts'
import type { Column, TableColumns } from './columns.ts'
import type { SqliteOptions } from './config.ts'
import type { FollowedTable } from './follow.ts'
import type { Lists } from './lists.ts'
import type { Key } from './merge.ts'
import { isSameName, quoteName } from './names.ts'
import type { Scope } from './scope.ts'
import type { Session } from './session.ts'
import { REMOVING, type StagedTable, type StateRow, type TableState } from './state.ts'
import { type FoundTable, findTable, missingColumns } from './tables.ts'

/** What recovering, writing and publishing work with. */
export interface Site {
  readonly options: SqliteOptions
  readonly session: Session
  readonly row: StateRow
  /** Table of the configured destination id. */
  readonly target: string
  readonly key: Key | undefined
  /** Where rows of lists go with those that are merged by key. */
  readonly lists: Lists | undefined
  /** By what rows are replaced that are not all replaced; undefined: by nothing. */
  readonly scope: Scope | undefined
  readonly naming: Naming
  /** Those that rows are written with, as far as they are known. */
  columnsOf(table: string): TableColumns
  /** Those that rows are written with whatever the records are. */
  fixedOf(table: string): readonly Column[]
  /** What the state says of the columns of a table with rows of this run. */
  writtenTo(table: string): Pick<StagedTable, 'kinds'>
  /** With `unnest: columns`: the table as it follows its records, made ready for their rows when it is first asked for. */
  readonly followed: ((state: TableState, table: string) => Promise<FollowedTable>) | undefined
}

/** The state to go on from, still to be written in the same transaction. */
export async function recover(site: Site, run: Run): Promise<TableState> {
  const found = await site.row.read()
  const own = ownState(found, run, wordsOf(site))
  const state = own ? await resume(site, own) : await begin(site, run, found)
  if (state.phase === 'staging') {
    for (const table of new Set([site.target, ...state.published])) await checkMain(site, state, table)
    // Rows that are only what is new since another run belong behind what that run left.
    if (followsUnknown(state, run, state.published.length)) {
      throw new BizonError(
        'edited',
        `${site.row.place} is missing, and this run would only add what is new since the last one that succeeded to table ${site.target}`,
        { hint: `Put it back, or set destination_id or path back. Or ${startingOver(state.mode)}.` },
      )
    }
  }
  return { ...state, epoch: run.epoch }
}

async function resume({ session }: Site, found: TableState): Promise<TableState> {
  if (found.phase === 'published') return found
  for (const [table, { staging }] of Object.entries(found.tables)) {
    const name = staging ?? table
    if (await findTable(session, name)) continue
    throw new BizonError('edited', `table ${name} of ${session.path} is missing, where rows of this run were`, {
      hint: `Put it back. Or ${startingOver(found.mode)}.`,
    })
  }
  return found
}

async function begin(site: Site, run: Run, found: TableState | undefined): Promise<TableState> {
  const publishedBy = found ? await publisherAfter(site, run, found) : null
  if (found?.phase === 'staging') await dropStaged(site, found)
  const published = found?.published ?? []
  // Without the row nobody else knows whose the tables are that records named.
  if (found) await site.row.release(published)
  const direct = showsBatches(run, site.options.visibility)
  const kept = found?.kinds && { kinds: found.kinds }
  return { ...beginning(run), direct, tables: {}, published, publishedBy, ...kept }
}

async function dropStaged({ session }: Site, found: TableState): Promise<void> {
  for (const { staging } of Object.values(found.tables)) {
    if (staging === null) continue
    await session.change(`DROP TABLE IF EXISTS ${quoteName(staging)}`)
    faultPoint('recover.cleanup')
  }
}

/** The run whose rows are published, once an append is taken back that is not to stay. */
async function publisherAfter(site: Site, run: Run, found: TableState): Promise<string | null> {
  // Merging rows, or replacing them, a second time changes nothing; others are known by their ids.
  const isRepeatable = site.key !== undefined || site.scope !== undefined
  const canUndo = isRepeatable || site.naming.rowId !== undefined
  const hasWritten = Object.keys(found.tables).length > 0
  const standing = standingOf(found, run, { hasWritten, canUndo }, wordsOf(site))
  if (standing === 'stays') return publisherOf(found, hasWritten)
  if (!isRepeatable) await takeBack(site, found)
  return run.previous ?? null
}

async function takeBack({ session, options, naming }: Site, found: TableState): Promise<void> {
  const { rowId } = naming
  const prefix = idPrefixOf(found.run, found)
  for (const [table, { rows }] of Object.entries(found.tables)) {
    const there = await findTable(session, table)
    if (there) checkRows(options, there, table)
    const count = there
      ? await session.change(`DELETE FROM ${quoteName(table)} WHERE substr(${rowId}, 1, 16) = ?`, [prefix])
      : 0
    if (count === rows) continue
    throw new BizonError(
      'edited',
      `table ${table} of ${session.path} has ${count} rows of run ${found.run}, which is to be taken back, and it added ${rows}`,
      { hint: `Put the table back as it was. Or ${startingOver('incremental')}.` },
    )
  }
}

/**
 * Can the published table take what this run brings? A table that records name must be this pipeline's, or nobody's: a
 * record may not choose to write anywhere.
 */
export async function checkMain(site: Site, state: TableState, table: string): Promise<void> {
  const { session, row, target, fixedOf } = site
  const found = await findTable(session, table)
  const isTarget = isSameName(table, target)
  const isKnown = state.published.includes(table)
  if (!isTarget && !(await row.own(table)) && !isKnown && found && (await hasRows(session, table))) {
    throw new BizonError(
      'edited',
      `table ${table} of ${session.path}, to which records are routed, is not this pipeline's`,
      {
        hint: 'Rename it, or route the records to another table.',
      },
    )
  }
  if (!found) {
    if (replaces(state) || !isKnown) return
    throw new BizonError('edited', `table ${table} of ${session.path} is missing, and this run would only add to it`, {
      hint: `Put it back, or set destination_id back. Or ${startingOver(state.mode)}.`,
    })
  }
  const isWritten = isTarget || table in state.tables
  if (isWritten && !replaces(state)) checkRows(site.options, found, table)
  if (isWritten) missingColumns(found, fixedOf(table), table, site.options.unnest === 'columns')
  // A first incremental run replaces only what this pipeline published; a full refresh replaces whatever is there.
  if (state.mode !== 'incremental' || !state.complete || isKnown || !(await hasRows(session, table))) return
  throw new BizonError('edited', `table ${table} exists, and ${row.place} does not say that this pipeline wrote it`, {
    hint: 'Rename it, or run with --reset to replace it.',
  })
}

/** Rejects unless the rows of a table have the columns of this config's `metadata`, or none of another's. */
export function checkRows(options: SqliteOptions, { columns }: FoundTable, table: string): void {
  const names = columns.map(({ name }) => name)
  checkNaming(options, `table ${table}`, names, isSameName)
}

async function hasRows(session: Session, table: string): Promise<boolean> {
  return (await session.read(`SELECT 1 FROM ${quoteName(table)} LIMIT 1`)).length > 0
}

function wordsOf({ session, target, row }: Site): Words {
  return {
    state: row.place,
    target: `table ${target} of ${session.path}`,
    told: 'how many of the rows count',
    otherPipeline:
      'Set another destination.config.destination_id or path. Or delete that row, if the other pipeline is gone.',
    removing: REMOVING,
    whole: 'the table',
  }
}
