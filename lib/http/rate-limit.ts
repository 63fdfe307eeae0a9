// Taking turns at a host: all clients of the process that ask the same one share what it said about waiting, and the
// spacing that users want. A pause that one of them learned of holds for all.

import { sleep } from '../wait.ts'

export interface Clock {
  /** Milliseconds since 1970; never goes back. */
  now(): number
  /** Resolves after the time, or as soon as the signal aborts. */
  sleep(seconds: number, signal: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  sleep,
}

export class HostTurns {
  #nextSlot = 0
  #pausedUntil = 0
  #toldOf = 0

  /**
   * Resolves when a request may go out, with the seconds that took; rejects with the signal's reason. `tell` is called
   * for a pause that nobody was told of yet.
   */
  async take(
    requestsPerSecond: number | undefined,
    clock: Clock,
    signal: AbortSignal,
    tell: (seconds: number) => void,
  ): Promise<number> {
    const began = clock.now()
    for (;;) {
      const now = clock.now()
      const at = this.#slot(now, requestsPerSecond)
      if (at <= now) return (now - began) / 1000
      if (this.#pausedUntil > now && this.#toldOf !== this.#pausedUntil) {
        this.#toldOf = this.#pausedUntil
        tell((this.#pausedUntil - now) / 1000)
      }
      await clock.sleep((at - now) / 1000, signal)
      signal.throwIfAborted()
      const woken = clock.now()
      // A pause that came up meanwhile: then the slot is forgone and another one taken.
      if (woken >= this.#pausedUntil) return (woken - began) / 1000
    }
  }

  /** Nobody asks this host before then. */
  pause(until: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, until)
  }

  #slot(now: number, requestsPerSecond: number | undefined): number {
    const earliest = Math.max(now, this.#pausedUntil)
    if (requestsPerSecond === undefined) return earliest
    const at = Math.max(earliest, this.#nextSlot)
    this.#nextSlot = at + 1000 / requestsPerSecond
    return at
  }
}

export class RateLimits {
  readonly #hosts = new Map<string, HostTurns>()

  /** Of a host with its port. */
  of(host: string): HostTurns {
    const known = this.#hosts.get(host)
    if (known) return known
    const turns = new HostTurns()
    this.#hosts.set(host, turns)
    return turns
  }
}

/** Those of the process. A host counts requests by whoever sends them, not by our clients. */
export const processLimits = new RateLimits()
