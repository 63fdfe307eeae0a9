// Recovery is killed as well: a run that puts right what a kill has left may itself be killed at each of its points,
// again and again, and the source may have moved on meanwhile.

import { afterAll, describe, expect, test } from 'vitest'
import { crash, finish, killAt, prepare, resume } from './kill.ts'
import { sidecarOf } from './oracle.ts'
import { occurrences, passesOf, pointNames } from './points.ts'
import { grown, lines, type Scenario, scenarios } from './scenario.ts'
import { eachOf, fewOf, inTurn, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const folders: Workspace[] = []
afterAll(async () => {
  for (const folder of folders) await folder.remove()
})

/** First kills that leave something to put right, one for each way to recover. */
const FIRST: readonly (readonly [scenario: keyof typeof scenarios, failpoint: string])[] = [
  ['fullRefresh', 'stage.after@1'],
  ['fullRefreshOver', 'stage.after@3'],
  ['fullRefreshOver', 'publish.mid'],
  ['incrementalAppend', 'fsync.after@3'],
  ['incrementalAppend', 'publish.mid'],
  ['incrementalAppend', 'publish.after'],
  ['reset', 'commit.mid@3'],
  ['stream', 'stage.mid@3'],
  ['routed', 'commit.before@3'],
]

const passed = new Set<string>()
const crashed = await Promise.all(FIRST.map(async ([name, failpoint]) => ({ name, failpoint, ...(await begin(name)) })))
await eachOf(crashed, async (each) => {
  const { place, scenario, failpoint } = each
  const complaints = await killAt(place, scenario, failpoint)
  if (complaints.length > 0) throw new Error(complaints.join('\n'))
  each.passes = await passesOf(place, (copy, how) => finish(copy, scenario, how))
  for (const point of each.passes.keys()) passed.add(point)
  return []
})

async function begin(name: keyof typeof scenarios) {
  const scenario: Scenario = scenarios[name]
  const place = await prepare(scenario)
  folders.push(place)
  return { place, scenario, passes: new Map<string, number>() }
}

/** The points of opening and publishing; what lies between is no different from a first run, so that it waits for the night. */
const isRecovery = (point: string): boolean => /^(?:recover|commit\.mid|publish\.mid|cleanup)/.test(point)

describe.concurrent.each(crashed)('$scenario.title, killed at $failpoint', ({ place, scenario, passes }) => {
  test(
    'is killed once more at each point of the run that resumes it, and ends exact',
    async () => {
      const points = [...passes].filter(([point]) => NIGHTLY || isRecovery(point))
      const cases = points.flatMap(([point, times]) =>
        (NIGHTLY ? occurrences(times) : [1]).map((at) => `${point}@${at}`),
      )
      expect(cases.length).toBeGreaterThan(NIGHTLY ? 3 : 0)
      expect(await eachOf(cases, (second) => crash(place, scenario, [second]))).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

test('every point of a recovery is among those', async () => {
  const names = [...(await pointNames())].filter((name) => name.startsWith('recover.'))
  expect(names.length).toBeGreaterThan(0)
  expect(names.filter((name) => !passed.has(name))).toEqual([])
})

/** Six kills in a row, each but the first within the recovery from the one before. */
const DEEP: readonly (readonly [scenario: keyof typeof scenarios, failpoints: readonly string[]])[] = [
  [
    'fullRefreshOver',
    ['stage.after@3', 'recover.truncate', 'commit.before', 'commit.mid', 'commit.after', 'run.created'],
  ],
  ['fullRefreshOver', ['publish.mid', 'run.created', 'commit.before', 'commit.mid', 'commit.after', 'publish.after']],
  ['incrementalAppend', Array(6).fill('publish.mid') as string[]],
  ['incrementalAppend', ['cleanup.mid', 'run.created', 'commit.before', 'commit.mid', 'commit.after', 'status.before']],
  ['stream', ['stage.after@3', 'stage.after', 'stage.after', 'recover.truncate', 'commit.mid', 'commit.after']],
  ['reset', ['publish.before', 'commit.mid@2', 'commit.after@2', 'publish.mid', 'commit.before@2', 'status.before']],
]

test.concurrent.each(fewOf(DEEP, 1))('%s killed six times in a row, at %j, ends exact', async (name, failpoints) => {
  const scenario = scenarios[name]
  const place = await prepare(scenario)
  folders.push(place)
  expect(await inTurn(() => crash(place, scenario, failpoints))).toEqual([])
})

test.concurrent.each(fewOf(['stage.after@3', 'commit.mid@4', 'stage.mid@3', 'fsync.after@3'], 1))(
  'rows that the source has changed since a kill at %s are taken as they are now, and only once',
  async (failpoint) => {
    const place = await prepare(scenarios.fullRefreshOver)
    folders.push(place)
    expect(await killAt(place, scenarios.fullRefreshOver, failpoint)).toEqual([])
    const kept = (await sidecarOf(place, scenarios.fullRefreshOver.sidecar))?.checkpoint?.rows ?? 0
    expect(kept).toBeGreaterThan(0)
    const now = lines(0, kept) + lines(kept, kept + 2, 'changed')
    await place.write({ 'source.ndjson': grown(now) })
    const [target] = scenarios.fullRefreshOver.targets
    expect(
      await resume(place, { ...scenarios.fullRefreshOver, targets: [{ ...target, after: now } as never] }),
    ).toEqual([])
  },
)
