import { beforeAll, expect, test } from 'vitest'
import type { KafkaOptions } from '../../../connectors/destinations/kafka.ts'
import type { Run } from '../../../lib/destination.ts'
import { RawJson } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import { consoleConsume, createTopic, freshTopic, produce, withKafka } from '../../support/kafka.ts'
import { withClient } from '../../support/kafka-client.ts'
import { kafkaDestination, keysIn } from '../../support/kafka-destination.ts'
import { idsOf, load, never, pagesOf, runOf } from '../../support/load.ts'
import { type KafkaAddress, KafkaServer, sharedKafka, USERS } from '../../support/services/kafka.ts'

let at: KafkaAddress
beforeAll(async () => {
  at = await sharedKafka()
})

const STREAM = runOf('run', 'stream', 1, false)
const pageOf = (...texts: readonly string[]): Page => ({
  records: texts.map((text, n) => ({
    id: `r${n}`,
    data: RawJson.from(text),
    timestamp: '2026-01-02T03:04:05.678901Z',
  })),
  next: { at: 1 },
})
const to = (topic: string, options: Partial<KafkaOptions> = {}, mode: Run['mode'] = 'stream') =>
  kafkaDestination({ brokers: at.plain, topic, mode, options })

test('a message is the text of its record as it came, with what is known of it in headers', async () => {
  const topic = await freshTopic()
  const text = '{"id":7, "exact":1.10,"big":12345678901234567890,"é":"\\u0041\\n"}'
  await load(to(topic), STREAM, [pageOf(text, '{}')], { publish: false })
  const messages = await consoleConsume(topic)
  expect(messages.map(({ key, value }) => [key, value])).toEqual([
    ['r0', text],
    ['r1', '{}'],
  ])
  expect(messages[0]?.headers).toEqual({
    bizon_run: 'run',
    bizon_id: expect.stringMatching(/^[0-9a-f]{16}0{16}$/),
    bizon_extracted_at: '1970-01-01T00:00:00+00:00',
    bizon_loaded_at: expect.stringMatching(/^20.*\+00:00$/),
    source_record_id: 'r0',
    source_timestamp: '2026-01-02T03:04:05.678901+00:00',
  })
  expect(messages[1]?.headers.bizon_id).toBe(`${messages[0]?.headers.bizon_id?.slice(0, 16)}0000000000000001`)
})

test('its key is made of fields, its headers are left out, its topic is that of its stream', async () => {
  const topic = `${await freshTopic()}.deep`
  const options = { key: 'c{customer.id}-{day}', metadata: 'none' as const, destinationId: `${topic}.{stream}` }
  const page = pageOf('{"customer":{"id":12},"day":"mon"}')
  await load(to(topic, options), STREAM, [page, { ...page, stream: { name: 'other' } }], { publish: false })
  for (const name of ['main', 'other']) {
    const [message] = await consoleConsume(`${topic}.${name}`)
    expect(message).toMatchObject({ key: 'c12-mon', headers: {} })
  }
})

test.each([
  ['{day}', '{"day":null}', 'it has no day, of which its key is made'],
  ['{a.b}', '{"a":1}', 'it has no a.b, of which its key is made'],
])('a record without what key %s is made of is an error: %s', async (key, text, message) => {
  const topic = await freshTopic()
  await expect(load(to(topic, { key }), STREAM, [pageOf(text)])).rejects.toMatchObject({
    code: 'invalid_record',
    message: `record "r0": ${message}`,
  })
  expect(await withClient((client) => keysIn(client, topic))).toEqual([])
})

test.each<[string, Partial<KafkaOptions>, string]>([
  ['a key without fields', { key: 'id' }, 'destination.config.key: "id" names no field in braces'],
  ['a brace too many', { key: '{id}}' }, 'destination.config.key: "{id}}" names no field in braces'],
  ['a topic that cannot be', { destinationId: 'a b' }, 'destination_id: "a b": no topic can be called so'],
  ['columns', { unnest: true }, 'destination.config.unnest: a message has no columns'],
  ['a property', { producer_config: { acks: 0 } }, 'destination.config.producer_config.acks: 0 would lose messages'],
])('a config is refused: %s', (_, options, message) => {
  expect(() => to('t', options)).toThrow(message)
})

test('a full refresh is refused, or adds all once more', async () => {
  expect(() => to('t', {}, 'full_refresh')).toThrow('source.sync_mode: a full refresh cannot replace topic t')
  const topic = await freshTopic()
  const again = (id: string, epoch: number): Promise<unknown> =>
    load(to(topic, { full_refresh: 'append' }, 'full_refresh'), runOf(id, 'full_refresh', epoch), pagesOf('a', 1))
  await again('one', 1)
  await again('two', 2)
  const messages = await consoleConsume(topic)
  expect(messages.map(({ key, headers }) => `${key} ${headers.bizon_run}`)).toEqual([
    ...['a0 one', 'a1 one', 'a2 one', 'a0 two', 'a1 two', 'a2 two'],
  ])
})

test('a message that its topic does not take names its record', async () => {
  const topic = await freshTopic({ config: { 'max.message.bytes': '20000' } })
  const small = Array.from({ length: 30 }, (_, n) => `{"n":${n},"pad":"${'x'.repeat(3000)}"}`)
  await load(to(topic), STREAM, [pageOf(...small)], { publish: false })
  expect(await withClient((client) => keysIn(client, topic))).toHaveLength(30)
  const large = pageOf('{}', `{"pad":"${'x'.repeat(30_000)}"}`, '{}')
  const failing = load(to(topic), { ...STREAM, epoch: 2 }, [pageOf(...small), large], { publish: false })
  await expect(failing).rejects.toMatchObject({
    code: 'destination',
    message: expect.stringMatching(/^record "r1": its message of 3\d{4} bytes is larger than topic \S+ takes$/),
    hint: expect.stringContaining('max.message.bytes'),
  })
  expect(await withClient((client) => keysIn(client, topic))).toHaveLength(30)
})

test('a topic that is missing is made, unless it must not be', async () => {
  const topic = `${await freshTopic()}.new`
  await expect(to(topic, { create_topics: false }).check(never)).rejects.toThrow(`there is no topic ${topic}`)
  await expect(load(to(topic, { create_topics: false }), STREAM, [])).rejects.toThrow(`there is no topic ${topic}`)
  await to(topic).check(never)
  await load(to(topic), { ...STREAM, epoch: 2 }, pagesOf('a', 1), { publish: false })
  expect(await withClient((client) => keysIn(client, topic))).toEqual(['a0', 'a1', 'a2'])
})

test('a topic that was deleted is not made anew behind its checkpoint', async () => {
  const topic = `${await freshTopic()}.main`
  await load(to(topic), STREAM, pagesOf('a', 3).slice(0, 2), { publish: false })
  await withKafka(at, async (kafka) => {
    const admin = kafka.admin()
    await admin.connect()
    await admin.deleteTopics({ topics: [topic] })
    await expect.poll(() => admin.listTopics()).not.toContain(topic)
    await admin.disconnect()
  })
  const next = to(topic)
  await expect(next.open({ ...STREAM, epoch: 2 }, never)).rejects.toMatchObject({
    code: 'edited',
    message: `topic ${topic} is missing, and this run would only add to it`,
  })
  await next.close()
})

test('a topic of checkpoints that would lose them is refused', async () => {
  const topic = await freshTopic()
  const state_topic = await freshTopic({ config: { 'cleanup.policy': 'delete' } })
  await expect(load(to(topic, { state_topic }), STREAM, [])).rejects.toThrow(
    `topic ${state_topic} has cleanup.policy delete: checkpoints in it would be lost`,
  )
})

test('the state is found behind transactions of others that have not ended', async () => {
  const topic = await freshTopic()
  const state_topic = `${topic}.state`
  await createTopic(state_topic, { config: { 'cleanup.policy': 'compact' } })
  await withClient(async (client) => {
    const other = await client.producer({ transactionalId: state_topic }, never)
    await other.begin()
    await other.send([{ topic: state_topic, key: 'other', value: '{}' }])
    const first = await load(to(topic, { state_topic }), STREAM, pagesOf('a', 3).slice(0, 2), { publish: false })
    const next = to(topic, { state_topic })
    expect(await next.open({ ...STREAM, epoch: 2 }, never)).toEqual(first)
    await next.close()
  })
})

test('a state that is not ours to read is left alone', async () => {
  const topic = await freshTopic()
  const state_topic = `${topic}.state`
  await createTopic(state_topic, { config: { 'cleanup.policy': 'compact' } })
  await produce(state_topic, [{ key: `trial/test/main/${topic}`, value: '{"version":9}' }])
  await expect(load(to(topic, { state_topic }), STREAM, [])).rejects.toMatchObject({
    code: 'edited',
    message: expect.stringContaining('cannot be read: it is of version 9'),
  })
})

test('what an unfinished run has added would come again: another run is refused', async () => {
  const topic = await freshTopic()
  const mode = 'incremental'
  await load(to(topic, {}, mode), runOf('old', mode, 1), pagesOf('old', 1))
  const more = { ...runOf('unfinished', mode, 2), previous: 'old' }
  await load(to(topic, {}, mode), more, pagesOf('new', 2).slice(0, 1), { publish: false })
  const other = { ...runOf('other', mode, 3), previous: 'old' }
  await expect(load(to(topic, {}, mode), other, pagesOf('other', 1))).rejects.toMatchObject({
    code: 'edited',
    message: `topic ${topic} has messages of run unfinished, and the last that the state store knows of is old: they would come again, and cannot be taken back`,
  })
  await load(to(topic, {}, mode), { ...more, epoch: 4 }, pagesOf('new', 2))
  expect(await withClient((client) => keysIn(client, topic))).toEqual([
    ...idsOf(pagesOf('old', 1)),
    ...idsOf(pagesOf('new', 2)),
  ])
})

test('who may not write is told so', async () => {
  const topic = await freshTopic()
  const mallory = {
    bootstrap_servers: at.sasl,
    security_protocol: 'SASL_PLAINTEXT' as const,
    authentication: { type: 'basic' as const, params: { username: 'mallory', password: USERS.mallory } },
  }
  await expect(load(to(topic, mallory), STREAM, [])).rejects.toThrow(/user mallory may not/)
  const wrong = {
    ...mallory,
    authentication: { type: 'basic' as const, params: { username: 'alice', password: 'wrong' } },
  }
  const refused = load(to(topic, wrong), STREAM, [])
  await expect(refused).rejects.toMatchObject({
    code: 'destination',
    message: expect.stringContaining('wrong password'),
  })
})

test('messages that are larger together than what is gathered are one transaction all the same', async () => {
  const topic = await freshTopic()
  const large = Array.from({ length: 24 }, (_, n) => `{"n":${n},"pad":"${'x'.repeat(500_000)}"}`)
  const destination = to(topic)
  await destination.open(STREAM, never)
  await destination.write(pageOf(...large), never)
  await destination.close()
  expect(await withClient((client) => keysIn(client, topic))).toEqual([])
  await load(to(topic), { ...STREAM, epoch: 2 }, [pageOf(...large)], { publish: false })
  expect(await withClient((client) => keysIn(client, topic))).toHaveLength(24)
})

test('a broker that is killed and comes back loses and doubles nothing', async () => {
  const server = await KafkaServer.create()
  try {
    const destination = kafkaDestination({ brokers: server.address.plain, topic: 'kept' })
    const pages = pagesOf('a', 4)
    await destination.open(STREAM, never)
    for (const [n, page] of pages.entries()) {
      await destination.write(page, never)
      if (n === 2) {
        await server.kill()
        await server.start()
      }
      await destination.flush({ run: 'run', page: n + 1, rows: 3 * (n + 1), position: page.next, end: n === 3 })
    }
    await destination.close()
    const messages = await consoleConsume('kept', { at: server.address })
    expect(messages.map(({ key }) => key)).toEqual(idsOf(pages))
  } finally {
    await server.remove()
  }
})
