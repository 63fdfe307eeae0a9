// A clock that jumps instead of waiting, and remembers how far.

import type { Clock } from '../../lib/http/rate-limit.ts'

export interface FakeClock extends Clock {
  /** Seconds that were slept, one after another. */
  readonly slept: number[]
  advance(seconds: number): void
}

export function fakeClock(start = Date.parse('2026-01-01T00:00:00Z')): FakeClock {
  let now = start
  const slept: number[] = []
  return {
    slept,
    now: () => now,
    sleep: async (seconds) => {
      slept.push(seconds)
      now += seconds * 1000
    },
    advance: (seconds) => {
      now += seconds * 1000
    },
  }
}
