// Where trials run: the user's pipeline, the folders that they have, and the programs in them.

import { mkdtemp, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { ConfigOverrides } from '../config.ts'
import { BizonError } from '../errors.ts'
import { closeAll } from '../wait.ts'
import { Place } from './place.ts'
import { type Engine, faultPoints, systemCalls } from './points.ts'
import { complaintOf, type Ended, type Execution, execute, hintOf, isDone, type Program, type Side } from './process.ts'

export interface GroundOptions {
  readonly program: Program
  /** Options of the command line that the pipeline file is loaded with. */
  readonly overrides: ConfigOverrides
  /** Extract and load as two processes. */
  readonly pipe: boolean
  readonly engine: 'points' | 'strace'
  readonly seed: number
  readonly signal: AbortSignal
}

/** A run that was killed is done after the next one; a third would be after a failure that is gone by itself. */
const RESUMES = 3

export class Ground {
  readonly file: string
  readonly options: GroundOptions
  readonly engine: Engine
  readonly sides: readonly Side[]
  readonly #root: string
  readonly #places = new Set<Place>()
  #count = 0
  /** Where the source's answers are kept, once they are. */
  #reading: readonly string[] = []

  private constructor(file: string, root: string, options: GroundOptions) {
    this.file = file
    this.#root = root
    this.options = options
    this.engine = options.engine === 'strace' ? systemCalls : faultPoints
    this.sides = options.pipe ? ['extract', 'load'] : ['run']
  }

  static async make(file: string, options: GroundOptions): Promise<Ground> {
    return new Ground(file, await realpath(await mkdtemp(join(tmpdir(), 'bizon_chaos_'))), options)
  }

  /** A folder of its own. `like`: with all that another one has. */
  async place(like?: Place): Promise<Place> {
    const folder = join(this.#root, `${basename(this.#root).toLowerCase()}_${++this.#count}`)
    const place = await Place.make(folder, this.file, { overrides: this.options.overrides, like })
    this.#places.add(place)
    return place
  }

  async remove(place: Place): Promise<void> {
    if (this.#places.delete(place)) await place.remove()
  }

  /** The last call: nothing is left of any place; rejects where that fails, and no folder is left even then. */
  async clear(): Promise<void> {
    await closeAll(...[...this.#places].map((place) => () => this.remove(place)), () =>
      rm(this.#root, { recursive: true, force: true }),
    )
  }

  execute(place: Place, execution: Omit<Execution, 'folder' | 'signal'>): Promise<readonly Ended[]> {
    const { program, signal } = this.options
    return execute(program, { reading: this.#reading, ...execution, folder: place.folder, signal })
  }

  /** The first of all runs: what a server answers is kept for those that follow. */
  async completeFirst(place: Place): Promise<void> {
    const cassette = join(this.#root, 'source.cassette')
    await this.complete(place, this.options.overrides.replay === undefined ? { reading: ['--record', cassette] } : {})
    if (await stat(cassette).catch(() => undefined)) this.#reading = ['--replay', cassette]
  }

  /** A run that nobody disturbs. */
  async complete(place: Place, execution: Partial<Execution> = {}): Promise<void> {
    const ends = await this.execute(place, { pipe: this.options.pipe, ...execution })
    if (isDone(ends)) return
    throw new BizonError('source', `${this.file}: an undisturbed run in a scratch folder fails: ${complaintOf(ends)}`, {
      hint: hintOf(ends) ?? `bizon check ${this.file}`,
    })
  }

  /** Runs until it is done; what the last run said if it never is. */
  async finish(place: Place, pipe: boolean): Promise<string | undefined> {
    // What came after the end of the run would be a run of its own, and load what is new.
    if (place.config.source.mode === 'incremental' && (await place.isDone())) return undefined
    let said: string | undefined
    for (let times = 0; times < RESUMES; times++) {
      const ends = await this.execute(place, { pipe })
      if (isDone(ends)) return undefined
      said = complaintOf(ends)
    }
    return said
  }
}
