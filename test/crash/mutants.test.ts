// The tests, tested: each broken twin of the program must be caught by a case of the other files here, which the
// program itself passes.

import { describe, expect, test } from 'vitest'
import { forge } from './forge.ts'
import { crash, finish, killAt, prepare, resume } from './kill.ts'
import { type Mutant, mutants } from './mutants.ts'
import { complaintsAfter, complaintsBetween, sidecarOf, stateOf } from './oracle.ts'
import { grown, lines, pipelineFile, type Scenario, scenarios, type Target } from './scenario.ts'
import { canTrace, interfere } from './strace.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { BIZON, fewOf, inTurn, isStopped, TEST_LIMIT_MS, until, type Workspace } from './workspace.ts'

/** Complaints about a program, if it has the fault that the case is after. */
type Case = (program: string) => Promise<string[]>

function kills(scenario: Scenario, ...failpoints: readonly string[]): Case {
  return (program) => inFolder(scenario, (place) => crash(place, scenario, failpoints, program))
}

async function inFolder(scenario: Scenario, work: (place: Workspace) => Promise<string[]>): Promise<string[]> {
  const place = await prepare(scenario)
  try {
    return await work(place)
  } finally {
    await place.remove()
  }
}

const { fullRefresh, fullRefreshOver, incrementalAppend, stream } = scenarios

/** The source has fewer rows than before the kill, so that what was staged is not simply written over. */
const changedSource: Case = (program) =>
  inFolder(fullRefreshOver, async (place) => {
    const complaints = await killAt(place, fullRefreshOver, 'stage.after@3', program)
    const kept = (await sidecarOf(place, fullRefreshOver.sidecar))?.checkpoint?.rows ?? 0
    const now = lines(0, kept) + lines(kept, kept + 2, 'changed')
    await place.write({ 'source.ndjson': grown(now) })
    const [target] = fullRefreshOver.targets as readonly [Target]
    return [
      ...complaints,
      ...(await resume(place, { ...fullRefreshOver, targets: [{ ...target, after: now }] }, program)),
    ]
  })

const stoppedShort: Case = (program) =>
  inFolder(fullRefreshOver, async (place) => {
    const config = pipelineFile({
      mode: 'full_refresh',
      destination: ['metadata: none'],
      source: ['max_iterations: 3'],
    })
    await place.write({ 'pipeline.yml': config })
    await place.bizon({ program })
    const unchanged = {
      ...fullRefreshOver,
      targets: fullRefreshOver.targets.map((one) => ({ ...one, after: one.before })),
    }
    return complaintsBetween(place, unchanged as Scenario, await stateOf(place))
  })

const takenOver: Case = (program) =>
  inFolder(fullRefreshOver, async (place) => {
    const { code } = await place.bizon({
      program,
      failpoint: 'stage.after@3:stop',
      async during(child) {
        const staged = async () => ((await sidecarOf(place, fullRefreshOver.sidecar))?.checkpoint?.page ?? 0) >= 2
        await until('two pages are committed', staged, child)
        await until('it sleeps', () => isStopped(child), child)
        await forge(place, fullRefreshOver.sidecar, (state) => ({ ...state, epoch: state.epoch + 1_000_000 }))
        child.kill('SIGCONT')
      },
    })
    return code === 3 ? [] : [`it went on, and ended with ${code}`]
  })

const tornState: Case = (program) =>
  inFolder(fullRefresh, async (place) => {
    const path = program === BIZON ? 'out/.records.state.json.tmp' : 'out/.records.state.json'
    const { signal } = await interfere(place, fullRefresh, { name: 'pwrite64', path }, 3, 'signal=SIGKILL', program)
    return signal === 'SIGKILL' ? resume(place, fullRefresh, program) : ['the third commit did not come']
  })

/** A twin that never works would be no test of the tests. */
const undisturbed: Case = (program) =>
  inFolder(incrementalAppend, async (place) => {
    const before = await stateOf(place)
    await finish(place, incrementalAppend, { program })
    return complaintsAfter(place, incrementalAppend, before)
  })

const traced = await canTrace()

const found: { readonly [name in keyof typeof mutants]: readonly Case[] } = {
  checkpointBeforeData: [kills(fullRefresh, 'stage.after@2'), kills(stream, 'fsync.before@3')],
  storeBeforeDestination: [kills(fullRefresh, 'stage.after@2')],
  barrierBeforePage: [kills(fullRefresh, 'commit.after@2'), kills(incrementalAppend, 'cursor.after@3')],
  noTruncate: [changedSource],
  appendAtTheEnd: [kills(fullRefresh, 'stage.after@3'), kills(stream, 'fsync.after@2')],
  appendTwice: [kills(incrementalAppend, 'publish.mid')],
  publishOnEof: [stoppedShort],
  statusBeforePublish: [kills(incrementalAppend, 'publish.before')],
  epochUnchecked: [takenOver],
  stateInPlace: traced ? [tornState] : [],
  newIds: [kills(fullRefresh, 'stage.after@3')],
}

const all = Object.entries(mutants) as [keyof typeof mutants, Mutant][]

test.each(all)('%s: what it replaces is there', (_, { replacements }) => checkReplacements(replacements))

describe.concurrent.each(fewOf(all, 4))('%s', (name, { title, replacements }) => {
  test(
    `is found: ${title}`,
    async () => {
      const twin = await inTurn(() => buildTwin(name, replacements))
      try {
        expect(await inTurn(() => undisturbed(twin.program))).toEqual([])
        for (const look of found[name]) {
          expect(await inTurn(() => look(BIZON))).toEqual([])
          // A kill that did not happen proves nothing about what follows one.
          const complaints = await inTurn(() => look(twin.program))
          expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
        }
      } finally {
        await twin.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})

test('a twin whose place in the source has changed is an error', async () => {
  const missing = { file: 'lib/load.ts', find: 'this is nowhere in it', replace: '' }
  await expect(buildTwin('stale', [missing])).rejects.toThrow('is there 0 times')
})
