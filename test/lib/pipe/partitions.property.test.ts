// A stream in partitions, with as many loaders as there happen to be: extracts and loaders that die at any step, partitions that go
// from one loader to another in the middle of a page. What is published is what the source has, once; and readers
// never see a run of which a partition is missing.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { PipelineConfig } from '../../../lib/config.ts'
import { Unloadable } from '../../../lib/errors.ts'
import { extract } from '../../../lib/extract.ts'
import { loadQueue } from '../../../lib/pipe/queue/load.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { testConfig } from '../../support/engine.ts'
import { PartitionedBroker } from '../../support/memory-group.ts'
import { type Ground, type PartShelf, partShelf, partShelfDestination } from '../../support/part-shelf.ts'
import { rowsOf, trouble, upTo } from '../../support/queued.ts'
import { scriptedSource } from '../../support/shelf.ts'

const NIGHTLY = process.env.BIZON_NIGHTLY !== undefined

const act = fc.oneof(
  fc.record({
    half: fc.constant('extract' as const),
    step: fc.constantFrom('none', 'fetch', 'put', 'putted'),
    at: fc.integer({ min: 1, max: 6 }),
    ignoresWaiting: fc.boolean(),
  }),
  fc.record({
    half: fc.constant('load' as const),
    loaders: fc.integer({ min: 1, max: 3 }),
    step: fc.constantFrom('none', 'write', 'flush', 'publish', 'published', 'ack'),
    at: fc.integer({ min: 1, max: 6 }),
    /** At each so many writes, partitions go round. */
    turns: fc.integer({ min: 1, max: 5 }),
    again: fc.integer({ min: 0, max: 4 }),
  }),
  fc.record({ half: fc.constant('grow' as const), size: fc.integer({ min: 0, max: 6 }) }),
)

const scenario = fc.record({
  partitions: fc.integer({ min: 2, max: 4 }),
  pages: fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 5 }),
  mode: fc.constantFrom('full_refresh', 'incremental'),
  resumable: fc.boolean(),
  messageBytes: fc.constantFrom(150, 700, 1000, 5000),
  lingerSeconds: fc.constantFrom(0, 10),
  hasTransactions: fc.boolean(),
  checkpointPages: fc.integer({ min: 1, max: 4 }),
  acts: fc.array(act, { maxLength: 6 }),
})

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never
type Loading = Extract<Scenario['acts'][number], { half: 'load' }>

const sorted = (rows: readonly number[]): number[] => [...rows].sort((a, b) => a - b)
/** Of a broker that has been given away, and has nothing more to give. */
const QUIET_MS = 15
/** A partition that has ended asks so often, at most, until it looks whether another one has given up the run, and leaves it. */
const ASKED = 4

/** The extract dies between the ends of two partitions: one has all of the run, the other nothing. */
const HALF_AN_END: Scenario = {
  partitions: 2,
  pages: [],
  mode: 'full_refresh',
  resumable: false,
  messageBytes: 5000,
  lingerSeconds: 0,
  hasTransactions: false,
  checkpointPages: 1,
  acts: [
    { half: 'extract', step: 'putted', at: 1, ignoresWaiting: false },
    { half: 'grow', size: 1 },
  ],
}

/** It dies at the same place, and what reads on finds more than the first reading did. */
const TWO_READINGS: Scenario = {
  ...HALF_AN_END,
  pages: [3],
  resumable: true,
  messageBytes: 1000,
  acts: [
    { half: 'grow', size: 0 },
    { half: 'extract', step: 'put', at: 5, ignoresWaiting: false },
    { half: 'grow', size: 1 },
  ],
}

class Trial {
  readonly #given: Scenario
  readonly #folder: string
  readonly #broker: PartitionedBroker
  readonly #ground: Ground
  readonly on: PartShelf = partShelf()
  readonly pages: number[]
  readonly #ends = new Set<number>([0])
  /** Partitions are at the ends of two readings of one run: what is said to be done about that, is done. */
  isMixed = false

  constructor(given: Scenario, folder: string, ground: Ground) {
    const { partitions, messageBytes, lingerSeconds, hasTransactions, pages } = given
    this.#given = given
    this.#folder = folder
    this.#ground = ground
    this.#broker = new PartitionedBroker(partitions, { messageBytes, lingerSeconds, hasTransactions })
    this.pages = [...pages]
  }

  async extract(step = 'none', at = 1, ignoresWaiting = false): Promise<void> {
    const fails = trouble(step, at)
    this.#broker.interfere = fails
    this.#ends.add(rowsOf(this.pages).length)
    const { mode } = this.#given
    const startsOver = mode === 'incremental' ? { reset: true } : { force_ignore_checkpoint: true }
    const config = await this.#config(fails, this.isMixed ? startsOver : {})
    const to = { channel: this.#broker.channel(), ignoresWaiting }
    // Of what is new, two readings that begin at one place are told of as an error.
    if (mode === 'incremental' && !this.isMixed) to.ignoresWaiting = false
    await extractTo(extract(config), to).catch(onlyTrouble)
    this.#broker.interfere = () => {}
  }

  /** So many loaders, until a run is published, one of them dies, or nothing is left to do. */
  async load({ loaders, step, at, turns, again }: Omit<Loading, 'half'>): Promise<boolean> {
    const fails = trouble(step, at)
    const broker = this.#broker
    for (const one of broker.partitions) one.redeliverFrom(Math.max(0, one.acknowledged + 1 - again))
    const stop = new AbortController()
    /** How often each has asked whether it may be published since anything else has happened. */
    const waiting = new Map<number, number>()
    let quiet: NodeJS.Timeout | undefined
    const look = (): void => {
      const isQuiet = broker.partitions.every((one, index) => one.isIdle || (waiting.get(index) ?? 0) >= ASKED)
      if (isQuiet) {
        quiet ??= setTimeout(() => stop.abort(new Error('idle')), QUIET_MS)
        return
      }
      clearTimeout(quiet)
      quiet = undefined
    }
    let writes = 0
    broker.interfere = (reached) => {
      fails(reached)
      look()
    }
    const config = await this.#config((reached, partition) => {
      fails(reached)
      if (reached === 'waits') waiting.set(partition, (waiting.get(partition) ?? 0) + 1)
      // Which comes before each `waits`.
      else if (reached !== 'publish') {
        waiting.delete(partition)
        for (const one of waiting.keys()) waiting.set(one, 0)
      }
      if (reached === 'write' && ++writes % turns === 0) broker.rebalance(writes)
      look()
    })
    const outcomes = await Promise.all(
      upTo(loaders).map(() =>
        loadQueue(broker.channel(), config, { stop: stop.signal, skipBroken: this.isMixed }).catch((error: unknown) => {
          stop.abort(new Error('idle'))
          if (error instanceof Unloadable && error.message.includes('was read twice')) {
            this.isMixed = true
            return undefined
          }
          return error instanceof Error && error.message === 'idle' ? undefined : onlyTrouble(error)
        }),
      ),
    )
    clearTimeout(quiet)
    broker.interfere = () => {}
    const { published } = this.on
    expect(sorted(published)).toEqual(upTo(published.length))
    expect(this.#ends).toContain(published.length)
    return outcomes.some((outcome) => outcome?.status === 'complete')
  }

  async #config(fails: (step: string, partition: number) => void, keys: object = {}): Promise<PipelineConfig> {
    const { mode, resumable, checkpointPages } = this.#given
    return testConfig({
      folder: this.#folder,
      source: scriptedSource({ pages: this.pages, interfere: (step) => fails(step, -1), stream: { resumable } }),
      destination: partShelfDestination(this.on, { ...this.#ground, interfere: fails }),
      checkpointPages,
      sourceKeys: { sync_mode: mode, ...keys },
    })
  }
}

function onlyTrouble(error: unknown): undefined {
  if (!(error instanceof Error) || !/^trouble at /.test(error.message)) throw error
  return undefined
}

const calm = { step: 'none', at: 1, turns: 1000, again: 0 } as const

async function holds(runs: number, ground: Ground = {}): Promise<void> {
  const top = await mkdtemp(join(tmpdir(), 'bizon-partitions-'))
  let n = 0
  const check = async (given: Scenario): Promise<void> => {
    const folder = join(top, String(n++))
    await mkdir(folder)
    const trial = new Trial(given, folder, ground)
    for (const one of given.acts) {
      if (one.half === 'grow') trial.pages.push(one.size)
      else if (one.half === 'extract') await trial.extract(one.step, one.at, one.ignoresWaiting)
      else await trial.load(one)
    }
    const loadAll = async (): Promise<void> => {
      for (let left = 20; await trial.load({ ...calm, loaders: 2 }); left--) expect(left).toBeGreaterThan(0)
    }
    // What waits is loaded, one run after the other; then one that reads all there is.
    await loadAll()
    await trial.extract('none', 1, trial.isMixed)
    await loadAll()
    if (trial.isMixed) {
      await trial.extract('none', 1, true)
      await loadAll()
    }
    expect(sorted(trial.on.published)).toEqual(rowsOf(trial.pages))
    await rm(folder, { recursive: true })
  }
  try {
    await fc.assert(fc.asyncProperty(scenario, check), { numRuns: runs, examples: [[HALF_AN_END], [TWO_READINGS]] })
  } finally {
    await rm(top, { recursive: true, force: true })
  }
}

it(
  'whatever happens to whom, the destination holds what the source has',
  () => holds(NIGHTLY ? 2000 : 20),
  NIGHTLY ? 1_200_000 : 300_000,
)

it('a checkpoint that all partitions share is noticed', async () => {
  await expect(holds(25, { sharesCheckpoint: true })).rejects.toThrow()
}, 300_000)
