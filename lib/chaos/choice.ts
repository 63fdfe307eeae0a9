// Which operations a run is killed at.

import { BizonError } from '../errors.ts'
import { nameOf, type Operation, spread } from './points.ts'
import type { Side } from './process.ts'
import type { Round } from './round.ts'

export interface Choice {
  readonly kills: number
  readonly seed: number
  /** Those alone whose name has this text. */
  readonly only?: string | undefined
}

type Tried = Pick<Round, 'title' | 'operations'>

/** Of each round, and of each side of a pipe, its share. */
export function chosenOf<Given extends Tried>(
  rounds: readonly Given[],
  sides: readonly Side[],
  { kills, seed, only = '' }: Choice,
): readonly { readonly round: Given; readonly operation: Operation }[] {
  const groups = rounds.flatMap((round) =>
    sides.map((side) => ({
      round,
      own: round.operations.filter((one) => one.side === side && `${round.title}${nameOf(one)}`.includes(only)),
    })),
  )
  const sizes = groups.map(({ own }) => own.length)
  if (sizes.every((size) => size === 0)) {
    throw new BizonError('usage', `--only ${JSON.stringify(only)}: no operation of the run has that in its name`, {
      hint: 'Leave it out; the points at which it killed are told behind the result.',
    })
  }
  const shares = sharesOf(sizes, kills)
  return groups.flatMap(({ round, own }, at) =>
    spread(own, shares[at] as number, seed).map((operation) => ({ round, operation })),
  )
}

/** So many in all, by size; none that has some goes without, if there are enough. */
function sharesOf(sizes: readonly number[], count: number): readonly number[] {
  const all = sizes.reduce((total, size) => total + size, 0)
  if (count >= all) return sizes
  const shares = sizes.map((size): number => (size > 0 && count >= sizes.length ? 1 : 0))
  const short = (at: number): number => ((sizes[at] as number) * count) / all - (shares[at] as number)
  for (let given = shares.reduce((total, share) => total + share, 0); given < count; given++) {
    const open = [...sizes.keys()].filter((at) => (shares[at] as number) < (sizes[at] as number))
    const next = open.reduce((most, at) => (short(at) > short(most) ? at : most))
    shares[next] = (shares[next] as number) + 1
  }
  return shares
}
