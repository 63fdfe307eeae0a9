import { expect, test, vi } from 'vitest'
import type { Batch, KafkaClient } from '../../../connectors/kafka.ts'
import { never } from '../../../lib/wait.ts'
import { consoleConsume, freshTopic, javaProduce, produce, withKafka } from '../../support/kafka.ts'
import { withClient } from '../../support/kafka-client.ts'
import { sharedKafka } from '../../support/services/kafka.ts'

/** All that the reader has up to the ends that the topic has now. */
async function readAll(client: KafkaClient, topic: string, reader = client.reader()): Promise<readonly Batch[]> {
  const missing = new Map<number, number>()
  const ends = await client.ends(topic)
  for (const { partition, low } of await client.watermarks(topic)) {
    const end = ends.get(partition) ?? 0
    reader.assign(topic, partition, low)
    if (low < end) missing.set(partition, end)
  }
  const batches: Batch[] = []
  while (missing.size > 0) {
    for (const batch of await reader.fetch(never)) {
      batches.push(batch)
      if (batch.next >= (missing.get(batch.partition) ?? 0)) missing.delete(batch.partition)
    }
  }
  return batches
}

const valuesOf = (batches: readonly Batch[]): readonly string[] =>
  batches.flatMap(({ messages }) => [...messages].map(({ value }) => String(value)))

test('a broker is found by an address of IPv6', async () => {
  const topic = await freshTopic()
  const port = (await sharedKafka()).plain.split(':')[1]
  await withClient(async (client) => expect(await client.partitions(topic)).toEqual([0]), {
    bootstrap_servers: `[::ffff:127.0.0.1]:${port}`,
  })
})

test('partitions are read from their offsets to their ends, without a group', async () => {
  const topic = await freshTopic({ partitions: 3 })
  const messages = Array.from({ length: 30 }, (_, i) => ({ key: `k${i}`, value: `v${i}`, partition: i % 3 }))
  await produce(topic, messages)
  await withClient(async (client) => {
    expect(await client.partitions(topic)).toEqual([0, 1, 2])
    expect(await client.watermarks(topic)).toEqual([0, 1, 2].map((partition) => ({ partition, low: 0, high: 10 })))
    const batches = await readAll(client, topic)
    expect([...valuesOf(batches)].sort()).toEqual(messages.map(({ value }) => value).sort())
    const reader = client.reader()
    reader.assign(topic, 1, 8)
    const [rest] = await reader.fetch(never)
    expect(rest).toMatchObject({ topic, partition: 1, next: 10, end: 10 })
    expect([...(rest?.messages ?? [])].map(({ offset, value, key }) => [offset, `${key}`, `${value}`])).toEqual([
      [8, 'k25', 'v25'],
      [9, 'k28', 'v28'],
    ])
    expect(await reader.fetch(never)).toEqual([])
  })
})

test('no more is fetched than whoever reads has room for, whatever the properties say', async () => {
  const topic = await freshTopic()
  for (const value of ['a', 'b', 'c']) await produce(topic, [{ value }])
  const work = async (client: KafkaClient): Promise<void> => {
    const reader = client.reader({ maxBytes: 1 })
    reader.assign(topic, 0, 0)
    expect(valuesOf(await reader.fetch(never))).toEqual(['a'])
  }
  await withClient(work, undefined, ['consumer_config', { 'fetch.max.bytes': 52_428_800 }])
})

test('only what is committed is shown, whatever keys the messages of others have', async () => {
  const topic = await freshTopic()
  const zero = Buffer.alloc(4)
  await produce(topic, [{ value: 'c1' }], { transaction: 'commit' })
  await produce(topic, [{ value: 'a1' }, { key: zero, value: 'a2' }, { value: 'a3' }], { transaction: 'abort' })
  await produce(topic, [{ value: 'c2' }, { key: zero, value: 'c3' }], { transaction: 'commit' })
  await produce(topic, [{ value: 'p1' }])
  const right = (await consoleConsume(topic)).map(({ value }) => value)
  expect(right).toEqual(['c1', 'c2', 'c3', 'p1'])
  await withClient(async (client) => {
    const ours = valuesOf(await readAll(client, topic))
    expect(ours.slice(0, -1)).toEqual(right)
    const uncommitted = client.reader({ isolation: 'read_uncommitted' })
    expect(valuesOf(await readAll(client, topic, uncommitted)).slice(0, -1)).toEqual([
      ...['c1', 'a1', 'a2', 'a3', 'c2', 'c3', 'p1'],
    ])
  })
})

test('ends are told from what is settled, and times are found', async () => {
  const topic = await freshTopic()
  const at = Date.UTC(2026, 0, 1)
  await produce(
    topic,
    [0, 1, 2].map((n) => ({ value: `v${n}`, timestamp: at + n * 1000 })),
  )
  await withClient(async (client) => {
    const producer = await client.producer({ transactionalId: topic }, never)
    await producer.begin()
    await producer.send([{ topic, key: null, value: 'open', timestamp: at + 9000 }])
    expect(await client.watermarks(topic)).toEqual([{ partition: 0, low: 0, high: 3 }])
    expect(await client.ends(topic)).toEqual(new Map([[0, 4]]))
    expect(await client.offsetsAt(topic, new Date(at + 500))).toEqual(new Map([[0, 1]]))
    expect(await client.offsetsAt(topic, new Date(at + 60_000))).toEqual(new Map([[0, 3]]))
    const reader = client.reader({ isolation: 'read_uncommitted', markers: true })
    await producer.abort()
    await expect.poll(() => client.ends(topic)).toEqual(new Map([[0, 5]]))
    expect(
      (await readAll(client, topic, reader))
        .flatMap(({ messages }) => [...messages])
        .map((one) => one.transaction?.end),
    ).toEqual([...[undefined, undefined, undefined, undefined, 'abort']])
  })
})

test('a message that comes while a time is looked for is not passed over', async () => {
  const topic = await freshTopic()
  const at = Date.UTC(2026, 0, 1)
  await produce(topic, [{ value: 'old', timestamp: at }])
  // Not a type but a name: what is inside has none.
  const inside = 'kafkajs/src/broker/index.js'
  const { prototype } = (await import(inside)).default as {
    prototype: { listOffsets(given: object): Promise<unknown> }
  }
  const { listOffsets } = prototype
  let isFirst = true
  const spy = vi.spyOn(prototype, 'listOffsets').mockImplementation(async function (this: unknown, given: object) {
    const answer = await listOffsets.call(this as never, given)
    if (isFirst) {
      isFirst = false
      await produce(topic, [{ value: 'new' }])
    }
    return answer
  })
  try {
    await withClient(async (client) => {
      expect(await client.offsetsAt(topic, new Date(at + 60_000))).toEqual(new Map([[0, 1]]))
    })
  } finally {
    spy.mockRestore()
  }
  expect(isFirst).toBe(false)
})

test('offsets that are gone are told, with what is left', async () => {
  const topic = await freshTopic()
  await produce(
    topic,
    [0, 1, 2, 3].map((n) => ({ value: `v${n}` })),
  )
  await withKafka(undefined, async (kafka) => {
    const admin = kafka.admin()
    await admin.connect()
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
    await admin.disconnect()
  })
  await withClient(async (client) => {
    const reader = client.reader()
    reader.assign(topic, 0, 1)
    await expect(reader.fetch(never)).rejects.toMatchObject({
      code: 'source',
      message: `offset 1 of ${topic}, partition 0, is gone: it goes from 3 to 4; 2 messages were deleted before they were read`,
      ...{ topic, partition: 0, offset: 1, low: 3, high: 4 },
    })
    reader.assign(topic, 0, 3)
    expect(valuesOf(await reader.fetch(never))).toEqual(['v3'])
    reader.assign(topic, 0, 9)
    // What is under way for the offset before has nothing to tell.
    expect(await reader.fetch(never)).toEqual([])
    await expect(reader.fetch(never)).rejects.toThrow('there are only 4: the topic was made anew')
    reader.assign(topic, 5, 0)
    await expect(reader.fetch(never)).rejects.toThrow(`topic ${topic} has no partition 5`)
  })
})

test('a transaction is seen as a whole or not at all', async () => {
  const topic = await freshTopic({ partitions: 2 })
  await withClient(async (client) => {
    const producer = await client.producer({ transactionalId: topic }, never)
    const all = [0, 1].flatMap((partition) => [{ topic, key: null, value: `x${partition}`, partition }])
    await producer.begin()
    await producer.send(all)
    await producer.abort()
    await producer.begin()
    await producer.send(all.map((message) => ({ ...message, headers: { h: 'é' } })))
    await producer.commit()
    const batches = await readAll(client, topic)
    expect([...valuesOf(batches)].sort()).toEqual(['x0', 'x1'])
    expect(batches.flatMap(({ messages }) => [...messages])[0]?.headers).toEqual({ h: Buffer.from('é') })
  })
})

test('a transaction that brokers do not give so much time says what to set', async () => {
  await withClient(async (client) => {
    const options = { transactionalId: await freshTopic(), transactionTimeoutMs: 3_600_000 }
    await expect(client.producer(options, never)).rejects.toMatchObject({
      message: expect.stringContaining('a transaction may not take that long there'),
      hint: expect.stringContaining('transaction.timeout.ms in producer_config'),
    })
  })
})

test('a producer fences the one that had its id before', async () => {
  const topic = await freshTopic()
  await withClient(async (client) => {
    const zombie = await client.producer({ transactionalId: topic }, never)
    await zombie.begin()
    await zombie.send([{ topic, key: null, value: 'zombie' }])
    const next = await client.producer({ transactionalId: topic }, never)
    await expect(zombie.send([{ topic, key: null, value: 'zombie too' }])).rejects.toMatchObject({ code: 'fenced' })
    await next.begin()
    await next.send([{ topic, key: null, value: 'next' }])
    await next.commit()
    expect(valuesOf(await readAll(client, topic))).toEqual(['next'])
  })
})

test('a request is no larger than a topic takes, and a message that is, is an error', async () => {
  const topic = await freshTopic({ config: { 'max.message.bytes': '100000' } })
  await withClient(async (client) => {
    const producer = await client.producer({ maxRequestBytes: 90_000 }, never)
    const message = { topic, key: null, value: 'x'.repeat(30_000) }
    await producer.send(Array.from({ length: 10 }, () => message))
    await expect(producer.send([{ ...message, value: 'x'.repeat(200_000) }])).rejects.toThrow(
      `a message is larger than topic ${topic} takes`,
    )
    expect(valuesOf(await readAll(client, topic))).toHaveLength(10)
  })
})

test('a request for several partitions is no larger than their topic takes of one', async () => {
  const topic = await freshTopic({ partitions: 2, config: { 'max.message.bytes': '20000' } })
  // The first and the last of one partition: halves of a request that was refused would be another batch of it.
  const all = Array.from({ length: 22 }, (_, i) => ({ topic, key: null, partition: i % 21 === 0 ? 0 : 1 }))
  await withClient(async (client) => {
    const producer = await client.producer({ transactionalId: topic }, never)
    await producer.begin()
    await producer.send(all.map((message, i) => ({ ...message, value: `${i} ${'x'.repeat(3000)}` })))
    await producer.commit()
    const numbers = valuesOf(await readAll(client, topic)).map((value) => Number.parseInt(value, 10))
    expect(numbers.sort((a, b) => a - b)).toEqual(all.map((_, i) => i))
  })
})

test('the partition of a key is the one that Java chooses', async () => {
  const topic = await freshTopic({ partitions: 7 })
  const keys = ['', 'a', 'key', '0', 'é', 'x'.repeat(33), '2026-01-01']
  const theirs = await freshTopic({ partitions: 7 })
  await javaProduce(
    theirs,
    keys.map((key) => [key, key]),
  )
  await withClient(async (client) => {
    const producer = await client.producer({}, never)
    await producer.send(keys.map((key) => ({ topic, key, value: key })))
    const partitionsIn = async (name: string): Promise<readonly string[]> =>
      (await readAll(client, name))
        .flatMap(({ partition, messages }) => [...messages].map(({ key }) => `${key}: ${partition}`))
        .sort()
    const right = await partitionsIn(theirs)
    expect(right).toHaveLength(keys.length)
    expect(await partitionsIn(topic)).toEqual(right)
  })
})

test('members of a group share its partitions, and commit what is theirs', async () => {
  const topic = await freshTopic({ partitions: 4 })
  await withClient(async (client) => {
    const options = { groupId: topic, topics: [topic], sessionTimeoutMs: 6000, heartbeatIntervalMs: 300 }
    const one = await client.member(options, never)
    const all = await one.next(never)
    expect(all.partitions).toHaveLength(4)
    expect(await one.commit(all, [{ topic, partition: 2, offset: 7 }])).toBe(true)
    await expect.poll(() => client.committed(topic, [topic])).toMatchObject([{ topic, partition: 2, offset: 7 }])
    const two = await client.member(options, never)
    await one.ended(all, never)
    expect(await one.commit(all, [{ topic, partition: 2, offset: 9 }])).toBe(false)
    const [mine, theirs] = [await one.next(never), await two.next(never)]
    const shared = [...mine.partitions, ...theirs.partitions].map(({ partition }) => partition)
    expect([...shared].sort()).toEqual([0, 1, 2, 3])
    await two.close()
    expect((await one.next(never)).partitions).toHaveLength(4)
  })
})

test('a client that is closed does not wait for messages that nobody will take', async () => {
  const topic = await freshTopic()
  await produce(topic, [{ value: 'v' }])
  try {
    await withClient(async (client) => {
      const reader = client.reader({ maxWaitMs: 600_000 })
      reader.assign(topic, 0, 0)
      expect(valuesOf(await reader.fetch(never))).toEqual(['v'])
      // What comes behind it is then asked for.
      for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
      // A goodbye that takes too long would be cut short, seconds later.
      vi.useFakeTimers({ toFake: ['setTimeout'] })
    })
  } finally {
    vi.useRealTimers()
  }
})

test('it is not told of a topic that is not there', async () => {
  await withClient(async (client) => {
    await expect(client.partitions('nowhere')).rejects.toThrow('there is no topic nowhere')
    expect(await client.hasTopic('nowhere')).toBe(false)
    expect(await client.createTopic('nowhere', { partitions: 2, config: { 'cleanup.policy': 'compact' } })).toBe(true)
    expect(await client.createTopic('nowhere')).toBe(false)
    expect(await client.partitions('nowhere')).toEqual([0, 1])
    expect(await client.topicConfig('nowhere')).toMatchObject({ 'cleanup.policy': 'compact' })
  })
  await withKafka(undefined, async (kafka) => {
    const admin = kafka.admin()
    await admin.connect()
    await admin.deleteTopics({ topics: ['nowhere'] })
    await admin.disconnect()
  })
})
