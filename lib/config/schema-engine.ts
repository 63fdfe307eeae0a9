// `engine`: where the state is kept, what is between the two ends, how they share the machine.

import * as z from 'zod'
import { LOG_LEVELS } from '../log.ts'
import { flag, hostName, port, size, text, unused } from './fields.ts'
import { sslKeys } from './schema-tls.ts'

const everyStore = {
  syncCursorInDBEvery: size(1, 10, 'Pages between two checkpoints. Default 10.'),
  echoEngine: flag('Log every SQL statement. Default false.'),
}
const sqliteConfig = z.object({
  database: z.string().min(1).default('bizon').describe('Path of the state file without `.sqlite3`. Default `bizon`.'),
  schema: z.string().default('NOT_USED_IN_SQLITE').describe(unused),
  ...everyStore,
})
const postgresConfig = z.object({
  host: hostName('Host name.'),
  port: port('Port. Default 5432.').default(5432),
  database: text('Database.'),
  schema: text('Schema of the tables; it must exist. Tables of the Python program are used where it has put them.'),
  username: text('User.'),
  password: z.string().optional().describe('Password; better as a reference, `env://NAME`. Default: none.'),
  ...sslKeys,
  ...everyStore,
})
const bigqueryConfig = z.object({
  database: text('Google Cloud project.'),
  schema: text('Dataset of the tables.'),
  service_account_key: z
    .string()
    .default('')
    .describe('Key file as JSON text; better as a reference, `env://NAME`. Default: the credentials of the machine.'),
  ...everyStore,
})

const settings = 'Its settings.'

const backendSchema = z
  .discriminatedUnion('type', [
    z.object({
      type: z.enum(['sqlite', 'sqlite_in_memory']).describe('A file, or memory: gone after the run.'),
      config: sqliteConfig.prefault({}).describe(settings),
    }),
    z.object({
      type: z.literal('postgres').describe('Tables in PostgreSQL.'),
      config: postgresConfig.describe(settings),
    }),
    z.object({
      type: z.literal('bigquery').describe('Tables in BigQuery.'),
      config: bigqueryConfig.describe(settings),
    }),
  ])
  .prefault({ type: 'sqlite' })
  .describe('Where the state is kept. Default: the file bizon.sqlite3.')

const polling = z
  .object({ poll_interval: size(0, 1, unused) })
  .prefault({})
  .describe('Of the side that loads.')

const pythonQueue = z.object({
  max_nb_messages: size(1, 1_000_000, unused),
  queue: z
    .object({ max_size: size(0, 0, 'Pages that may wait; 0: as many as fit in memory bounds. Default 0.') })
    .prefault({})
    .describe('The queue itself.'),
  consumer: polling,
})
/** What stands under `config`, by type. One that is absent takes anything. */
export type BrokerConfigs = { readonly [type: string]: z.ZodType }

const queueSchemaWith = (brokers: BrokerConfigs) =>
  z
    .discriminatedUnion('type', [
      z.object({
        type: z.literal('python_queue').describe('Memory of the process.'),
        config: pythonQueue.prefault({}).describe(settings),
      }),
      z.object({
        type: z.literal('kafka').describe('A topic of Kafka.'),
        config: (brokers.kafka ?? anything).describe(settings),
      }),
      z.object({
        type: z.literal('rabbitmq').describe('A queue of RabbitMQ.'),
        config: (brokers.rabbitmq ?? anything).describe(settings),
      }),
    ])
    .prefault({ type: 'python_queue' })
    .describe('What is between extract and load. Default: memory.')

const anything: z.ZodType = z.looseObject({})

const threads = (least: number) => z.number().int().min(least).nullish().describe(unused)

const runnerSchema = z
  .object({
    type: z
      .enum(['thread', 'process', 'stream'])
      .default('thread')
      .describe(
        'thread: extract and load overlap; process: in two processes; stream: one page at a time. Default thread, or ' +
          'stream where there are `streams`.',
      ),
    log_level: z.enum(LOG_LEVELS).default('INFO').describe('Least level to log. Default INFO.'),
    config: z
      .object({ max_workers: threads(1), consumer_start_delay: threads(0), is_alive_check_interval: threads(0) })
      .nullish()
      .describe(unused),
  })
  .prefault({})
  .describe('How extract and load share the machine.')

/** What is under `config` of a broker stands with the broker, see `BrokerDefinition`. */
export const engineSchemaWith = (brokers: BrokerConfigs) =>
  z.object({ backend: backendSchema, queue: queueSchemaWith(brokers), runner: runnerSchema })

export const engineSchema = engineSchemaWith({})
