// The postgres destination in a database of its own, and what psql reads there.

import { config, type PostgresOptions } from '../../connectors/destinations/postgres/config.ts'
import { PostgresDestination } from '../../connectors/destinations/postgres.ts'
import type { Log } from '../../lib/log.ts'
import type { SyncMode } from '../../lib/source.ts'
import { psql } from './services/postgres.ts'

export const silent: Log = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }

export interface Given {
  readonly url: string
  readonly mode?: SyncMode
  readonly before?: (operation: string) => void
  readonly log?: Log
  readonly options?: Partial<PostgresOptions>
}

export function postgresOptions(url: string, options: Partial<PostgresOptions> = {}): PostgresOptions {
  return {
    ...config.parse({ url, sslmode: 'disable' }),
    destinationId: 'main',
    unnest: false,
    recordSchemas: [],
    ...options,
  }
}

/** Its target is `main` in `public`, unless the options say another. */
export function postgresDestination({ url, mode = 'full_refresh', before, log = silent, options }: Given) {
  return new PostgresDestination(
    postgresOptions(url, options),
    { stream: 'main', mode, log },
    { before, otherRunMs: 50 },
  )
}

/** Ids of the records of a table, in the order in which they were put there; undefined when there is none. */
export async function idsIn(url: string, table: string): Promise<string[] | undefined> {
  const found = await psql(url, `SELECT to_regclass('${table}') IS NOT NULL`)
  if (found.trim() !== 't') return undefined
  return (await psql(url, `SELECT source_record_id FROM ${table} ORDER BY ctid`)).split('\n').slice(0, -1)
}
