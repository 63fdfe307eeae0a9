// `streams`: one source, many targets. What a stream says is copied to the source and the destination.

import * as z from 'zod'
import { clusteringKeys, columnDefault, columnMode, columnSchema, text } from './fields.ts'

const from = z.looseObject({
  name: z.string().optional().describe('Name at the source, for people.'),
  topic: text('Topic; copied to `source.topics` where the source reads topics.').optional(),
  endpoint: z.string().optional().describe('Endpoint, for people.'),
})

const to = z.looseObject({
  table_id: text('Name of the target; `project.dataset.table` for BigQuery.'),
  record_schema: z
    .array(columnSchema.extend({ mode: columnMode.optional(), default_value_expression: columnDefault }))
    .optional()
    .describe('Columns, in order; copied to `destination.config.record_schemas`. Needed with `unnest`.'),
  clustering_keys: clusteringKeys,
})

export const streamSchema = z.object({
  name: text('Name of the stream, used once.'),
  source: from.prefault({}).describe('What the source knows it as.'),
  destination: to.describe('Where it goes.'),
})

export const streamsSchema = z.array(streamSchema).default([]).describe('Streams of one source, each with its target.')
