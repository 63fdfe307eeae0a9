// Parents and their lists in tables of their own, killed on the way: they are all there once, each row with its own parent,
// and readers see them change at one moment. And the same of a twin of the program that has a fault must be found.

import { afterAll, describe, expect, test } from 'vitest'
import { crash, type Database, scenarioOf, Trial } from './child-tables.ts'
import { occurrences, passesOf } from './points.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { BIZON, eachOf, inTurn, NIGHTLY, TEST_LIMIT_MS } from './workspace.ts'

const databases: readonly Database[] = ['sqlite', 'postgres']
const modes = ['full_refresh', 'incremental', 'merged'] as const

/** By day: within a page, behind a checkpoint and before the next, and between the tables of the publish. */
const BY_DAY: { readonly [scenario: string]: readonly string[] } = {
  'sqlite full_refresh': ['stage.mid@9', 'commit.after@4', 'publish.mid@2'],
  'sqlite incremental': ['commit.after@3'],
  'sqlite merged': ['publish.mid@2'],
  'postgres full_refresh': ['commit.after@4', 'publish.mid@2'],
  'postgres incremental': ['commit.after@3'],
  'postgres merged': ['publish.mid@2'],
}

const prepared = new Map<string, Promise<Trial>>()
function prepare(database: Database, mode: (typeof modes)[number]): Promise<Trial> {
  const name = `${database} ${mode}`
  const trial = prepared.get(name) ?? Trial.prepare(scenarioOf(database, mode))
  prepared.set(name, trial)
  return trial
}
afterAll(async () => {
  for (const trial of prepared.values()) await (await trial).remove()
})

/** By night every point that a run passes. */
async function pointsOf(trial: Trial): Promise<string[]> {
  const copy = await trial.copy()
  const passes = await passesOf(copy.place, (_, execution) => copy.run(execution))
  await copy.remove()
  return [...passes].flatMap(([point, times]) => occurrences(times).map((at) => `${point}@${at}`))
}

describe.each(databases)('%s', (database) => {
  test.each(modes)(
    '%s, killed anywhere: each row once, with its own parent',
    async (mode) => {
      const trial = await prepare(database, mode)
      const points = NIGHTLY ? await pointsOf(trial) : (BY_DAY[`${database} ${mode}`] ?? [])
      expect(points).not.toEqual([])
      expect(await eachOf(points, (point) => crash(trial, [point]))).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

test(
  'killed again and again',
  async () => {
    const trial = await prepare('sqlite', 'full_refresh')
    expect(await crash(trial, ['commit.after@3', 'stage.mid@2', 'publish.mid@3'])).toEqual([])
  },
  TEST_LIMIT_MS,
)

const mutants = [
  {
    name: 'numbers of rows begin anew in each process',
    replacements: [
      { file: 'lib/load.ts', find: 'idPrefix, rows: from.rows, usual', replace: 'idPrefix, rows: 0, usual' },
    ],
    found: 'commit.after@4',
  },
  {
    name: 'tables are published one after another',
    replacements: [
      {
        file: 'connectors/destinations/sqlite/publish.ts',
        find: '    else await append(site, from, state)\n',
        replace:
          '    else await append(site, from, state)\n    await site.session.commit()\n    await site.session.begin()\n',
      },
    ],
    found: 'publish.mid@2',
  },
]

test.each(mutants)('$name: what it replaces is there', ({ replacements }) => checkReplacements(replacements))

describe.concurrent.each(mutants)('a twin', ({ name, replacements, found }) => {
  test(
    `is found: ${name}`,
    async () => {
      const trial = await prepare('sqlite', 'full_refresh')
      const twin = await inTurn(() => buildTwin(`child-tables-${name}`, replacements))
      try {
        expect(await inTurn(() => crash(trial, [], twin.program))).toEqual([])
        if (NIGHTLY) expect(await inTurn(() => crash(trial, [found], BIZON))).toEqual([])
        const complaints = await inTurn(() => crash(trial, [found], twin.program))
        expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
      } finally {
        await twin.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})
