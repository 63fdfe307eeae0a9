// What is tried again, after how long, and when enough is enough.

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { askedSeconds, exhaustedSeconds, remaining } from '../../../lib/http/rate-limit-headers.ts'
import { backoffSeconds, isTransient, mayRepeat, Patience, type Trouble } from '../../../lib/http/retry.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')
const status = (code: number, headers: Record<string, string> = {}): Trouble => ({
  kind: 'status',
  status: code,
  headers,
})
const failed = (reason: 'connection' | 'invalid' | 'tls' | 'unknown_host', sent = true, known = false): Trouble => ({
  kind: 'failure',
  reason,
  sent,
  known,
})

describe('what is tried again', () => {
  it.each<[Trouble, boolean]>([
    ...[408, 425, 429, 500, 502, 503, 504, 599].map((code): [Trouble, boolean] => [status(code), true]),
    ...[400, 401, 402, 403, 404, 405, 409, 410, 413, 422].map((code): [Trouble, boolean] => [status(code), false]),
    [status(403, { 'retry-after': '1' }), true],
    [status(403, { 'x-ratelimit-remaining': '0' }), true],
    [status(403, { 'x-ratelimit-remaining': '7' }), false],
    [failed('connection'), true],
    [failed('invalid'), true],
    [failed('tls'), false],
    [failed('unknown_host'), false],
    [failed('unknown_host', false, true), true],
  ])('%j: %s', (trouble, transient) => {
    expect(isTransient(trouble)).toBe(transient)
  })

  it.each<[string, boolean | undefined, Trouble, boolean]>([
    ['GET', undefined, status(500), true],
    ['PUT', undefined, failed('connection'), true],
    ['DELETE', undefined, failed('connection'), true],
    ['POST', undefined, status(500), false],
    ['POST', undefined, status(503, { 'retry-after': '1' }), false],
    ['POST', undefined, status(408), false],
    ['POST', undefined, status(429), true],
    ['POST', undefined, status(425), true],
    ['POST', undefined, failed('connection', true), false],
    ['POST', undefined, failed('connection', false), true],
    ['PATCH', undefined, failed('invalid'), false],
    ['POST', true, status(500), true],
    ['POST', true, failed('connection'), true],
    ['GET', false, status(500), false],
  ])('%s, repeatable %s, after %j: %s', (method, repeatable, trouble, again) => {
    expect(mayRepeat(method, repeatable, trouble)).toBe(again)
  })
})

describe('what the headers ask for', () => {
  const date = new Date(NOW).toUTCString()
  it.each<[Record<string, string>, number | undefined]>([
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': ' 120 ' }, 120],
    [{ 'retry-after': '1.5' }, 1.5],
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }, 30],
    [{ 'retry-after': 'Thu, 01 Jan 2015 00:00:30 GMT' }, 0],
    [{ 'retry-after': 'Thu, 01 Jan 2015 00:00:30 GMT', date: 'Thu, 01 Jan 2015 00:00:00 GMT' }, 30],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '-5' }, undefined],
    [{ 'retry-after': 'soon', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '9' }, 9],
    [{ 'retry-after': '3', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '9' }, 3],
    [{ 'ratelimit-remaining': '0', 'ratelimit-reset': '30' }, 30],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(NOW / 1000 + 60) }, 60],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(NOW + 60_000), date }, 60],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '2026-01-01T00:01:00Z' }, 60],
    [{ 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': String(NOW / 1000 - 60) }, 0],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset-after': '1.25' }, 1.25],
    [{ 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': '30' }, undefined],
    [{ 'x-ratelimit-remaining': '0' }, undefined],
    [{ 'x-ratelimit-reset': '30' }, undefined],
    [{ ratelimit: 'limit=100, remaining=0, reset=50' }, 50],
    [{ ratelimit: 'limit=100, remaining=2, reset=50' }, undefined],
    [{ ratelimit: '"default";r=0;t=30' }, 30],
    [{}, undefined],
  ])('%j: %s', (headers, seconds) => {
    expect(askedSeconds({ headers }, NOW)).toBe(seconds)
  })

  it('whatever they hold, a wait is undefined, or not negative and finite', () => {
    const names = [
      'retry-after',
      'ratelimit',
      'ratelimit-remaining',
      'x-ratelimit-reset',
      'date',
      'x-ratelimit-remaining',
    ]
    const value = fc.oneof(fc.string(), fc.integer().map(String), fc.date().map(String), fc.double().map(String))
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), (headers) => {
        for (const seconds of [askedSeconds({ headers }, NOW), exhaustedSeconds(headers, NOW), remaining(headers)]) {
          if (seconds !== undefined) expect(Number.isFinite(seconds) && seconds >= 0).toBe(true)
        }
      }),
    )
  })
})

describe('patience', () => {
  it('an API that asks to come back at once is spared nonetheless', () => {
    const patience = new Patience({ retry_limit: 5, retry_seconds: 9, rate_limit_seconds: 9 }, NOW, () => 1)
    patience.tries++
    expect(patience.decide(status(429, { 'retry-after': '0' }), NOW)).toEqual({ wait: 0.5, asked: false })
  })

  it('a wait is between nothing and twice as much as after the try before, at most a minute', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.double({ min: 0, max: 1, noNaN: true }), (tries, random) => {
        const seconds = backoffSeconds(tries, () => random)
        expect(seconds).toBeGreaterThanOrEqual(0)
        expect(seconds).toBeLessThanOrEqual(Math.min(60, 0.5 * 2 ** (tries - 1)))
      }),
    )
  })

  it('never goes on beyond its limits, whatever the API does', () => {
    const trouble = fc.record({
      asked: fc.option(fc.integer({ min: 0, max: 500 })),
      took: fc.integer({ min: 0, max: 100 }),
    })
    const limits = fc.record({
      retry_limit: fc.integer({ min: 0, max: 12 }),
      retry_seconds: fc.integer({ min: 0, max: 300 }),
      rate_limit_seconds: fc.integer({ min: 0, max: 1000 }),
    })
    fc.assert(
      fc.property(
        limits,
        fc.infiniteStream(trouble),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (given, troubles, r) => {
          let now = NOW
          let backedOff = 0
          let asked = 0
          const patience = new Patience(given, now, () => r)
          for (const { asked: seconds, took } of troubles) {
            patience.tries++
            now += took * 1000
            const headers: Record<string, string> = seconds === null ? {} : { 'retry-after': String(seconds) }
            const decision = patience.decide(status(429, headers), now)
            if ('over' in decision) break
            now += decision.wait * 1000
            if (decision.asked) {
              expect(decision.wait).toBeGreaterThanOrEqual(seconds ?? Number.NaN)
              patience.waited(decision.wait)
              asked += seconds ?? 0
            } else backedOff += decision.wait
          }
          expect(patience.tries).toBeLessThanOrEqual(given.retry_limit + 1)
          expect(backedOff).toBeLessThanOrEqual(given.retry_seconds + 1e-6)
          expect(asked).toBeLessThanOrEqual(given.rate_limit_seconds)
        },
      ),
    )
  })
})
