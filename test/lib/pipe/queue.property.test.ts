// Pages cut into messages of any size, either half dying at any step, messages that come again from anywhere: what is published at the
// end is what the source has, once, in order, and readers never see anything between two runs.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Unloadable } from '../../../lib/errors.ts'
import { testConfig } from '../../support/engine.ts'
import { MemoryBroker } from '../../support/memory-broker.ts'
import { extractInto, loadFrom, rowsOf, trouble, upTo } from '../../support/queued.ts'
import { type Shelf, scriptedSource, shelf, shelfDestination } from '../../support/shelf.ts'

const NIGHTLY = process.env.BIZON_NIGHTLY !== undefined

const act = fc.oneof(
  fc.record({
    half: fc.constant('extract' as const),
    step: fc.constantFrom('none', 'fetch', 'put', 'putted'),
    at: fc.integer({ min: 1, max: 5 }),
    ignoresWaiting: fc.boolean(),
  }),
  fc.record({
    half: fc.constant('load' as const),
    step: fc.constantFrom('none', 'write', 'flush', 'publish', 'published', 'ack'),
    at: fc.integer({ min: 1, max: 5 }),
    /** So many of the messages that were acknowledged come again all the same. */
    again: fc.integer({ min: 0, max: 4 }),
  }),
  fc.record({ half: fc.constant('grow' as const), size: fc.integer({ min: 0, max: 4 }) }),
)

const scenario = fc.record({
  pages: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 6 }),
  mode: fc.constantFrom('full_refresh', 'incremental'),
  resumable: fc.boolean(),
  /** A line with which a pipe begins has some 400 bytes. */
  messageBytes: fc.constantFrom(150, 700, 1000, 5000),
  lingerSeconds: fc.constantFrom(0, 10),
  hasTransactions: fc.boolean(),
  checkpointPages: fc.integer({ min: 1, max: 4 }),
  acts: fc.array(act, { maxLength: 9 }),
})

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never

class Trial {
  readonly #given: Scenario
  readonly #folder: string
  readonly #broker: MemoryBroker
  readonly on: Shelf = shelf()
  /** Grows. */
  readonly pages: number[]
  /** What may be published: the rows at the end of each run that was extracted. */
  readonly #ends = new Set<number>([0])

  #ignoredWaiting = false

  constructor(given: Scenario, folder: string) {
    const { messageBytes, lingerSeconds, hasTransactions, pages } = given
    this.#given = given
    this.#folder = folder
    this.#broker = new MemoryBroker({ messageBytes, lingerSeconds, hasTransactions })
    this.pages = [...pages]
  }

  async extract(step = 'none', at = 1, ignoresWaiting = false): Promise<void> {
    const fails = trouble(step, at)
    this.#broker.interfere = fails
    this.#ignoredWaiting ||= ignoresWaiting
    this.#ends.add(rowsOf(this.pages).length)
    const config = await this.#config(fails)
    await extractInto(this.#broker, config, { ignoresWaiting }).catch(onlyTrouble)
    this.#broker.interfere = () => {}
  }

  /** Returns whether a run was published. */
  async load(step = 'none', at = 1, again = 0, skipBroken = false): Promise<boolean> {
    const fails = trouble(step, at)
    this.#broker.redeliverFrom(Math.max(0, this.#broker.acknowledged + 1 - again))
    this.#broker.interfere = fails
    const config = await this.#config(fails)
    const outcome = await loadFrom(this.#broker, config, { skipBroken }).catch((error: unknown) => {
      // Two extracts that begin at one place, whatever waits: one of them is of no use. It is told so, and what to do.
      if (error instanceof Unloadable && this.#ignoredWaiting && !skipBroken) return this.#mend()
      return onlyTrouble(error)
    })
    this.#broker.interfere = () => {}
    expect(this.on.published).toEqual(upTo(this.on.published.length))
    expect(this.#ends).toContain(this.on.published.length)
    return outcome?.status === 'complete'
  }

  /** As the error says. */
  async #mend(): Promise<undefined> {
    await this.extract('none', 1, true)
    await this.load('none', 1, 0, true)
  }

  async #config(fails: (step: string) => void) {
    const { mode, resumable, checkpointPages } = this.#given
    return testConfig({
      folder: this.#folder,
      source: scriptedSource({ pages: this.pages, interfere: fails, stream: { resumable } }),
      destination: shelfDestination(this.on, fails),
      checkpointPages,
      sourceKeys: { sync_mode: mode },
    })
  }
}

function onlyTrouble(error: unknown): undefined {
  if (!(error instanceof Error) || !/^trouble at /.test(error.message)) throw error
  return undefined
}

const runs = NIGHTLY ? 3000 : 60
it(
  'whatever happens on either side, the destination holds what the source has',
  async () => {
    const top = await mkdtemp(join(tmpdir(), 'bizon-queue-'))
    let n = 0
    const check = async (given: Scenario): Promise<void> => {
      const folder = join(top, String(n++))
      await mkdir(folder)
      const trial = new Trial(given, folder)
      for (const one of given.acts) {
        if (one.half === 'grow') trial.pages.push(one.size)
        else if (one.half === 'extract') await trial.extract(one.step, one.at, one.ignoresWaiting)
        else await trial.load(one.step, one.at, one.again)
      }
      // What waits is loaded, one run after the other; then one that reads all there is.
      for (let left = 30; await trial.load(); left--) expect(left).toBeGreaterThan(0)
      await trial.extract()
      for (let left = 30; await trial.load(); left--) expect(left).toBeGreaterThan(0)
      expect(trial.on.published).toEqual(rowsOf(trial.pages))
      await rm(folder, { recursive: true })
    }
    try {
      await fc.assert(fc.asyncProperty(scenario, check), { numRuns: runs })
    } finally {
      await rm(top, { recursive: true, force: true })
    }
  },
  NIGHTLY ? 1_200_000 : 300_000,
)
