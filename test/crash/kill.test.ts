// Every fault point of every mode, at its first, second and last passing (by day, at one of them): killed there, a
// run is resumed to the exact content. The points are read from the source, so that a new one without a case is a failure here.

import { afterAll, describe, expect, test } from 'vitest'
import { crash, finish, prepare } from './kill.ts'
import { occurrences, passesOf, pointNames } from './points.ts'
import { scenarios } from './scenario.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const prepared = new Map<string, { place: Workspace; passes: Map<string, number> }>()
await eachOf(Object.entries(scenarios), async ([name, scenario]) => {
  const place = await prepare(scenario)
  prepared.set(name, { place, passes: await passesOf(place, (copy, how) => finish(copy, scenario, how)) })
  return []
})

/** By day each point of this one; of the others, which write other things, those where they write. */
const EVERY_POINT = 'incrementalAppend'
const WRITING = /^(?:commit|publish)\.mid$/

afterAll(async () => {
  for (const { place } of prepared.values()) await place.remove()
})

for (const [name, scenario] of Object.entries(scenarios)) {
  const { place, passes } = prepared.get(name) as { place: Workspace; passes: Map<string, number> }
  describe.concurrent(scenario.title, () => {
    const points = [...passes].filter(([point]) => NIGHTLY || name === EVERY_POINT || WRITING.test(point))
    test.each(points)(
      'killed at %s, of %d passings, it is resumed to the exact content',
      async (point, times) => {
        const passings = occurrences(times, true)
        const complaints = await eachOf(passings, (at) => crash(place, scenario, [`${point}@${at}`]))
        expect(complaints).toEqual([])
      },
      TEST_LIMIT_MS,
    )
  })
}

test('every fault point of the source is passed by a run or by a recovery of these tests', async () => {
  const passed = new Set([...prepared.values()].flatMap(({ passes }) => [...passes.keys()]))
  const names = await pointNames()
  const left = [...names].filter((name) => !passed.has(name))
  // The recovery's own points are killed in recovery.test.ts, those of a pipe in pipe.test.ts, of a queue in
  // queue.test.ts, of columns in columns.test.ts.
  expect(left.filter((name) => !/^(?:recover|pipe|put|ack|ddl)\./.test(name))).toEqual([])
})
