// Pages on their way: the one that is waited for, and at most one behind it, which is asked for as early as it is known.

import { setImmediate as oneTurn } from 'node:timers/promises'
import type { Answer, Spot } from './pages.ts'

/** An answer whose records nobody has looked at yet. */
export type Arrived = Omit<Answer, 'found'>

export interface AheadParts {
  /** `arrived` is awaited between the answer and the look at its records. */
  ask(spot: Spot, signal: AbortSignal, arrived: (answer: Arrived) => Promise<void>): Promise<Answer>
  /** What follows a page whose records nobody has looked at yet; null: that is not known, or there is nothing. */
  guess(spot: Spot, answer: Arrived): Spot | null
}

/**
 * Turns of the event loop in which a request that nothing holds back is sent, so that the server works on it while the
 * page before is looked through: undici gives a connection that was idle one of them to say that it was closed.
 */
const SENDING_TURNS = 2

interface Asked {
  readonly at: string
  readonly answer: Promise<Answer>
}

export class Ahead {
  readonly #parts: AheadParts
  readonly #outer: AbortSignal
  #left = new AbortController()
  #signal: AbortSignal
  #awaited: Asked | undefined
  #behind: Asked | undefined

  constructor(parts: AheadParts, signal: AbortSignal) {
    this.#parts = parts
    this.#outer = signal
    this.#signal = AbortSignal.any([signal, this.#left.signal])
  }

  /** The page's answer. Pages are taken one after the other. */
  async take(spot: Spot): Promise<Answer> {
    this.#awaited = this.#behind ?? this.#ask(spot)
    this.#behind = undefined
    const answer = await this.#awaited.answer
    this.#awaited = undefined
    return answer
  }

  /** Asks for the page that will be taken next, unless that was guessed. */
  follow(spot: Spot): void {
    if (this.#behind && this.#behind.at !== JSON.stringify(spot.at)) {
      this.#left.abort()
      this.#left = new AbortController()
      this.#signal = AbortSignal.any([this.#outer, this.#left.signal])
      this.#behind = undefined
    }
    this.#behind ??= this.#ask(spot)
  }

  async close(): Promise<void> {
    this.#left.abort()
    await Promise.allSettled([this.#awaited?.answer, this.#behind?.answer])
  }

  #ask(spot: Spot): Asked {
    const answer = this.#parts.ask(spot, this.#signal, async (arrived) => {
      // Behind a page that nobody waits for nothing is asked: one page is read ahead, not two.
      if (this.#awaited !== asked || this.#behind) return
      const next = this.#parts.guess(spot, arrived)
      if (next === null) return
      this.#behind = this.#ask(next)
      for (let turn = 0; turn < SENDING_TURNS; turn++) await oneTurn()
    })
    answer.catch(() => {}) // told when its turn comes
    const asked: Asked = { at: JSON.stringify(spot.at), answer }
    return asked
  }
}
