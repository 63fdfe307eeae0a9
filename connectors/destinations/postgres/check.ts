// Whether a run could write, without changing anything: what `bizon check` asks of the database.

import { BizonError } from '../../../lib/errors.ts'
import { type Queries, quoteName } from '../../postgres.ts'
import type { Site } from './publish.ts'
import { findTable, missingColumns } from './tables.ts'

/** Rejects, saying why not. */
export async function checkTarget(connection: Queries, site: Site, user: string): Promise<void> {
  const { options, target } = site
  const { schema, create_schema: create } = options
  const { rows } = await connection.query(
    `SELECT has_schema_privilege(oid, 'CREATE') AS may FROM pg_namespace WHERE nspname = $1`,
    [schema],
  )
  if (rows.length === 0) {
    if (create) return
    throw new BizonError('destination', `there is no schema ${schema}`, {
      hint: 'Create it, or set create_schema: true.',
    })
  }
  if (rows[0]?.may !== true) {
    throw new BizonError('destination', `${user} may not create tables in schema ${schema}`, {
      hint: `GRANT CREATE, USAGE ON SCHEMA ${quoteName(schema)} TO ${quoteName(user)}`,
    })
  }
  const found = await findTable(connection, schema, target)
  if (found) missingColumns(found, site.columnsOf(target), `${schema}.${target}`)
}
