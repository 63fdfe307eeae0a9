// SQL that reads a relation: JSON text made by SQLite, and beside it what the rows are ordered by. Values of the order are
// text with a letter that says what they are, since in SQLite 1, 1.0, '1' and a blob are different values.

import type { Span } from '../../keyset/boundary.ts'
import { quoteName, quoteText, type Relation } from './catalogue.ts'

export interface Reading {
  readonly relation: Relation
  /** Column names. */
  readonly order: readonly string[]
  /** Values of `order`: only what follows. */
  readonly after?: readonly string[] | undefined
  readonly span?: Span | undefined
}

export interface Statement {
  readonly sql: string
  readonly values: readonly Value[]
}

type Value = bigint | number | string | Buffer

/** The columns by which rows are ordered. */
export function orderOf({ key, cursor }: Relation, incremental: boolean): readonly string[] {
  if (!incremental || cursor === undefined) return key
  return [cursor, ...key.filter((name) => name !== cursor)]
}

/**
 * Gives the JSON text, the values of `order` and, of an incremental read, whether the cursor has the value `span.from`,
 * and that of `span.until`.
 */
export function selectOf({ relation, order, after, span }: Reading): Statement {
  const values: Value[] = []
  const bound = (text: string): string => {
    values.push(valueOfText(text))
    return '?'
  }
  const [cursor = ''] = order
  const is = (text: string): string => `${field(cursor)} = ${bound(text)}`
  // A cast takes the bytes as the file has them.
  const bytesOf = (text: string): string => (relation.isUtf8 ? `CAST(${text} AS BLOB)` : `bizon_utf8(${text})`)
  const columns = [
    bytesOf(jsonOf(relation)),
    ...order.map((name) => bytesOf(textOf(name))),
    ...(span ? [span.from === null ? '0' : is(span.from), is(span.until)] : []),
  ]
  const where: string[] = []
  if (after && order.length > 0) {
    where.push(`(${order.map(field).join(', ')}) > (${after.map(bound).join(', ')})`)
  }
  if (span) where.push(`${field(cursor)} <= ${bound(span.until)}`)
  if (span && span.from !== null) where.push(`${field(cursor)} >= ${bound(span.from)}`)
  const sql = [
    `SELECT ${columns.join(', ')} FROM ${relation.from} AS _row`,
    ...(where.length > 0 ? [`WHERE ${where.join(' AND ')}`] : []),
    ...(order.length > 0 ? [`ORDER BY ${order.map(field).join(', ')}`] : []),
  ]
  return { sql: sql.join(' '), values }
}

/** The newest value that an incremental read may go up to, and whether it is not newer than `from`. */
export function newestOf({ from: source }: Relation, cursor: string, from: string | null): Statement {
  const still = from === null ? '0' : `${field(cursor)} <= ?`
  const sql = `SELECT ${textOf(cursor)} AS until, ${still} AS still FROM ${source} AS _row WHERE ${field(cursor)} IS NOT NULL
    ORDER BY ${field(cursor)} DESC LIMIT 1`
  return { sql, values: from === null ? [] : [valueOfText(from)] }
}

/** Whether there are rows that have no place in the order of the cursor. */
export function misplacedOf({ from }: Relation, cursor: string): string {
  return `SELECT EXISTS (SELECT 1 FROM ${from} AS _row WHERE ${field(cursor)} IS NULL OR ${field(cursor)} = 9e999)`
}

/** Whether some of its values are numbers and some are text, or bytes: in SQLite all numbers come before all text. */
export function mixedOf({ from }: Relation, cursor: string): string {
  const value = field(cursor)
  const some = (condition: string): string => `EXISTS (SELECT 1 FROM ${from} AS _row WHERE ${condition})`
  return `SELECT ${some(`${value} < ''`)} + ${some(`${value} >= '' AND ${value} < x''`)} + ${some(`${value} >= x''`)} > 1`
}

/** What values of the order may be compared with. */
export function kindOf(text: string): string {
  return ({ t: 'text', x: 'bytes' } as Record<string, string>)[text.charAt(0)] ?? 'a number'
}

/** A function takes 1,000 arguments, and a table may have more columns than half of that. */
const COLUMNS_AT_ONCE = 400

function jsonOf({ chosen }: Relation): string {
  const objects: string[] = []
  for (let at = 0; at < chosen.length; at += COLUMNS_AT_ONCE) {
    const pairs = chosen.slice(at, at + COLUMNS_AT_ONCE).map(({ name }) => `${quoteText(name)}, ${exact(name)}`)
    objects.push(`json_object(${pairs.join(', ')})`)
  }
  const [first = "'{}'", ...more] = objects
  return more.reduce((text, object) => `substr(${text}, 1, length(${text}) - 1) || ',' || substr(${object}, 2)`, first)
}

function exact(name: string): string {
  const value = field(name)
  return `CASE typeof(${value}) WHEN 'real' THEN json(bizon_real(${value})) WHEN 'blob' THEN bizon_base64(${value}) ELSE ${value} END`
}

function textOf(name: string): string {
  const value = field(name)
  return `CASE typeof(${value}) WHEN 'integer' THEN 'i' || ${value} WHEN 'text' THEN 't' || ${value}
    WHEN 'real' THEN 'r' || trim(bizon_real(${value}), '"') WHEN 'blob' THEN 'x' || hex(${value}) END`
}

function valueOfText(text: string): Value {
  const rest = text.slice(1)
  switch (text[0]) {
    case 'i':
      return BigInt(rest)
    case 'r':
      return Number(rest)
    case 'x':
      return Buffer.from(rest, 'hex')
    default:
      return rest
  }
}

const field = (name: string): string => `_row.${quoteName(name)}`
