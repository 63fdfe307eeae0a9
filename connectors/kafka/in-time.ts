// A limit of our own on what the client is asked for. It has one for each request; but one that it puts on a connection which it
// takes for open, while that is being made anew, it forgets, and neither an answer nor an error ever comes.

import { BizonError } from '../../lib/errors.ts'
import { sleep } from '../../lib/wait.ts'
import type { Place } from './errors.ts'

export interface Limit {
  readonly seconds: number
  readonly late: () => void
  /** Told that it was in time. */
  readonly answered?: () => void
}

/** Rejects when the work takes longer, and calls `late`, by which the connections are closed: what waits for them fails then. */
export async function inTime<T>(
  work: Promise<T>,
  { code, brokers }: Place,
  { seconds, late, answered = () => {} }: Limit,
): Promise<T> {
  const over = new AbortController()
  const limit = sleep(seconds, over.signal).then((): never | undefined => {
    if (over.signal.aborted) return undefined
    late()
    throw new BizonError(code, `Kafka at ${brokers.join(',')}: no answer for ${Math.round(seconds)} s`, {
      hint: 'See whether it runs, and what it has logged.',
      retriable: true,
    })
  })
  try {
    const done = (await Promise.race([work, limit])) as T
    answered()
    return done
  } finally {
    over.abort()
  }
}
