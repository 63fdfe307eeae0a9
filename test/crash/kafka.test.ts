// The kafka destination, killed at every fault point of every mode: the next run ends with the exact messages. How often it
// was killed is part of the test, so that a point that nobody passes any more does not go unnoticed.

import { describe, expect, test } from 'vitest'
import { freshTopic } from '../support/kafka.ts'
import { Case, type KafkaScenario, kafkaScenarios, lookBack } from './kafka.ts'
import { occurrences } from './points.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS } from './workspace.ts'

interface ByDay {
  /** The points at which it is killed at the second passing, if there is one, and those at the first as well. */
  readonly own: RegExp
  readonly first?: RegExp
  readonly kills: number
}

/** What it does beside, nobody does otherwise in another destination. With the five in a row they are thirty. */
const BY_DAY: { readonly [name in keyof typeof kafkaScenarios]: ByDay } = {
  kafkaAppend: { own: /^(?:stage|commit|cursor|end|publish|status)\./, kills: 12 },
  kafkaStream: { own: /^(?:fetch|stage|commit|cursor)\./, first: /^(?:commit\.|stage\.mid)/, kills: 13 },
}
const DEEP = ['stage.after@2', 'commit.mid@1', 'commit.after@1', 'commit.before@2', 'cursor.before@1']

describe.each(Object.entries(kafkaScenarios))('%s', { timeout: TEST_LIMIT_MS }, (name, scenario: KafkaScenario) => {
  test('killed at each of its points, and again while it recovers, it is resumed to the exact messages', async () => {
    const topic = await freshTopic()
    const byDay: ByDay = BY_DAY[name as keyof typeof BY_DAY]
    const points = await pointsOf(scenario, byDay)
    if (!NIGHTLY) expect(points.length, points.join()).toBe(byDay.kills)
    const cases = new Map<string, Case>()
    const deep = NIGHTLY || scenario.earlier === 0 ? [DEEP] : []
    const trials = [...points.map((point) => [point]), ...deep]
    const complaints = await eachOf(trials, async (failpoints) => {
      const one = await Case.prepare(scenario, topic)
      cases.set(failpoints.join(), one)
      return one.crash(failpoints)
    })
    expect([...complaints, ...(await lookBack(topic, cases))]).toEqual([])
    await Promise.all([...cases.values()].map((one) => one.remove()))
  })
})

async function pointsOf(scenario: KafkaScenario, { own, first }: ByDay): Promise<string[]> {
  const one = await Case.prepare(scenario, await freshTopic())
  await one.finish({ env: { BIZON_FAULTS_TO: one.place.path('points') } })
  const passes = new Map<string, number>()
  for (const name of (await one.place.read('points'))?.toString().split('\n').slice(0, -1) ?? []) {
    passes.set(name, (passes.get(name) ?? 0) + 1)
  }
  await one.remove()
  return [...passes].flatMap(([point, times]) => {
    if (!NIGHTLY && !own.test(point)) return []
    const chosen = new Set([...(first?.test(point) ? [1] : []), ...occurrences(times, true)])
    return [...chosen].map((at) => `${point}@${at}`)
  })
}
