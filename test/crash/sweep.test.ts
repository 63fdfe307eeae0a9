// The exhaustive sweep: a small pipeline is killed at every single system call that changes one of its files, whoever
// makes it (the program, SQLite, the lock), and every time is resumed to the exact content. By day one of the pipelines, at one
// call of each kind.

import { afterAll, describe, expect, test } from 'vitest'
import { prepare, resume } from './kill.ts'
import { appendOf, fullRefreshOf, lines, type Scenario, scenarios } from './scenario.ts'
import { type Call, callsOf, canTrace, interfere } from './strace.ts'
import { eachOf, fewOf, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const ALL = lines(0, 48)
const EARLIER = lines(0, 20)

/** Two pages of 4 KiB each, and one that is longer. */
const swept: readonly Scenario[] = fewOf(
  [appendOf(EARLIER, ALL), fullRefreshOf(ALL), scenarios.routed, scenarios.reset, scenarios.fullRefreshOver],
  1,
)

const traced = await canTrace()
const prepared: { scenario: Scenario; place: Workspace; calls: Call[] }[] = []
if (traced) {
  for (const scenario of swept) {
    const place = await prepare(scenario)
    const calls = await callsOf(place, scenario)
    prepared.push({ scenario, place, calls })
  }
}
afterAll(async () => {
  for (const { place } of prepared) await place.remove()
})

describe.concurrent.each(prepared)('$scenario.title', ({ scenario, place, calls }) => {
  test.each(calls)(
    'killed at $name of $path, each of $times times, it is resumed to the exact content',
    async (call) => {
      const complaints = await eachOf(chosen(call), async (at) => {
        const copy = await place.copy()
        try {
          const { code, signal, stderr } = await interfere(copy, scenario, call, at, 'signal=SIGKILL')
          if (signal !== 'SIGKILL') return [`call ${at} did not come: exit ${code} ${stderr}`]
          return (await resume(copy, scenario)).map((complaint) => `call ${at}: ${complaint}`)
        } finally {
          await copy.remove()
        }
      })
      expect(complaints).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

test('the sweep meets every kind of call that a commit is made of', () => {
  if (!traced) return
  const names = new Set(prepared.flatMap(({ calls }) => calls.map(({ name }) => name)))
  expect([...names]).toEqual(expect.arrayContaining(['pwrite64', 'fdatasync', 'fsync', 'rename', 'unlink']))
})

/** By day the last call of a kind: those before are of earlier checkpoints. */
function chosen({ times }: Call): number[] {
  return NIGHTLY ? Array.from({ length: times }, (_, at) => at + 1) : [times]
}
