// Tables read back by plain queries, for `bizon verify` and `bizon chaos`: one snapshot of each table, a few rows at a
// time. And a schema of its own to try things in.

import { basename } from 'node:path'
import type { Keeps, Reader, Scratch, StoredRow } from '../../../lib/audit/reader.ts'
import { RawJson } from '../../../lib/record.ts'
import { never } from '../../../lib/wait.ts'
import { type Connection, connect, quoteName } from '../../postgres.ts'
import { hideRun, linksOf } from '../child-tables.ts'
import { type Naming, namingOf } from '../naming.ts'
import { addressOf, type PostgresOptions } from './config.ts'
import { serverError } from './errors.ts'
import { qualified } from './names.ts'
import { findTable } from './tables.ts'

/** Of rows that are in memory at once, as far as that can be told from the ones before. */
const BATCH_BYTES = 4 << 20
const MOST_ROWS = 5000

export class PostgresReader implements Reader {
  readonly keeps: Keeps
  readonly #options: PostgresOptions
  readonly #naming: Naming
  #connection: Connection | undefined

  constructor(options: PostgresOptions) {
    this.#options = options
    this.#naming = namingOf(options)
    const { unnest, primary_key: key, replace_scope: scope, on_nul: onNul, on_empty: onEmpty } = options
    const changed = unnest
      ? 'with unnest values have the types of their columns'
      : onNul === 'strip'
        ? 'on_nul: strip changes values'
        : undefined
    const isReplaced = key.length > 0 || scope.length > 0
    const by = key.length > 0 ? 'merged by primary_key' : 'replaced by replace_scope'
    const why = isReplaced ? `rows are ${by}, so that newer ones take the place of others` : changed
    this.keeps = {
      of: changed !== undefined ? 'counts' : this.#naming.recordId === undefined ? 'payloads' : 'records',
      ...(this.#naming.rowId !== undefined && { ids: true }),
      ...(options.visibility === 'batch' && { addsInView: 'batch' }),
      inOrder: false,
      ...(isReplaced && { merges: true }),
      ...(scope.length > 0 && { byScope: true }),
      ...(onEmpty === 'keep' && { onEmpty }),
      ...(why !== undefined && { why }),
    }
  }

  place(destinationId: string): string {
    return `${this.#options.schema}.${destinationId}`
  }

  async *read(destinationId: string, signal: AbortSignal): AsyncGenerator<readonly StoredRow[], void, void> {
    const { schema, unnest, unnestDepth } = this.#options
    const { columns, rowId = 'NULL', recordId = 'NULL', payload } = this.#naming
    const links = unnestDepth === undefined ? undefined : linksOf(this.#options)
    try {
      this.#connection ??= await connect(addressOf(this.#options), signal, 'destination')
      const connection = this.#connection
      const ask = (sql: string) => connection.interruptible(signal, connection.query(sql))
      await ask('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
      if (await findTable(connection, schema, destinationId)) {
        const own = columns.map(({ name }) => `'${name}'`).join(', ')
        const data = unnest ? `to_jsonb(t.*) - ARRAY[${own}]::text[]` : payload
        await ask(
          `DECLARE rows NO SCROLL CURSOR FOR SELECT ${rowId} AS row_id, ${recordId} AS record_id, (${data})::text AS data
           FROM ${qualified(schema, destinationId)} AS t`,
        )
        for (let count = 1; ; ) {
          const { rows } = await ask(`FETCH ${count} FROM rows`)
          if (rows.length === 0) break
          let bytes = 0
          const found = rows.map((row): StoredRow => {
            const data = row.data === null ? undefined : RawJson.from(String(row.data))
            if (data && links) hideRun(data, links)
            bytes += data?.byteLength ?? 0
            return {
              ...(row.row_id !== null && { rowId: String(row.row_id) }),
              ...(row.record_id !== null && { recordId: String(row.record_id) }),
              data,
            }
          })
          yield found
          const fitting = Math.floor(BATCH_BYTES / Math.max(1, bytes / rows.length))
          count = Math.max(1, Math.min(4 * count, fitting, MOST_ROWS))
        }
      }
      await ask('ROLLBACK')
    } catch (error) {
      signal.throwIfAborted()
      throw serverError(error, this.place(destinationId))
    }
  }

  async close(): Promise<void> {
    await this.#connection?.close()
    this.#connection = undefined
  }
}

/** A schema that has the name of the folder. */
export function scratchSchema(options: PostgresOptions, folder: string): Scratch<PostgresOptions> {
  const schema = basename(folder)
  return {
    config: { ...options, schema, create_schema: true },
    kept: 'server',
    idOf: (destinationId) => destinationId,
    async remove() {
      const connection = await connect(addressOf(options), never, 'destination')
      try {
        await connection.query(`DROP SCHEMA IF EXISTS ${quoteName(schema)} CASCADE`)
      } catch (error) {
        throw serverError(error, schema)
      } finally {
        await connection.close()
      }
    },
  }
}
