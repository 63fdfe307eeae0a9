// Tables as a run finds them, and new ones.

import { BizonError } from '../../../lib/errors.ts'
import type { Column } from './columns.ts'
import { foldName, quoteName } from './names.ts'
import type { Session } from './session.ts'
import { keepsAs } from './types.ts'

interface FoundColumn {
  readonly name: string
  readonly type: string
  /** Computed, so that nothing can be put there. */
  readonly computed: boolean
  /** Without a value of its own it is refused. */
  readonly demanding: boolean
}

export interface FoundTable {
  readonly name: string
  readonly sql: string
  readonly hasTriggers: boolean
  readonly columns: readonly FoundColumn[]
}

/** Undefined: there is none. Rejects what is there and is no table. */
export async function findTable(session: Session, table: string): Promise<FoundTable | undefined> {
  const [row] = await session.read(
    `SELECT s.name, s.type, s.sql, (SELECT type FROM pragma_table_list(s.name) WHERE schema = 'main') AS kind,
       EXISTS (SELECT 1 FROM sqlite_schema t WHERE t.type = 'trigger' AND t.tbl_name = s.name COLLATE NOCASE) AS triggers
     FROM sqlite_schema s WHERE s.name = ? COLLATE NOCASE`,
    [table],
  )
  if (!row) return undefined
  if (row.type !== 'table' || row.kind !== 'table') {
    throw new BizonError('destination', `${table} of ${session.path} is a ${row.kind ?? row.type}, not a table`, {
      hint: 'Choose another destination_id.',
    })
  }
  const columns = await session.read(
    'SELECT name, type, hidden, "notnull" AS needed, dflt_value AS value, pk FROM pragma_table_xinfo(?)',
    [table],
  )
  return {
    name: String(row.name),
    sql: String(row.sql),
    hasTriggers: row.triggers === 1,
    columns: columns.map(({ name, type, hidden, needed, value, pk }) => ({
      name: String(name),
      type: String(type),
      computed: hidden !== 0,
      demanding: needed === 1 && value === null && !(pk === 1 && String(type).toUpperCase() === 'INTEGER'),
    })),
  }
}

/** Whether it has nothing but columns and indexes. */
export function isPlain({ name, sql, columns, hasTriggers }: FoundTable): boolean {
  return !hasTriggers && sql === creationOf(name, columns)
}

/** The indexes and triggers of a table, each with the statement that makes it, in the order in which they were made. */
export async function belongingsOf(
  session: Session,
  table: string,
): Promise<readonly { readonly name: string; readonly sql: string }[]> {
  const rows = await session.read(
    `SELECT name, sql FROM sqlite_schema
     WHERE type IN ('index', 'trigger') AND tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL ORDER BY type, rowid`,
    [table],
  )
  return rows.map(({ name, sql }) => ({ name: String(name), sql: String(sql) }))
}

/** Rejects what rows cannot be written to. `isPart`: rows have other columns too. Resolves to the columns that it lacks. */
export function missingColumns(
  found: FoundTable,
  columns: readonly Column[],
  table: string,
  isPart = false,
): readonly Column[] {
  const there = new Map(found.columns.map((column) => [foldName(column.name), column]))
  for (const { name, type } of columns) {
    const column = there.get(foldName(name))
    if (!column) continue
    if (column.computed || !keepsAs(column.type, type)) {
      const is = column.computed ? 'computed' : column.type || 'without a type'
      throw new BizonError('destination', `${table}: column ${name} is ${is}, not ${type}`, {
        hint: 'Choose another destination_id, or change the type of the column.',
      })
    }
    there.delete(foldName(name))
  }
  const demanding = [...there.values()].find((column) => column.demanding)
  if (demanding && !isPart) {
    throw new BizonError('destination', `${table}: column ${demanding.name} is NOT NULL, and records have none`, {
      hint: 'Give the column a DEFAULT, or choose another destination_id.',
    })
  }
  const has = new Set(found.columns.map(({ name }) => foldName(name)))
  return columns.filter(({ name }) => !has.has(foldName(name)))
}

/** What this run needs of a table, created or changed where it lacks something. */
export async function prepareTable(
  session: Session,
  table: string,
  columns: readonly Column[],
  isPart = false,
): Promise<void> {
  const found = await findTable(session, table)
  if (!found) {
    await session.change(creationOf(table, columns))
    return
  }
  for (const column of missingColumns(found, columns, table, isPart)) {
    await session.change(`ALTER TABLE ${quoteName(table)} ADD COLUMN ${definitionOf(column)}`)
  }
}

/** CREATE TABLE, just as SQLite keeps it: by that a table is known to be nothing but what this program made. */
export function creationOf(table: string, columns: readonly Pick<Column, 'name' | 'type'>[]): string {
  return `CREATE TABLE ${quoteName(table)} (${columns.map(definitionOf).join(', ')})`
}

export const definitionOf = ({ name, type }: Pick<Column, 'name' | 'type'>): string => `${quoteName(name)} ${type}`

export const listOf = (columns: readonly Pick<Column, 'name'>[]): string =>
  columns.map(({ name }) => quoteName(name)).join(', ')

/** Rows that were sent and are not there: a trigger took them. */
export function swallowed(table: string, count: number, sent: number): BizonError {
  return new BizonError('destination', `table ${table} took ${count} of ${sent} rows`, {
    hint: 'See what its triggers do.',
  })
}

/** Rejects when a row stays. */
export async function emptyTable(session: Session, table: string): Promise<void> {
  await session.change(`DELETE FROM ${quoteName(table)}`)
  const left = await countOf(session, table)
  if (left > 0) throw undeleted(table, left)
}

export function undeleted(table: string, left: number): BizonError {
  return new BizonError('destination', `table ${table}: ${left} rows stay when they are deleted`, {
    hint: 'See what its triggers do.',
  })
}

export async function countOf(session: Session, table: string): Promise<number> {
  const [row] = await session.read(`SELECT count(*) AS count FROM ${quoteName(table)}`)
  return Number(row?.count)
}
