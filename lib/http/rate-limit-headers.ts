// What an answer says about when to come back. There is a standard and there are habits; all are read:
//   Retry-After: 120                          RFC 9110, or an HTTP date
//   RateLimit: "default";r=0;t=30             IETF draft since 08; before: limit=100, remaining=0, reset=30
//   RateLimit-Remaining: 0, RateLimit-Reset   the same names with X- or X-Rate-Limit-; the reset in seconds from now,
//                                             in seconds or milliseconds since 1970, or a date

type Headers = Readonly<Record<string, string>>

const REMAINING = ['ratelimit-remaining', 'x-ratelimit-remaining', 'x-rate-limit-remaining']
const RESET = [
  'ratelimit-reset',
  'x-ratelimit-reset',
  'x-rate-limit-reset',
  'x-ratelimit-reset-after',
  'x-rate-limit-reset-after',
]

/** How long to wait after an answer that refused: undefined if it does not say. Seconds, never negative. */
export function askedSeconds({ headers }: { readonly headers: Headers }, now: number): number | undefined {
  const retryAfter = headers['retry-after']
  if (retryAfter !== undefined) {
    const seconds = secondsUntil(retryAfter, headers, now, false)
    if (seconds !== undefined) return seconds
  }
  return exhaustedSeconds(headers, now)
}

/** How long until requests are allowed again, when the headers say that none remains. */
export function exhaustedSeconds(headers: Headers, now: number): number | undefined {
  if (remaining(headers) !== 0) return undefined
  const draft = headers.ratelimit
  const reset = (draft && parameter(draft, ['t', 'reset'])) || first(headers, RESET)
  return reset === undefined ? undefined : secondsUntil(reset, headers, now, true)
}

/** Requests that are left until the reset. */
export function remaining(headers: Headers): number | undefined {
  const draft = headers.ratelimit
  const text = (draft && parameter(draft, ['r', 'remaining'])) || first(headers, REMAINING)
  if (text === undefined || !/^\d+(\.\d+)?$/.test(text)) return undefined
  return Number(text)
}

function first(headers: Headers, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = headers[name]
    if (value !== undefined) return value.trim()
  }
  return undefined
}

function parameter(text: string, names: readonly string[]): string | undefined {
  for (const part of text.split(/[;,]/)) {
    const [name = '', value = ''] = part.split('=', 2)
    if (names.includes(name.trim().toLowerCase())) return value.trim()
  }
  return undefined
}

/** An HTTP date, or RFC 3339. */
const DATE = /^\s*(?:[A-Za-z]{3,9},? |\d{4}-\d\d-\d\d[T ])/
const SECONDS_OF_2001 = 1e9
const MILLISECONDS_OF_2001 = 1e12

function secondsUntil(text: string, headers: Headers, now: number, mayBeEpoch: boolean): number | undefined {
  // A number with others after it, one for each policy: the first.
  const [, number] = /^(\d+(?:\.\d+)?)(?:\s*[,;].*)?$/.exec(text.trim()) ?? []
  if (number === undefined) {
    // Date.parse takes nearly anything for a date.
    const date = DATE.test(text) ? Date.parse(text) : Number.NaN
    return Number.isNaN(date) ? undefined : until(date, headers, now)
  }
  const value = Number(number)
  if (mayBeEpoch && value >= MILLISECONDS_OF_2001) return until(value, headers, now)
  if (mayBeEpoch && value >= SECONDS_OF_2001) return until(value * 1000, headers, now)
  return value
}

/** By the clock of whoever said it, since ours may be another one. */
function until(time: number, headers: Headers, now: number): number {
  const theirs = Date.parse(headers.date ?? '')
  return Math.max(0, (time - (Number.isNaN(theirs) ? now : theirs)) / 1000)
}
