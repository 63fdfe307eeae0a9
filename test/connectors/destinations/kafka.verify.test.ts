// `bizon verify` of topics: each way in which messages can be other than they were sent is found, and what nobody can tell
// is said, not taken for good.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Verified, verify } from '../../../lib/audit/verify.ts'
import { runPipeline } from '../../../lib/commands.ts'
import { loadConfig, type PipelineConfig } from '../../../lib/config.ts'
import { lines } from '../../crash/scenario.ts'
import { createTopic, freshTopic, produce, type TestMessage, withKafka } from '../../support/kafka.ts'
import { withClient } from '../../support/kafka-client.ts'
import { messagesIn } from '../../support/kafka-destination.ts'
import { never } from '../../support/load.ts'
import { sharedKafka } from '../../support/services/kafka.ts'

const ROWS = 1100
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-verify-'))
  await writeFile(join(folder, 'source.ndjson'), lines(0, ROWS))
  return () => rm(folder, { recursive: true, force: true })
})

interface Given {
  readonly topic: string
  readonly destination?: object
  readonly mode?: 'full_refresh' | 'incremental'
  readonly verify?: boolean
  readonly path?: string
}

async function configOf({
  topic,
  destination,
  mode = 'full_refresh',
  verify: on = true,
  path = 'source.ndjson',
}: Given) {
  const { plain } = await sharedKafka()
  return (await loadConfig(
    {
      name: 'verified',
      verify: on,
      source: { name: 'file', stream: 'records', sync_mode: mode, path: join(folder, path), id_field: 'id' },
      destination: {
        name: 'kafka',
        config: {
          destination_id: topic,
          bootstrap_servers: plain,
          full_refresh: 'append',
          state_topic: `${topic}.state`,
          ...destination,
        },
      },
      engine: { backend: { type: 'sqlite', config: { database: join(folder, 'state') } } },
    } as Record<string, unknown>,
    ['source', 'destination'],
  )) as PipelineConfig
}

async function loaded(
  given: Omit<Given, 'topic'> = {},
  partitions = 3,
): Promise<{ readonly config: PipelineConfig; readonly topic: string }> {
  const topic = await freshTopic({ partitions })
  const config = await configOf({ topic, ...given })
  expect((await runPipeline(config)).status).toBe('complete')
  return { config, topic }
}

/** Of its one partition, what is before the offset. */
async function deleteRecords(topic: string, before: number): Promise<void> {
  await withKafka(undefined, async (kafka) => {
    const admin = kafka.admin()
    await admin.connect()
    // The client asks for it only then.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(before) }] })
    await admin.disconnect()
  })
}

type Change = (messages: TestMessage[]) => unknown

/** The topic anew, with what the change makes of its messages: nothing within a log can be changed. */
async function rewrite(topic: string, change: Change, config: Record<string, string> = {}): Promise<void> {
  const messages = await withClient(async (client): Promise<TestMessage[]> => {
    const found = (await messagesIn(client, topic)) ?? []
    await client.deleteTopics([topic])
    await expect.poll(() => client.hasTopic(topic), { timeout: 20_000 }).toBe(false)
    return found.map(({ key, value, headers }) => ({ key, value, headers: headers as Record<string, Buffer> }))
  })
  change(messages)
  await createTopic(topic, { config })
  await produce(topic, messages)
}

const numberOf = ({ headers = {} }: TestMessage): number => Number.parseInt(`${headers.bizon_id}`.slice(16), 16)
const row = (messages: TestMessage[], number: number): number =>
  messages.findIndex((message) => numberOf(message) === number - 1)
const change = (messages: TestMessage[], number: number, value: (text: string) => string): void => {
  const at = row(messages, number)
  messages[at] = { ...(messages[at] as TestMessage), value: value(`${messages[at]?.value}`) }
}

const kindsOf = ({ differences }: Verified): string[] =>
  differences.map(({ kind, rows, range, count }) => `${kind} ${rows ?? (range ? `within ${range}` : count)}`)

describe('with ids', () => {
  test('all partitions of a topic are compared with what the checkpoints say; runs add up', async () => {
    const { topic, config } = await loaded({ mode: 'incremental' })
    const expected = {
      rows: ROWS,
      differences: [],
      compared: 'records',
      tables: [{ place: `topic ${topic}`, rows: ROWS, expected: ROWS }],
    }
    expect(await verify(config)).toMatchObject(expected)
    await writeFile(join(folder, 'source.ndjson'), lines(0, ROWS + 20))
    expect((await runPipeline(config)).status).toBe('complete')
    expect(await verify(config)).toMatchObject({
      rows: ROWS + 20,
      differences: [],
      runs: [expect.any(String), expect.any(String)],
    })
  })

  test.each<[string, Change, string]>([
    [
      'a changed byte, and a missing message,',
      (messages) => {
        change(messages, 701, (text) => text.replace('"big":9', '"big":8'))
        messages.splice(row(messages, 1090), 1)
      },
      'changed 701; missing 1090',
    ],
    [
      'a doubled message, and one that is no JSON,',
      (messages) => {
        messages.push(messages[row(messages, 3)] as TestMessage)
        change(messages, 1050, () => 'null and void')
      },
      'doubled 3; changed 1050',
    ],
    [
      'one instead of another',
      (messages) => messages.splice(row(messages, 8), 1, messages[row(messages, 7)] as TestMessage),
      'doubled 7; missing 8',
    ],
  ])('%s is found', async (_, made, kinds) => {
    const { topic, config } = await loaded({}, 1)
    await rewrite(topic, made)
    expect(kindsOf(await verify(config)).join('; ')).toBe(kinds)
  })

  test('messages of others are told, since they may be a run that was lost; a difference of our own comes first', async () => {
    const { topic, config } = await loaded({}, 1)
    await produce(topic, [
      { value: '{}' },
      { value: '{}', headers: { bizon_id: '0'.repeat(32), source_record_id: 'x' } },
    ])
    await expect(verify(config)).rejects.toMatchObject({
      code: 'usage',
      message: `cannot verify: topic ${topic}: 2 rows ("x") are of no run that the state store knows: of another pipeline or program, or of a run that it has lost`,
    })
    await rewrite(topic, (messages) => change(messages, 5, () => '{}'))
    expect(kindsOf(await verify(config))).toEqual(['changed 5', 'unknown 2'])
  })

  test('what retention has deleted cannot be told from what was lost', async () => {
    const { topic, config } = await loaded({}, 1)
    await deleteRecords(topic, 10)
    await expect(verify(config)).rejects.toMatchObject({
      code: 'usage',
      message: `cannot verify: topic ${topic}: 10 rows are missing, and what was before offset 10 of partition 0 was deleted, by retention or by hand`,
    })
  })

  test('what was deleted before our own is no matter', async () => {
    const topic = await freshTopic()
    await produce(topic, [{ value: 'older' }, { value: 'older' }])
    await deleteRecords(topic, 2)
    const config = await configOf({ topic })
    await runPipeline(config)
    expect(await verify(config)).toMatchObject({ rows: ROWS, differences: [] })
  })

  test('of a topic that is compacted a missing key may have been replaced', async () => {
    const { topic, config } = await loaded({}, 1)
    await rewrite(topic, (messages) => messages.splice(row(messages, 4), 1), { 'cleanup.policy': 'compact' })
    await expect(verify(config)).rejects.toThrow(
      `topic ${topic}: a row is missing, and it is compacted: of each key the newest message stays`,
    )
  })

  test('a transaction that has not ended hides what is behind it', async () => {
    const topic = await freshTopic()
    await withClient(async (client) => {
      const producer = await client.producer({ transactionalId: topic }, never)
      await producer.begin()
      await producer.send([{ topic, key: null, value: '{}' }])
      const config = await configOf({ topic })
      await runPipeline(config)
      await expect(verify(config)).rejects.toThrow(
        `topic ${topic}: ${ROWS} rows are missing, and in partition 0 a transaction that began at offset 0 has not ended`,
      )
      await producer.abort()
      expect(await verify(config)).toMatchObject({ rows: ROWS, differences: [] })
    })
  })

  test('without digests messages are counted, each once', async () => {
    const { topic, config } = await loaded({ verify: false }, 1)
    expect(await verify(config)).toMatchObject({ compared: 'counts', blind: false, differences: [] })
    await rewrite(topic, (messages) => messages.splice(row(messages, 8), 1, messages[row(messages, 7)] as TestMessage))
    expect(kindsOf(await verify(config))).toEqual(['doubled 7', 'missing 8'])
  })

  test('what a run that was given up has left is known', async () => {
    const { topic, config } = await loaded({}, 1)
    await writeFile(join(folder, 'other.ndjson'), `${lines(ROWS, ROWS + 30)}{no\n`)
    const failing = await configOf({ topic, path: 'other.ndjson' })
    await expect(runPipeline(failing)).rejects.toThrow('invalid JSON')
    await expect(verify(failing)).rejects.toThrow(/has not ended, and part of it may be visible/)
    expect((await runPipeline(config)).status).toBe('complete')
    expect(await verify(config)).toMatchObject({ differences: [] })
  })
})

describe('without ids', () => {
  const destination = { metadata: 'none' }
  test('all messages together are compared', async () => {
    const { topic, config } = await loaded({ destination }, 2)
    expect(await verify(config)).toMatchObject({ compared: 'payloads', rows: ROWS, differences: [] })
    await rewrite(topic, (messages) => messages.splice(5, 1, { ...messages[5], value: '{}' }))
    expect(kindsOf(await verify(config))).toEqual([`differs within 1,${ROWS}`])
    await rewrite(topic, (messages) => messages.splice(5, 1))
    expect(kindsOf(await verify(config))).toEqual([`missing within 1,${ROWS}`])
  })

  test('more than were loaded may be those of others', async () => {
    const { topic, config } = await loaded({ destination }, 1)
    await produce(topic, [{ value: '{}' }])
    await expect(verify(config)).rejects.toThrow(
      `topic ${topic}: a row more than were loaded; without ids (metadata: none) nothing tells which are of other programs`,
    )
  })
})
