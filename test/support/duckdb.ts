// DuckDB as a reader that knows nothing of ours: what it makes of a file is what others will.

import { DuckDBInstance } from '@duckdb/node-api'

let instance: Promise<DuckDBInstance> | undefined

/** Rows as objects of texts, numbers, booleans and nulls; what JSON cannot hold is text. */
export async function duckdb(sql: string): Promise<Record<string, unknown>[]> {
  instance ??= DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await (await instance).connect()
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Record<string, unknown>[]
  } finally {
    connection.closeSync()
  }
}
