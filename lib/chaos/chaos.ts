// `bizon chaos`: the crash proof on the user's own pipeline. It is run undisturbed, with each durable operation counted; then
// again and again in folders of its own, killed at one operation after another, resumed, and read back by a reader that
// has nothing to do with the writer. Nothing of the real state and targets is opened.

import { mkdtemp, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { ConfigOverrides } from '../config.ts'
import { BizonError } from '../errors.ts'
import { type Content, isSame, type Losses } from './content.ts'
import { Place } from './place.ts'
import { type Engine, failing, faultPoints, nameOf, type Operation, spread, stopping, systemCalls } from './points.ts'
import {
  complaintOf,
  type Ended,
  type Execution,
  execute,
  isDone,
  type Program,
  type Side,
  wasKilled,
} from './process.ts'

export interface ChaosOptions {
  readonly program: Program
  /** Options of the command line that the pipeline file is loaded with. */
  readonly overrides: ConfigOverrides
  /** Extract and load as two processes. */
  readonly pipe: boolean
  readonly engine: 'points' | 'strace'
  /** How many operations to be killed at; absent: as many as fit into about `seconds`. */
  readonly kills?: number
  readonly seconds: number
  readonly seed: number
  readonly signal: AbortSignal
  /** Told after each trial: how many are done, of how many, and what is wrong so far. */
  readonly progress: (done: number, of: number, faults: number) => void
}

/** What was done to a run, and what came of it. */
export interface Trial extends Losses {
  readonly at: string
  readonly kind: 'kill' | 'SIGTERM' | 'disk full' | 'pipe cut'
  /** In words: it did not fire, was not resumed, or readers saw a part. */
  readonly faults: readonly string[]
}

export interface ChaosReport extends Losses {
  readonly report_version: 1
  readonly pipeline: string
  readonly engine: 'points' | 'strace'
  readonly pipe: boolean
  readonly seed: number
  /** Of the undisturbed run. */
  readonly rows: number
  readonly operations: number
  readonly killed: number
  /** By operation, how many kills were there. */
  readonly histogram: { readonly [operation: string]: number }
  /** Those in which something is wrong. */
  readonly faulty: readonly Trial[]
  /** How often each other disturbance was tried. */
  readonly also: { readonly [kind: string]: number }
  /** What was not tried, and why. */
  readonly leftOut: readonly string[]
  readonly seconds: number
}

const AT_A_TIME = 2
/** A run that was killed is done after the next one; a third would be after a failure that is gone by itself. */
const RESUMES = 3
/** Of what a disk may hold: half of the largest file that a run writes. Smaller ones have no half. */
const LEAST_LIMITED = 4096

export async function chaos(file: string, options: ChaosOptions): Promise<ChaosReport> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'bizon_chaos_')))
  const work = new Chaos(file, root, options)
  try {
    return await work.run()
  } finally {
    await work.clear()
    await rm(root, { recursive: true, force: true })
  }
}

interface Right {
  readonly place: Place
  /** See `Place.targets`. */
  readonly targets: readonly string[]
  readonly content: Content
}

class Chaos {
  readonly #file: string
  readonly #root: string
  readonly #options: ChaosOptions
  readonly #engine: Engine
  readonly #places = new Set<Place>()
  #count = 0
  /** Where the source's answers are kept, once they are. */
  #reading: readonly string[] = []
  /** The undisturbed run. */
  #right: Right | undefined

  constructor(file: string, root: string, options: ChaosOptions) {
    this.#file = file
    this.#root = root
    this.#options = options
    this.#engine = options.engine === 'strace' ? systemCalls : faultPoints
  }

  async run(): Promise<ChaosReport> {
    const started = performance.now()
    const { pipe, seed, seconds, engine, progress } = this.#options
    const sides: readonly Side[] = pipe ? ['extract', 'load'] : ['run']
    const [operations, took] = await this.#undisturbed(sides)
    const budget = Math.max(5, Math.floor((seconds * AT_A_TIME) / (2.5 * took)))
    // Of a pipe each side has its share.
    const share = (this.#options.kills ?? budget) / operations.length
    const chosen = sides.flatMap((side) => {
      const own = operations.filter((operation) => operation.side === side)
      return spread(own, Math.ceil(share * own.length - 1e-9), seed)
    })
    const others = await this.#others(operations)
    const trials: Trial[] = []
    const all = [...chosen.map((operation) => () => this.#kill(operation)), ...others.work]
    await inTurn(all, AT_A_TIME, async (work) => {
      trials.push(await work())
      progress(trials.length, all.length, trials.filter(isFaulty).length)
    })
    const kills = trials.filter(({ kind }) => kind === 'kill')
    const sum = (what: keyof Losses): number => trials.reduce((total, trial) => total + trial[what], 0)
    return {
      report_version: 1,
      pipeline: (this.#right as Right).place.config.name,
      engine,
      pipe,
      seed,
      rows: (this.#right as Right).content.rows,
      operations: operations.length,
      killed: kills.filter(({ faults }) => !faults.includes(NOT_FIRED)).length,
      lost: sum('lost'),
      doubled: sum('doubled'),
      changed: sum('changed'),
      histogram: countsOf(chosen.map(({ side, name }) => (side === 'run' ? name : `${side}: ${name}`))),
      faulty: trials.filter(isFaulty),
      also: countsOf(trials.flatMap(({ kind }) => (kind === 'kill' ? [] : [kind]))),
      leftOut: others.leftOut,
      seconds: (performance.now() - started) / 1000,
    }
  }

  /** Removes what is not in the folder. */
  async clear(): Promise<void> {
    for (const place of [...this.#places]) await this.#remove(place)
  }

  /** Two runs that nobody disturbs: what they load must be the same, else nothing could be compared. */
  async #undisturbed(sides: readonly Side[]): Promise<[readonly Operation[], seconds: number]> {
    const { overrides, pipe, signal } = this.#options
    const first = await this.#place()
    const cassette = join(this.#root, 'source.cassette')
    const records = overrides.replay === undefined ? ['--record', cassette] : []
    await this.#complete(first, { reading: records })
    if (await stat(cassette).catch(() => undefined)) this.#reading = ['--replay', cassette]
    const targets = await first.targets()
    const content = await first.content(targets, signal)
    if (content.rows === 0) {
      throw new BizonError('usage', `${this.#file}: an undisturbed run loads no rows, so that none can be lost`, {
        hint: 'Give it something to read. What comes through standard input has to be in a file.',
      })
    }
    this.#right = { place: first, targets, content }
    const second = await this.#place()
    const started = performance.now()
    await this.#complete(second, this.#engine.counting(second.folder, sides))
    const seconds = (performance.now() - started) / 1000
    const operations = await this.#engine.counted(second.folder, sides)
    if (!isSame(await second.content(targets, signal), content)) {
      throw new BizonError('source', `${this.#file}: two undisturbed runs do not load the same rows`, {
        hint: 'Let the source give the same twice: read from a file, or from a cassette: --replay (see docs/cassettes.md).',
      })
    }
    await this.#remove(second)
    if (operations.length === 0)
      throw new BizonError('internal', `no durable operation was counted${pipe ? ' in the pipe' : ''}`)
    return [operations, seconds]
  }

  async #kill(operation: Operation): Promise<Trial> {
    const { pipe } = this.#options
    return this.#disturb('kill', nameOf(operation), (place) => ({
      pipe,
      ...this.#engine.killing(operation, place.folder),
      fired: wasKilled,
    }))
  }

  /** What else can happen to a run: a stop, a full disk, a pipe that loses one of its sides. */
  async #others(operations: readonly Operation[]): Promise<{ work: (() => Promise<Trial>)[]; leftOut: string[] }> {
    const { pipe, engine, seed } = this.#options
    const leftOut = ['a database that is restarted under the run: no destination says how to']
    const work: (() => Promise<Trial>)[] = []
    const inTheMiddle = (from: readonly Operation[], count: number): Operation[] =>
      spread(from.slice(Math.floor(from.length / 4), Math.ceil((3 * from.length) / 4)), count, seed)
    if (engine === 'points') {
      for (const operation of inTheMiddle(operations, 2)) {
        work.push(() =>
          this.#disturb('SIGTERM', nameOf(operation), ({ folder }) => ({
            pipe,
            ...stopping(operation, folder),
          })),
        )
      }
    }
    const limit = await this.#halfOfLargest()
    if (process.platform === 'win32') leftOut.push('a full disk: there is no limit to set on this system')
    else if (limit === undefined) leftOut.push('a full disk: what a run writes is too little, or is on the server')
    else {
      const under = ['sh', '-c', `ulimit -f ${Math.floor(limit / 512)}; exec "$@"`, 'limited']
      const side: Side = pipe ? 'load' : 'run'
      const full = { pipe, under: { [side]: under }, fired: (ends: readonly Ended[]) => !isDone(ends) }
      work.push(() => this.#disturb('disk full', `${limit} bytes`, () => full))
    }
    if (!pipe && engine === 'points') {
      for (const side of ['extract', 'load'] as const) {
        const name = side === 'extract' ? 'fetch.after' : 'cursor.before'
        const cut = { pipe: true, ...failing({ side, name, at: 1 }, 'kill'), fired: wasKilled }
        work.push(() => this.#disturb('pipe cut', `${side}: ${name}@1`, () => cut))
      }
    }
    return { work, leftOut }
  }

  /** Disturbs one run in a folder of its own, looks as a reader would, resumes it to its end, and compares. */
  async #disturb(
    kind: Trial['kind'],
    at: string,
    how: (
      place: Place,
    ) => Omit<Execution, 'folder' | 'signal'> & { fired(ends: readonly Ended[]): boolean | Promise<boolean> },
  ): Promise<Trial> {
    const place = await this.#place()
    try {
      const { fired, ...execution } = how(place)
      const faults: string[] = []
      const ends = await this.#execute(place, execution)
      if (!(await fired(ends))) faults.push(NOT_FIRED)
      const { signal } = this.#options
      const { place: rightPlace, targets, content: right } = this.#right as Right
      const seen = await place.content(targets, signal)
      if (seen.rows > 0 && !isSame(seen, right)) faults.push(`readers saw ${seen.rows} of ${right.rows} rows`)
      const said = await this.#finish(place, execution.pipe)
      if (said !== undefined) faults.push(`the next run failed: ${said}`)
      const isRight = isSame(await place.content(targets, signal), right)
      const losses = isRight ? NONE : await place.losses(rightPlace, targets, signal)
      return { kind, at, faults, ...losses }
    } finally {
      await this.#remove(place)
    }
  }

  /** Runs until it is done; what the last run said if it never is. */
  async #finish(place: Place, pipe: boolean): Promise<string | undefined> {
    // What came after the end of the run would be a run of its own, and load what is new.
    if (await place.isOver()) return undefined
    let said: string | undefined
    for (let times = 0; times < RESUMES; times++) {
      const ends = await this.#execute(place, { pipe })
      if (isDone(ends)) return undefined
      said = complaintOf(ends)
    }
    return said
  }

  async #complete(place: Place, execution: Partial<Execution>): Promise<void> {
    const ends = await this.#execute(place, { pipe: this.#options.pipe, ...execution })
    if (isDone(ends)) return
    throw new BizonError(
      'source',
      `${this.#file}: an undisturbed run in a scratch folder fails: ${complaintOf(ends)}`,
      {
        hint: `bizon check ${this.#file}`,
      },
    )
  }

  #execute(place: Place, execution: Omit<Execution, 'folder' | 'signal'>): Promise<readonly Ended[]> {
    const { program, signal } = this.#options
    return execute(program, { reading: this.#reading, ...execution, folder: place.folder, signal })
  }

  async #place(): Promise<Place> {
    const folder = join(this.#root, `${basename(this.#root).toLowerCase()}_${++this.#count}`)
    const place = await Place.make(folder, this.#file, this.#options.overrides)
    this.#places.add(place)
    return place
  }

  async #remove(place: Place): Promise<void> {
    if (this.#places.delete(place)) await place.remove()
  }

  async #halfOfLargest(): Promise<number | undefined> {
    const largest = await (this.#right as Right).place.largest()
    return largest < LEAST_LIMITED ? undefined : Math.floor(largest / 2)
  }
}

const NOT_FIRED = 'it did not fire'
const NONE: Losses = { lost: 0, doubled: 0, changed: 0 }
const isFaulty = ({ faults, lost, doubled, changed }: Trial): boolean =>
  faults.length > 0 || lost + doubled + changed > 0

function countsOf(names: readonly string[]): { [name: string]: number } {
  const counts: { [name: string]: number } = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** So many at a time. The first failure ends all: those under way are waited for. */
async function inTurn<Item>(
  items: readonly Item[],
  atATime: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const left = [...items]
  let failed = false
  const results = await Promise.allSettled(
    Array.from({ length: atATime }, async () => {
      for (let item = left.shift(); item !== undefined && !failed; item = left.shift()) {
        await work(item).catch((error: unknown) => {
          failed = true
          throw error
        })
      }
    }),
  )
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
