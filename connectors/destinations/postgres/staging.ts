// Where rows wait until they are published: tables beside the published ones, each with a comment that says whose it is.
// They are made in a short transaction of their own, so that no lock on a table that people use is held while rows come;
// one that a kill left before any state named it is known by its comment.

import { faultPoint } from '../../../lib/fault.ts'
import { type Queries, quoteText } from '../../postgres.ts'
import { isDirect } from '../recovery.ts'
import { checkTable, useOf } from './check.ts'
import { prepareKey, writtenBefore } from './follow.ts'
import { derivedName, ownerName, qualified, rowKeyOf } from './names.ts'
import { claimTable } from './owners.ts'
import { wholeOf } from './partitions.ts'
import { dropStaleIndex, indexFor, type Site } from './publish.ts'
import { createSchema } from './schema.ts'
import type { Transaction } from './session.ts'
import type { StateRow, TableState } from './state.ts'
import { columnsIn, createTable, findTable, prepareTable } from './tables.ts'

/** Makes the schema, if that is asked for, and the table of the state. */
export async function createHome(
  transaction: Transaction,
  { schema, create_schema: create }: Site['options'],
  row: StateRow,
): Promise<void> {
  if (create) await createSchema(transaction, schema)
  await row.createTable(transaction)
}

/** Of the table for the rows of another; null: they go to that one at once. */
export function stagingName(state: Pick<TableState, 'mode' | 'direct' | 'run'>, table: string): string | null {
  return isDirect(state) ? null : derivedName(table, 'staging', state.run)
}

/** Makes what takes the rows of a table that this run has not written to: at a second time, what is missing of it. */
export async function beginTable(
  transaction: Transaction,
  site: Site,
  state: TableState,
  table: string,
): Promise<void> {
  const { options, target, key, lists } = site
  const { schema } = options
  const columns = site.fixedOf(table)
  const follows = options.unnest === 'columns'
  const isKnown = Object.hasOwn(state.published, table)
  const isNew =
    table !== target &&
    (await claimTable(transaction, schema, table, ownerName(target, site.partition), wholeOf(state, site.partition))) &&
    !isKnown
  const mayReplace = state.mode === 'full_refresh' || isKnown
  const found = await checkTable(transaction, site, table, { use: useOf(state, options), columns, mayReplace, isNew })
  const name = stagingName(state, table)
  if (name === null) {
    await prepareTable(transaction, schema, table, columns, follows)
    await dropStaleIndex(transaction, site, state, table)
    await indexFor(site, found?.columns ?? new Map())?.ensure(transaction, schema, table)
    return
  }
  for (const one of [key, lists]) await one?.index.isThere(transaction, schema, table)
  if (await findTable(transaction, schema, name)) return
  const staging = qualified(schema, name)
  // What takes the place of a table has its other columns, defaults and checks as well.
  if (found && useOf(state, options) === 'swap') {
    await transaction.query(
      `CREATE TABLE ${staging} (LIKE ${qualified(schema, table)} INCLUDING ALL EXCLUDING INDEXES)`,
    )
    await prepareTable(transaction, schema, name, columns, follows)
  } else {
    const known = follows && found ? columnsIn(found.columns, writtenBefore(state, table)) : []
    await createTable(transaction, staging, [...columns, ...known])
  }
  if (follows) await prepareKey(transaction, site, staging)
  else if (key) await key.prepare(transaction, staging)
  await transaction.query(
    `COMMENT ON TABLE ${staging} IS ${quoteText(`${markOf(site)}rows of ${table}, of run ${state.run}`)}`,
  )
}

/** Removes the target's staging tables but for those that are `kept`. */
export async function dropStaged(transaction: Queries, site: Site, kept: readonly string[]): Promise<void> {
  const { schema } = site.options
  const { rows } = await transaction.query(
    `SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind = 'r'
       AND relname LIKE '%\\_\\_bizon\\_staging\\_%' AND starts_with(obj_description(oid, 'pg_class'), $2)
       AND NOT relname = ANY ($3::text[]) ORDER BY relname`,
    [schema, markOf(site), kept],
  )
  for (const { relname } of rows) {
    await transaction.query(`DROP TABLE IF EXISTS ${qualified(schema, String(relname))}`)
    faultPoint('recover.cleanup')
  }
}

/** How the comment of a target's staging tables begins. */
function markOf({ target, partition }: Site): string {
  return `Staged by bizon for ${JSON.stringify(rowKeyOf(target, partition))}: `
}
