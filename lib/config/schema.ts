// The keys that do not belong to one connector, with their units and defaults, block by block. Docs, help and the
// editors' JSON schema come from here. Spellings are those of the Python bizon.

import * as z from 'zod'
import { transformsSchema } from '../transform/config.ts'
import { flag, text } from './fields.ts'
import { alertingSchema, monitoringSchema, secretsSchema } from './schema-services.ts'
import { streamsSchema } from './schema-streams.ts'

export { destinationConfigSchema, destinationSchema } from './schema-destination.ts'
export { engineSchema, engineSchemaWith } from './schema-engine.ts'
export { alertingSchema, monitoringSchema, secretsSchema } from './schema-services.ts'
export { sourceSchema } from './schema-source.ts'
export { streamSchema, streamsSchema } from './schema-streams.ts'

/** The whole file, but for what its three main blocks hold. */
export const pipelineSchema = z.object({
  name: text('Name of the pipeline; with source and stream it is what the state is filed under.'),
  source: z.unknown().optional().describe('Where records come from.'),
  destination: z.unknown().optional().describe('Where records go.'),
  engine: z.unknown().optional().describe('How it runs: backend, queue, runner.'),
  transforms: transformsSchema.optional().describe('Scripts that see every record, in this order.'),
  alerting: alertingSchema.optional().describe('Who is told when something goes wrong.'),
  monitoring: monitoringSchema.optional().describe('Where metrics go.'),
  secrets: secretsSchema.optional().describe('Where references to secrets are looked up.'),
  streams: streamsSchema,
  verify: flag(
    'Keep digests of the rows with each checkpoint, so that `bizon verify` compares values and not only counts. Costs about as much as parsing each record. Default false.',
  ),
})
