// What a config of the source `kafka` may hold.

import * as z from 'zod'
import { apiConfigSchema } from '../../../lib/http/config.ts'
import { authenticationKeys, bootstrapServers, properties, securityProtocol, tls } from '../../kafka/config.ts'
import { LOST } from './bounds.ts'
import { decodingKeys, registryKeys } from './decoding.ts'

const text = (what: string) => z.string().min(1).describe(what)
const MIB = 1024 * 1024

export const config = z.strictObject({
  bootstrap_servers: bootstrapServers,
  security_protocol: securityProtocol,
  tls: tls.optional(),
  authentication: z
    .strictObject({ ...authenticationKeys, ...registryKeys })
    .optional()
    .describe('For the brokers and the schema registry. Default: none.'),
  group_id: text('Consumer group that is told what is read. Default bizon.').default('bizon'),
  topics: z
    .array(
      z.strictObject({
        name: text('Topic.'),
        destination_id: text('Target of its records. Default: that of the destination.').optional(),
      }),
    )
    .min(1)
    .refine((topics) => new Set(topics.map(({ name }) => name)).size === topics.length, 'each topic can be named once')
    .describe('Topics to read, each with its target. Default: those of `streams`.'),
  batch_size: z
    .number()
    .int()
    .min(1)
    .default(10_000)
    .describe('Most messages of a page; it is passed on with fewer as soon as no more are there. Default 10000.'),
  page_bytes: z
    .number()
    .int()
    .min(1)
    .default(MIB)
    .describe('Bytes of keys, values and headers that are passed on together. Default 1 MiB.'),
  consumer_timeout: z
    .number()
    .int()
    .min(1)
    .default(10)
    .describe('Seconds that an idle stream waits at the broker before it asks again. Default 10.'),
  consumer_config: properties('Settings of the client, in the words of librdkafka. Default: none.').default({}),
  auto_offset_reset: z
    .enum(LOST)
    .default('fail')
    .describe(
      'Where messages were deleted before they were read: `fail`, or go on at the `earliest` that is there or with the `latest`. Default fail.',
    ),
  reconnect_timeout: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('Seconds that a run waits for a broker that went away meanwhile; 0: it fails at once. Default 60.'),
  ...decodingKeys,
  api_config: apiConfigSchema.prefault({}).describe('Retries, timeouts and rate limits at the schema registry.'),
})

export type KafkaSourceOptions = z.output<typeof config>

/** Keys that change how it reads, not what. */
export const tuning = [
  'bootstrap_servers',
  'security_protocol',
  'tls',
  'authentication',
  'group_id',
  'batch_size',
  'page_bytes',
  'consumer_timeout',
  'auto_offset_reset',
  'reconnect_timeout',
  'dead_letter_path',
  'api_config',
]
