// What the client does when a request went wrong in part, which takes several brokers.

import { expect, test } from 'vitest'
import { type ClientProducer, KafkaProducer, noting } from '../../../connectors/kafka/producer.ts'

type Batch = Parameters<ClientProducer['sendBatch']>[0]
interface Given {
  readonly message: { partition?: number }
}

/** A client that sends to two partitions, and has answers of these. */
function producerOf(answered: readonly number[]): KafkaProducer {
  let sent = 0
  const choose = noting((_: Given) => sent++ % 2)
  const client = {
    async sendBatch({ topicMessages }: Batch) {
      for (const { messages } of topicMessages) for (const message of messages) choose({ message })
      return answered.map((partition) => ({ topicName: 't', partition }))
    },
  }
  return producerWith(client)
}

function producerWith(client: object, seconds = 60, late = () => {}): KafkaProducer {
  const place = { code: 'destination', brokers: ['a:1', 'b:1'] } as const
  return new KafkaProducer(client as unknown as ClientProducer, {}, place, async () => undefined, { seconds, late })
}

const messages = ['x', 'y', 'z'].map((value) => ({ topic: 't', key: null, value }))

test('messages count as taken when each of their partitions has answered, once', async () => {
  await producerOf([0, 1]).send(messages)
  await producerOf([1, 0]).send(messages)
  for (const answered of [[0], [1], [], [0, 0], [0, 0, 1], [0, 1, 1]]) {
    await expect(producerOf(answered).send(messages), answered.join()).rejects.toMatchObject({
      code: 'destination',
      message: 'Kafka at a:1,b:1: leaders of partitions changed, and it is not known what they have taken',
      retriable: true,
    })
  }
})

test('what is never answered has an end, and its connections are closed', async () => {
  const cuts: string[] = []
  const never = new Promise(() => {})
  const client = { connect: () => never, sendBatch: () => never }
  const producer = producerWith(client, 0.05, () => void cuts.push('cut'))
  const said = { message: expect.stringMatching(/^Kafka at a:1,b:1: no answer for \d+ s$/), retriable: true }
  await expect(producer.send(messages)).rejects.toMatchObject(said)
  await expect(producer.open()).rejects.toMatchObject(said)
  expect(cuts).toEqual(['cut', 'cut'])
})

test('a message goes to the same partition each time that the client sends it', () => {
  let next = 0
  const choose = noting((_: Given) => next++)
  const one: Given = { message: {} }
  const other: Given = { message: { partition: 7 } }
  expect([choose(one), choose(one), choose(other), choose(one)]).toEqual([0, 0, 7, 0])
})
