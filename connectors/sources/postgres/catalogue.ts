// What the server knows of a table, a view or a query: its columns, its key, and whether its rows say who wrote them.

import { BizonError } from '../../../lib/errors.ts'
import { suggestion } from '../../../lib/suggest.ts'
import { columnNamed } from '../../keyset/pages.ts'
import { type Queries, quoteName } from '../../postgres.ts'
import type { PostgresSourceOptions } from './config.ts'

export interface Column {
  readonly name: string
  /** As a cast names it. */
  readonly type: string
  /** Name of the type in pg_type, of a domain that of its base. */
  readonly base: string
  readonly notNull: boolean
}

export interface Relation {
  /** For people. */
  readonly label: string
  /** What stands after FROM, without a name of its own. */
  readonly from: string
  readonly columns: readonly Column[]
  /** Empty: there is none. */
  readonly key: readonly Column[]
  readonly cursor?: Column | undefined
  /** Those of the records, when not all. */
  readonly chosen?: readonly Column[] | undefined
  /** Whether a row has `xmin`. */
  readonly dated: boolean
  /** As the server estimates it. */
  readonly rows?: number | undefined
}

export async function describe(queries: Queries, options: PostgresSourceOptions, stream: string): Promise<Relation> {
  const found =
    options.query === undefined ? await table(queries, options, stream) : await query(queries, options.query)
  const column = (name: string, key: Parameters<typeof columnNamed>[1]): Column => columnNamed(name, key, found)
  const { primary_key, cursor_field, columns: chosen } = options
  return {
    ...found,
    key: (primary_key ?? found.keyNames).map((name) => column(name, 'primary_key')),
    cursor: cursor_field === undefined ? undefined : column(cursor_field, 'cursor_field'),
    chosen: chosen?.map((name) => column(name, 'columns')),
  }
}

interface Found extends Omit<Relation, 'key'> {
  readonly keyNames: readonly string[]
}

async function table(queries: Queries, options: PostgresSourceOptions, stream: string): Promise<Found> {
  const names = placesOf(options, stream)
  const { rows } = await queries.query(
    `SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.reltuples::bigint AS rows,
       EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AS inherited
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (n.nspname, c.relname) IN
       (SELECT s, t FROM unnest($1::text[], $2::text[]) AS named(s, t))`,
    [names.map(([schema]) => schema), names.map(([, name]) => name)],
  )
  const [one, other] = rows
  const labelOf = ({ schema, name }: Readonly<Record<string, unknown>>): string => `${schema}.${name}`
  if (!one) throw await notThere(queries, names)
  if (other) {
    throw new BizonError('config', `stream ${JSON.stringify(stream)} may be ${quoted(one)} or ${quoted(other)}`, {
      hint: 'Say which, by source.schema and source.table.',
    })
  }
  const { oid, kind, inherited, rows: estimate } = one
  const columns = await queries.query(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS "notNull", ${BASE} AS base
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype
     WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [oid],
  )
  return {
    label: labelOf(one),
    from: quoted(one),
    columns: columns.rows as unknown as Column[],
    // Each child has its own keys: together they may hold a row twice.
    keyNames: kind === 'r' && inherited === true ? [] : await keyOf(queries, oid),
    dated: kind === 'r' || kind === 'p' || kind === 'm',
    rows: Number(estimate) >= 0 && kind !== 'v' && kind !== 'f' ? Number(estimate) : undefined,
  }
}

const BASE = 'coalesce(b.typname, t.typname)'

const quoted = ({ schema, name }: Readonly<Record<string, unknown>>): string =>
  `${quoteName(String(schema))}.${quoteName(String(name))}`

/** Each schema and table that the config may mean: names may hold dots. */
function placesOf({ schema, table }: PostgresSourceOptions, stream: string): (readonly [string, string])[] {
  if (table !== undefined || schema !== undefined) return [[schema ?? 'public', table ?? stream]]
  const dots = [...stream.matchAll(/\./g)].map(({ index }) => index)
  return [['public', stream], ...dots.map((at) => [stream.slice(0, at), stream.slice(at + 1)] as const)]
}

async function notThere(queries: Queries, names: readonly (readonly [string, string])[]): Promise<BizonError> {
  const { rows } = await queries.query(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
     ORDER BY 1, 2 LIMIT 1000`,
  )
  const [schema, name] = names.at(-1) as readonly [string, string]
  const known = rows.map((row) => `${row.schema}.${row.name}`)
  const said = suggestion(`${schema}.${name}`, known, 'tables')
  return new BizonError('source', `there is no table or view ${schema}.${name}${said.length > 500 ? '' : said}`, {
    hint: 'The stream is table or schema.table; names are written as they are in the database, with their case.',
  })
}

/** The primary key, else the shortest unique one without nulls. */
async function keyOf(queries: Queries, table: unknown): Promise<readonly string[]> {
  const { rows } = await queries.query(
    `SELECT k.names FROM pg_index i CROSS JOIN LATERAL (
       SELECT array_agg(a.attname::text ORDER BY at) AS names, bool_and(a.attnotnull) AS whole, count(*) AS length
       FROM generate_series(0, i.indnkeyatts - 1) AS at
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[at]) k
     WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
       AND k.whole AND k.length = i.indnkeyatts
     ORDER BY i.indisprimary DESC, k.length, i.indexrelid LIMIT 1`,
    [table],
  )
  return (rows[0]?.names ?? []) as readonly string[]
}

async function query(queries: Queries, text: string): Promise<Found> {
  const from = `(\n${text.replace(/[;\s]+$/, '')}\n)`
  const { columns: given } = await queries.query(`SELECT * FROM ${from} AS q LIMIT 0`)
  const twice = given.find(({ name }, at) => given.findIndex((one) => one.name === name) !== at)
  if (twice) {
    throw new BizonError('config', `source.query gives two columns of the name ${JSON.stringify(twice.name)}`, {
      hint: 'Name one of them otherwise: SELECT … AS …',
    })
  }
  const { rows } = await queries.query(
    `SELECT named.name, format_type(t.oid, mod) AS type, false AS "notNull", ${BASE} AS base
     FROM unnest($1::text[], $2::oid[], $3::int[]) WITH ORDINALITY AS named(name, oid, mod, at)
     JOIN pg_type t ON t.oid = named.oid LEFT JOIN pg_type b ON b.oid = t.typbasetype ORDER BY at`,
    [given.map(({ name }) => name), given.map(({ type }) => type), given.map(({ modifier }) => modifier)],
  )
  return { label: 'the query', from, columns: rows as unknown as Column[], keyNames: [], dated: false }
}
