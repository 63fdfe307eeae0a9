// A queue of RabbitMQ between bizon-extract and bizon-load.

import { defineBroker } from '../../lib/channel.ts'
import { config, placeOf } from './rabbitmq/config.ts'
import { RabbitConsumer } from './rabbitmq/consumer.ts'
import { RabbitProducer } from './rabbitmq/producer.ts'
import { waitingIn } from './rabbitmq/waiting.ts'

export default defineBroker({
  summary: 'A durable queue of RabbitMQ.',
  config,
  ignored: {
    max_nb_messages: 'the disk of the broker bounds what waits',
    'consumer.poll_interval': 'messages are taken as soon as they are there',
  },
  connect({ queue: keys }, context) {
    const place = placeOf(keys, context)
    const { host, port, virtualHost } = place.address
    return {
      place: `queue ${place.queue} of ${host}:${port}${virtualHost === '/' ? '' : ` (${virtualHost})`}`,
      messageBytes: keys.message_bytes,
      lingerSeconds: keys.linger_ms / 1000,
      isShared: false,
      waiting: (signal) => waitingIn(place, signal),
      producer: () => new RabbitProducer(place, keys.message_bytes, context.log),
      consumer: () => new RabbitConsumer(place, context.log),
    }
  },
})
