// What `open` does before anything is written, in one transaction: finds out how the last process left the tables, and
// puts them right.
//
//   same run:   go on from its checkpoint; what was not committed, the server has undone
//   a stream:   the same, also when the state store has lost its run
//   other run:  take back its append if the store does not know of it, drop what it staged, begin

import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { startingOver } from '../../../lib/job.ts'
import { idPrefixOf } from '../record.ts'
import { beginning, followsUnknown, ownState, publisherOf, replaces, standingOf, type Words } from '../recovery.ts'
import { qualified } from './names.ts'
import type { Site } from './publish.ts'
import { checkReplaceable } from './replace.ts'
import type { Transaction } from './session.ts'
import { REMOVING, type StateRow, type TableState } from './state.ts'
import { findTable, missingColumns } from './tables.ts'

/** The state to go on from, still to be written in the same transaction. */
export async function recover(transaction: Transaction, site: Site, row: StateRow, run: Run): Promise<TableState> {
  const found = await row.read(transaction)
  const own = ownState(found, run, wordsOf(site, row))
  const state = own ? await resume(transaction, site, own) : await begin(transaction, site, row, run, found)
  if (state.phase === 'staging') await checkMains(transaction, site, row, run, state)
  return { ...state, epoch: run.epoch }
}

async function resume(transaction: Transaction, { options }: Site, found: TableState): Promise<TableState> {
  if (found.phase === 'published') return found
  for (const [table, { staging }] of Object.entries(found.tables)) {
    const name = staging ?? table
    if (await findTable(transaction, options.schema, name)) continue
    throw new BizonError('edited', `${options.schema}.${name} is missing, where rows of this run were`, {
      hint: `Put it back. Or ${startingOver(found.mode)}.`,
    })
  }
  return found
}

async function begin(
  transaction: Transaction,
  site: Site,
  row: StateRow,
  run: Run,
  found: TableState | undefined,
): Promise<TableState> {
  const publishedBy = found ? await publisherAfter(transaction, site, row, run, found) : null
  if (found?.phase === 'staging') await dropStaged(transaction, site, found)
  return { ...beginning(run), tables: {}, published: found?.published ?? [], publishedBy }
}

async function dropStaged(transaction: Transaction, { options }: Site, found: TableState): Promise<void> {
  for (const { staging } of Object.values(found.tables)) {
    if (staging === null) continue
    await transaction.query(`DROP TABLE IF EXISTS ${qualified(options.schema, staging)}`)
    faultPoint('recover.cleanup')
  }
}

/** The run whose rows are published, once an append is taken back that is not to stay. */
async function publisherAfter(
  transaction: Transaction,
  site: Site,
  row: StateRow,
  run: Run,
  found: TableState,
): Promise<string | null> {
  // Merging rows a second time changes nothing; others are known by their ids.
  const canUndo = site.key !== undefined || site.options.metadata === 'bizon'
  const hasWritten = Object.keys(found.tables).length > 0
  const standing = standingOf(found, run, { hasWritten, canUndo }, wordsOf(site, row))
  if (standing === 'stays') return publisherOf(found, hasWritten)
  if (!site.key) await takeBack(transaction, site, found)
  return run.previous ?? null
}

async function takeBack(transaction: Transaction, { options }: Site, found: TableState): Promise<void> {
  const prefix = idPrefixOf(found.run, found)
  for (const [table, { rows }] of Object.entries(found.tables)) {
    const main = qualified(options.schema, table)
    const { count } = await transaction.query(`DELETE FROM ${main} WHERE left(bizon_id, 16) = $1`, [prefix])
    if (count === rows) continue
    throw new BizonError(
      'edited',
      `${options.schema}.${table} has ${count} rows of run ${found.run}, which is to be taken back, and it added ${rows}`,
      { hint: `Put the table back as it was. Or ${startingOver('incremental')}.` },
    )
  }
}

/** Before the source is asked for anything: can the published tables take what this run brings? */
async function checkMains(
  transaction: Transaction,
  site: Site,
  row: StateRow,
  run: Run,
  state: TableState,
): Promise<void> {
  const { schema, replace_strategy: strategy } = site.options
  const follows = followsUnknown(state, run, state.published.length)
  for (const table of new Set([site.target, ...state.published])) {
    const name = `${schema}.${table}`
    const found = await findTable(transaction, schema, table)
    if (found && table === site.target) missingColumns(found, site.columnsOf(table), name)
    if (replaces(state)) {
      if (found && strategy === 'rename') await checkReplaceable(transaction, schema, table, found)
      // A first incremental run replaces only what this pipeline published; a full refresh replaces whatever is there.
      if (state.mode === 'full_refresh' || state.published.includes(table) || !found) continue
      const { count } = await transaction.query(`SELECT 1 FROM ${qualified(schema, table)} LIMIT 1`)
      if (count > 0) {
        throw new BizonError('edited', `${name} exists, and ${row.place} does not say that this pipeline wrote it`, {
          hint: 'Rename it, or run with --reset to replace it.',
        })
      }
      continue
    }
    // Rows that are only what is new since another run belong behind what that run left, so that must be here.
    if (found || !(state.published.includes(table) || follows)) continue
    throw new BizonError('edited', `${name} is missing, and this run would only add to it`, {
      hint: `Put it back, or set destination_id back. Or ${startingOver(state.mode)}.`,
    })
  }
}

function wordsOf({ options, target }: Site, { place }: StateRow): Words {
  return {
    state: place,
    target: `${options.schema}.${target}`,
    told: 'how many of the rows count',
    otherPipeline: 'Choose another destination_id or schema. Or delete that row, if the other pipeline is gone.',
    removing: REMOVING,
    whole: 'the table',
  }
}
