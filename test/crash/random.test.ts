// Kills at moments that nobody chose. Each kill comes at a random time after the run has begun to write; a run that
// got no further than the one before is given more time, so that there is an end.

import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { randomOf } from '../../lib/chaos/points.ts'
import { finish, prepare, resume } from './kill.ts'
import { complaintsBetween, sidecarOf, stateOf } from './oracle.ts'
import { appendOf, fullRefreshOf, lines, pipelineFile, type Scenario } from './scenario.ts'
import { NIGHTLY, TEST_LIMIT_MS, until, type Workspace } from './workspace.ts'

const KILLS = NIGHTLY ? 300 : 6
const ROWS = NIGHTLY ? 4000 : 2000
const FIRST_WINDOW_MS = 30
const MOST_WINDOW_MS = 2000

const seed = Number(process.env.BIZON_SEED ?? randomInt(2 ** 31))

const ALL = lines(0, ROWS)
const EARLIER = lines(0, 60)
const [main, sidecar] = [{ path: 'out/records.json', holds: 'six columns' } as const, 'out/.records.state.json']
const cases: readonly Scenario[] = [
  fullRefreshOf(ALL),
  appendOf(EARLIER, ALL),
  {
    title: 'stream',
    files: { 'pipeline.yml': pipelineFile({ mode: 'stream' }), 'source.ndjson': ALL },
    targets: [{ ...main, after: ALL }],
    meanwhile: 'part of what was added',
    stopAt: ROWS,
    sidecar,
  },
]

describe.each(cases)('$title', (scenario) => {
  test(
    `killed ${KILLS} times or more at random moments, it ends exact (BIZON_SEED=${seed})`,
    async () => {
      const random = randomOf(seed)
      const prepared = await prepare(scenario)
      let kills = 0
      let within = 0
      try {
        // Kills that all fall before the first commit or after the last would prove little.
        while (kills < KILLS || within < KILLS / 4) {
          const place = await prepared.copy()
          try {
            const counts = await killUntilDone(place, scenario, random, Math.max(1, KILLS - kills))
            kills += counts.kills
            within += counts.within
            expect(await resume(place, scenario)).toEqual([])
          } finally {
            await place.remove()
          }
        }
      } finally {
        await prepared.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})

/** Kills until the run has all rows, or `most` times. `within`: how many fell between the first row and the last. */
async function killUntilDone(place: Workspace, scenario: Scenario, random: () => number, most: number) {
  let window = FIRST_WINDOW_MS
  let [kills, within] = [0, 0]
  let rows = await durableRows(place, scenario)
  while (kills < most && rows < ROWS) {
    const ended = await runAndKill(place, scenario, random() * window)
    if (ended.signal !== 'SIGKILL') {
      expect(ended).toMatchObject({ code: scenario.stopAt === undefined ? 0 : 143 })
      break
    }
    kills += 1
    expect(await complaintsBetween(place, scenario, await stateOf(place))).toEqual([])
    const now = await durableRows(place, scenario)
    if (now > 0 && now < ROWS) within += 1
    if (now <= rows) window = Math.min(window * 1.5, MOST_WINDOW_MS)
    rows = now
  }
  return { kills, within }
}

async function runAndKill(place: Workspace, scenario: Scenario, afterMs: number) {
  const before = (await sidecarOf(place, scenario.sidecar))?.epoch
  return finish(place, scenario, {
    async during(child) {
      const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null
      const hasBegun = async () => isOver() || (await sidecarOf(place, scenario.sidecar))?.epoch !== before
      await until('it has begun to write', hasBegun)
      await sleep(afterMs)
      child.kill('SIGKILL')
    },
  })
}

/** Of the run at hand; that of an earlier run is another one. */
async function durableRows(place: Workspace, { sidecar: path }: Scenario): Promise<number> {
  const held = await sidecarOf(place, path)
  return held?.phase === 'published' ? 0 : (held?.checkpoint?.rows ?? 0)
}
