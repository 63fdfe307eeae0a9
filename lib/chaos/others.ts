// What else can happen to a run than to be killed: a stop, a full disk, connections that are cut, a pipe that loses one of its
// sides.

import type { Ground } from './ground.ts'
import { type FaultAction, failing, nameOf, spread, surviving } from './points.ts'
import { type Ended, isDone, type Side, wasKilled } from './process.ts'
import type { Round } from './round.ts'
import { disturb, type Trial } from './trial.ts'

/** By the names that the command line has for them. */
export const OTHERS = {
  sigterm: 'SIGTERM',
  enospc: 'disk full',
  connections: 'connections cut',
  pipe: 'pipe cut',
} as const satisfies { readonly [name: string]: Trial['kind'] }

export type Other = keyof typeof OTHERS

type Work = () => Promise<Trial>

export interface Others {
  readonly work: readonly Work[]
  /** What is not tried, and why. */
  readonly leftOut: readonly string[]
}

/** Of what a disk may hold: half of the largest file that a run writes. Smaller ones have no half. */
const LEAST_LIMITED = 4096
/** Where a run writes its rows, or makes them durable. */
const WRITING = /^(?:stage|fsync|commit)\./
/** Where a transaction is open. */
const CONNECTED = /^(?:stage\.|commit\.(?:before|mid)|publish\.mid)/

export async function othersIn(ground: Ground, rounds: readonly Round[], tried: readonly Other[]): Promise<Others> {
  const leftOut: string[] = []
  const work: Work[] = []
  for (const other of tried) {
    for (const [at, round] of rounds.entries()) {
      const found = await TRIALS[other](ground, round, at === 0)
      if (typeof found !== 'string') work.push(...found)
      else if (at === 0) leftOut.push(`${OTHERS[other]}: ${found}`)
    }
  }
  return { work, leftOut }
}

/** Or why there are none. `isFirst`: of the first round, which has a little more. */
const TRIALS: {
  readonly [name in Other]: (ground: Ground, round: Round, isFirst: boolean) => Promise<Work[] | string>
} = {
  async sigterm(ground, round) {
    return atPoints(ground, round, { kind: 'SIGTERM', action: 'term', count: 1, points: /./ })
  },
  async enospc(ground, round, isFirst) {
    const { kept } = round.place
    if (kept === 'server') return 'it is one of the server'
    if (kept === undefined) return 'the destination does not say where its files are'
    const thrown = atPoints(ground, round, { kind: 'disk full', action: 'enospc', count: 1, points: WRITING })
    const limited = isFirst ? await limitedDisk(ground, round) : []
    const all = [...(typeof thrown === 'string' ? [] : thrown), ...limited]
    return all.length > 0 ? all : `${thrown}`
  },
  async connections(ground, round, isFirst) {
    if (round.place.kept !== 'server') return 'the destination has none that are known'
    return atPoints(ground, round, {
      kind: 'connections cut',
      action: 'cut',
      count: isFirst ? 2 : 1,
      points: CONNECTED,
    })
  },
  async pipe(ground, round, isFirst) {
    const { pipe, engine } = ground.options
    if (pipe) return 'each side is killed anyway'
    if (engine !== 'points') return ONLY_POINTS
    if (!isFirst) return []
    return (['extract', 'load'] as const).map((side) => {
      const name = side === 'extract' ? 'fetch.after' : 'cursor.before'
      const cut = { pipe: true, ...failing({ side, name, at: 1 }, 'kill'), fired: wasKilled }
      return () => disturb(ground, round, { kind: 'pipe cut', at: `${side}: ${name}@1` }, () => cut)
    })
  },
}

const ONLY_POINTS = 'with --engine points only'

/** At so many operations, neither while the run begins nor while it ends. */
function atPoints(
  ground: Ground,
  round: Round,
  given: {
    readonly kind: Trial['kind']
    readonly action: FaultAction
    readonly count: number
    readonly points: RegExp
  },
): Work[] | string {
  const { pipe, engine, seed } = ground.options
  const { kind, action, count, points } = given
  if (engine !== 'points') return ONLY_POINTS
  const { operations } = round
  const middle = operations.slice(Math.floor(operations.length / 4), Math.ceil((3 * operations.length) / 4))
  const chosen = spread(
    middle.filter(({ name }) => points.test(name)),
    count,
    seed,
  )
  if (chosen.length === 0) return 'the run is too short'
  return chosen.map(
    (operation) => () =>
      disturb(ground, round, { kind, at: nameOf(operation) }, ({ folder }) => {
        const { env, passed } = surviving(operation, action, folder)
        const fired = async (ends: readonly Ended[]): Promise<boolean> => (await passed()) && hadEffect[action](ends)
        return { pipe, env, fired }
      }),
  )
}

const USAGE = 2
const hadEffect: { readonly [action in FaultAction]: (ends: readonly Ended[]) => boolean } = {
  kill: wasKilled,
  // A run that is stopped behind its last checkpoint is done all the same.
  term: () => true,
  enospc: (ends) => !isDone(ends),
  // It goes on by new ones, as a rule; where there are none to cut it is refused.
  cut: (ends) => ends.every(({ code }) => code !== USAGE),
}

/** The system's own limit, where it has one. */
async function limitedDisk(ground: Ground, round: Round): Promise<Work[]> {
  const { pipe } = ground.options
  const largest = await round.place.largest()
  if (process.platform === 'win32' || largest < LEAST_LIMITED) return []
  const limit = Math.floor(largest / 2)
  const under = ['sh', '-c', `ulimit -f ${Math.floor(limit / 512)}; exec "$@"`, 'limited']
  const side: Side = pipe ? 'load' : 'run'
  const full = { pipe, under: { [side]: under }, fired: (ends: readonly Ended[]) => !isDone(ends) }
  return [() => disturb(ground, round, { kind: 'disk full', at: `${limit} bytes` }, () => full)]
}
