// What a SQLite file knows of a table, a view or a query: its columns and its key.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import { suggestion } from '../../../lib/suggest.ts'
import { columnNamed } from '../../keyset/pages.ts'
import { type Database, sqliteCode } from '../../sqlite.ts'
import type { SqliteSourceOptions } from './config.ts'

export interface Column {
  readonly name: string
  /** As it was declared; empty: not at all. */
  readonly type: string
}

export interface Relation {
  /** For people. */
  readonly label: string
  /** What stands after FROM, without a name of its own. */
  readonly from: string
  /** Those of the records. */
  readonly chosen: readonly Column[]
  /** Names; empty: there is none. */
  readonly key: readonly string[]
  readonly cursor?: string | undefined
  readonly count: number | undefined
  /** Whether the file holds text as UTF-8; else as UTF-16. */
  readonly isUtf8: boolean
}

export function describe(database: Database, options: SqliteSourceOptions, stream: string): Relation {
  const { query, path } = options
  const { label, from, columns, keyNames, isTable } =
    query === undefined ? table(database, options.table ?? stream, path) : queried(database, query)
  const column = (name: string, key: Parameters<typeof columnNamed>[1]): Column =>
    columnNamed(name, key, { label, columns })
  const { primary_key, cursor_field, columns: chosen } = options
  return {
    label,
    from,
    chosen: chosen?.map((name) => column(name, 'columns')) ?? columns,
    key: (primary_key ?? keyNames).map((name) => column(name, 'primary_key').name),
    cursor: cursor_field === undefined ? undefined : column(cursor_field, 'cursor_field').name,
    // Of a view it may cost as much as reading it.
    isUtf8: database.pragma('encoding', { simple: true }) === 'UTF-8',
    count: isTable && cursor_field === undefined ? countOf(database, from) : undefined,
  }
}

interface Found extends Pick<Relation, 'label' | 'from'> {
  readonly columns: readonly Column[]
  readonly keyNames: readonly string[]
  readonly isTable: boolean
}

function table(database: Database, name: string, path: string): Found {
  const known = database
    .prepare(
      `SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`,
    )
    .all() as { name: string; type: string }[]
  const found = known.find((one) => one.name === name) ?? known.find((one) => lower(one.name) === lower(name))
  if (!found) {
    const names = known.map((one) => one.name)
    throw new BizonError(
      'source',
      `${path} has no table or view ${JSON.stringify(name)}${suggestion(name, names, 'tables')}`,
    )
  }
  const columns = database.prepare('SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)').all(found.name) as {
    name: string
    type: string
    pk: number
    hidden: number
  }[]
  return {
    label: `table ${found.name}`,
    from: quoteName(found.name),
    // 1: of a virtual table, and not part of *.
    columns: columns.filter(({ hidden }) => hidden !== 1),
    keyNames: columns
      .filter(({ pk }) => pk > 0)
      .sort((one, other) => one.pk - other.pk)
      .map((column) => column.name),
    isTable: found.type === 'table',
  }
}

/** SQLite takes A and a for the same in names, and no other letters. */
const lower = (name: string): string => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

function queried(database: Database, text: string): Found {
  const select = text.replace(/[;\s]+$/, '')
  const from = `(\n${select}\n)`
  columnsOf(database, `SELECT * FROM ${from}`)
  // Here two of one name still have it.
  const columns = columnsOf(database, select).map(({ name, type }) => ({ name, type: type ?? '' }))
  const twice = columns.find(({ name }, at) => columns.findIndex((one) => one.name === name) !== at)
  if (twice) {
    throw new BizonError('config', `source.query gives two columns of the name ${JSON.stringify(twice.name)}`, {
      hint: 'Name one of them otherwise: SELECT … AS …',
    })
  }
  return { label: 'the query', from, columns, keyNames: [], isTable: false }
}

function columnsOf(database: Database, sql: string) {
  try {
    return database.prepare(sql).columns()
  } catch (error) {
    if (sqliteCode(error) !== 'SQLITE_ERROR') throw error
    throw new BizonError('config', `source.query: ${messageOf(error)}`, { cause: error })
  }
}

function countOf(database: Database, from: string): number {
  return database.prepare(`SELECT count(*) FROM ${from}`).pluck().get() as number
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
