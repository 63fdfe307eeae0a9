// What else can happen to a run than to be killed: a stop, a full disk, a pipe that loses one of its sides.

import type { Ground } from './ground.ts'
import { failing, nameOf, type Operation, spread, stopping } from './points.ts'
import { type Ended, isDone, type Side, wasKilled } from './process.ts'
import type { Round } from './round.ts'
import { disturb, type Trial } from './trial.ts'

/** Of what a disk may hold: half of the largest file that a run writes. Smaller ones have no half. */
const LEAST_LIMITED = 4096

export interface Others {
  readonly work: readonly (() => Promise<Trial>)[]
  /** What is not tried, and why. */
  readonly leftOut: readonly string[]
}

export async function othersIn(ground: Ground, round: Round): Promise<Others> {
  const { pipe, engine } = ground.options
  const leftOut = ['a database that is restarted under the run: no destination says how to']
  const work: (() => Promise<Trial>)[] = []
  if (engine === 'points') {
    for (const operation of inTheMiddle(round.operations, 2, ground.options.seed)) {
      work.push(() =>
        disturb(ground, round, { kind: 'SIGTERM', at: nameOf(operation) }, ({ folder }) => ({
          pipe,
          ...stopping(operation, folder),
        })),
      )
    }
  }
  const largest = await round.place.largest()
  const limit = Math.floor(largest / 2)
  if (process.platform === 'win32') leftOut.push('a full disk: there is no limit to set on this system')
  else if (largest < LEAST_LIMITED) leftOut.push('a full disk: what a run writes is too little, or is on the server')
  else {
    const under = ['sh', '-c', `ulimit -f ${Math.floor(limit / 512)}; exec "$@"`, 'limited']
    const side: Side = pipe ? 'load' : 'run'
    const full = { pipe, under: { [side]: under }, fired: (ends: readonly Ended[]) => !isDone(ends) }
    work.push(() => disturb(ground, round, { kind: 'disk full', at: `${limit} bytes` }, () => full))
  }
  if (!pipe && engine === 'points') {
    for (const side of ['extract', 'load'] as const) {
      const name = side === 'extract' ? 'fetch.after' : 'cursor.before'
      const cut = { pipe: true, ...failing({ side, name, at: 1 }, 'kill'), fired: wasKilled }
      work.push(() => disturb(ground, round, { kind: 'pipe cut', at: `${side}: ${name}@1` }, () => cut))
    }
  }
  return { work, leftOut }
}

/** Neither while it begins nor while it ends. */
function inTheMiddle(from: readonly Operation[], count: number, seed: number): Operation[] {
  return spread(from.slice(Math.floor(from.length / 4), Math.ceil((3 * from.length) / 4)), count, seed)
}
