// A queue of RabbitMQ between bizon-extract and bizon-load.

import * as z from 'zod'
import { defineBroker } from '../../lib/channel.ts'
import { port, size, text, unused } from '../../lib/config/fields.ts'
import { BizonError } from '../../lib/errors.ts'

const config = z.object({
  max_nb_messages: size(1, 1_000_000, unused),
  queue: z
    .object({
      host: text('Host name.'),
      port: port('Port. Default 5672.').default(5672),
      queue_name: text('Queue.'),
      exchange: z.string().default('').describe('Exchange. Default: the nameless one.'),
    })
    .describe('The queue itself.'),
  consumer: z
    .object({ poll_interval: size(0, 1, unused) })
    .prefault({})
    .describe('Of the side that loads.'),
})

export default defineBroker({
  summary: 'A durable queue of RabbitMQ.',
  config,
  connect() {
    throw new BizonError('config', 'rabbitmq cannot be connected to yet', { hint: 'Use kafka.' })
  },
})
