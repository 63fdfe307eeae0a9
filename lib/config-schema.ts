// The keys that do not belong to one connector, with their units and defaults. Docs, help and the editors' JSON
// schema come from here. Spellings are those of the Python bizon.

import * as z from 'zod'
import { LOG_LEVELS } from './log.ts'
import { transformsSchema } from './transform-config.ts'

const name = (what: string) => z.string().min(1).describe(what)
const size = (least: number, fallback: number, what: string, most?: number) => {
  const from = z.number().int().min(least)
  return (most === undefined ? from : from.max(most)).default(fallback).describe(what)
}
/** In seconds; a timer that is to wait longer than 2^31 ms fires at once. */
const LONGEST_TIMER = 2_147_483
const flag = (what: string) => z.boolean().default(false).describe(what)
const unused = 'Accepted, without effect here.'

/** `source.authentication` of a connector that has no shape of its own for it. */
const authentication = z.looseObject({
  type: z.enum(['oauth', 'api_key', 'bearer', 'basic', 'cookies']).describe('How to authenticate.'),
  params: z.record(z.string(), z.unknown()).optional().describe('What that kind needs.'),
})

/** `source`, but for the connector's own keys. */
export const sourceSchema = z.object({
  name: name('Connector; `bizon source list` shows all.'),
  stream: name('Stream of that connector; `bizon stream list` shows all.'),
  source_file_path: z
    .string()
    .min(1)
    .optional()
    .describe('File that defines the source (.mjs, .js, .ts); `name` is then only a label. Default: a built-in one.'),
  sync_mode: z
    .enum(['full_refresh', 'incremental', 'stream'])
    .default('full_refresh')
    .describe('Replace the target, add what is new, or write directly. Default full_refresh.'),
  cursor_field: z.string().optional().describe('Incremental: the field that says what is new, for sources that ask.'),
  force_ignore_checkpoint: flag('Cancel an unfinished job and start over. Default false.'),
  reset: flag('Incremental: fetch everything again and replace the target. Default false.'),
  authentication: authentication.optional().describe('For connectors that need it.'),
  max_iterations: z.number().int().min(1).optional().describe('Pages this run may fetch. Default: all.'),
  api_config: z
    .object({ retry_limit: z.number().int().min(0).optional().describe('Attempts of an HTTP request.') })
    .optional()
    .describe('For connectors that use HTTP.'),
  init_pipeline: z.boolean().default(true).describe(unused),
})

/** `destination`, around the connector's own keys. */
export const destinationSchema = z.object({
  name: name('Connector; `bizon destination list` shows all.'),
  destination_file_path: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File that defines the destination (.mjs, .js, .ts); `name` is then only a label. Default: a built-in one.',
    ),
  alias: z.string().min(1).optional().describe('Name in monitoring. Default: the connector.'),
  config: z.record(z.string(), z.unknown()).default({}).describe('Shared keys and those of the connector.'),
})

const column = z.looseObject({
  name: name('Column, and field of the record.'),
  type: z.string().describe('Type as the destination calls it.'),
  description: z.string().optional().describe('For people.'),
})

const recordSchema = z.object({
  destination_id: name('Target these columns are for.'),
  record_schema: z.array(column).describe('Columns, in order.'),
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
  record_schemas: z.array(recordSchema).default([]).describe('Columns for each target, for `unnest`.'),
  unnest: flag('Write columns instead of one JSON payload. Default false.'),
  authentication: z.record(z.string(), z.unknown()).optional().describe('For connectors that need it.'),
  destination_id: z
    .string()
    .min(1)
    .default('{stream}')
    .describe('Name of the target (file stem, table); `{stream}` stands for the stream. Default `{stream}`.'),
})

const everyStore = {
  syncCursorInDBEvery: size(1, 10, 'Pages between two checkpoints. Default 10.'),
  echoEngine: flag('Log every SQL statement. Default false.'),
}
const sqliteConfig = z.object({
  database: z.string().min(1).default('bizon').describe('Path of the state file without `.sqlite3`. Default `bizon`.'),
  schema: z.string().default('NOT_USED_IN_SQLITE').describe(unused),
  ...everyStore,
})
const serverConfig = z.object({ database: name('Database.'), schema: name('Schema of the tables.'), ...everyStore })
const postgresConfig = serverConfig.extend({
  host: name('Host name.'),
  port: z.number().int().min(1).max(65535).describe('Port.'),
  username: z.string().describe('User.'),
  password: z.string().describe('Password; better as a reference, `env://NAME`.'),
})
const bigqueryConfig = serverConfig.extend({
  service_account_key: z.string().optional().describe('Key file as JSON text.'),
})

const backend = z
  .discriminatedUnion('type', [
    z.object({ type: z.enum(['sqlite', 'sqlite_in_memory']), config: sqliteConfig.prefault({}) }),
    z.object({ type: z.literal('postgres'), config: postgresConfig }),
    z.object({ type: z.literal('bigquery'), config: bigqueryConfig }),
  ])
  .prefault({ type: 'sqlite' })
  .describe('Where the state is kept. Default: the file bizon.sqlite3.')

const messages = { max_nb_messages: size(1, 1_000_000, unused) }
const polling = z.object({ poll_interval: z.number().int().min(0).optional().describe(unused) }).optional()
const pythonQueue = z.object({
  ...messages,
  queue: z
    .object({ max_size: size(0, 0, 'Pages that may wait; 0: as many as fit in memory bounds. Default 0.') })
    .prefault({}),
  consumer: polling,
})
const kafkaQueue = z.object({
  ...messages,
  queue: z.object({ bootstrap_server: name('Host and port.'), topic: name('Topic.').default('bizon') }),
  consumer: z
    .object({
      group_id: z.string().default('bizon').describe('Consumer group.'),
      auto_offset_reset: z.string().default('earliest').describe('Where a new group starts.'),
      enable_auto_commit: z.boolean().default(true).describe(unused),
      consumer_timeout_ms: size(0, 1000, unused),
    })
    .optional(),
})
const rabbitmqQueue = z.object({
  ...messages,
  queue: z.object({
    host: name('Host name.'),
    port: z.number().int().min(1).max(65535).default(5672).describe('Port. Default 5672.'),
    queue_name: name('Queue.'),
    exchange: z.string().default('').describe('Exchange. Default: the nameless one.'),
  }),
  consumer: polling,
})

const queue = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('python_queue'), config: pythonQueue.prefault({}) }),
    z.object({ type: z.literal('kafka'), config: kafkaQueue }),
    z.object({ type: z.literal('rabbitmq'), config: rabbitmqQueue }),
  ])
  .prefault({ type: 'python_queue' })
  .describe('What is between extract and load. Default: memory.')

const threads = (least: number) => z.number().int().min(least).nullish().describe(unused)
const runner = z
  .object({
    type: z
      .enum(['thread', 'process', 'stream'])
      .default('thread')
      .describe('Default thread: extract and load overlap.'),
    log_level: z.enum(LOG_LEVELS).default('INFO').describe('Least level to log. Default INFO.'),
    config: z
      .object({ max_workers: threads(1), consumer_start_delay: threads(0), is_alive_check_interval: threads(0) })
      .nullish()
      .describe(unused),
  })
  .prefault({})
  .describe('How extract and load share the machine.')

export const engineSchema = z.object({ backend, queue, runner })

const later = 'Not available in this version.'

/** The whole file, but for what its three main blocks hold. */
export const pipelineSchema = z.object({
  name: name('Name of the pipeline; with source and stream it is what the state is filed under.'),
  source: z.unknown().optional().describe('Where records come from.'),
  destination: z.unknown().optional().describe('Where records go.'),
  engine: z.unknown().optional().describe('How it runs: backend, queue, runner.'),
  transforms: transformsSchema.optional().describe('Scripts that see every record, in this order.'),
  alerting: z.record(z.string(), z.unknown()).optional().describe(later),
  monitoring: z.record(z.string(), z.unknown()).optional().describe(later),
  secrets: z.record(z.string(), z.unknown()).optional().describe(later),
  streams: z.array(z.unknown()).optional().describe(later),
})
