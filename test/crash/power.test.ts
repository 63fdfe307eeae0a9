// The power goes while a run loads into a SQLite file: of what SQLite wrote and had not synced anything may be missing, in the file,
// in its log and in the state store beside it. The next run ends with the exact rows, as sqlite3 reads them.

import { link, rm } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { afterPowerCut, type Recording } from '../support/power.ts'
import { luckOf } from '../support/power-cut.ts'
import { beforeTrace, recordingOf, tracing } from '../support/power-trace.ts'
import type { Mutant } from './mutants.ts'
import { finish, prepare, resume, type SqliteScenario, sqliteScenarios } from './sqlite.ts'
import { canTrace } from './strace.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { BIZON, eachOf, fewOf, inTurn, NIGHTLY, TEST_LIMIT_MS, Workspace } from './workspace.ts'

const isTraced = await canTrace()

interface Recorded {
  /** Where it ran, with its source. */
  readonly place: Workspace
  readonly recording: Recording
}

async function record(scenario: SqliteScenario, program: string): Promise<Recorded> {
  const place = await prepare(scenario)
  const before = await beforeTrace(place.folder)
  const notes = await Workspace.create()
  try {
    const log = notes.path('calls')
    const { code, signal, stderr } = await finish(place, scenario, { program, under: tracing(log) })
    if (code !== (scenario.stopAt === undefined ? 0 : 143))
      throw new Error(`traced, it ended with ${code ?? signal}: ${stderr}`)
    return { place, recording: await recordingOf({ folder: place.folder, before, log }) }
  } finally {
    await notes.remove()
  }
}

/** What is wrong once the power has gone behind so many operations, and once the next run has ended. */
async function cut(
  scenario: SqliteScenario,
  { place, recording }: Recorded,
  count: number,
  seed: number,
): Promise<string[]> {
  const left = await Workspace.create()
  try {
    await afterPowerCut(recording, count, luckOf(seed), left.folder)
    // The same file, as it is for a resume.
    await rm(left.path(SOURCE))
    await link(place.path(SOURCE), left.path(SOURCE))
    const complaints = await resume(left, scenario).catch((error: Error) => [error.message])
    return complaints.map(
      (complaint) => `behind ${count} of ${recording.operations.length}, seed ${seed}: ${complaint}`,
    )
  } finally {
    await left.remove()
  }
}

const SOURCE = 'source.ndjson'

/** Before some of the syncs, when most is at stake, and at the very end. */
function someCounts({ operations }: Recording): number[] {
  const counts = operations.map((_, at) => at + 1)
  const risky = counts.filter((count) => operations[count]?.kind === 'sync' || count === operations.length)
  const step = Math.ceil(risky.length / CUTS_BY_DAY)
  return risky.filter((_, at) => at % step === 0 || at === risky.length - 1)
}

const CUTS_BY_DAY = 10
/** Of what was not synced there is nothing, or anything. */
const SEEDS = NIGHTLY ? [0, 2, 3] : [0]

async function cutAll(scenario: SqliteScenario, recorded: Recorded, counts: readonly number[]): Promise<string[]> {
  const cuts = counts.flatMap((count) => SEEDS.map((seed) => ({ count, seed })))
  return eachOf(cuts, ({ count, seed }) => cut(scenario, recorded, count, seed))
}

const { sqliteAppend, sqliteStream, sqliteFullRefresh } = sqliteScenarios
const scenarios: readonly SqliteScenario[] = [sqliteAppend, sqliteStream, sqliteFullRefresh]

describe.runIf(isTraced)('the power goes while rows come into a SQLite file', () => {
  test.each(fewOf(scenarios, 2))(
    '$title: the next run ends with the exact rows',
    async (scenario) => {
      const recorded = await record(scenario, BIZON)
      try {
        const kinds = new Set(recorded.recording.operations.map(({ kind }) => kind))
        expect([...kinds].sort()).toEqual(expect.arrayContaining(['name', 'sync', 'syncFolder', 'write']))
        const { operations } = recorded.recording
        const counts = NIGHTLY ? operations.map((_, at) => at + 1) : someCounts(recorded.recording)
        expect(counts.length).toBeGreaterThanOrEqual(8)
        expect(await cutAll(scenario, recorded, counts)).toEqual([])
      } finally {
        await recorded.place.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})

const mutants: readonly Mutant[] = [
  {
    title: 'SQLite does not sync its log before a commit counts',
    replacements: [
      { file: 'connectors/destinations/sqlite/session.ts', find: "? 'FULL' : 'OFF'", replace: "? 'OFF' : 'OFF'" },
    ],
  },
  {
    title: 'SQLite syncs its log only when it moves it into the file',
    replacements: [
      { file: 'connectors/destinations/sqlite/session.ts', find: "? 'FULL' : 'OFF'", replace: "? 'NORMAL' : 'OFF'" },
    ],
  },
]

test.each(mutants)('what it replaces is there: $title', ({ replacements }) => checkReplacements(replacements))

describe.runIf(isTraced)('it is found that', () => {
  test.each(fewOf(mutants, 1))(
    '$title',
    async ({ title, replacements }) => {
      const twin = await inTurn(() => buildTwin(title, replacements))
      const recorded = await record(sqliteAppend, twin.program)
      try {
        expect(await cutAll(sqliteAppend, recorded, someCounts(recorded.recording))).not.toEqual([])
      } finally {
        await recorded.place.remove()
        await twin.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})
