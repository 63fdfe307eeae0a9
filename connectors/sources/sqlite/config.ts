// The keys of the sqlite source.

import * as z from 'zod'
import { InvalidKey } from '../../../lib/config/invalid-key.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { checkCursor, tableKeys, tableTuning } from '../../keyset/pages.ts'

export const config = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe('The database file, relative to the working directory.')
    .meta({ examples: ['shop.sqlite'] }),
  table: z.string().min(1).optional().describe('Table or view. Default: the stream.'),
  query: z
    .string()
    .min(1)
    .optional()
    .describe('A SELECT to read instead of a table; the stream is then only a label. Default: none.'),
  ...tableKeys,
  busy_timeout: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(10)
    .describe('Seconds to wait for a program that keeps the file to itself while it commits.'),
})

export type SqliteSourceOptions = z.output<typeof config>

/** Keys that change how is read, not what. */
export const tuning = [...tableTuning, 'busy_timeout'] as const

/** Throws when the keys contradict each other, or the mode. */
export function checkKeys({ table, query, cursor_field }: SqliteSourceOptions, mode: SyncMode): void {
  if (query !== undefined && table !== undefined) {
    throw new InvalidKey(['source', 'query'], 'stands beside table', { hint: 'Leave one of them out.' })
  }
  checkCursor(cursor_field, mode)
}
