// CSV and Parquet files, killed at the fault points that are theirs: the next run ends with the exact rows, as Python and
// DuckDB read them. How often it was killed is part of the test, so that a point that nobody passes any more does not go
// unnoticed.

import { afterAll, describe, expect, test } from 'vitest'
import { formatScenarios } from './formats.ts'
import { crash, finish, prepare } from './kill.ts'
import { occurrences, passesOf } from './points.ts'
import type { Scenario } from './scenario.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

/**
 * By day, where the format has a way of its own: CSV where its header is written or left out, Parquet where a part or a
 * version gets its name. How often that is.
 */
const BY_DAY: { readonly [name in keyof typeof formatScenarios]: readonly [points: RegExp, kills: number] } = {
  csvFullRefresh: [/^stage\.after/, 1],
  csvAppend: [/^(?:stage\.mid|commit\.after|publish\.mid)/, 3],
  csvStream: [/^(?:stage\.mid|commit\.after)/, 2],
  parquetFullRefresh: [/^(?:stage|commit|publish|cleanup)\./, 8],
  parquetAppend: [/^(?:commit\.mid|publish|cleanup)/, 4],
  parquetStream: [/^(?:stage\.mid|commit)/, 4],
}

type Name = keyof typeof formatScenarios
const prepared: { name: Name; scenario: Scenario; place: Workspace; points: string[] }[] = []
await eachOf(Object.keys(formatScenarios) as Name[], async (name) => {
  const scenario: Scenario = formatScenarios[name]
  const place = await prepare(scenario)
  const passes = await passesOf(place, (copy, how) => finish(copy, scenario, how))
  const points = [...passes].flatMap(([point, times]) => {
    if (NIGHTLY) return occurrences(times, true).map((at) => `${point}@${at}`)
    // A run of Parquet claims its state file and its folder by the first two commits; parts follow.
    const at = Math.min(name.startsWith('csv') ? 2 : 4, times)
    return BY_DAY[name][0].test(point) ? [`${point}@${at}`] : []
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
    `killed ${NIGHTLY ? 'at every point' : `${BY_DAY[name][1]} times`}, each time it is resumed to the exact rows`,
    async () => {
      expect(await eachOf(points, (point) => crash(place, scenario, [point]))).toEqual([])
      if (!NIGHTLY) expect(points.length, points.join()).toBe(BY_DAY[name][1])
    },
    TEST_LIMIT_MS,
  )

  const isDeep = NIGHTLY || name === 'parquetStream'
  if (isDeep) {
    test('killed again and again, also while it recovers, it is resumed to the exact rows', async () => {
      const deep = ['stage.after@2', 'commit.mid@1', 'commit.after@1', 'commit.before@2']
      expect(await crash(place, scenario, deep)).toEqual([])
    })
  }
})
