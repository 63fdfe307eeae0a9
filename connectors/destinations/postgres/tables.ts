// Tables as a run finds them, and new ones.

import { BizonError } from '../../../lib/errors.ts'
import { type Queries, quoteName, quoteText } from '../../postgres.ts'
import type { Column } from './columns.ts'
import { undeleted } from './errors.ts'
import { qualified } from './names.ts'

export interface FoundTable {
  /** `r` a table, `p` one in partitions. */
  readonly kind: string
  readonly owner: string
  /** Whether this role may drop or change it. */
  readonly owned: boolean
  readonly columns: ReadonlyMap<string, string>
  /** Columns into which nothing can be put. */
  readonly computed: readonly string[]
  /** Columns that refuse a row without a value of its own, and that nothing else fills. */
  readonly demanding: readonly string[]
}

export async function findTable(connection: Queries, schema: string, table: string): Promise<FoundTable | undefined> {
  const { rows } = await connection.query(
    `SELECT c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       (SELECT coalesce(json_object_agg(attname, format_type(atttypid, atttypmod) ORDER BY attnum), '{}')::text FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
       ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
         AND (attgenerated <> '' OR attidentity = 'a')) AS computed,
       ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
         AND attnotnull AND NOT atthasdef AND attidentity = ''
         AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)) AS demanding
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, table],
  )
  const [row] = rows
  if (!row) return undefined
  return {
    kind: String(row.kind),
    owner: String(row.owner),
    owned: row.owned === true,
    computed: row.computed as string[],
    demanding: row.demanding as string[],
    columns: new Map(Object.entries(JSON.parse(String(row.columns)) as Record<string, string>)),
  }
}

/** Those of the names that are among the columns, with their types. */
export function columnsIn(types: ReadonlyMap<string, string>, names: readonly string[]): Column[] {
  return names.flatMap((name) => {
    const type = types.get(name)
    return type === undefined ? [] : [{ name, type }]
  })
}

/** Rejects what rows cannot be written to. `isPart`: rows have other columns too. Resolves to the columns that it lacks. */
export function missingColumns(
  found: FoundTable,
  columns: readonly Column[],
  name: string,
  isPart = false,
): readonly Column[] {
  if (found.kind !== 'r' && found.kind !== 'p') {
    throw new BizonError('destination', `${name} is not a table`, { hint: 'Choose another destination_id.' })
  }
  for (const { name: column, type } of columns) {
    const is = found.computed.includes(column) ? 'computed' : found.columns.get(column)
    if (is === undefined || is === type) continue
    throw new BizonError('destination', `${name}: column ${column} is ${is}, not ${type}`, {
      hint: 'Choose another destination_id, or change the type of the column.',
    })
  }
  const demanding = found.demanding.find((one) => columns.every(({ name: column }) => column !== one))
  if (demanding !== undefined && columns.length > 0 && !isPart) {
    throw new BizonError('destination', `${name}: column ${demanding} is NOT NULL, and records have none`, {
      hint: 'Give the column a DEFAULT, or choose another destination_id.',
    })
  }
  return columns.filter(({ name: column }) => !found.columns.has(column))
}

/** What this run needs of a table, created or changed where it lacks something. */
export async function prepareTable(
  connection: Queries,
  schema: string,
  table: string,
  columns: readonly Column[],
  isPart = false,
): Promise<void> {
  const name = qualified(schema, table)
  const found = await findTable(connection, schema, table)
  if (found === undefined) return createTable(connection, name, columns)
  const missing = missingColumns(found, columns, `${schema}.${table}`, isPart)
  if (missing.length === 0) return
  const added = missing.map((column) => `ADD COLUMN IF NOT EXISTS ${definitionOf(column)}`)
  await connection.query(`ALTER TABLE ${name} ${added.join(', ')}${comments(name, missing)}`)
}

/** `more` comes behind the list of columns. */
export async function createTable(
  connection: Queries,
  name: string,
  columns: readonly Column[],
  more = '',
): Promise<void> {
  const list = columns.map(definitionOf).join(', ')
  await connection.query(`CREATE TABLE ${name} (${list}) ${more}${comments(name, columns)}`)
}

/** Rejects when a row stays. */
export async function removeRows(connection: Queries, name: string, table: string): Promise<void> {
  await connection.query(`DELETE FROM ${name}`)
  const left = await countRows(connection, name)
  if (left > 0) throw undeleted(table, left)
}

/** The table that an index is on; undefined: there is no such index. */
export async function tableOfIndex(connection: Queries, schema: string, index: string): Promise<string | undefined> {
  const { rows } = await connection.query(
    'SELECT relname FROM pg_index JOIN pg_class t ON t.oid = indrelid WHERE indexrelid = to_regclass($1)',
    [qualified(schema, index)],
  )
  return rows[0] && String(rows[0].relname)
}

export async function countRows(connection: Queries, name: string): Promise<number> {
  const { rows } = await connection.query(`SELECT count(*)::text AS count FROM ${name}`)
  return Number(rows[0]?.count)
}

export const definitionOf = ({ name, type }: Column): string => `${quoteName(name)} ${type}`

function comments(table: string, columns: readonly Column[]): string {
  return columns
    .flatMap(({ name, description }) =>
      description === undefined
        ? []
        : [`; COMMENT ON COLUMN ${table}.${quoteName(name)} IS ${quoteText(description.replaceAll('\0', ''))}`],
    )
    .join('')
}

export const listOf = (columns: readonly Pick<Column, 'name'>[]): string =>
  columns.map(({ name }) => quoteName(name)).join(', ')
