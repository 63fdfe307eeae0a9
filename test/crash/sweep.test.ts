// The exhaustive sweep: a small pipeline is killed at every single system call that changes one of its files, whoever
// makes it (the program, SQLite, the lock), and every time is resumed to the exact content.

import { afterAll, describe, expect, test } from 'vitest'
import { prepare, resume } from './kill.ts'
import { appendOf, fullRefreshOf, lines, type Scenario, scenarios } from './scenario.ts'
import { type Call, callsOf, canTrace, interfere } from './strace.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const ALL = lines(0, 48)
const EARLIER = lines(0, 20)

/** Two pages of 4 KiB each, and one that is longer. */
const swept: readonly Scenario[] = [
  fullRefreshOf(ALL),
  appendOf(EARLIER, ALL),
  ...(NIGHTLY ? [scenarios.routed, scenarios.reset, scenarios.fullRefreshOver] : []),
]

const traced = await canTrace()
const prepared: { scenario: Scenario; place: Workspace; calls: Call[] }[] = []
if (traced) {
  for (const scenario of swept) {
    const place = await prepare(scenario)
    prepared.push({ scenario, place, calls: await callsOf(place, scenario) })
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

/**
 * All by night. By day of SQLite's own calls, which are many and alike, the last; of those on the output and on state files
 * the second and the last: those between are of further checkpoints.
 */
function chosen({ path, times }: Call): number[] {
  const all = Array.from({ length: times }, (_, at) => at + 1)
  if (NIGHTLY) return all
  const isSqlite = /\.sqlite3(-\w+)?$/.test(path)
  return all.filter((at) => at === times || (!isSqlite && at === 2))
}
