// A topic of Kafka between bizon-extract and bizon-load.

import * as z from 'zod'
import { defineBroker } from '../../lib/channel.ts'
import { size, text, unused } from '../../lib/config/fields.ts'
import { BizonError } from '../../lib/errors.ts'

const config = z.object({
  max_nb_messages: size(1, 1_000_000, unused).optional(),
  queue: z
    .object({
      bootstrap_server: text('Host and port of a broker, or of several, with commas between.'),
      topic: text('Topic. Default: bizon, the name of the pipeline, and the stream, with dots between.').optional(),
    })
    .describe('The queue itself.'),
  consumer: z
    .object({
      group_id: text('Consumer group. Default: the name of the topic.').optional(),
      auto_offset_reset: text('Where a new group starts. Default earliest.').default('earliest'),
      enable_auto_commit: z.boolean().optional().describe(unused),
      consumer_timeout_ms: size(0, 1000, unused).optional(),
    })
    .prefault({})
    .describe('Of the side that loads.'),
})

export default defineBroker({
  summary: 'A topic of Kafka.',
  config,
  connect() {
    throw new BizonError('config', 'kafka cannot be connected to yet')
  },
})
