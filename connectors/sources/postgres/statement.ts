// SQL that reads a relation: JSON text made by the server, and beside it, as text, what the rows are ordered by.

import type { Span } from '../../keyset/boundary.ts'
import { quoteName, quoteText } from '../../postgres.ts'
import type { Column, Relation } from './catalogue.ts'

/** The name of a session within its transaction, by which other reads know that it writes nothing. */
export const READER = 'bizon (reads only)'

/** Text forms that are exact and the same for every session; nothing that the server's settings could end early. */
const SETTINGS = [
  `application_name = ${quoteText(READER)}`,
  "TimeZone = 'UTC'",
  "DateStyle = 'ISO, YMD'",
  "IntervalStyle = 'iso_8601'",
  'extra_float_digits = 1',
  "bytea_output = 'hex'",
  'standard_conforming_strings = on',
  'statement_timeout = 0',
  'lock_timeout = 0',
  'idle_in_transaction_session_timeout = 0',
].map((setting) => `SET LOCAL ${setting}`)

const begin = (isolation: string): string => `BEGIN ISOLATION LEVEL ${isolation} READ ONLY; ${SETTINGS.join('; ')}`
/** All its statements see one moment. */
export const BEGIN_SNAPSHOT = begin('REPEATABLE READ')
/** Each of its statements sees what is committed by then. */
export const BEGIN_LOOK = begin('READ COMMITTED')

/** The columns by which rows are ordered. */
export function orderOf({ key, cursor }: Relation, incremental: boolean): readonly Column[] {
  if (!incremental || !cursor) return key
  return [cursor, ...key.filter(({ name }) => name !== cursor.name)]
}

export interface Reading {
  readonly relation: Relation
  readonly order: readonly Column[]
  /** Values of `order`: only what follows. */
  readonly after?: readonly string[] | undefined
  readonly span?: Span | undefined
}

/**
 * Gives the JSON text, the values of `order` and, of an incremental read, marks: `a` where the cursor has the value
 * `span.from`, `z` where it has that of `span.until`, `f` where the row is not older than `span.horizon`.
 */
export function selectOf(reading: Reading): string {
  const { relation, order, span } = reading
  const row = aliasOf(relation)
  const { chosen } = relation
  const data = chosen ? aliasOf(relation, `${row}data`) : row
  const lateral = chosen
    ? ` CROSS JOIN LATERAL (SELECT ${chosen.map(({ name }) => `${row}.${quoteName(name)}`).join(', ')}) AS ${data}`
    : ''
  const columns = [
    `row_to_json(${data})`,
    ...order.map((column) => `${fieldOf(row, column)}::text`),
    ...(span ? [marksOf(reading, span)] : []),
  ]
  const where = conditionsOf(reading)
  return [
    `SELECT ${columns.join(', ')} FROM ${relation.from} AS ${row}${lateral}`,
    ...(where.length > 0 ? [`WHERE ${where.join(' AND ')}`] : []),
    ...(order.length > 0 ? [`ORDER BY ${order.map((column) => fieldOf(row, column)).join(', ')}`] : []),
  ].join(' ')
}

function conditionsOf({ relation, order, after, span }: Reading): string[] {
  const row = aliasOf(relation)
  const conditions: string[] = []
  if (after && order.length > 0) {
    const values = order.map((column, at) => literal(after[at] as string, column))
    const columns = order.map((column) => fieldOf(row, column))
    conditions.push(`(${columns.join(', ')}) > (${values.join(', ')})`)
  }
  const [cursor] = order
  if (span && cursor) {
    const value = fieldOf(row, cursor)
    conditions.push(`${value} <= ${literal(span.until, cursor)}`)
    if (span.from !== null) {
      const from = literal(span.from, cursor)
      conditions.push(`${value} >= ${from}`)
      if (span.fromHorizon !== null) conditions.push(`(${value} > ${from} OR ${freshOf(row, span.fromHorizon)})`)
    }
  }
  return conditions
}

function marksOf({ relation, order: [cursor] }: Reading, span: Span): string {
  const row = aliasOf(relation)
  if (!cursor) return "''"
  const is = (text: string, mark: string): string =>
    `CASE WHEN ${fieldOf(row, cursor)} = ${literal(text, cursor)} THEN '${mark}' ELSE '' END`
  const fresh = span.horizon === null ? "'f'" : `CASE WHEN ${freshOf(row, span.horizon)} THEN 'f' ELSE '' END`
  return [...(span.from === null ? [] : [is(span.from, 'a')]), is(span.until, 'z'), fresh].join(' || ')
}

/** Whether a row's version was written by a transaction that is not older; ages wrap around with the numbers. */
function freshOf(row: string, horizon: string): string {
  return `age(${row}.xmin) <= age('${BigInt.asUintN(32, BigInt(horizon))}'::xid)`
}

/** The newest value that an incremental read may go up to, and whether it is that of `from`. */
export function newestOf(relation: Relation, cursor: Column, from: string | null): string {
  const row = aliasOf(relation)
  const value = fieldOf(row, cursor)
  const usable = unusableOf(cursor).map((each) => ` AND ${value} <> ${each}`)
  const newest = `(SELECT ${value} FROM ${relation.from} AS ${row} WHERE ${value} IS NOT NULL${usable.join('')} ORDER BY 1 DESC LIMIT 1)`
  // A row of a later moment may be followed by rows of an earlier one. Of no rows nothing is the newest value.
  const bound =
    cursor.base === 'timestamptz' ? 'CASE WHEN value IS NOT NULL THEN LEAST(value, clock_timestamp()) END' : 'value'
  const least = from === null ? undefined : literal(from, cursor)
  const until = least === undefined ? bound : `GREATEST(${bound}, ${least})`
  const still = least === undefined ? 'false' : `until = ${least}`
  return `SELECT until::text AS until, ${still} AS still FROM
    (SELECT ${until} AS until FROM (SELECT ${newest} AS value OFFSET 0) AS newest OFFSET 0) AS bound`
}

/** Whether there are rows that have no place in the order of the cursor. */
export function misplacedOf(relation: Relation, cursor: Column): string {
  const row = aliasOf(relation)
  const value = fieldOf(row, cursor)
  const exists = (condition: string): string => `EXISTS (SELECT FROM ${relation.from} AS ${row} WHERE ${condition})`
  const unusable = unusableOf(cursor)
  return `SELECT ${exists(`${value} IS NULL`)} AS nulls, ${
    unusable.length === 0 ? 'false' : exists(`${value} IN (${unusable.join(', ')})`)
  } AS endless`
}

/** Values that come after all that is to come. */
function unusableOf(cursor: Column): string[] {
  const texts = UNUSABLE[cursor.base] ?? []
  const values = texts.map((text) => literal(text, cursor))
  // A numeric of no declared digits may be infinite from PostgreSQL 14 on; before, the word is an error.
  if (cursor.base === 'numeric') {
    values.push(
      `(CASE WHEN current_setting('server_version_num')::int >= 140000 THEN 'Infinity' ELSE 'NaN' END)::numeric`,
    )
  }
  return values
}

const UNUSABLE: Readonly<Record<string, readonly string[]>> = {
  float4: ['NaN', 'Infinity'],
  float8: ['NaN', 'Infinity'],
  numeric: ['NaN'],
  date: ['infinity'],
  timestamp: ['infinity'],
  timestamptz: ['infinity'],
}

/** A name for the row that none of its columns has: else it would stand for that column. */
function aliasOf({ columns }: Relation, start = '_row'): string {
  let name = start
  while (columns.some((column) => column.name === name)) name += '_'
  return name
}

const fieldOf = (row: string, { name }: Column): string => `${row}.${quoteName(name)}`
const literal = (text: string, { type }: Column): string => `${quoteText(text)}::${type}`
