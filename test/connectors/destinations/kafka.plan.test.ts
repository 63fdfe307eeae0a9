// `bizon plan` from topics to topics: what it says is what the run then does, and nothing is made, joined or sent.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { planText } from '../../../bin/commands/plan/text.ts'
import { runPipeline } from '../../../lib/commands.ts'
import { loadConfig, type PipelineConfig } from '../../../lib/config.ts'
import { planRun } from '../../../lib/plan/run.ts'
import { freshTopic, produce } from '../../support/kafka.ts'
import { withClient } from '../../support/kafka-client.ts'
import { sharedKafka } from '../../support/services/kafka.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-plan-'))
  return () => rm(folder, { recursive: true, force: true })
})

async function configOf(topic: string, mode: string, destination: object = {}): Promise<PipelineConfig> {
  const { plain } = await sharedKafka()
  return (await loadConfig(
    {
      name: 'planned',
      source: {
        name: 'kafka',
        stream: 'topic',
        sync_mode: mode,
        bootstrap_servers: plain,
        group_id: `${topic}.group`,
        topics: [{ name: topic }],
        message_encoding: 'utf-8',
      },
      destination: {
        name: 'kafka',
        config: {
          destination_id: `${topic}.out`,
          state_topic: `${topic}.state`,
          bootstrap_servers: plain,
          ...destination,
        },
      },
      engine: { backend: { type: 'sqlite', config: { database: join(folder, 'state') } } },
    } as Record<string, unknown>,
    ['source', 'destination'],
  )) as PipelineConfig
}

const send = (topic: string, partition: number, count: number) =>
  produce(
    topic,
    Array.from({ length: count }, (_, n) => ({ partition, value: `{"n":${n}}` })),
  )

test('partitions with their offsets, and topics with what becomes of them', async () => {
  const topic = await freshTopic({ partitions: 2 })
  await send(topic, 0, 5)
  await send(topic, 1, 2)
  const config = await configOf(topic, 'incremental')
  const first = await planRun(config)
  expect(first.reads).toEqual([
    { what: `${topic}/0`, unit: 'offset', from: 0, to: 5, records: 5 },
    { what: `${topic}/1`, unit: 'offset', from: 0, to: 2, records: 2 },
  ])
  expect(first.changes).toEqual([
    { target: `topic ${topic}.state`, action: 'create', reason: 'for the checkpoints' },
    { target: `topic ${topic}.out`, action: 'create', reason: 'with the partitions that the brokers give it' },
  ])
  expect(first.reasons).toContain(
    'fetches everything and adds it to what is there: no incremental run has succeeded yet',
  )
  await withClient(async (client) => {
    expect((await client.topics()).filter((name) => name.startsWith(topic))).toEqual([topic])
  })
  expect(await runPipeline(config)).toMatchObject({ status: 'complete', rows: 7 })
  await send(topic, 1, 3)
  const second = await planRun(config)
  expect(second.reads).toEqual([
    { what: `${topic}/0`, unit: 'offset', from: 5, to: 5, records: 0 },
    { what: `${topic}/1`, unit: 'offset', from: 2, to: 5, records: 3 },
  ])
  // Each end of a transaction has an offset of its own.
  expect(second.changes).toEqual([
    { target: `topic ${topic}.out`, action: 'append', reason: 'a partition, now up to offset 0:8' },
  ])
  expect(planText(config, second)).toContain(
    [`Reads      at most 3 records`, `${topic}/0: nothing behind offset 5`, `${topic}/1: offset 2 up to 4, 3\n`].join(
      '\n           ',
    ),
  )
  expect(await runPipeline(config)).toMatchObject({ status: 'complete', rows: 3 })
})

test('of a stream what waits; no group is joined, and what refuses a run refuses the plan', async () => {
  const topic = await freshTopic()
  await send(topic, 0, 4)
  const config = await configOf(topic, 'stream')
  const plan = await planRun(config)
  expect(plan.reads).toEqual([{ what: `${topic}/0`, unit: 'offset', from: 0, to: 4, records: 4, goesOn: true }])
  expect(planText(config, plan)).toContain('at most 4 records that wait now, then what comes')
  await withClient(async (client) => {
    expect(await client.committed(`${topic}.group`, [topic])).toEqual([])
  })
  await expect(planRun(await configOf(topic, 'stream', { create_topics: false }))).rejects.toThrow(
    `there is no topic ${topic}.out`,
  )
})
