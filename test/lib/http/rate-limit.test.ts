// Turns at a host: how they are spaced, and that a pause holds for all who ask it.

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HostTurns, RateLimits, systemClock } from '../../../lib/http/rate-limit.ts'
import { fakeClock } from '../../support/fake-clock.ts'

const signal = new AbortController().signal
const untold = (): void => {}

describe('turns at a host', () => {
  it('are spaced as asked, by whole and by broken numbers', () =>
    fc.assert(
      fc.asyncProperty(fc.double({ min: 0.1, max: 1000, noNaN: true }), async (perSecond) => {
        const clock = fakeClock(0)
        const turns = new HostTurns()
        const at: number[] = []
        for (let i = 0; i < 5; i++) {
          await turns.take(perSecond, clock, signal, untold)
          at.push(clock.now())
        }
        for (const [i, time] of at.entries()) expect(time).toBeCloseTo((i * 1000) / perSecond, 3)
      }),
    ))

  it('a pause that comes up while others wait for their slots holds for them too', async () => {
    const clock = fakeClock(0)
    const turns = new HostTurns()
    let paused = false
    const pausing = {
      now: clock.now,
      sleep: async (seconds: number) => {
        if (!paused) turns.pause(10_000)
        paused = true
        clock.advance(seconds)
      },
    }
    await turns.take(1, pausing, signal, untold)
    await turns.take(1, pausing, signal, untold)
    expect(clock.now()).toBeGreaterThanOrEqual(10_000)
  })

  it('a shorter pause does not end a longer one, and each is told once', async () => {
    const clock = fakeClock(0)
    const turns = new HostTurns()
    const told: number[] = []
    turns.pause(9_000)
    turns.pause(4_000)
    expect(await turns.take(undefined, clock, signal, (seconds) => told.push(seconds))).toBe(9)
    expect(await turns.take(undefined, clock, signal, (seconds) => told.push(seconds))).toBe(0)
    expect(told).toEqual([9])
  })

  it('an abort ends the wait with its reason', async () => {
    const turns = new HostTurns()
    turns.pause(systemClock.now() + 60_000)
    const controller = new AbortController()
    const waiting = turns.take(undefined, systemClock, controller.signal, untold)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })

  it('are the same for the same host, and others for another', () => {
    const limits = new RateLimits()
    expect(limits.of('a:80')).toBe(limits.of('a:80'))
    expect(limits.of('a:80')).not.toBe(limits.of('b:80'))
  })
})
