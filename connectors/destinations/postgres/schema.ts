// The schema of the tables, where it is missing and may be created.

import { BizonError } from '../../../lib/errors.ts'
import { type Queries, quoteName } from '../../postgres.ts'

export async function createSchema(queries: Queries, schema: string): Promise<void> {
  const { rows } = await queries.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
  if (rows.length > 0) return
  await requireSchemaRight(queries, schema)
  // Of two loaders that begin at once the later one waits for the other, and then finds the name taken.
  await queries.query(
    `DO $do$ BEGIN CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}; EXCEPTION WHEN unique_violation THEN NULL; END $do$`,
  )
}

/** Throws, with the statement that helps, where the role may create no schema. */
export async function requireSchemaRight(queries: Queries, schema: string): Promise<void> {
  const { rows } = await queries.query(
    `SELECT current_user::text AS role, current_database()::text AS database,
       has_database_privilege(current_database(), 'CREATE') AS may`,
  )
  const { role, database, may } = rows[0] as { role: string; database: string; may: boolean }
  if (may) return
  throw new BizonError('destination', `${role} may not create schema ${schema} in database ${database}`, {
    hint: `GRANT CREATE ON DATABASE ${quoteName(database)} TO ${quoteName(role)}`,
  })
}
