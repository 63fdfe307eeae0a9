// A topic of Kafka between bizon-extract and bizon-load. Messages of one pipeline and stream stand in one partition, in order; a group
// of them is one transaction, read when it is committed. Who loads is a member of a consumer group, whose offset is
// moved when the destination has flushed.

import { type Channel, type ChannelContext, defineBroker } from '../../lib/channel.ts'
import { BizonError } from '../../lib/errors.ts'
import { connectionOf, type KafkaConnection } from '../kafka/config.ts'
import { config, type KafkaQueueOptions } from './kafka/config.ts'
import { KafkaChannelConsumer } from './kafka/consumer.ts'
import { KafkaChannelGroup } from './kafka/group.ts'
import { KafkaChannelProducer } from './kafka/producer.ts'
import type { Topic } from './kafka/topic.ts'
import { waitingIn } from './kafka/waiting.ts'

export default defineBroker({
  summary: 'A topic of Kafka.',
  config,
  ignored: {
    max_nb_messages: 'what waits in a topic is bounded by its retention',
    'consumer.enable_auto_commit': 'offsets are committed once rows are durable',
    'consumer.consumer_timeout_ms': 'only the end of a run ends a load',
  },
  connect(options, context): Channel {
    const topic = topicOf(options, context)
    const connection = connectionTo(options)
    const { queue } = options
    return {
      place: `topic ${topic.name} of ${connection.brokers.join(',')}`,
      messageBytes: queue.message_bytes,
      lingerSeconds: queue.linger_ms / 1000,
      isShared: true,
      waiting: (signal) => waitingIn(connection, topic, { log: context.log, signal }),
      producer: () => new KafkaChannelProducer(connection, topic, context.log),
      partitions: queue.partitions,
      consumer: () => new KafkaChannelConsumer(connection, topic, context.log),
      group: () => new KafkaChannelGroup(connection, topic, context.log),
    }
  },
})

const AT = 'engine.queue.config.queue'

function topicOf({ queue, consumer }: KafkaQueueOptions, { name, pipeline }: ChannelContext): Topic {
  const topic = queue.topic ?? name
  if (topic === undefined) {
    throw new BizonError(
      'config',
      `${AT}.topic is missing: the file has no source, whose stream the topic is called after`,
      {
        hint: 'Name the topic, or the stream: bizon-load FILE --from-queue --stream NAME.',
      },
    )
  }
  return {
    name: topic,
    key: name ?? pipeline,
    group: consumer.group_id ?? name ?? topic,
    deadLetters: queue.dead_letter_topic ?? `${topic}.dead`,
    replicas: queue.replicas,
    partitions: queue.partitions,
    messageBytes: queue.message_bytes,
    sessionMs: consumer.session_timeout_ms,
    from: consumer.auto_offset_reset,
  }
}

/** A connection's keys are those of everything that connects to Kafka, but for the spelling of the first. */
function connectionTo({ queue }: KafkaQueueOptions): KafkaConnection {
  const { bootstrap_server, security_protocol, authentication, tls } = queue
  try {
    return connectionOf({ bootstrap_servers: bootstrap_server, security_protocol, authentication, tls }, AT)
  } catch (error) {
    if (!(error instanceof BizonError)) throw error
    const said = error.message.replaceAll('bootstrap_servers', 'bootstrap_server')
    throw new BizonError(error.code, said, { hint: error.hint, cause: error })
  }
}
