// The state store in a schema of a test's database.

import { randomBytes } from 'node:crypto'
import type { StoreConfig } from '../../lib/state.ts'
import { psql } from './services/postgres.ts'

export function storeConfig(url: string, schema = 'public'): StoreConfig {
  const { hostname, port, pathname, username } = new URL(url)
  return {
    type: 'postgres',
    database: pathname.slice(1),
    schema,
    echo: false,
    server: { host: hostname, port: Number(port), username, sslmode: 'disable' },
  }
}

export async function freshSchema(url: string): Promise<string> {
  const schema = `s_${randomBytes(6).toString('hex')}`
  await psql(url, `CREATE SCHEMA ${schema}`)
  return schema
}

/** The block of a pipeline file. */
export function backendOf(url: string, schema = 'public'): string {
  const { database, server } = storeConfig(url, schema)
  return `backend:
    type: postgres
    config:
      host: ${server?.host}
      port: ${server?.port}
      database: ${database}
      schema: ${schema}
      username: ${server?.username}
      syncCursorInDBEvery: 1`
}
