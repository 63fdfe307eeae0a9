// From staged to visible: one transaction that changes the published tables, drops what was staged, and marks the run
// published. A kill before its COMMIT leaves all as it was, one after it nothing to do.

import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { startingOver } from '../../../lib/job.ts'
import { emptiedTargets, replaces } from '../recovery.ts'
import type { Column } from './columns.ts'
import type { PostgresOptions } from './config.ts'
import type { Key } from './merge.ts'
import { qualified } from './names.ts'
import { checkReplaceable, replaceByRename } from './replace.ts'
import type { Transaction } from './session.ts'
import type { StagedTable, TableState } from './state.ts'
import { createTable, type FoundTable, findTable, listOf, prepareTable } from './tables.ts'

/** What recovering and publishing work with. */
export interface Site {
  readonly options: PostgresOptions
  /** Table of the configured destination id. */
  readonly target: string
  readonly key: Key | undefined
  columnsOf(table: string): readonly Column[]
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
  const tables = Object.entries(state.tables)
  for (const [table, staged] of tables) {
    if (replaces(state)) await replace(transaction, site, table, staged, state)
    else await append(transaction, site, table, staged, state)
    faultPoint('publish.mid')
  }
  const emptied = replaces(state) ? await emptyOthers(transaction, site, state, keepsOthers) : []
  return {
    ...state,
    phase: 'published',
    published: [...new Set([...state.published, ...tables.map(([table]) => table), ...emptied])],
    publishedBy: state.run,
  }
}

async function replace(
  transaction: Transaction,
  site: Site,
  table: string,
  staged: StagedTable,
  state: TableState,
): Promise<void> {
  const { options, key } = site
  const { schema } = options
  const staging = stagingOf(staged, table)
  await checkCount(transaction, schema, staging, staged, state)
  const [main, next] = [qualified(schema, table), qualified(schema, staging)]
  if (key) await key.deduplicate(transaction, next)
  const found = await findTable(transaction, schema, table)
  if (!found) {
    await transaction.query(`ALTER TABLE ${next} RENAME TO ${listOf([{ name: table }])}`)
  } else if (options.replace_strategy === 'rename') {
    await checkReplaceable(transaction, schema, table, found)
    await checkColumns(transaction, schema, table, found, staging)
    await replaceByRename(transaction, schema, table, staging)
  } else {
    const columns = site.columnsOf(table)
    await prepareTable(transaction, schema, table, columns)
    const list = listOf(columns)
    await transaction.query(
      `TRUNCATE ${main}; INSERT INTO ${main} (${list}) SELECT ${list} FROM ${next}; DROP TABLE ${next}`,
    )
  }
  if (key) await key.ensureIndex(transaction, schema, table)
}

/** Rejects when somebody has added a column, or made the table, since its rows began to be staged. */
async function checkColumns(
  transaction: Transaction,
  schema: string,
  table: string,
  found: FoundTable,
  staging: string,
): Promise<void> {
  const next = await findTable(transaction, schema, staging)
  const lost = [...found.columns].filter(([name, type]) => next?.columns.get(name) !== type).map(([name]) => name)
  if (lost.length === 0) return
  throw new BizonError(
    'destination',
    `${schema}.${table} cannot be replaced by another table: its column ${lost.join(', ')} is newer than this run`,
    { hint: `Set replace_strategy to truncate_insert for this run. Or ${startingOver('full_refresh')}.` },
  )
}

async function append(
  transaction: Transaction,
  site: Site,
  table: string,
  staged: StagedTable,
  state: TableState,
): Promise<void> {
  const { options, key } = site
  const { schema } = options
  const staging = stagingOf(staged, table)
  const columns = site.columnsOf(table)
  await prepareTable(transaction, schema, table, columns)
  const [main, next] = [qualified(schema, table), qualified(schema, staging)]
  if (key) {
    await checkCount(transaction, schema, staging, staged, state)
    await key.ensureIndex(transaction, schema, table)
    await key.deduplicate(transaction, next)
    await key.merge(transaction, main, next, columns)
  } else {
    const list = listOf(columns)
    const { count } = await transaction.query(`INSERT INTO ${main} (${list}) SELECT ${list} FROM ${next}`)
    if (count !== staged.rows) throw miscounted(schema, staging, count, staged, state)
  }
  await transaction.query(`DROP TABLE ${next}`)
}

/** Tables that have no rows any more. */
async function emptyOthers(
  transaction: Transaction,
  site: Site,
  state: TableState,
  keepsOthers: boolean,
): Promise<string[]> {
  const { schema, on_empty: onEmpty } = site.options
  const [staged, { published }] = [Object.keys(state.tables), state]
  const empty = emptiedTargets({ target: site.target, staged, published, keepsOthers, onEmpty })
  for (const table of empty) {
    const name = qualified(schema, table)
    if (await findTable(transaction, schema, table)) await transaction.query(`TRUNCATE ${name}`)
    else await createTable(transaction, name, site.columnsOf(table))
    faultPoint('publish.mid')
  }
  return empty
}

async function checkCount(
  transaction: Transaction,
  schema: string,
  staging: string,
  staged: StagedTable,
  state: TableState,
): Promise<void> {
  const { rows } = await transaction.query(`SELECT count(*)::text AS count FROM ${qualified(schema, staging)}`)
  const count = Number(rows[0]?.count)
  if (count !== staged.rows) throw miscounted(schema, staging, count, staged, state)
}

function miscounted(schema: string, staging: string, count: number, { rows }: StagedTable, { mode }: TableState) {
  return new BizonError('edited', `${schema}.${staging} has ${count} rows, and this run put ${rows} there`, {
    hint: `Put it back as it was. Or ${startingOver(mode)}.`,
  })
}

function stagingOf({ staging }: StagedTable, table: string): string {
  if (staging === null) throw new BizonError('internal', `the rows of ${table} are not staged`)
  return staging
}
