// `bizon chaos`: the crash proof on the user's own pipeline. It is run undisturbed, with each durable operation counted; then
// again and again in folders of its own, killed at one operation after another, resumed, and read back by a reader that
// has nothing to do with the writer. So it goes with a first run, and with one that finds something loaded. Nothing of
// the real state and targets is opened.

import { chosenOf } from './choice.ts'
import type { Losses } from './content.ts'
import { Ground, type GroundOptions } from './ground.ts'
import { OTHERS, type Other, othersIn } from './others.ts'
import { nameOf } from './points.ts'
import { wasKilled } from './process.ts'
import { firstRound, secondRound } from './round.ts'
import { disturb, isFaulty, NOT_FIRED, type Trial } from './trial.ts'
import { inTurn } from './turns.ts'

export interface ChaosOptions extends GroundOptions {
  /** How many operations to be killed at; absent: as many as fit into about `seconds`. */
  readonly kills?: number
  readonly seconds: number
  /** Kills nowhere else than at operations whose name has this text. */
  readonly only?: string | undefined
  /** What else is tried. */
  readonly with: readonly Other[]
  /** Told after each trial: how many are done, of how many, and what is wrong so far. */
  readonly progress: (done: number, of: number, faults: number) => void
}

/** Trials of one kind. */
export interface Tried extends Losses {
  readonly kind: Trial['kind']
  readonly tried: number
  readonly faulty: number
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
  /** What else was done to a run, how often, and what came of it; part of the sums above. */
  readonly also: readonly Tried[]
  /** What was not tried, and why. */
  readonly leftOut: readonly string[]
  readonly seconds: number
}

const AT_A_TIME = 2
/** Of undisturbed runs, as long as a trial takes: it is cut off, looked at, and done. */
const RUNS_OF_A_TRIAL = 2.5

export async function chaos(file: string, options: ChaosOptions): Promise<ChaosReport> {
  const ground = await Ground.make(file, options)
  const report = await tryAll(ground, options).catch(async (error: unknown) => {
    // What failed first is what is told: where no server can be reached, nothing of it can be removed either.
    await ground.clear().catch(() => {})
    throw error
  })
  await ground.clear()
  return report
}

async function tryAll(ground: Ground, options: ChaosOptions): Promise<ChaosReport> {
  const started = performance.now()
  const { pipe, seed, engine, progress } = options
  const first = await firstRound(ground)
  const second = await secondRound(ground, first)
  const trials: Trial[] = []
  if (typeof second !== 'string' && second.wrong) {
    const { title } = second.round
    trials.push({ kind: 'undisturbed', at: `${title}its rows`, faults: ['not the rows of one run'], ...second.wrong })
  }
  const rounds = typeof second === 'string' ? [first] : [first, second.round]
  const others = await othersIn(ground, rounds, options.with)
  const took = rounds.reduce((total, round) => total + round.seconds, 0) / rounds.length
  const fitting = Math.floor((options.seconds * AT_A_TIME) / (RUNS_OF_A_TRIAL * took)) - others.work.length
  const chosen = chosenOf(rounds, ground.sides, { ...options, kills: options.kills ?? Math.max(5, fitting) })
  const kills = chosen.map(
    ({ round, operation }) =>
      () =>
        disturb(ground, round, { kind: 'kill', at: nameOf(operation) }, ({ folder }) => ({
          pipe,
          ...ground.engine.killing(operation, folder),
          fired: wasKilled,
        })),
  )
  const all = [...kills, ...others.work]
  let done = 0
  await inTurn(all, AT_A_TIME, async (work) => {
    trials.push(await work())
    progress(++done, all.length, trials.filter(isFaulty).length)
  })
  const killed = trials.filter(({ kind, faults }) => kind === 'kill' && !faults.includes(NOT_FIRED))
  return {
    report_version: 1,
    pipeline: first.place.config.name,
    engine,
    pipe,
    seed,
    rows: first.content.rows,
    operations: rounds.reduce((total, { operations }) => total + operations.length, 0),
    killed: killed.length,
    ...lossesIn(trials),
    histogram: countsOf(
      chosen.map(
        ({ round: { title }, operation: { side, name } }) => `${title}${side === 'run' ? '' : `${side}: `}${name}`,
      ),
    ),
    faulty: trials.filter(isFaulty),
    also: [...new Set(options.with.map((other) => OTHERS[other]))].flatMap((kind) => {
      const own = trials.filter((trial) => trial.kind === kind)
      return own.length === 0
        ? []
        : [{ kind, tried: own.length, faulty: own.filter(isFaulty).length, ...lossesIn(own) }]
    }),
    leftOut: [...others.leftOut, ...(typeof second === 'string' ? [second] : [])],
    seconds: (performance.now() - started) / 1000,
  }
}

function lossesIn(trials: readonly Trial[]): Losses {
  const sum = (what: keyof Losses): number => trials.reduce((total, trial) => total + trial[what], 0)
  return { lost: sum('lost'), doubled: sum('doubled'), changed: sum('changed') }
}

function countsOf(names: readonly string[]): { [name: string]: number } {
  const counts: { [name: string]: number } = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
