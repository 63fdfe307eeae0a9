import { basename } from 'node:path'
import { Pool } from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { PostgresReader } from '../../../connectors/destinations/postgres/reader.ts'
import { destinationContract } from '../../contract/destination.ts'
import { postgresDestination, postgresOptions } from '../../support/postgres-destination.ts'
import { freshDatabase } from '../../support/services/postgres.ts'

let url = ''
// psql is the reader elsewhere; starting it a thousand times would take most of the time here.
let reader: Pool
beforeAll(async () => {
  url = (await freshDatabase()).url
  reader = new Pool({ connectionString: url, max: 4 })
})
afterAll(() => reader.end())

/** Each case has a schema of its own. */
const schemaOf = (folder: string): string => basename(folder)

destinationContract('postgres', {
  create: (folder, { mode, before }) =>
    postgresDestination({
      url,
      mode,
      options: { schema: schemaOf(folder), create_schema: true },
      // What only asks changes nothing.
      before: (operation) => /^(?:SELECT|BEGIN|LOCK)/.test(operation) || before?.(operation),
    }),
  async copy(from, to) {
    const [old, next] = [`"${schemaOf(from)}"`, `"${schemaOf(to)}"`]
    const { rows } = await reader.query(
      'SELECT quote_ident(relname) AS name FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = $2',
      [old, 'r'],
    )
    const tables = rows.map(
      ({ name }) =>
        `CREATE TABLE ${next}.${name} (LIKE ${old}.${name} INCLUDING ALL); INSERT INTO ${next}.${name} TABLE ${old}.${name}`,
    )
    await reader.query([`CREATE SCHEMA ${next}`, ...tables].join('; '))
  },
  noticed: /INSERT INTO "\S+"\."main"/,
  concurrent: true,
  step: 4,
  async readBack(folder, target) {
    const table = `"${schemaOf(folder)}"."${target}"`
    const { rows } = await reader.query('SELECT to_regclass($1) IS NOT NULL AS found', [table])
    if (!rows[0].found) return undefined
    const found = await reader.query(`SELECT source_record_id FROM ${table} ORDER BY ctid`)
    return found.rows.map((row) => row.source_record_id)
  },
  idOf: (_, target) => target,
  reader: (folder) => new PostgresReader(postgresOptions(url, { schema: schemaOf(folder) })),
})
