// The kafka source on a real broker: transactions, deletions, groups, topics that grow, ways to sign in.

import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BizonError } from '../../../lib/errors.ts'
import { textOf } from '../../../lib/record.ts'
import type { Page, Position } from '../../../lib/source.ts'
import { never } from '../../../lib/wait.ts'
import { freshTopic, produce, untilStable, withKafka } from '../../support/kafka.ts'
import { idsOf, openKafka, pagesOf, valuesOf } from '../../support/kafka-source.ts'
import { sharedKafka, USERS } from '../../support/services/kafka.ts'
import { listeningLog } from '../../support/table-source.ts'

const at = await sharedKafka()
const stream = { mode: 'stream' } as const
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ value: String(from + i) }))
const freshGroup = (): string => `g-${randomBytes(8).toString('hex')}`
const offsetsOf = async (groupId: string, topic: string) =>
  withKafka(at, async (kafka) => {
    const admin = kafka.admin()
    await admin.connect()
    const [found] = await admin.fetchOffsets({ groupId, topics: [topic] })
    await admin.disconnect()
    return found?.partitions.map(({ partition, offset }) => [partition, Number(offset)])
  })

test('a message is what was written, keys, headers, time and all', async () => {
  // Else a broker that looks would delete a message as old as this.
  const topic = await freshTopic({ config: { 'retention.ms': '-1' } })
  const headers = { text: 'é', bytes: Buffer.from([255]), twice: ['1', '2'], constructor: 'c' }
  const value = '{"n":9007199254740993, "x":1.10}'
  await produce(topic, [
    { key: '{"id":1}', value, headers, timestamp: 1_700_000_000_123 },
    { key: null, value: null },
    { value: '{}' },
  ])
  const config = {
    skip_message_empty_value: false,
    duplicate_headers: 'list',
    topics: [{ name: topic, destination_id: 'x' }],
  }
  const [page] = await pagesOf(openKafka({ at, topics: [topic], config }))
  const [first, tombstone, last] = page?.records ?? []
  expect(textOf(first?.data as never)).toBe(
    `{"topic":"${topic}","partition":0,"offset":0,"timestamp":1700000000123,"keys":{"id":1},"headers":{"text":"é","bytes":"/w==","twice":["1","2"],"constructor":"c"},"value":${value},"schema":{}}`,
  )
  expect(first).toMatchObject({ id: `${topic}/0/0`, timestamp: new Date(1_700_000_000_123), destinationId: 'x' })
  expect(textOf(tombstone?.data as never)).toContain('"keys":{},"headers":{},"value":null,')
  expect(last?.id).toBe(`${topic}/0/2`)
})

test('what a transaction aborted is not read, and one that ends a topic does not keep the read from ending', async () => {
  const topic = await freshTopic({ partitions: 2 })
  await produce(
    topic,
    numbers(0, 3).map((one) => ({ ...one, partition: 0 })),
    { transaction: 'commit' },
  )
  await produce(
    topic,
    numbers(3, 6).map((one) => ({ ...one, partition: 0 })),
    { transaction: 'abort' },
  )
  await produce(
    topic,
    numbers(6, 9).map((one) => ({ ...one, partition: 0 })),
    { transaction: 'commit' },
  )
  await produce(
    topic,
    numbers(9, 12).map((one) => ({ ...one, partition: 1 })),
    { transaction: 'abort' },
  )
  const pages = await pagesOf(openKafka({ at, topics: [topic] }))
  expect(valuesOf(pages)).toEqual([0, 1, 2, 6, 7, 8])
  expect(pages.at(-1)?.watermark).toEqual({ topics: { [topic]: { 0: 12, 1: 4 } } })
  const config = { consumer_config: { 'isolation.level': 'read_uncommitted' } }
  expect(valuesOf(await pagesOf(openKafka({ at, topics: [topic], config })))).toHaveLength(12)
})

test('a transaction that is open is not waited for, and comes with the next run', async () => {
  const topic = await freshTopic()
  await produce(topic, numbers(0, 2))
  await withKafka(at, async (kafka) => {
    const producer = kafka.producer({ transactionalId: topic, maxInFlightRequests: 1, idempotent: true })
    await producer.connect()
    const open = await producer.transaction()
    await open.send({ topic, messages: [{ value: '2' }] })
    await produce(topic, numbers(3, 5))
    const pages = await pagesOf(openKafka({ at, topics: [topic] }))
    expect(valuesOf(pages)).toEqual([0, 1])
    await open.commit()
    await untilStable(kafka, topic, new Map([[0, 6]]))
    await producer.disconnect()
    const since = { time: new Date(), value: pages.at(-1)?.watermark as Position }
    const context = { mode: 'incremental' } as const
    expect(valuesOf(await pagesOf(openKafka({ at, topics: [topic], context }), { since }))).toEqual([2, 3, 4])
  })
})

test('a read that ends does not wait for what comes behind its end', async () => {
  const topic = await freshTopic({ partitions: 3 })
  await produce(
    topic,
    [0, 1, 2].flatMap((partition) => numbers(0, 2).map((one) => ({ ...one, partition }))),
  )
  // It would take half an hour.
  const config = { consumer_timeout: 600, consumer_config: {} }
  expect(valuesOf(await pagesOf(openKafka({ at, topics: [topic], config })))).toEqual([0, 1, 0, 1, 0, 1])
})

test('a topic that is written to meanwhile is read up to where it ended, also when the read goes on later', async () => {
  const topic = await freshTopic({ partitions: 2 })
  const both = (from: number, to: number) =>
    produce(
      topic,
      [0, 1].flatMap((partition) => numbers(from, to).map((one) => ({ ...one, partition }))),
    )
  await both(0, 6)
  const source = openKafka({ at, topics: [topic] })
  const pages: Page[] = []
  for await (const page of source.read({}, never)) {
    pages.push(page)
    await both(100, 103)
    if (pages.length === 2) break
  }
  await source.close?.()
  const position = JSON.parse(JSON.stringify(pages[1]?.next)) as Position
  const rest = await pagesOf(openKafka({ at, topics: [topic] }), { position })
  expect(valuesOf([...pages, ...rest])).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5])
})

test('messages that were deleted before they were read are an error, in either mode, unless it is said where to go on', async () => {
  const topic = await freshTopic()
  await produce(topic, numbers(0, 10))
  const [first] = await pagesOf(openKafka({ at, topics: [topic] }))
  const bounded = { position: first?.next as Position }
  const streamed = { position: { topics: { [topic]: { 0: 4 } } } }
  const deleteBefore = (offset: string) =>
    withKafka(at, async (kafka) => {
      const admin = kafka.admin()
      await admin.connect()
      await admin.fetchTopicOffsets(topic)
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
      await admin.disconnect()
    })
  await deleteBefore('7')
  const lost = `${topic}/0: the 3 messages from offset 4 to 6 are lost: deleted from the topic before they were read`
  await expect(pagesOf(openKafka({ at, topics: [topic] }), bounded)).rejects.toThrow(lost)
  await expect(pagesOf(openKafka({ at, topics: [topic], context: stream }), streamed, 1)).rejects.toThrow(lost)
  const log = listeningLog()
  const earliest = { auto_offset_reset: 'earliest' }
  const read = () => openKafka({ at, topics: [topic], config: earliest, context: { log } })
  expect(valuesOf(await pagesOf(read(), bounded))).toEqual([7, 8, 9])
  expect(log.said).toContain(`${lost}; goes on at offset 7`)
  // While it is read: the reader is told by the broker.
  const source = openKafka({ at, topics: [topic], config: { ...earliest, batch_size: 1 }, context: stream })
  const seen: number[] = []
  for await (const page of source.read({ position: { topics: { [topic]: { 0: 7 } } } }, never)) {
    seen.push(...(valuesOf([page]) as number[]))
    if (seen.length === 3) {
      await produce(topic, numbers(10, 20))
      await deleteBefore('18')
      await produce(topic, numbers(20, 21))
    }
    if (seen.at(-1) === 20) break
  }
  await source.close?.()
  expect(seen.slice(0, 3)).toEqual([7, 8, 9])
  expect(seen.slice(-3)).toEqual([18, 19, 20])
})

test('a stream is told to the group once it is durable, and goes on at its position, not there', async () => {
  const topic = await freshTopic()
  await produce(topic, numbers(0, 8))
  const config = { group_id: freshGroup() }
  const open = () => openKafka({ at, topics: [topic], config, context: stream })
  const source = open()
  const reading = source.read({}, never)
  const first = (await reading.next()).value as Page
  const second = (await reading.next()).value as Page
  expect(valuesOf([first, second])).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  expect(await offsetsOf(config.group_id, topic)).toEqual([[0, -1]])
  await source.acknowledge?.(first.next as Position)
  await source.acknowledge?.(second.next as Position)
  await reading.return()
  await source.close?.()
  expect(await offsetsOf(config.group_id, topic)).toEqual([[0, 8]])
  expect(valuesOf(await pagesOf(open(), { position: first.next as Position }, 4))).toEqual([4, 5, 6, 7])
  // A destination that has nothing gets everything.
  expect(valuesOf(await pagesOf(open(), {}, 8))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
})

test('a stream whose place another program has left goes on there, once', async () => {
  const topic = await freshTopic()
  await produce(topic, numbers(0, 8))
  const groupId = freshGroup()
  await withKafka(at, async (kafka) => {
    const consumer = kafka.consumer({ groupId })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({ autoCommit: false, eachMessage: async () => {} })
    await consumer.commitOffsets([{ topic, partition: 0, offset: '6' }])
    await consumer.disconnect()
  })
  const config = { group_id: groupId }
  expect(valuesOf(await pagesOf(openKafka({ at, topics: [topic], config, context: stream }), {}, 2))).toEqual([6, 7])
})

test('a consumer of the same group neither takes messages away nor is disturbed', async () => {
  const topic = await freshTopic({ partitions: 2 })
  const groupId = freshGroup()
  const all = [0, 1].flatMap((partition) => numbers(0, 5).map((one) => ({ ...one, partition })))
  await produce(topic, all)
  const log = listeningLog()
  await withKafka(at, async (kafka) => {
    const consumer = kafka.consumer({ groupId })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    let seen = 0
    await consumer.run({ autoCommit: false, eachMessage: async () => void seen++ })
    while (seen < all.length) await wait(20)
    const source = openKafka({ at, topics: [topic], config: { group_id: groupId }, context: { ...stream, log } })
    const pages: Page[] = []
    for await (const page of source.read({}, never)) {
      pages.push(page)
      await source.acknowledge?.(page.next as Position)
      if (idsOf(pages).length === all.length) break
    }
    await source.close?.()
    expect(idsOf(pages)).toHaveLength(all.length)
    expect(log.said.join()).toContain(
      `offsets cannot be committed to the group ${groupId}, which matters only to who watches it`,
    )
    await consumer.disconnect()
  })
})

test('several topics to several targets, and partitions that are added while it runs', async () => {
  const [orders, refunds] = [await freshTopic(), await freshTopic()]
  await produce(orders, numbers(0, 2))
  await produce(refunds, numbers(10, 12))
  const topics = [
    { name: orders, destination_id: 'o' },
    { name: refunds, destination_id: 'r' },
  ]
  const config = { topics, consumer_config: { 'fetch.wait.max.ms': 100, 'metadata.max.age.ms': 100 } }
  const source = openKafka({ at, topics: [], config, context: stream })
  const seen: [string | undefined, unknown][] = []
  for await (const page of source.read({}, never)) {
    for (const record of page.records) seen.push([record.destinationId, JSON.parse(textOf(record.data)).value])
    if (seen.length === 4) {
      await withKafka(at, async (kafka) => {
        const admin = kafka.admin()
        await admin.connect()
        await admin.createPartitions({ topicPartitions: [{ topic: orders, count: 2 }] })
        await admin.disconnect()
      })
      await produce(orders, [{ value: '2', partition: 1 }])
    }
    if (seen.length === 5) break
  }
  await source.close?.()
  expect(seen.sort()).toEqual([
    ['o', 0],
    ['o', 1],
    ['o', 2],
    ['r', 10],
    ['r', 11],
  ])
})

test.each(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'])('signing in by %s, below TLS', async (mechanism) => {
  const topic = await freshTopic()
  await produce(topic, numbers(0, 2))
  const config = (password: string) => ({
    bootstrap_servers: at.saslTls,
    authentication: { mechanism, params: { username: 'alice', password } },
    tls: { ca: at.ca },
  })
  expect(valuesOf(await pagesOf(openKafka({ at, topics: [topic], config: config(USERS.alice) })))).toEqual([0, 1])
  const source = openKafka({ at, topics: [topic], config: config('not-the-password') })
  const error = await source.check?.(never).catch((thrown: unknown) => thrown as BizonError)
  await source.close?.()
  expect(error).toBeInstanceOf(BizonError)
  expect(`${error?.message} ${error?.hint}`).not.toContain('not-the-password')
})
