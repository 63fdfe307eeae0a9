// Brokers that are away: said once, when they are missed for longer than a moment, and once more, when one answers.

import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'

/** Of what passes by itself nobody needs to hear. */
const MOMENT_MS = 2000

export class Absence {
  readonly #where: string
  readonly #log: Log
  #since: number | undefined
  #isSaid = false

  constructor(where: string, log: Log) {
    this.#where = where
    this.#log = log
  }

  /** An attempt failed, and there will be another; `seconds`: for how long at most. */
  missed(error: unknown, seconds: number): void {
    const said = messageOf(error)
    const what = said.startsWith(this.#where) ? said : `${this.#where}: ${said}`
    this.#log.debug(`${what}; trying again`)
    const now = performance.now()
    // A connection that lies idle is lost now and then, and nobody tells that the next one holds.
    if (this.#since === undefined || now - this.#since > seconds * 1000) this.#since = now
    if (this.#isSaid || now - this.#since < MOMENT_MS) return
    this.#isSaid = true
    this.#log.warn(`${what}; trying again for up to ${seconds} s`)
  }

  answered(): void {
    this.#since = undefined
    if (this.#isSaid) this.#log.info(`${this.#where} answers again`)
    this.#isSaid = false
  }
}
