// Runs that read Kafka, killed, and their broker killed: every message is in the file or the table once, in the order of its
// partition, byte for byte.

import { randomBytes } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { KafkaServer, sharedKafka } from '../support/services/kafka.ts'
import { kafkaPipeline, linesOf, makeTopic, type Span, send, toFile, toPostgres } from './kafka-source.ts'
import { crash, finish, prepare, resume } from './kill.ts'
import type { Mutant } from './mutants.ts'
import { complaintsAfter, sidecarOf, stateOf } from './oracle.ts'
import { occurrences, passesOf } from './points.ts'
import { crash as crashPostgres, type PostgresScenario, Trial } from './postgres.ts'
import type { Scenario } from './scenario.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { eachOf, fewOf, inTurn, NIGHTLY, TEST_LIMIT_MS, until, type Workspace } from './workspace.ts'

const at = await sharedKafka()
const freshName = (): string => `t-${randomBytes(8).toString('hex')}`
const [whole, grown, endless] = [freshName(), freshName(), freshName()]
/** Of the twins, which leave the offsets of their group there. */
const told = freshName()

const span = (partition: number, from: number, to: number): Span => ({ partition, from, to })
const WHOLE = [span(0, 0, 20), span(1, 0, 3), span(2, 0, 17)]
const EARLIER = [span(0, 0, 12), span(1, 0, 9)]
const LATER = [span(0, 12, 20), span(1, 9, 31)]
const ENDLESS = [span(0, 0, 40)]
await makeTopic(whole, WHOLE, at)
await makeTopic(grown, EARLIER, at)
await makeTopic(endless, ENDLESS, at)
await makeTopic(told, ENDLESS, at)

const target = { path: 'out/records.json', holds: 'bytes' } as const
const sidecar = 'out/.records.state.json'
const fullRefresh: Scenario = {
  title: 'full refresh of several partitions',
  files: { 'pipeline.yml': kafkaPipeline({ mode: 'full_refresh', topic: whole, at, destination: toFile }) },
  targets: [{ ...target, after: linesOf(whole, WHOLE) }],
  sidecar,
}
const incremental: Scenario = {
  title: 'incremental',
  earlier: { 'pipeline.yml': kafkaPipeline({ mode: 'incremental', topic: grown, at, destination: toFile }) },
  files: {},
  targets: [{ ...target, before: linesOf(grown, EARLIER), after: linesOf(grown, [...EARLIER, ...LATER]) }],
  meanwhile: 'part of what was added',
  sidecar,
}
const streamOf = (topic: string, broker = at): Scenario => ({
  title: 'stream',
  files: { 'pipeline.yml': kafkaPipeline({ mode: 'stream', topic, at: broker, destination: toFile }) },
  targets: [{ ...target, after: linesOf(topic, ENDLESS) }],
  meanwhile: 'part of what was added',
  stopAt: 40,
  sidecar,
})
const stream = streamOf(endless)
const scenarios = [fullRefresh, incremental, stream]

/** What the source passes, and what keeps and hands on its position; nightly every point there is. */
const POINTS = NIGHTLY ? /./ : /^(?:fetch|cursor|commit)\.after$/

const prepared = new Map<Scenario, { place: Workspace; passes: Map<string, number> }>()
for (const scenario of scenarios) {
  const place = await prepare(scenario)
  if (scenario === incremental) await send(grown, LATER, at)
  prepared.set(scenario, { place, passes: await passesOf(place, (copy, how) => finish(copy, scenario, how)) })
}
afterAll(async () => {
  for (const { place } of prepared.values()) await place.remove()
})

describe.each(scenarios)('kafka to a file, $title', (scenario) => {
  const { place, passes } = prepared.get(scenario) as { place: Workspace; passes: Map<string, number> }
  const points = [...passes].filter(([name]) => POINTS.test(name))

  test(
    'killed once it is resumed to the exact content',
    async () => {
      expect(points.length).toBeGreaterThanOrEqual(3)
      const kills = points.flatMap(([name, times]) => occurrences(times, true).map((nth) => `${name}@${nth}`))
      expect(await eachOf(kills, (kill) => crash(place, scenario, [kill]))).toEqual([])
    },
    TEST_LIMIT_MS,
  )

  // By day in one of them: what goes on is one way in all.
  if (!NIGHTLY && scenario !== stream) return
  test(
    'killed again and again while it goes on, it is resumed to the exact content',
    async () => {
      const kills = ['fetch.after@2', 'commit.after@1', 'cursor.before@1']
      expect(await crash(place, scenario, kills)).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

const postgresScenarios: readonly PostgresScenario[] = [
  {
    title: 'full refresh',
    files: { 'pipeline.yml': kafkaPipeline({ mode: 'full_refresh', topic: whole, at, destination: toPostgres }) },
    after: linesOf(whole, WHOLE),
    order: 'arrival',
  },
  {
    title: 'stream',
    files: { 'pipeline.yml': kafkaPipeline({ mode: 'stream', topic: endless, at, destination: toPostgres }) },
    after: linesOf(endless, ENDLESS),
    order: 'arrival',
    stopAt: 40,
    meanwhile: 'part of what was added',
  },
]

test.each(postgresScenarios)(
  'kafka to PostgreSQL, $title: killed, it is resumed to the exact rows',
  async (scenario) => {
    const trial = await Trial.prepare(scenario)
    try {
      const kills = [['commit.before@3'], ['commit.after@2', 'fetch.after@2']]
      expect(await eachOf(kills, (points) => crashPostgres(trial, scenario, points))).toEqual([])
    } finally {
      await trial.remove()
    }
  },
  TEST_LIMIT_MS,
)

test(
  'the broker is killed in the middle of a stream and started again: the same process goes on to the exact content',
  async () => {
    const server = await KafkaServer.create()
    const topic = freshName()
    const half = [span(0, 0, 20)]
    try {
      await makeTopic(topic, half, server.address)
      const scenario = streamOf(topic, server.address)
      const place = await prepare(scenario)
      try {
        const before = await stateOf(place)
        const rows = async (): Promise<number> => (await sidecarOf(place, sidecar))?.checkpoint?.rows ?? 0
        const { code, stderr } = await place.bizon({
          async during(child) {
            await until('half of it is durable', async () => (await rows()) >= 20, child)
            await server.kill()
            await server.start()
            await send(topic, [span(0, 20, 40)], server.address)
            await until('all of it is durable', async () => (await rows()) >= 40, child)
            child.kill('SIGTERM')
          },
        })
        expect({ code, stderr }).toMatchObject({ code: 143 })
        expect(await complaintsAfter(place, scenario, before)).toEqual([])
      } finally {
        await place.remove()
      }
    } finally {
      await server.remove()
    }
  },
  TEST_LIMIT_MS,
)

const KAFKA = 'connectors/sources/kafka'
const mutants: readonly (Mutant & { readonly kills: readonly string[]; readonly scenario: Scenario })[] = [
  {
    title: 'the group is told before the flush, and trusted at the start',
    replacements: [
      {
        file: 'lib/load.ts',
        find: 'const receipt = await this.#destination.flush(item)',
        replace:
          'if (item.position) await this.#source.acknowledge(item.position)\n    const receipt = await this.#destination.flush(item)',
      },
      {
        file: `${KAFKA}.ts`,
        find: "if (mode === 'stream') commits.add(position)",
        replace: "if (mode === 'stream') { commits.add(position); await commits.close() }",
      },
      {
        file: `${KAFKA}/bounds.ts`,
        find: 'topics.filter((topic) => !known?.has(topic))',
        replace: 'topics',
      },
      { file: `${KAFKA}/bounds.ts`, find: 'if (metadata !== OURS) committed', replace: 'committed' },
      {
        file: `${KAFKA}/bounds.ts`,
        find: 'known?.get(topic, partition) ?? committed.get(topic, partition)',
        replace: 'committed.get(topic, partition) ?? known?.get(topic, partition)',
      },
    ],
    // So many are left.
    scenario: { ...streamOf(told), stopAt: 30 },
    kills: ['stage.after@2'],
  },
  {
    title: 'only the partition of the last message moves on',
    replacements: [
      {
        file: `${KAFKA}/bounded.ts`,
        find: '    offsets.set(topic, partition, { next: end, end })\n',
        replace: '',
      },
    ],
    scenario: fullRefresh,
    kills: ['commit.after@4'],
  },
  {
    title: 'the end is where the topic ends when the read goes on',
    replacements: [
      {
        file: `${KAFKA}/bounds.ts`,
        find: 'if (span?.end !== undefined) found.set(topic, partition, rest(span.next, span.end, place, options))',
        replace: 'if (span?.end !== undefined) found.set(topic, partition, { next: low, end: high })',
      },
    ],
    scenario: fullRefresh,
    kills: ['commit.after@2'],
  },
]

test.each(mutants)('what it replaces is there: $title', ({ replacements }) => checkReplacements(replacements))

test.each(fewOf(mutants, 2))(
  'is found: $title',
  async ({ title, replacements, scenario, kills }) => {
    const twin = await inTurn(() => buildTwin(title, replacements))
    const place = await prepare(scenario)
    try {
      const complaints = await crash(place, scenario, kills, twin.program)
      expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
      // And only by the kill.
      if (scenario.stopAt === undefined) expect(await resume(place, scenario, twin.program)).toEqual([])
    } finally {
      await place.remove()
      await twin.remove()
    }
  },
  TEST_LIMIT_MS,
)
