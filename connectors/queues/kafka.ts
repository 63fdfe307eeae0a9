// A topic of Kafka between bizon-extract and bizon-load. Messages of one pipeline and stream stand in one partition, in order; a group
// of them is one transaction, read when it is committed. Who loads is a member of a consumer group, whose offset is
// moved when the destination has flushed.

import { type Channel, type ChannelContext, defineBroker } from '../../lib/channel.ts'
import { InvalidKey, inQueue } from '../../lib/config/invalid-key.ts'
import { connectionOf } from '../kafka/config.ts'
import { requireTlsFiles } from '../kafka/security.ts'
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
    const { queue } = options
    const connection = connectionOf(queue, inQueue())
    requireTlsFiles(connection, queue, inQueue())
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

function topicOf({ queue, consumer }: KafkaQueueOptions, { name, pipeline }: ChannelContext): Topic {
  const topic = queue.topic ?? name
  if (topic === undefined) {
    throw new InvalidKey(
      inQueue('topic'),
      'is missing: the file has no source, whose stream the topic is called after',
      { hint: 'Name the topic, or the stream: bizon-load FILE --from-queue --stream NAME.' },
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
  }
}
