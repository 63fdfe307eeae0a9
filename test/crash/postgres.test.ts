// The postgres destination, killed at every fault point of every mode: the next run ends with the exact rows. How often
// it was killed is part of the test, so that a point that nobody passes any more does not go unnoticed.

import { afterAll, describe, expect, test } from 'vitest'
import { occurrences, passesOf } from './points.ts'
import { crash, type PostgresScenario, postgresScenarios, Trial } from './postgres.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS } from './workspace.ts'

/** The points of the destination. The others are one way in every destination. */
const OWN = /^(?:stage|commit|publish)\./

/** Whose points up to the last commit are by day those of another mode. */
const LAST = /^(?:commit\.mid|publish\..*)$/
const LAST_ONLY: readonly string[] = ['postgresAppend', 'postgresMerge']

/** By day. In the first mode also the other points. */
const KILLS: { readonly [name in keyof typeof postgresScenarios]: number } = {
  postgresFullRefresh: 16,
  postgresAppend: 4,
  postgresMerge: 4,
  postgresStream: 5,
}

const prepared: { name: keyof typeof postgresScenarios; scenario: PostgresScenario; trial: Trial; points: string[] }[] =
  []
await eachOf(Object.keys(postgresScenarios) as (keyof typeof postgresScenarios)[], async (name) => {
  const scenario: PostgresScenario = postgresScenarios[name]
  const trial = await Trial.prepare(scenario)
  const passes = await passesOf(trial.place, async (place, execution) => {
    const copy = new Trial(place, (await trial.copy()).database)
    await copy.finish(scenario, execution)
  })
  const points = [...passes].flatMap(([point, times]) => {
    const isOwn = OWN.test(point)
    const isFirst = name === 'postgresFullRefresh'
    if (!isOwn && !isFirst && !NIGHTLY) return []
    if (!NIGHTLY && LAST_ONLY.includes(name) && !LAST.test(point)) return []
    return occurrences(times, true).map((at) => `${point}@${at}`)
  })
  prepared.push({ name, scenario, trial, points })
  return []
})
prepared.sort((one, other) => (one.name < other.name ? -1 : 1))
afterAll(async () => {
  for (const { trial } of prepared) await trial.remove()
})

describe.each(prepared)('$scenario.title', ({ name, scenario, trial, points }) => {
  test(
    `killed ${KILLS[name]} times, each time it is resumed to the exact rows`,
    async () => {
      expect(await eachOf(points, (point) => crash(trial, scenario, [point]))).toEqual([])
      if (!NIGHTLY) expect(points.length, points.join()).toBe(KILLS[name])
    },
    TEST_LIMIT_MS,
  )

  // By day of one mode: recovery is one way in all of them.
  if (!NIGHTLY && name !== 'postgresFullRefresh') return
  test(
    'killed again and again, also while it recovers, it is resumed to the exact rows',
    async () => {
      const deep = ['stage.after@2', 'commit.mid@1', 'commit.after@1', 'commit.before@2', 'cursor.before@1']
      expect(await crash(trial, scenario, deep)).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})
