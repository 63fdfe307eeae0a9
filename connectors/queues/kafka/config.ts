// `engine.queue.config` of Kafka.

import * as z from 'zod'
import { size, text, unused } from '../../../lib/config/fields.ts'
import { MOST_PARTITIONS } from '../../../lib/partition.ts'
import { authenticationKeys, bootstrapServers, securityProtocol, tls } from '../../kafka/config.ts'

export const LEAST_MESSAGE_BYTES = 16_384

export const config = z.object({
  max_nb_messages: size(1, 1_000_000, unused).optional(),
  queue: z
    .object({
      bootstrap_server: bootstrapServers,
      topic: text(
        'Topic; made if there is none. Default: `bizon.`, the name of the pipeline, a dot, the stream.',
      ).optional(),
      security_protocol: securityProtocol,
      authentication: z.object(authenticationKeys).optional().describe('Who signs in. Default: nobody.'),
      tls: tls.optional(),
      partitions: z
        .number()
        .int()
        .min(1)
        .max(MOST_PARTITIONS)
        .default(1)
        .describe(
          'In how many partitions records are, by key; so many loaders can work at once, see docs/scaling.md. Not to be changed later. Default 1.',
        ),
      replicas: z
        .number()
        .int()
        .min(1)
        .optional()
        .describe('Copies of a topic that is made. Default: what the brokers say.'),
      message_bytes: size(
        LEAST_MESSAGE_BYTES,
        900_000,
        'Most bytes of a message, below the `max.message.bytes` of the topic; a larger page is cut. Default 900000.',
        512 << 20,
      ),
      linger_ms: size(
        0,
        100,
        'How long small pages are gathered into one message, in milliseconds. Default 100.',
        60_000,
      ),
      dead_letter_topic: text(
        'Topic for copies of messages that cannot be read. Default: the name of the topic, and `.dead`.',
      ).optional(),
    })
    .describe('The queue itself.'),
  consumer: z
    .object({
      group_id: text('Consumer group. Default: `bizon.`, the name of the pipeline, a dot, the stream.').optional(),
      auto_offset_reset: z
        .enum(['earliest', 'latest'])
        .optional()
        .describe(
          'Accepted, without effect here: a new group begins at the first message, since to pass over what waits would lose it.',
        ),
      session_timeout_ms: size(
        1_000,
        10_000,
        'A loader that was killed is given up after so many milliseconds, and another one takes its place; 6000 at least, unless brokers are told otherwise. Default 10000.',
        1_800_000,
      ),
      enable_auto_commit: z.boolean().optional().describe(unused),
      consumer_timeout_ms: size(0, 1000, unused).optional(),
    })
    .prefault({})
    .describe('Of the side that loads.'),
})

export type KafkaQueueOptions = z.output<typeof config>
