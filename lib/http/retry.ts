// What is tried again, and when: pure, so that it is a table of tests. Full jitter: many clients that fail together
// must not come back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

import type { ApiConfig } from './config.ts'
import { askedSeconds, remaining } from './rate-limit-headers.ts'
import type { TransportReason } from './transport.ts'

/** What went wrong with an attempt. */
export type Trouble =
  | { readonly kind: 'status'; readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | {
      readonly kind: 'failure'
      readonly reason: TransportReason | 'invalid'
      readonly sent: boolean
      /** Whether this host has answered before: then an unknown name is a slip of the name server. */
      readonly known: boolean
    }

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** Whether the same request may go better later. */
export function isTransient(trouble: Trouble): boolean {
  if (trouble.kind === 'status') {
    const { status } = trouble
    return status === 408 || status === 425 || status >= 500 || isRateLimited(trouble)
  }
  const { reason, known } = trouble
  if (reason === 'unknown_host') return known
  return reason !== 'tls' && reason !== 'proxy' && reason !== 'protocol'
}

/** 429, and GitHub's 403 that says that nothing remains. */
function isRateLimited(trouble: Trouble): boolean {
  if (trouble.kind !== 'status') return false
  const { status, headers } = trouble
  return status === 429 || (status === 403 && ('retry-after' in headers || remaining(headers) === 0))
}

/**
 * Whether the request may be sent again after this: it is repeatable, or it was refused before anything was done with
 * it, which 425 and 429 say, and a connection that never came about.
 */
export function mayRepeat(method: string, repeatable: boolean | undefined, trouble: Trouble): boolean {
  if (repeatable ?? IDEMPOTENT.has(method)) return true
  return trouble.kind === 'status' ? trouble.status === 425 || isRateLimited(trouble) : !trouble.sent
}

const FIRST_SECONDS = 0.5
const MOST_SECONDS = 60

/** How long to wait after so many tries: anything between nothing and twice as much as after the try before. */
export function backoffSeconds(tries: number, random: () => number): number {
  return random() * Math.min(MOST_SECONDS, FIRST_SECONDS * 2 ** (tries - 1))
}

export type RetryLimits = Pick<ApiConfig, 'retry_limit' | 'retry_seconds' | 'rate_limit_seconds'>

export type Decision =
  /** Try again after so many seconds; `asked`: because the API says so, and everybody who asks this host should. */
  | { readonly wait: number; readonly asked: boolean }
  /** Give up: this limit is reached. */
  | { readonly over: keyof RetryLimits; readonly asked?: number }

/** The budget of one request: attempts, seconds of trouble, and seconds that the API asked for. */
export class Patience {
  tries = 0
  readonly #limits: RetryLimits
  readonly #startedAt: number
  readonly #random: () => number
  #asked = 0

  /** Times are in milliseconds. */
  constructor(limits: RetryLimits, now: number, random: () => number) {
    this.#limits = limits
    this.#startedAt = now
    this.#random = random
  }

  /** After each attempt that failed in passing. */
  decide(trouble: Trouble, now: number): Decision {
    const { retry_limit, retry_seconds, rate_limit_seconds } = this.#limits
    if (this.tries > retry_limit) return { over: 'retry_limit' }
    const asked = trouble.kind === 'status' ? askedSeconds(trouble, now) : undefined
    // One that asks for nothing, or names a time that has gone, is spared as one that does not say.
    if (asked !== undefined && asked > 0) {
      if (this.#asked + asked > rate_limit_seconds) return { over: 'rate_limit_seconds', asked }
      // A little more, so that not all who were told the same time come at that time.
      return { wait: asked + this.#random() * Math.min(1, asked / 10), asked: true }
    }
    const wait = backoffSeconds(this.tries, this.#random)
    if (this.seconds(now) - this.#asked + wait > retry_seconds) return { over: 'retry_seconds' }
    return { wait, asked: false }
  }

  /** Waited because the API, or the user, wants fewer requests: no trouble. */
  waited(seconds: number): void {
    this.#asked += seconds
  }

  /** Since the first attempt. */
  seconds(now: number): number {
    return (now - this.#startedAt) / 1000
  }
}
