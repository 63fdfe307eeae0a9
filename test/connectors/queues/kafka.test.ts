import { expect, test } from 'vitest'
import { never } from '../../../lib/wait.ts'
import { channelContract } from '../../contract/channel.ts'
import { groupContract } from '../../contract/group.ts'
import { freshTopic } from '../../support/kafka.ts'
import { channelAt, freshName, kafkaGround } from '../../support/kafka-queue.ts'
import { sharedKafka } from '../../support/services/kafka.ts'

channelContract('a topic of Kafka', kafkaGround, { fences: true, hasTransactions: true })

groupContract('a topic of Kafka', async () => {
  const [address, topic] = [await sharedKafka(), freshName()]
  return { channel: () => channelAt(topic, address, { partitions: 3 }) }
})

test('a topic with another number of partitions is refused', async () => {
  const [address, topic] = [await sharedKafka(), await freshTopic({ partitions: 2 })]
  const group = channelAt(topic, address, { partitions: 3 }).group?.()
  await expect(group?.open(never)).rejects.toThrow(
    `topic ${topic} has 2 partitions, and engine.queue.config.queue.partitions is 3`,
  )
  await group?.close()
})
