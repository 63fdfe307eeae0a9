// `source`, but for the connector's own keys.

import * as z from 'zod'
import { authenticationSchema } from '../auth.ts'
import { apiConfigSchema } from '../http/config.ts'
import { flag, text, unused } from './fields.ts'

export const sourceSchema = z.object({
  name: text('Connector; `bizon source list` shows all.'),
  stream: text('Stream of that connector; `bizon stream list` shows all.'),
  source_file_path: z
    .string()
    .min(1)
    .optional()
    .describe('File that defines the source (.mjs, .js, .ts); `name` is then only a label. Default: a built-in one.'),
  sync_mode: z
    .enum(['full_refresh', 'incremental', 'stream'])
    .default('full_refresh')
    .describe('Replace the target, add what is new, or write directly. Default full_refresh.'),
  cursor_field: z
    .string()
    .optional()
    .describe('Incremental: the field that says what is new, for sources that ask. Default: the source knows.'),
  force_ignore_checkpoint: flag('Cancel an unfinished job and start over. Default false.'),
  reset: flag('Incremental: fetch everything again and replace the target. Default false.'),
  authentication: authenticationSchema.optional().describe('For connectors that need it.'),
  max_iterations: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Pages this run may fetch; leave it out for no cap. Default: all.'),
  api_config: apiConfigSchema.optional().describe('For connectors that use HTTP.'),
  init_pipeline: z.boolean().default(true).describe(unused),
})
