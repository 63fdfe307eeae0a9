// The state store in PostgreSQL keeps what every state store promises; each test has a schema of its own.

import { afterAll, beforeAll, describe } from 'vitest'
import { storeContract } from '../../contract/store.ts'
import { freshSchema, storeConfig } from '../../support/postgres-store.ts'
import { dropDatabase, freshDatabase, type TestDatabase } from '../../support/services/postgres.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => dropDatabase(database))

describe('postgres', () => {
  storeContract(async () => storeConfig(database.url, await freshSchema(database.url)), {
    persistent: true,
    elsewhere: async (config) => ({ ...config, schema: await freshSchema(database.url) }),
  })
})
