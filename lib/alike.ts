// Partitions of one run that must not be published together: loaded with two settings, or filled by two readings of the source.

import type { Checkpoint } from './checkpoint.ts'
import { type BizonError, Unloadable } from './errors.ts'
import { readingAnew } from './job.ts'
import { readingOf, wholeRun } from './partition.ts'
import type { SyncMode } from './source.ts'

/** A run, be it named after one of its partitions. */
interface Whole {
  readonly run: string
  readonly mode: SyncMode
}

/** Rejects where they differ. `held`: what each partition holds of the run, in order; those that have not ended are left out. */
export function checkAlike(whole: Whole, held: readonly (Checkpoint | undefined)[]): void {
  const ends = held.map((one) => (one?.end ? one : undefined))
  const first = ends.findIndex((one) => one)
  const one = ends[first]
  if (!one) return
  const differs = (of: (end: Checkpoint) => string | undefined): number =>
    ends.findIndex((two) => two && of(two) !== of(one))
  const edited = differs(({ settings }) => settings)
  if (edited > 0) throw loadedTwoWays(whole, [first, edited], ends.length)
  const other = differs(readingOf)
  if (other > 0) throw mixed(whole, ends, [first, other])
}

function mixed(
  { run, mode }: Whole,
  ends: readonly (Checkpoint | undefined)[],
  [first, other]: readonly [number, number],
): BizonError {
  return new Unloadable(
    'source',
    `not published: run ${wholeRun(run)} was read twice, with other records the second time; partition ${first + 1} of ${ends.length} has one reading (${ends[first]?.page} pages), and partition ${other + 1} the other (${ends[other]?.page} pages)`,
    { hint: `Read it once more, whole: ${readingAnew(mode)}.` },
  )
}

/** Loaders that were not told the same began it, each before another one had loaded anything. */
function loadedTwoWays({ run, mode }: Whole, [first, other]: readonly [number, number], of: number): BizonError {
  return new Unloadable(
    'config',
    `not published: partitions ${first + 1} and ${other + 1} of ${of} of run ${wholeRun(run)} were loaded with two settings of destination, or transforms of the loader`,
    { hint: `Give all loaders the same. Then read it once more, whole: ${readingAnew(mode)}.` },
  )
}
