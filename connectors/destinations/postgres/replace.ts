// A staged table in the place of the published one, in the transaction that marks it published. What people have put
// on the published one stays: indexes and constraints under their names, comments, grants, the owner. What cannot be
// moved from one table to another is told before anything is fetched.

import { BizonError } from '../../../lib/errors.ts'
import { quoteName } from '../../postgres.ts'
import { derivedName, qualified } from './names.ts'
import type { Transaction } from './session.ts'
import type { FoundTable } from './tables.ts'

/** Rejects when the table cannot be replaced by another one. */
export async function checkReplaceable(
  transaction: Transaction,
  schema: string,
  table: string,
  found: FoundTable,
): Promise<void> {
  const name = `${schema}.${table}`
  if (!found.owned) {
    throw new BizonError('destination', `${name} belongs to ${found.owner}: only its owner may replace it`, {
      hint: `GRANT ${found.owner} TO the role that bizon uses. Or, with the right to TRUNCATE and INSERT, set replace_strategy to truncate_insert.`,
    })
  }
  const { rows } = await transaction.query(OBSTACLES, [qualified(schema, table)])
  const obstacles = rows.map(({ what }) => String(what))
  if (found.kind === 'p') obstacles.unshift('partitions')
  if (obstacles.length === 0) return
  throw new BizonError(
    'destination',
    `${name} cannot be replaced by another table: ${obstacles.join(', ')} would be lost`,
    {
      hint: 'Set replace_strategy to truncate_insert, which fills the same table.',
    },
  )
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
  ) AS found ORDER BY what`

/** `staging` takes the name and everything else of the published table, which is gone afterwards. */
export async function replaceByRename(
  transaction: Transaction,
  schema: string,
  table: string,
  staging: string,
): Promise<void> {
  const [main, next] = [qualified(schema, table), qualified(schema, staging)]
  // Nobody changes it from here on, but it is read until the very end, also while indexes are built.
  await transaction.query(`LOCK TABLE ${main} IN SHARE ROW EXCLUSIVE MODE`)
  const rename: string[] = []
  const indexes = await transaction.query(INDEXES, [main])
  for (const [at, { name, head, definition, kind }] of indexes.rows.entries()) {
    const temporary = quoteName(derivedName(table, `index${at}`, staging))
    const unique = String(head).startsWith('CREATE UNIQUE') ? 'UNIQUE ' : ''
    await transaction.query(`CREATE ${unique}INDEX ${temporary} ON ${next}${definition}`)
    const own = quoteName(String(name))
    if (kind === null) rename.push(`ALTER INDEX ${quoteName(schema)}.${temporary} RENAME TO ${own}`)
    else rename.push(`ALTER TABLE ${main} ADD CONSTRAINT ${own} ${KINDS[String(kind)]} USING INDEX ${temporary}`)
  }
  const texts = await transaction.query(LABELS, [main, next])
  const statements = [
    ...texts.rows.map(({ statement }) => String(statement)),
    `DROP TABLE ${main}`,
    `ALTER TABLE ${next} RENAME TO ${quoteName(table)}`,
    ...rename,
  ]
  await transaction.query(statements.join('; '))
}

const KINDS: Readonly<Record<string, string>> = { p: 'PRIMARY KEY', u: 'UNIQUE' }

/** `definition` is what follows the name of the table. */
const INDEXES = `
  SELECT i.relname AS name, c.contype AS kind, head, substr(pg_get_indexdef(i.oid), length(head) + 1) AS definition
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.conrelid = t.oid AND c.contype IN ('p', 'u'),
    LATERAL (SELECT format('CREATE %sINDEX %I ON %I.%I',
      CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname, n.nspname, t.relname) AS head) AS h
  WHERE x.indrelid = $1::regclass ORDER BY i.oid`

/** Comment, grants and owner, as statements for the new table. */
const LABELS = `
  WITH it AS (SELECT c.* FROM pg_class c WHERE c.oid = $1::regclass)
  SELECT statement FROM (
    SELECT 1 AS step, format('COMMENT ON TABLE %s IS %L', $2::text, obj_description(oid, 'pg_class')) AS statement
      FROM it WHERE obj_description(oid, 'pg_class') IS NOT NULL
    UNION ALL SELECT 2, format('GRANT %s ON TABLE %s TO %s%s', privilege_type, $2::text,
        CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
      FROM it, aclexplode(relacl) WHERE grantee <> relowner
    UNION ALL SELECT 2, format('GRANT %s (%I) ON TABLE %s TO %s%s', privilege_type, attname, $2::text,
        CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
      FROM it JOIN pg_attribute a ON a.attrelid = it.oid AND a.attnum > 0 AND NOT attisdropped, aclexplode(attacl)
    UNION ALL SELECT 3, format('ALTER TABLE %s OWNER TO %I', $2::text, pg_get_userbyid(relowner))
      FROM it WHERE pg_get_userbyid(relowner) <> current_user
  ) AS found ORDER BY step`
