// One trial: a run is disturbed in a place of its own, what readers see is looked at, the pipeline is run until it is done, and
// its rows are compared with those of the run that nobody disturbed.

import { isSame, type Losses } from './content.ts'
import type { Ground } from './ground.ts'
import type { Place } from './place.ts'
import type { Ended, Execution } from './process.ts'
import type { Round } from './round.ts'

/** What was done to a run, and what came of it. */
export interface Trial extends Losses {
  readonly at: string
  readonly kind: 'kill' | 'SIGTERM' | 'disk full' | 'connections cut' | 'pipe cut' | 'undisturbed'
  /** In words: it did not fire, was not resumed, or readers saw a part. */
  readonly faults: readonly string[]
}

export type Disturbance = Omit<Execution, 'folder' | 'signal'> & {
  /** Whether it came to what was to be done. */
  fired(ends: readonly Ended[]): boolean | Promise<boolean>
}

export const NOT_FIRED = 'it did not fire'
const NONE: Losses = { lost: 0, doubled: 0, changed: 0 }

export const isFaulty = ({ faults, lost, doubled, changed }: Trial): boolean =>
  faults.length > 0 || lost + doubled + changed > 0

export async function disturb(
  ground: Ground,
  round: Round,
  { kind, at }: Pick<Trial, 'kind' | 'at'>,
  how: (place: Place) => Disturbance,
): Promise<Trial> {
  const place = await round.begin()
  try {
    const { fired, ...execution } = how(place)
    const faults: string[] = []
    const ends = await ground.execute(place, execution)
    if (!(await fired(ends))) faults.push(NOT_FIRED)
    const seen = await sawWrongly(ground, round, place)
    if (seen !== undefined) faults.push(seen)
    const said = await ground.finish(place, execution.pipe)
    if (said !== undefined) faults.push(`the next run failed: ${said}`)
    const { signal } = ground.options
    const isRight = isSame(await place.content(round.targets, signal), round.content)
    const losses = isRight ? NONE : await place.losses(round.place, round.targets, signal)
    return { kind, at: `${round.title}${at}`, faults, ...losses }
  } finally {
    await ground.remove(place)
  }
}

/** Readers see what was there before the run, or what is there after it; the former no more once it counts as done. */
async function sawWrongly(ground: Ground, round: Round, place: Place): Promise<string | undefined> {
  const { before, content, targets } = round
  const seen = await place.content(targets, ground.options.signal)
  if (isSame(seen, content)) return undefined
  if (await place.isDone()) return `the run counts as done, and readers saw ${seen.rows} of ${content.rows} rows`
  if (isSame(seen, before) || (before.rows === 0 && seen.rows === 0)) return undefined
  const { addsInView, onlyAdds, merges } = place.keeps
  const isAdded = onlyAdds || (round.title !== '' && place.config.source.mode === 'incremental')
  // Records that are merged may have had more rows of lists before, or meanwhile.
  const isCounted = !merges || place.config.destination.options.unnestDepth === undefined
  const isBetween = seen.rows >= before.rows && seen.rows <= content.rows
  if (isAdded && addsInView && (isBetween || !isCounted)) return undefined
  const of = before.rows === 0 ? '' : `, neither the ${before.rows} before nor those after`
  return `readers saw ${seen.rows} of ${content.rows} rows${of}`
}
