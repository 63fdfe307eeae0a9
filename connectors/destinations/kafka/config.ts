// The keys of the kafka destination.

import * as z from 'zod'
import { inDestination } from '../../../lib/config/invalid-key.ts'
import type { DestinationOptions } from '../../../lib/destination.ts'
import {
  authenticationKeys,
  bootstrapServers,
  connectionOf,
  type KafkaConnection,
  properties,
  securityProtocol,
  tls,
} from '../../kafka/config.ts'
import { requireTlsFiles } from '../../kafka/security.ts'

export const config = z.strictObject({
  bootstrap_servers: bootstrapServers,
  security_protocol: securityProtocol,
  authentication: z.strictObject(authenticationKeys).optional().describe('Who signs in. Default: nobody.'),
  tls: tls.optional(),
  producer_config: properties(
    'Settings of the client, in the words of librdkafka: `compression.type: gzip`, `transaction.timeout.ms`. Default: none.',
  ).default({}),
  key: z
    .string()
    .min(1)
    .optional()
    .describe(
      'What the key of a message is made of: text with fields of the record in braces, `{customer.id}`. Default: the id of the record.',
    )
    .meta({ examples: ['{id}'] }),
  metadata: z
    .enum(['bizon', 'none'])
    .default('bizon')
    .describe(
      '`bizon`: id and times of a record in headers with the names that its columns have elsewhere, and the run. `none`: no headers.',
    ),
  full_refresh: z
    .enum(['refuse', 'append'])
    .default('refuse')
    .describe(
      'A topic keeps what is in it, so that nothing can be replaced: `refuse` a full refresh, or `append` all records once more.',
    ),
  create_topics: z
    .boolean()
    .default(true)
    .describe(
      'Create topics that are missing, with the partitions and replicas that the brokers give them. Default true.',
    ),
  state_topic: z
    .string()
    .min(1)
    .default('_bizon_state')
    .describe('Topic of the checkpoints, compacted. It is created when it is missing, whatever create_topics says.'),
})

export type KafkaOptions = z.output<typeof config> & DestinationOptions

/** Keys that change how messages get there, not which. */
export const tuning = [
  'bootstrap_servers',
  'security_protocol',
  'authentication',
  'tls',
  'producer_config',
  'create_topics',
] as const

/** Throws an InvalidKey, also where a file of certificates cannot be read. */
export function connectionIn(options: KafkaOptions): KafkaConnection {
  const connection = connectionOf(options, inDestination(), ['producer_config', options.producer_config])
  requireTlsFiles(connection, options, inDestination(), 'producer_config')
  return connection
}
