// The keys of the sqlite destination.

import * as z from 'zod'
import type { DestinationOptions } from '../../../lib/destination.ts'
import { onSchemaChange } from '../columns/config.ts'
import { METADATA, METADATA_DESCRIPTION } from '../naming.ts'
import { VISIBILITIES, VISIBILITY_DESCRIPTION } from '../recovery.ts'
import { SCOPE_DESCRIPTION } from '../schemas.ts'

export const config = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe(
      'The database file; it is created when it is missing, its folder is not. Relative to the working directory.',
    )
    .meta({ examples: ['warehouse.sqlite3'] }),
  metadata: z.enum(METADATA).default('bizon').describe(METADATA_DESCRIPTION),
  primary_key: z
    .array(z.string().min(1))
    .describe(
      'Fields by which rows are merged, none of them null: of two rows with one key the newer stays. Default: rows are added.',
    )
    .default([]),
  replace_scope: z.array(z.string().min(1)).describe(SCOPE_DESCRIPTION).default([]),
  cursor_field: z
    .string()
    .min(1)
    .optional()
    .describe('Field that says which of two rows with one key is newer. Default: the one that came later is.'),
  cursor_type: z
    .enum(['value', 'timestamp', 'number'])
    .default('value')
    .describe(
      'How `cursor_field` is compared: `value` as it is, numbers as numbers and text letter by letter; `timestamp` or `number` also where it is text.',
    ),
  visibility: z.enum(VISIBILITIES).default('run').describe(VISIBILITY_DESCRIPTION),
  durability: z
    .enum(['power_loss', 'process'])
    .default('power_loss')
    .describe('What a checkpoint survives: `power_loss`, or without fsync only the end of the `process`.'),
  on_empty: z
    .enum(['publish', 'keep'])
    .default('publish')
    .describe('A complete extract without rows: `publish` an empty table, or `keep` the rows before.'),
  on_schema_change: onSchemaChange,
  lock_timeout: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('Seconds that a transaction waits until no other program writes to the file.'),
})

export type SqliteOptions = z.output<typeof config> & DestinationOptions

/** Keys that change how rows get there, not which. */
export const tuning = ['durability', 'on_empty', 'on_schema_change', 'lock_timeout'] as const
