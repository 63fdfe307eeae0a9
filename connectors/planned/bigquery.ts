// What a config of the destination `bigquery` may hold, and what it has in common with the streaming ones.

import * as z from 'zod'
import { clusteringKeys, columnDefault, columnMode, columnSchema } from '../../lib/config/fields.ts'
import { defineDestinationShape } from '../../lib/config/planned.ts'

const TYPES = [
  'BOOLEAN',
  'BYTES',
  'DATE',
  'DATETIME',
  'FLOAT',
  'FLOAT64',
  'GEOGRAPHY',
  'INTEGER',
  'INT64',
  'NUMERIC',
  'BIGNUMERIC',
  'JSON',
  'RECORD',
  'STRING',
  'TIME',
  'TIMESTAMP',
] as const

export const PERIODS = ['DAY', 'HOUR', 'MONTH', 'YEAR'] as const

const text = (what: string) => z.string().min(1).describe(what)

const column = columnSchema.extend({
  type: z.enum(TYPES).describe('Type of the column.'),
  mode: columnMode,
  default_value_expression: columnDefault,
})

const recordSchema = z.looseObject({
  destination_id: text('Table these columns are for.'),
  record_schema: z.array(column).describe('Columns, in order.'),
  clustering_keys: clusteringKeys,
})

/** Keys of all three. */
export const everyTable = {
  project_id: text('Google Cloud project.'),
  dataset_id: text('Dataset.'),
  dataset_location: z.string().min(1).default('US').describe('Where a new dataset is. Default US.'),
  table_prefix: z
    .string()
    .default('_bizon_')
    .describe('Before the name of a table that gets no `destination_id`; empty: none. Default `_bizon_`.'),
  record_schemas: z
    .array(recordSchema)
    .default([])
    .describe('Columns for each table, for `unnest`. Default: those of `streams`.'),
  authentication: z
    .strictObject({
      service_account_key: z
        .string()
        .default('')
        .describe('Key file as JSON text; better as a reference, `env://NAME`. Default: see `authentication`.'),
    })
    .prefault({})
    .describe('Who writes. Default: the credentials of the machine.'),
}

/** What a stream's `table_id` must be. */
export const tableId = z.string().superRefine((id, context) => {
  const parts = id.split('.')
  const message =
    parts.length !== 3
      ? `expected project.dataset.table, got ${parts.length} part${parts.length === 1 ? '' : 's'}`
      : 'expected project.dataset.table, got an empty part'
  if (parts.length !== 3 || parts.includes('')) context.addIssue({ code: 'custom', message })
})

/** Examples of the Python bizon have them beside `destination_id`, where they do nothing. */
export const ignored = {
  table_id: 'use destination_id',
  record_schema: 'use record_schemas',
  service_account_key: 'it belongs under "authentication"',
}

export default defineDestinationShape({
  summary: 'Tables of BigQuery, by load jobs from Cloud Storage.',
  alias: 'bigquery',
  config: z.strictObject({
    ...everyTable,
    destination_id: z
      .string()
      .min(1)
      .optional()
      .describe('Table, without project and dataset. Default: source and stream, after the prefix.'),
    create_dataset: z.boolean().default(false).describe('Create a dataset that is not there. Default false.'),
    gcs_buffer_bucket: text('Bucket of Cloud Storage for the files on their way.'),
    gcs_buffer_format: z.literal('parquet').default('parquet').describe('Form of these files. Default parquet.'),
    time_partitioning: z.enum(PERIODS).default('DAY').describe('Size of a partition. Default DAY.'),
    async_load: z.boolean().default(false).describe('Load several files with one job. Default false.'),
    load_files_per_job: z.number().int().min(1).default(10).describe('With async_load: files a job. Default 10.'),
    load_max_in_flight_jobs: z.number().int().min(1).default(3).describe('With async_load: jobs at once. Default 3.'),
  }),
  ignored,
  ignoredBeside: { buffer_size: 'it belongs under "config"' },
  tableId,
})
