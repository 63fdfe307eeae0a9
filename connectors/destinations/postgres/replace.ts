// A staged table in the place of the published one, in the transaction that marks it published. What people have put
// on the published one stays: indexes and constraints under their names, comments, grants and what was revoked, settings,
// the owner. What cannot be moved from one table to another is told before anything is fetched (check.ts).

import { quoteName } from '../../postgres.ts'
import { derivedName, qualified } from './names.ts'
import type { Transaction } from './session.ts'

/**
 * `staging` takes the name and everything else of the published table, which is gone afterwards; not the index named
 * `without`. The table must be locked against changes.
 */
export async function replaceByRename(
  transaction: Transaction,
  schema: string,
  table: string,
  staging: string,
  without: string | null,
): Promise<void> {
  const [main, next] = [qualified(schema, table), qualified(schema, staging)]
  const rename: string[] = []
  const indexes = await transaction.query(INDEXES, [main, without])
  for (const [at, { name, head, definition, kind }] of indexes.rows.entries()) {
    const temporary = quoteName(derivedName(table, `index${at}`, staging))
    const unique = String(head).startsWith('CREATE UNIQUE') ? 'UNIQUE ' : ''
    await transaction.query(`CREATE ${unique}INDEX ${temporary} ON ${next}${definition}`)
    const own = quoteName(String(name))
    if (kind === null) rename.push(`ALTER INDEX ${quoteName(schema)}.${temporary} RENAME TO ${own}`)
    else rename.push(`ALTER TABLE ${main} ADD CONSTRAINT ${own} ${KINDS[String(kind)]} USING INDEX ${temporary}`)
  }
  const before = await transaction.query(LABELS, [main, next])
  const after = await transaction.query(MARKS, [main, without])
  const statements = [
    ...before.rows.map(({ statement }) => String(statement)),
    `DROP TABLE ${main}`,
    `ALTER TABLE ${next} RENAME TO ${quoteName(table)}`,
    ...rename,
    ...after.rows.map(({ statement }) => String(statement)),
  ]
  await transaction.query(statements.join('; '))
}

const GRANTEE = "CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END"
const GRANTABLE = "CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
const KINDS: Readonly<Record<string, string>> = { p: 'PRIMARY KEY', u: 'UNIQUE' }

/** `definition` is what follows the name of the table. */
const INDEXES = `
  SELECT i.relname AS name, c.contype AS kind, head, substr(pg_get_indexdef(i.oid), length(head) + 1) AS definition
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.conrelid = t.oid AND c.contype IN ('p', 'u'),
    LATERAL (SELECT format('CREATE %sINDEX %I ON %I.%I',
      CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname, n.nspname, t.relname) AS head) AS h
  WHERE x.indrelid = $1::regclass AND i.relname IS DISTINCT FROM $2 ORDER BY i.oid`

/** Comment, grants, settings and owner, as statements for the new table, which may have grants by default. */
const LABELS = `
  WITH it AS (SELECT * FROM pg_class WHERE oid = $1::regclass), new AS (SELECT * FROM pg_class WHERE oid = $2::regclass)
  SELECT statement FROM (
    SELECT 0 AS step, format('REVOKE ALL ON TABLE %s FROM %s', $2::text, ${GRANTEE}) AS statement
      FROM new, aclexplode(relacl) WHERE grantee <> relowner
    UNION SELECT 1, format('COMMENT ON TABLE %s IS %L', $2::text, obj_description(oid, 'pg_class')) FROM it
    UNION ALL SELECT 2, format('GRANT %s ON TABLE %s TO %s%s', privilege_type, $2::text, ${GRANTEE}, ${GRANTABLE})
      FROM it, aclexplode(relacl) WHERE grantee <> relowner
    UNION ALL SELECT 2, format('GRANT %s (%I) ON TABLE %s TO %s%s', privilege_type, attname, $2::text, ${GRANTEE}, ${GRANTABLE})
      FROM it JOIN pg_attribute a ON a.attrelid = it.oid AND a.attnum > 0 AND NOT attisdropped, aclexplode(attacl)
    UNION ALL SELECT 3, format('ALTER TABLE %s SET (%s = %L)', $2::text, prefix || split_part(setting, '=', 1),
        substr(setting, strpos(setting, '=') + 1))
      FROM it, LATERAL (SELECT '' AS prefix, unnest(it.reloptions) AS setting
        UNION ALL SELECT 'toast.', unnest(t.reloptions) FROM pg_class t WHERE t.oid = it.reltoastrelid) AS settings
    UNION ALL SELECT 3, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', $2::text, attname, attstattarget)
      FROM it JOIN pg_attribute a ON a.attrelid = it.oid AND attnum > 0 AND NOT attisdropped AND attstattarget >= 0
    UNION ALL SELECT 3, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', $2::text, attname, array_to_string(attoptions, ', '))
      FROM it JOIN pg_attribute a ON a.attrelid = it.oid AND attnum > 0 AND NOT attisdropped AND attoptions IS NOT NULL
    UNION ALL SELECT 3, format('ALTER TABLE %s SET TABLESPACE %I', $2::text, spcname)
      FROM it JOIN pg_tablespace s ON s.oid = it.reltablespace
    UNION ALL SELECT 4, format('ALTER TABLE %s OWNER TO %I', $2::text, pg_get_userbyid(relowner))
      FROM it WHERE pg_get_userbyid(relowner) <> current_user
  ) AS found ORDER BY step`

/** What is said of indexes, once they have their names. */
const MARKS = `
  WITH it AS (SELECT c.*, $1::text AS name, format('%I', n.nspname) AS schema FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass),
  own AS (SELECT i.oid, i.relname, x.indisreplident, x.indisclustered FROM it JOIN pg_index x ON x.indrelid = it.oid
    JOIN pg_class i ON i.oid = x.indexrelid WHERE i.relname IS DISTINCT FROM $2)
  SELECT format('COMMENT ON INDEX %s.%I IS %L', schema, own.relname, obj_description(own.oid, 'pg_class')) AS statement
    FROM it, own WHERE obj_description(own.oid, 'pg_class') IS NOT NULL
  UNION ALL SELECT format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname, name, obj_description(c.oid, 'pg_constraint'))
    FROM it JOIN pg_constraint c ON conrelid = it.oid
    WHERE contype IN ('p', 'u') AND obj_description(c.oid, 'pg_constraint') IS NOT NULL
  UNION ALL SELECT format('ALTER TABLE %s CLUSTER ON %I', name, own.relname) FROM it, own WHERE indisclustered
  UNION ALL SELECT format('ALTER TABLE %s REPLICA IDENTITY %s', name, CASE relreplident WHEN 'f' THEN 'FULL'
      WHEN 'n' THEN 'NOTHING' ELSE 'USING INDEX ' || (SELECT quote_ident(own.relname) FROM own WHERE indisreplident) END)
    FROM it WHERE relreplident IN ('f', 'n') OR (relreplident = 'i' AND EXISTS (SELECT FROM own WHERE indisreplident))`
