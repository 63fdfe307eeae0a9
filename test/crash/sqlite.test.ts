// The sqlite destination, killed at its fault points in every mode: the next run ends with the exact rows. How often it was
// killed is part of the test, so that a point that nobody passes any more does not go unnoticed.

import { afterAll, describe, expect, test } from 'vitest'
import { occurrences, passesOf } from './points.ts'
import { crash, finish, prepare, type SqliteScenario, sqliteScenarios } from './sqlite.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

/** The points of the destination, and of who is told what it did. The others are one way in every destination. */
const OWN = /^(?:stage|commit|publish|cursor)\./

/** By day. In the first mode also at the first passing. */
const KILLS: { readonly [name in keyof typeof sqliteScenarios]: number } = {
  sqliteFullRefresh: 14,
  sqliteRefill: 3,
  sqliteAppend: 3,
  sqliteMerge: 3,
  sqliteStream: 7,
}
/** Whose points up to the publish are those of another mode. */
const PUBLISH_ONLY: readonly string[] = ['sqliteRefill', 'sqliteAppend', 'sqliteMerge']

type Name = keyof typeof sqliteScenarios

const prepared: { name: Name; scenario: SqliteScenario; place: Workspace; points: string[] }[] = []
await eachOf(Object.keys(sqliteScenarios) as Name[], async (name) => {
  const scenario: SqliteScenario = sqliteScenarios[name]
  const place = await prepare(scenario)
  const passes = await passesOf(place, (copy, execution) => finish(copy, scenario, execution))
  const points = [...passes].flatMap(([point, times]) => {
    if (!NIGHTLY && !OWN.test(point)) return []
    if (!NIGHTLY && PUBLISH_ONLY.includes(name) && !point.startsWith('publish.')) return []
    const first = name === 'sqliteFullRefresh' && /^(?:commit|stage\.mid)/.test(point) ? [1] : []
    return [...new Set([...first, ...occurrences(times, true)])].map((at) => `${point}@${at}`)
  })
  prepared.push({ name, scenario, place, points })
  return []
})
prepared.sort((one, other) => (one.name < other.name ? -1 : 1))
afterAll(async () => {
  for (const { place } of prepared) await place.remove()
})

describe.each(prepared)('$scenario.title', ({ name, scenario, place, points }) => {
  test(
    `killed ${KILLS[name]} times, each time it is resumed to the exact rows`,
    async () => {
      expect(await eachOf(points, (point) => crash(place, scenario, [point]))).toEqual([])
      if (!NIGHTLY) expect(points.length, points.join()).toBe(KILLS[name])
    },
    TEST_LIMIT_MS,
  )
})

test('killed again and again, also while it recovers, it is resumed to the exact rows', async () => {
  const deep = ['stage.after@2', 'commit.mid@1', 'commit.after@1', 'commit.before@2', 'cursor.before@1']
  const modes = prepared.filter(({ name }) => NIGHTLY || name === 'sqliteMerge')
  expect(await eachOf(modes, ({ place, scenario }) => crash(place, scenario, deep))).toEqual([])
})
