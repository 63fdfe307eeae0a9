// Publishing a run in partitions: once all of them have ended, by whichever loader finds that they have, in one transaction that
// also marks every partition's state. Whoever comes later finds its own state published and has nothing to do.

import { checkAlike } from '../../../lib/alike.ts'
import type { Checkpoint } from '../../../lib/checkpoint.ts'
import { type BizonError, Unloadable } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { readingAnew } from '../../../lib/job.ts'
import { parseJson } from '../../../lib/json.ts'
import { allPartitions, wholeRun } from '../../../lib/partition.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { useOf } from './check.ts'
import { ARRIVAL } from './merge.ts'
import { qualified, rowKeyOf, STATE_TABLE } from './names.ts'
import { miscounted, preparePublish, publish, type Site, stagingOf } from './publish.ts'
import type { Transaction } from './session.ts'
import { type StagedTable, StateRow, type TableState } from './state.ts'
import { countRows, listOf } from './tables.ts'

/** The rows of all partitions, and what each says. */
interface Found {
  readonly rows: readonly StateRow[]
  readonly states: readonly (TableState | undefined)[]
  /** Of this process. */
  readonly own: TableState
}

/** What this process's own row says from now on; `waits`: another partition has not ended. */
export type Together = { readonly state: TableState; readonly sha256: string } | 'waits'

/** What a partition's row says to whoever only looks. */
type Seen = Pick<TableState, 'run' | 'mode' | 'checkpoint'>

/** The rows of all partitions as they are committed: nothing is locked. Undefined: there is none. */
async function look(
  transaction: Transaction,
  { options, target, partition }: Site,
): Promise<readonly (Seen | undefined)[]> {
  const keys = allPartitions(partition?.of ?? 1).map((one) => rowKeyOf(target, one))
  const { rows } = await transaction.query(
    `SELECT target, run, mode, checkpoint::text FROM ${qualified(options.schema, STATE_TABLE)} WHERE target = ANY ($1::text[])`,
    [keys],
  )
  return keys.map((key) => {
    const row = rows.find((one) => one.target === key)
    const checkpoint = row?.checkpoint ? (parseJson(String(row.checkpoint)) as unknown as Checkpoint) : null
    return row && { run: String(row.run), mode: row.mode as SyncMode, checkpoint }
  })
}

/** What each partition holds of the run. */
export async function partsOf(transaction: Transaction, site: Site, run: string): Promise<(Checkpoint | undefined)[]> {
  const seen = await look(transaction, site)
  return seen.map((one) => (one && wholeRun(one.run) === wholeRun(run) ? (one.checkpoint ?? undefined) : undefined))
}

/** Whether it is worth a closer look. Rejects where this partition's own row is gone, which nobody else would notice. */
export async function haveEnded(transaction: Transaction, site: Site, { mode }: TableState): Promise<boolean> {
  const { options, target, partition } = site
  const seen = await look(transaction, site)
  if (!seen[partition?.index ?? 0]) throw gone(new StateRow(options.schema, target, partition), mode)
  return seen.every((one) => one?.checkpoint?.end)
}

/** What can be done beforehand, so that readers need not wait for it. Repeatable. */
export async function prepareTogether(transaction: Transaction, site: Site, state: TableState): Promise<void> {
  if (!(await hasTurn(transaction, site))) return
  const ready = readyIn(await find(transaction, site, state))
  for (const one of ready ?? []) await preparePublish(transaction, site, one)
}

/** `begins`: told that all have ended, and that it is this process which publishes them. */
export async function publishTogether(
  transaction: Transaction,
  site: Site,
  state: TableState,
  begins: () => void,
): Promise<Together> {
  if (!(await hasTurn(transaction, site))) return 'waits'
  const found = await find(transaction, site, state)
  const { rows, own } = found
  const row = rows[site.partition?.index ?? 0] as StateRow
  if (own.phase === 'published') return { state: own, sha256: row.found }
  const ready = readyIn(found)
  if (!ready) return 'waits'
  begins()
  const keepsOthers = false
  let published = Object.assign({}, ...ready.map((one) => one.published))
  if (useOf(own, site.options) === 'add') {
    // What two partitions have is never of one key.
    for (const one of ready) {
      published = (await publish(transaction, site, { ...one, published }, { keepsOthers })).published
    }
  } else {
    const tables = await unite(transaction, site, ready)
    published = (await publish(transaction, site, { ...own, tables, published }, { keepsOthers })).published
  }
  let result: Together = 'waits'
  for (const [at, one] of ready.entries()) {
    const next: TableState = { ...one, phase: 'published', published, publishedBy: one.run }
    faultPoint('commit.before')
    const sha256 = await (rows[at] as StateRow).replace(transaction, next)
    if (one === own) result = { state: next, sha256 }
  }
  return result
}

/**
 * Whoever publishes has the row of the first partition until the transaction ends. That may take longer than anybody waits for a lock,
 * so nobody does.
 */
async function hasTurn(transaction: Transaction, { options, target, partition }: Site): Promise<boolean> {
  const [first] = allPartitions(partition?.of ?? 1)
  const row = `SELECT 1 FROM ${qualified(options.schema, STATE_TABLE)} WHERE target = $1`
  const key = [rowKeyOf(target, first)]
  const { rows: mine } = await transaction.query(`${row} FOR UPDATE SKIP LOCKED`, key)
  if (mine.length > 0) return true
  // One that is not there nobody has.
  const { rows: found } = await transaction.query(row, key)
  return found.length === 0
}

/** Locked until the transaction ends, always in one order. */
async function find(transaction: Transaction, { options, target, partition }: Site, state: TableState): Promise<Found> {
  const { index = 0, of = 1 } = partition ?? {}
  const rows = allPartitions(of).map((one) => new StateRow(options.schema, target, one))
  const states: (TableState | undefined)[] = []
  for (const row of rows) states.push(await row.read(transaction))
  const own = states[index]
  if (own?.run === state.run && own.epoch === state.epoch) return { rows, states, own }
  throw own ? await (rows[index] as StateRow).takenOver(transaction, state) : gone(rows[index] as StateRow, state.mode)
}

/** Undefined: not all of them are at the end of the same run. Rejects where they are at the ends of two readings of it. */
function readyIn({ states, own }: Found): readonly TableState[] | undefined {
  const ready = states.filter(
    (one): one is TableState =>
      one?.checkpoint?.end === true &&
      one.phase === 'staging' &&
      one.mode === own.mode &&
      one.complete === own.complete &&
      wholeRun(one.run) === wholeRun(own.run),
  )
  if (ready.length < states.length) return undefined
  checkAlike(
    own,
    ready.map(({ checkpoint }) => checkpoint ?? undefined),
  )
  return ready
}

/**
 * What readers see batch by batch is there already; but a run is not said to be published where another partition has ended with another
 * reading of it: the next run begins behind one of them. Of two that end at once, one finds the other. What is at the next run
 * already says nothing here of this one: whoever asks has looked into the state store.
 */
export async function checkEnds(transaction: Transaction, site: Site, state: TableState): Promise<void> {
  checkAlike(state, await partsOf(transaction, site, state.run))
}

/** The staged rows of all partitions, in the staging table of one of them. */
async function unite(
  transaction: Transaction,
  site: Site,
  states: readonly TableState[],
): Promise<TableState['tables']> {
  const { schema } = site.options
  const tables: Record<string, StagedTable> = {}
  for (const state of states) {
    for (const [table, staged] of Object.entries(state.tables)) {
      const first = tables[table]
      if (!first) {
        tables[table] = staged
        continue
      }
      const staging = stagingOf(staged, table)
      const [into, from] = [qualified(schema, stagingOf(first, table)), qualified(schema, staging)]
      const count = await countRows(transaction, from)
      if (count !== staged.rows) throw miscounted(schema, staging, count, staged, state)
      const list = listOf(site.columnsOf(table))
      // Of two rows with one key the later one stays, and they are numbered anew here.
      const order = site.key ? ` ORDER BY ${ARRIVAL}` : ''
      await transaction.query(`INSERT INTO ${into} (${list}) SELECT ${list} FROM ${from}${order}; DROP TABLE ${from}`)
      tables[table] = { ...first, rows: first.rows + staged.rows }
      faultPoint('publish.mid')
    }
  }
  return tables
}

function gone({ place }: StateRow, mode: SyncMode): BizonError {
  return new Unloadable('edited', `${place} was removed before the run was published`, {
    hint: `Put it back as it was. Or read it once more, whole: ${readingAnew(mode)}.`,
  })
}
