// Random pages, checkpoint settings, failures and resumes, against a model that fits in a few lines:
// whatever happens on the way, readers see the old content until one run ends well, and then exactly the source's.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { runPipeline } from '../../lib/index.ts'
import { testConfig } from '../support/engine.ts'
import { type Interference, type Shelf, scriptedSource, shelf, shelfDestination } from '../support/shelf.ts'

const NIGHTLY = process.env.BIZON_NIGHTLY !== undefined

/** One run of the pipeline: what goes wrong in it, and when. */
const attempt = fc.record({
  step: fc.constantFrom('fetch', 'write', 'flush', 'publish', 'published', 'abort', 'stop', 'cap'),
  at: fc.integer({ min: 1, max: 6 }),
})

const scenario = fc.record({
  pages: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 8 }),
  added: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
  mode: fc.constantFrom('full_refresh', 'incremental'),
  runner: fc.constantFrom('thread', 'stream'),
  checkpointPages: fc.integer({ min: 1, max: 4 }),
  resumable: fc.boolean(),
  attempts: fc.array(attempt, { maxLength: 4 }),
  attemptsAfter: fc.array(attempt, { maxLength: 3 }),
} as const)

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never

/** The n-th time a step is reached, it fails. */
function trouble(step: string, at: number): Interference {
  let passed = 0
  return (reached) => {
    if (reached === step && ++passed === at) throw new Error(`trouble at ${step} ${at}`)
  }
}

async function attemptOnce(
  folder: string,
  on: Shelf,
  pages: readonly number[],
  given: Scenario,
  { step, at }: { step: string; at: number },
) {
  const interfere = trouble(step, at)
  const controller = new AbortController()
  const stop = new AbortController()
  let events = 0
  const { mode, runner, checkpointPages, resumable } = given
  const config = await testConfig({
    folder,
    source: scriptedSource({ pages, interfere, stream: { resumable } }),
    destination: shelfDestination(on, interfere),
    runner,
    checkpointPages,
    sourceKeys: { sync_mode: mode, ...(step === 'cap' && { max_iterations: at }) },
  })
  const observe = () => {
    if (++events !== at) return
    if (step === 'abort') controller.abort(new Error('aborted'))
    if (step === 'stop') stop.abort()
  }
  return runPipeline(config, { signal: controller.signal, stop: stop.signal, observe }).catch(() => undefined)
}

/** Some runs that go wrong, then one that does not; readers see `before` until then, and `after` from then on. */
async function settle(
  folder: string,
  on: Shelf,
  pages: readonly number[],
  given: Scenario,
  attempts: readonly { step: string; at: number }[],
  before: readonly number[],
  after: readonly number[],
) {
  let done = false
  for (const each of [...attempts, { step: 'nothing', at: 0 }]) {
    const publishedBefore = on.calls.filter((call) => call === 'publish').length
    const outcome = await attemptOnce(folder, on, pages, given, each)
    const published = on.calls.filter((call) => call === 'publish').length > publishedBefore
    // A publish may have happened although its run failed right after it; nothing else may show.
    done ||= outcome?.status === 'complete' || (published && ['published', 'abort'].includes(each.step))
    expect(on.published).toEqual(done ? after : before)
    if (outcome?.status === 'complete') return
  }
  expect(done).toBe(true)
}

it(
  'loses nothing, doubles nothing, and shows nothing half done, whatever fails',
  async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async (given) => {
        const folder = await mkdtemp(join(tmpdir(), 'bizon-property-'))
        try {
          const on = shelf()
          const first = given.pages.reduce((sum, size) => sum + size, 0)
          const second = given.added.reduce((sum, size) => sum + size, first)
          const numbers = (to: number) => Array.from({ length: to }, (_, i) => i)
          await settle(folder, on, given.pages, given, given.attempts, [], numbers(first))
          const pages = [...given.pages, ...given.added]
          await settle(folder, on, pages, given, given.attemptsAfter, numbers(first), numbers(second))
        } finally {
          await rm(folder, { recursive: true, force: true })
        }
      }),
      { numRuns: NIGHTLY ? 2000 : 120 },
    )
  },
  NIGHTLY ? 1_800_000 : 120_000,
)
