import { expect, test } from 'vitest'
import type { Channel } from '../../../lib/channel.ts'
import { never } from '../../../lib/wait.ts'
import { channelContract } from '../../contract/channel.ts'
import { groupContract } from '../../contract/group.ts'
import { consoleConsume, freshTopic } from '../../support/kafka.ts'
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
    `engine.queue.config.queue.partitions: is 3, and topic ${topic} has 2 partitions`,
  )
  await group?.close()
})

test('a copy is kept of a message that is as large as its topic takes, and larger than others take', async () => {
  const bytes = 2 << 20
  const config = { 'max.message.bytes': String(bytes + (64 << 10)) }
  const [address, topic] = [await sharedKafka(), await freshTopic({ config })]
  const channel = channelAt(topic, address, { message_bytes: bytes })
  const [producer, consumer] = [channel.producer(), channel.consumer()]
  try {
    await producer.open(never)
    await producer.put({ headers: {}, body: Buffer.alloc(bytes, 'x'), last: '{}' }, never)
    await consumer.open(never)
    const { value: arrival } = await consumer.take(never).next()
    if (!arrival) throw new Error('nothing came')
    await consumer.refuse(arrival, 'it is not a page')
  } finally {
    await producer.close()
    await consumer.close()
  }
  const [dead] = await consoleConsume(`${topic}.dead`)
  expect(String(dead?.value)).toHaveLength(bytes)
})

test('pipelines that share a topic and a group do not take the offset of one for that of the other', async () => {
  const [address, topic] = [await sharedKafka(), freshName()]
  const [one, other] = ['one', 'other'].map((pipeline) => channelAt(topic, address, {}, pipeline)) as [Channel, Channel]
  const put = async (channel: Channel, body: string): Promise<void> => {
    const producer = channel.producer()
    await producer.open(never)
    await producer.put({ headers: {}, body: Buffer.from(body), last: '{}' }, never)
    await producer.close()
  }
  /** The last of so many, which is acknowledged, or not. */
  const take = async (channel: Channel, count: number, acks: boolean): Promise<string> => {
    const consumer = channel.consumer()
    try {
      await consumer.open(never)
      const taking = consumer.take(never)
      for (let n = 1; ; n++) {
        const { value } = await taking.next()
        if (n < count || !value) continue
        if (acks) await value.ack()
        return Buffer.from(value.body).toString()
      }
    } finally {
      await consumer.close()
    }
  }
  await put(one, 'a')
  await put(other, 'b')
  // It passes over that of the other one.
  expect(await take(one, 2, true)).toBe('b')
  await put(one, 'c')
  expect(await take(other, 1, false)).toBe('a')
  expect(await take(one, 1, false)).toBe('c')
})
