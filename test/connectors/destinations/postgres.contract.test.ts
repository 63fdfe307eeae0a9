import { basename } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { PostgresReader } from '../../../connectors/destinations/postgres/reader.ts'
import { destinationContract } from '../../contract/destination.ts'
import { postgresDestination, postgresOptions } from '../../support/postgres-destination.ts'
import { freshDatabase } from '../../support/services/postgres.ts'

let url = ''
// psql is the reader elsewhere; starting it a thousand times would take most of the time here.
let reader: Client
beforeAll(async () => {
  url = (await freshDatabase()).url
  reader = new Client({ connectionString: url })
  await reader.connect()
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
      before: (operation) => /^(?:SELECT|BEGIN)/.test(operation) || before?.(operation),
    }),
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
