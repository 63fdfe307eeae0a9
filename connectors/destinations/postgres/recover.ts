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
import { idPrefixOf } from '../file/rows.ts'
import { qualified } from './names.ts'
import type { Site } from './publish.ts'
import { checkReplaceable } from './replace.ts'
import type { Transaction } from './session.ts'
import { checkIdentity, replaces, type StateRow, type TableState } from './state.ts'
import { findTable, missingColumns } from './tables.ts'

/** The state to go on from, still to be written in the same transaction. */
export async function recover(transaction: Transaction, site: Site, row: StateRow, run: Run): Promise<TableState> {
  const found = await row.read(transaction)
  if (found) checkIdentity(found, run, row.place)
  const own = found && ownState(found, run)
  // Told before anything is cleaned up: what is staged is still of use once the row is put back.
  if (!own && run.stored?.receipt) throw stateLost(row.place, found, run)
  const state = own ? await resume(transaction, site, own) : await begin(transaction, site, run, found)
  if (state.phase === 'staging') await checkMains(transaction, site, row, run, state)
  return { ...state, epoch: run.epoch }
}

/** The state as this run's own, if it is. */
function ownState(found: TableState, run: Run): TableState | undefined {
  if (found.mode !== run.mode) return undefined
  if (found.run === run.id) return run.mode === 'stream' || found.complete === run.complete ? found : undefined
  // A stream has one run for ever. Another one is here when the store was lost or is an older copy: what that run read
  // is here, and would come again from the beginning.
  const { checkpoint } = found
  if (run.mode !== 'stream' || run.startOver || !checkpoint || checkpoint.end) return undefined
  return { ...found, run: run.id, checkpoint: { ...checkpoint, run: run.id } }
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
  run: Run,
  found: TableState | undefined,
): Promise<TableState> {
  const publishedBy = found ? await publisherAfter(transaction, site, run, found) : null
  if (found?.phase === 'staging') await dropStaged(transaction, site, found)
  return {
    pipeline: run.pipeline,
    source: run.source,
    stream: run.stream,
    run: run.id,
    epoch: run.epoch,
    mode: run.mode,
    complete: run.complete,
    previous: run.previous ?? null,
    phase: 'staging',
    checkpoint: null,
    tables: {},
    published: found?.published ?? [],
    publishedBy,
  }
}

async function dropStaged(transaction: Transaction, { options }: Site, found: TableState): Promise<void> {
  for (const { staging } of Object.values(found.tables)) {
    if (staging === null) continue
    await transaction.query(`DROP TABLE IF EXISTS ${qualified(options.schema, staging)}`)
    faultPoint('recover.cleanup')
  }
}

/**
 * The run whose rows are published, once an append is taken back that the store does not know of: it was set back, or
 * is another one. The rows of that append are newer than the watermark of this run, so that they will come again.
 */
async function publisherAfter(
  transaction: Transaction,
  site: Site,
  run: Run,
  found: TableState,
): Promise<string | null> {
  const published = publisherOf(found)
  const appends = run.mode === 'incremental' && !run.complete
  if (!appends || published === null || published === run.previous) return published
  if (run.previous === undefined && !run.givenUp?.includes(published)) return published
  const isLastAppend =
    found.phase === 'published' &&
    found.run === found.publishedBy &&
    found.previous === (run.previous ?? null) &&
    found.mode === 'incremental' &&
    !found.complete
  // Merging them a second time changes nothing.
  if (isLastAppend && site.key) return run.previous ?? null
  if (isLastAppend && site.options.metadata === 'bizon') {
    await takeBack(transaction, site, found)
    return run.previous ?? null
  }
  const name = `${site.options.schema}.${site.target}`
  throw new BizonError(
    'edited',
    `${name} was last published by a run that the state store does not know (restored from an older copy, or another state database?)`,
    { hint: 'Use the state store that knows it. Or fetch everything again and replace the table with --reset.' },
  )
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

/** The run that left the published tables as they are; null: not known. */
function publisherOf(found: TableState): string | null {
  return found.mode === 'stream' && Object.keys(found.tables).length > 0 ? found.run : found.publishedBy
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
  const nothingKnown = state.publishedBy === null && state.published.length === 0
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
    const follows = state.mode === 'incremental' && run.previous !== undefined && nothingKnown
    if (found || !(state.published.includes(table) || follows)) continue
    throw new BizonError('edited', `${name} is missing, and this run would only add to it`, {
      hint: `Put it back, or set destination_id back. Or ${startingOver(state.mode)}.`,
    })
  }
}

function stateLost(place: string, found: TableState | undefined, { mode }: Run): BizonError {
  const what = found ? `is of run ${found.run}, not of the one to go on with` : 'is missing'
  return new BizonError('edited', `${place} ${what}, so how many of the rows count is not known`, {
    hint: `Put it back. Or ${startingOver(mode)}.`,
  })
}
