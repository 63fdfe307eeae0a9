// The keys of the postgres source.

import * as z from 'zod'
import { InvalidKey } from '../../../lib/config/invalid-key.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { checkCursor, tableKeys, tableTuning } from '../../keyset/pages.ts'
import { addressKeys, reachKeys } from '../../postgres/address.ts'

export const config = z.strictObject({
  ...addressKeys,
  schema: z.string().min(1).optional().describe('Schema of the table. Default: as the stream says, else `public`.'),
  table: z
    .string()
    .min(1)
    .optional()
    .describe('Table or view, just as it is written. Default: the stream, as `table` or `schema.table`.'),
  query: z
    .string()
    .min(1)
    .optional()
    .describe('A SELECT to read instead of a table; the stream is then only a label. Default: none.'),
  ...tableKeys,
  late_commit_timeout: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(300)
    .describe(
      'Incremental: seconds to wait for transactions that were open when the read began; if one of them goes on, the run fails.',
    ),
  reconnect_timeout: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('Seconds that a run waits for a server that went away meanwhile; 0: it fails at once.'),
})

export type PostgresSourceOptions = z.output<typeof config>

/** Keys that change how is read, not what. */
export const tuning = [...reachKeys, ...tableTuning, 'late_commit_timeout', 'reconnect_timeout'] as const

/** Throws when the keys contradict each other, or the mode. */
export function checkKeys({ table, schema, query, cursor_field }: PostgresSourceOptions, mode: SyncMode): void {
  if (query !== undefined && (table !== undefined || schema !== undefined)) {
    throw new InvalidKey(['source', 'query'], `stands beside ${table === undefined ? 'schema' : 'table'}`, {
      hint: 'Name the schema within the query, or read the table without one.',
    })
  }
  checkCursor(cursor_field, mode)
}
