// The keys of the postgres destination.

import * as z from 'zod'
import { inDestination } from '../../../lib/config/invalid-key.ts'
import type { DestinationOptions } from '../../../lib/destination.ts'
import { type Address, addressIn, addressKeys, reachKeys } from '../../postgres/address.ts'
import { onSchemaChange } from '../columns/config.ts'
import { METADATA, METADATA_DESCRIPTION } from '../naming.ts'
import { VISIBILITIES, VISIBILITY_DESCRIPTION } from '../recovery.ts'
import { SCOPE_DESCRIPTION } from '../schemas.ts'

const names = (what: string) => z.array(z.string().min(1)).describe(what)

export const config = z.strictObject({
  ...addressKeys,
  schema: z.string().min(1).default('public').describe('Schema of the tables.'),
  create_schema: z.boolean().default(false).describe('Create the schema when it is missing. Default false.'),
  metadata: z.enum(METADATA).default('bizon').describe(METADATA_DESCRIPTION),
  primary_key: names(
    'Fields by which rows are merged, none of them null: of two rows with one key the newer stays. Default: rows are added.',
  ).default([]),
  cursor_field: z
    .string()
    .min(1)
    .optional()
    .describe('Field that says which of two rows with one key is newer. Default: the order in which they come.'),
  cursor_type: z
    .enum(['value', 'timestamp', 'number'])
    .default('value')
    .describe(
      'How `cursor_field` is compared: `value` as it is, numbers as numbers and text letter by letter; `timestamp` or `number` also where it is text.',
    ),
  replace_scope: names(SCOPE_DESCRIPTION).default([]),
  replace_strategy: z
    .enum(['rename', 'truncate_insert'])
    .default('rename')
    .describe(
      'How a table is replaced: `rename` puts a new one in its place at once; `truncate_insert` removes the rows of the same one, on which views may depend, and fills it.',
    ),
  visibility: z.enum(VISIBILITIES).default('run').describe(VISIBILITY_DESCRIPTION),
  on_empty: z
    .enum(['publish', 'keep'])
    .default('publish')
    .describe('A complete extract without rows: `publish` an empty table, or `keep` the rows before.'),
  on_schema_change: onSchemaChange,
  on_nul: z
    .enum(['fail', 'strip'])
    .default('fail')
    .describe('The character U+0000, which PostgreSQL cannot store: `fail` naming the record, or `strip` it.'),
  lock_timeout: z
    .number()
    .int()
    .min(1)
    .max(86_400)
    .default(60)
    .describe('Seconds that a transaction waits for a lock of somebody else.'),
  reconnect_timeout: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('Seconds that a run waits for a server that went away meanwhile; 0: it fails at once.'),
})

export type PostgresOptions = z.output<typeof config> & DestinationOptions

/** Keys that change how rows get there, not which. */
export const tuning = [
  ...reachKeys,
  'create_schema',
  'replace_strategy',
  'on_empty',
  'on_schema_change',
  'lock_timeout',
  'reconnect_timeout',
] as const

/** What says which database it is, and what is done there: an unfinished run is gone on with while that is the same. */
export function hashed(options: PostgresOptions): object {
  const { host, port, database } = addressOf(options)
  return { ...options, url: undefined, host, port, database }
}

export const addressOf = (options: PostgresOptions): Address => addressIn(options, inDestination())
