// `destination`, around the connector's own keys.

import * as z from 'zod'
import { MAX_DEPTH } from '../json.ts'
import { columnSchema, size, text, unused } from './fields.ts'

/** In seconds; a timer that is to wait longer than 2^31 ms fires at once. */
const LONGEST_TIMER = 2_147_483

export const destinationSchema = z.object({
  name: text('Connector; `bizon destination list` shows all.'),
  destination_file_path: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File that defines the destination (.mjs, .js, .ts); `name` is then only a label. Default: a built-in one.',
    ),
  alias: z.string().min(1).optional().describe('Name in monitoring. Default: the connector, `bigquery` for all three.'),
  config: z.record(z.string(), z.unknown()).default({}).describe('Shared keys and those of the connector.'),
})

const recordSchema = z.object({
  destination_id: text('Target these columns are for.'),
  record_schema: z.array(columnSchema).describe('Columns, in order.'),
})

/** `destination.config`, but for the connector's own keys. */
export const destinationConfigSchema = z.object({
  buffer_size: size(0, 50, 'MiB of records between two checkpoints; 0: a checkpoint after each page. Default 50.'),
  buffer_flush_timeout: size(
    0,
    600,
    'Seconds after which records are written even when no more come; 0: no limit. Default 600.',
    LONGEST_TIMER,
  ),
  max_concurrent_threads: size(1, 10, unused),
  max_shrink_pct: z
    .number()
    .min(0)
    .max(100)
    .optional()
    .describe(
      'Full refresh: by how many percent of its rows what is published may shrink; a run with still fewer fails before it replaces anything. Default: any.',
    ),
  record_schemas: z
    .array(recordSchema)
    .default([])
    .describe('Columns for each target, for `unnest`. Default: those of `streams`.'),
  unnest: z
    .union([z.boolean(), z.enum(['columns', 'tables'])])
    .default(false)
    .describe(
      'Write columns instead of one JSON payload: `true` those of `record_schemas`, exactly; `columns` those that the records have, or the source says; `tables` the same, with nested objects as columns `a__b`, and nested lists as rows of child tables `table__list`. Default false.',
    ),
  unnest_depth: z
    .number()
    .int()
    .min(1)
    .max(MAX_DEPTH)
    .optional()
    .describe(
      'With `unnest: tables`: how many levels of nested values are taken apart, 1 being those that stand in the record itself; deeper ones stay JSON. Default 10.',
    ),
  authentication: z.record(z.string(), z.unknown()).optional().describe('For connectors that need it.'),
  destination_id: z
    .string()
    .min(1)
    .default('{stream}')
    .describe(
      'Name of the target (file stem, table); `{stream}` stands for the stream. Of `file`, `-` is standard output. Default `{stream}`.',
    ),
})
