// Can a run do with a table what it is going to do? One set of checks, made when the run opens, when a record first names
// another table, under the lock before a table is published, and by `bizon check`; nothing is changed.

import { BizonError } from '../../../lib/errors.ts'
import { type Queries, quoteName } from '../../postgres.ts'
import { checkNaming } from '../naming.ts'
import { type Held, replaces } from '../recovery.ts'
import type { Column } from './columns.ts'
import type { PostgresOptions } from './config.ts'
import { qualified } from './names.ts'
import type { Site } from './publish.ts'
import { requireSchemaRight } from './schema.ts'
import { type FoundTable, findTable, missingColumns } from './tables.ts'

/** `swap`: another table takes its place. `fill`: its rows are removed, and others put there. `add`: rows come to it. */
export type Use = 'swap' | 'fill' | 'add'

export function useOf(state: Pick<Held, 'mode' | 'complete'>, { replace_strategy }: PostgresOptions): Use {
  if (!replaces(state)) return 'add'
  return replace_strategy === 'rename' ? 'swap' : 'fill'
}

export interface Asked {
  readonly use: Use
  /** Those that this run writes; undefined: it writes no rows there. */
  readonly columns: readonly Column[] | undefined
  /** Whether its rows may be removed whosever they are; else it must be empty. */
  readonly mayReplace: boolean
  /** Records name it, and it was nobody's: it must be empty however it is used, since a record may not choose any table. */
  readonly isNew?: boolean
}

/** Rejects when the table cannot be used so. Resolves to undefined when there is none. */
export async function checkTable(
  connection: Queries,
  { options, key, scope, lists }: Site,
  table: string,
  { use, columns, mayReplace, isNew = false }: Asked,
): Promise<FoundTable | undefined> {
  const { schema } = options
  const name = `${schema}.${table}`
  const found = await findTable(connection, schema, table)
  if (!found) return undefined
  if (use === 'add' && columns) checkNaming(options, name, [...found.columns.keys()])
  const missing = missingColumns(found, columns ?? [], name, options.unnest === 'columns')
  if (isNew) await checkEmpty(connection, schema, table, 'Rename or drop it, or let the records name another table.')
  else if (use !== 'add' && !mayReplace)
    await checkEmpty(connection, schema, table, 'Rename it, or run with --reset to replace it.')
  if (use === 'swap') await checkSwap(connection, schema, table, found)
  else {
    const deletes = use === 'fill' || scope !== undefined || lists?.isIn(found.columns) === true
    const rights = deletes ? ['INSERT', 'DELETE', 'SELECT'] : key ? ['INSERT', 'SELECT', 'UPDATE'] : ['INSERT']
    await checkRights(connection, schema, table, { deletes, rights, missing, found })
  }
  return found
}

/** A first incremental run replaces only what this pipeline published; a full refresh its target, whatever is there. */
async function checkEmpty(connection: Queries, schema: string, table: string, hint: string): Promise<void> {
  const { count } = await connection.query(`SELECT 1 FROM ${qualified(schema, table)} LIMIT 1`)
  if (count === 0) return
  throw new BizonError(
    'edited',
    `${schema}.${table} exists, and ${schema}._bizon_state does not say that this pipeline wrote it`,
    { hint },
  )
}

async function checkSwap(connection: Queries, schema: string, table: string, found: FoundTable): Promise<void> {
  const name = `${schema}.${table}`
  const instead = 'Set replace_strategy to truncate_insert, which fills the same table.'
  if (!found.owned) {
    throw new BizonError('destination', `${name} belongs to ${found.owner}: only its owner may replace it`, {
      hint: `GRANT ${quoteName(found.owner)} TO the role that bizon uses. Or, with the right to DELETE and INSERT, set replace_strategy to truncate_insert.`,
    })
  }
  const obstacles = await namesOf(connection, OBSTACLES, schema, table)
  if (found.kind === 'p') obstacles.unshift('partitions')
  if (obstacles.length > 0) {
    throw new BizonError(
      'destination',
      `${name} cannot be replaced by another table: ${obstacles.join(', ')} would be lost`,
      { hint: instead },
    )
  }
  const { rows } = await connection.query(
    `SELECT has_schema_privilege($2::text, $1::text, 'CREATE') OR rolsuper AS may FROM pg_roles WHERE rolname = current_user`,
    [schema, found.owner],
  )
  if (rows[0]?.may === true) return
  throw new BizonError(
    'destination',
    `${name} belongs to ${found.owner}, which may not own a new table in that schema`,
    {
      hint: `GRANT CREATE ON SCHEMA ${quoteName(schema)} TO ${quoteName(found.owner)}. Or s${instead.slice(1)}`,
    },
  )
}

async function checkRights(
  connection: Queries,
  schema: string,
  table: string,
  {
    deletes,
    rights,
    missing,
    found,
  }: { deletes: boolean; rights: readonly string[]; missing: readonly Column[]; found: FoundTable },
): Promise<void> {
  const name = `${schema}.${table}`
  const { rows } = await connection.query(
    `SELECT right_name FROM unnest($2::text[]) AS right_name WHERE NOT has_table_privilege($1::regclass, right_name)`,
    [qualified(schema, table), rights],
  )
  if (rows.length > 0) {
    const lacking = rows.map((row) => row.right_name).join(', ')
    throw new BizonError('destination', `permission denied for table ${name}, which belongs to ${found.owner}`, {
      hint: `GRANT ${lacking} ON ${qualified(schema, table)} TO the role that bizon uses.`,
    })
  }
  if (missing.length > 0 && !found.owned) {
    const columns = missing.map((column) => column.name).join(', ')
    throw new BizonError('destination', `${name} has no column ${columns}, and only ${found.owner} may add it`, {
      hint: `GRANT ${quoteName(found.owner)} TO the role that bizon uses, or add it by hand.`,
    })
  }
  if (!deletes) return
  const obstacles = await namesOf(connection, POINTING, schema, table)
  if (obstacles.length === 0) return
  throw new BizonError('destination', `the rows of ${name} cannot be removed: ${obstacles.join(', ')}`, {
    hint: 'Choose another destination_id and copy the rows from there, or change what is in the way.',
  })
}

async function namesOf(connection: Queries, sql: string, schema: string, table: string): Promise<string[]> {
  const { rows } = await connection.query(sql, [qualified(schema, table)])
  return rows.map(({ what }) => String(what))
}

/** What is tied to this very table. */
const OBSTACLES = `
  WITH it AS (SELECT $1::regclass AS oid)
  SELECT DISTINCT what FROM (
    SELECT 'view ' || v.oid::regclass AS what FROM it, pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
      JOIN pg_class v ON v.oid = r.ev_class
      WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = it.oid AND v.oid <> it.oid
    UNION ALL SELECT 'constraint ' || quote_ident(conname) || ' of ' || conrelid::regclass FROM it, pg_constraint
      WHERE (contype = 'f' AND it.oid IN (conrelid, confrelid)) OR ((contype = 'x' OR condeferrable) AND conrelid = it.oid)
    UNION ALL SELECT 'trigger ' || quote_ident(tgname) FROM it, pg_trigger WHERE tgrelid = it.oid AND NOT tgisinternal
    UNION ALL SELECT 'policy ' || quote_ident(polname) FROM it, pg_policy WHERE polrelid = it.oid
    UNION ALL SELECT 'row security' FROM it, pg_class c WHERE c.oid = it.oid AND c.relrowsecurity
    UNION ALL SELECT 'rule ' || quote_ident(rulename) FROM it, pg_rewrite WHERE ev_class = it.oid
    UNION ALL SELECT 'publication ' || quote_ident(pubname) FROM it, pg_publication_rel r
      JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = it.oid
    UNION ALL SELECT 'inheritance' FROM it, pg_inherits WHERE it.oid IN (inhrelid, inhparent)
    UNION ALL SELECT 'sequence ' || d.objid::regclass FROM it, pg_depend d JOIN pg_class s ON s.oid = d.objid
      WHERE d.classid = 'pg_class'::regclass AND d.refobjid = it.oid AND d.refobjsubid > 0 AND s.relkind = 'S'
    UNION ALL SELECT pg_describe_object(d.classid, d.objid, d.objsubid) FROM it JOIN pg_class c ON c.oid = it.oid
      JOIN pg_type t ON t.oid = c.reltype,
      LATERAL (VALUES ('pg_class'::regclass, it.oid), ('pg_type'::regclass, t.oid), ('pg_type'::regclass, t.typarray)) AS its(class, id)
      JOIN pg_depend d ON d.refclassid = its.class AND d.refobjid = its.id
      WHERE d.deptype = 'n' AND d.objid <> it.oid
        AND NOT (d.classid = 'pg_attrdef'::regclass AND d.objid IN (SELECT oid FROM pg_attrdef WHERE adrelid = it.oid))
        AND d.classid NOT IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass,
        'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_publication_rel'::regclass)
        AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = it.oid))
  ) AS found ORDER BY what`

/** Rows of others that hang on these, and rows that this role does not see. */
const POINTING = `
  WITH it AS (SELECT $1::regclass AS oid)
  SELECT DISTINCT what FROM (
    SELECT 'constraint ' || quote_ident(conname) || ' of ' || conrelid::regclass || ' points at them' AS what
      FROM it, pg_constraint WHERE contype = 'f' AND confrelid = it.oid AND conrelid <> it.oid
    UNION ALL SELECT 'row security hides some from this role' FROM it WHERE row_security_active(it.oid)
    UNION ALL SELECT 'publication ' || quote_ident(pubname) || ' tells of deleted rows, and they have no replica identity'
      FROM it JOIN pg_class c ON c.oid = it.oid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_publication_tables p ON p.schemaname = n.nspname AND p.tablename = c.relname
        JOIN pg_publication USING (pubname)
      WHERE pubdelete AND (relreplident = 'n' OR (relreplident = 'd'
        AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = it.oid AND indisprimary)))
  ) AS found ORDER BY what`

/** Whether a run could write: what `bizon check` asks. Rejects, saying why not. */
export async function checkTarget(
  connection: Queries,
  site: Site,
  { use, user }: { readonly use: Use; readonly user: string },
): Promise<void> {
  const { options, target } = site
  const { schema, create_schema: create } = options
  const { rows } = await connection.query(
    `SELECT has_schema_privilege(oid, 'CREATE') AS may FROM pg_namespace WHERE nspname = $1`,
    [schema],
  )
  if (rows.length === 0) {
    if (create) return requireSchemaRight(connection, schema)
    throw new BizonError('destination', `there is no schema ${schema}`, {
      hint: 'Create it, or set create_schema: true.',
    })
  }
  if (rows[0]?.may !== true) {
    throw new BizonError('destination', `${user} may not create tables in schema ${schema}`, {
      hint: `GRANT CREATE, USAGE ON SCHEMA ${quoteName(schema)} TO ${quoteName(user)}`,
    })
  }
  await checkTable(connection, site, target, { use, columns: site.fixedOf(target), mayReplace: true })
}
