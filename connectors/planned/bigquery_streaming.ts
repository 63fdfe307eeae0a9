// What a config of the destination `bigquery_streaming` may hold; `bigquery_streaming_v2` takes the same.

import * as z from 'zod'
import { defineDestinationShape } from '../../lib/config/planned.ts'
import { everyTable, ignored, PERIODS, tableId } from './bigquery.ts'

const partitioning = z
  .strictObject({
    type: z.enum(PERIODS).default('DAY').describe('Size of a partition. Default DAY.'),
    field: z
      .string()
      .min(1)
      .default('_bizon_loaded_at')
      .describe('Column that says which one. Default _bizon_loaded_at.'),
  })
  .prefault({})
  .describe('Partitions of a new table. Default: by the day of loading.')

export const streamingConfig = z.strictObject({
  ...everyTable,
  destination_id: z
    .string()
    .min(1)
    .optional()
    .describe('Table, as project.dataset.table. Default: source and stream, after the prefix.'),
  time_partitioning: partitioning,
  bq_max_rows_per_request: z.number().int().min(1).max(10_000).default(5000).describe('Rows a request. Default 5000.'),
})

export default defineDestinationShape({
  summary: 'Tables of BigQuery, by streaming inserts.',
  alias: 'bigquery',
  config: streamingConfig,
  ignored,
  tableId,
  appendOnly: true,
})
