// The guard against an extract that says it is complete and has lost most of its rows on the way: `max_shrink_pct`.

import { BizonError } from './errors.ts'
import { startingOver } from './job.ts'

export interface Shrinking {
  /** Rows of the run that is to be published. */
  readonly rows: number
  /** Rows of the full refresh that was published last. */
  readonly before: number
  readonly maxShrinkPct: number
}

/** Rejects a run that has more than so many percent fewer rows than the one whose place it would take. */
export function checkShrink({ rows, before, maxShrinkPct }: Shrinking): void {
  const least = before * (1 - maxShrinkPct / 100)
  if (rows >= least) return
  const percent = ((1 - rows / before) * 100).toFixed(1).replace(/\.0$/, '')
  throw new BizonError(
    'destination',
    `not published: the run has ${rows} rows, ${percent} % fewer than the ${before} that it would replace, and max_shrink_pct is ${maxShrinkPct}`,
    {
      hint: `If it is right, raise destination.config.max_shrink_pct and run again, which publishes it. Else see what the source has left out; then, to read again, ${startingOver('full_refresh')}.`,
    },
  )
}
