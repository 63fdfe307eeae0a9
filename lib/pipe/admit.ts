// Whether a pipe of ours may be loaded where the destination stands.

import { isDeepStrictEqual } from 'node:util'
import { BizonError } from '../errors.ts'
import type { ReadOptions } from '../extract.ts'
import { type Held, isOther, readAnew } from './own.ts'
import { type PipeState, plain } from './state.ts'

/**
 * Whether the pipe may be loaded where the destination stands. Returns the page up to which the destination holds it
 * already.
 */
export function admit(state: PipeState, standing: ReadOptions['standing']): Held {
  const { page, position, reading }: Held = standing?.from ?? { page: 0, position: null }
  const previous = standing?.previous
  if (state.previous !== previous) {
    const has = previous === undefined ? 'no published run' : `run ${previous} as its last one`
    const reads = state.previous === undefined ? 'from the beginning' : `what came after run ${state.previous}`
    throw new Refused(`the pipe holds ${reads}, and the destination has ${has}`)
  }
  if (state.page > 0 && state.run !== standing?.from.run)
    throw new Refused(`the pipe goes on with run ${state.run}, and the destination with ${standing?.from.run}`)
  if (state.page > page)
    throw new Refused(`the pipe begins behind page ${state.page}, and the destination holds ${page} pages`)
  if (state.page === page && !isDeepStrictEqual(plain(state.position), plain(position)))
    throw new Refused(`the pipe begins behind page ${page} at another position than the destination holds`)
  if (state.page === page && isOther(state.reading, reading)) throw readAnew('the pipe', page)
  return { page, position, reading }
}

/** The producer does not know where the destination stands. */
export class Refused extends BizonError {
  /** Without what to do. */
  readonly why: string

  constructor(why: string) {
    super('source', `${why}; nothing was loaded`, { hint: HINT })
    this.why = why
  }
}

const HINT =
  'Let the producer know: name the same pipeline and state store in both files, or hand it --state FILE with the last value that was printed. To load everything anew: bizon-extract --reset (incremental), or source.force_ignore_checkpoint: true for one run.'
