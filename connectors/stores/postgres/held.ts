// A lease that this process holds, and the connection by which others see that it lives.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { type Lease, newId } from '../../../lib/state.ts'
import { type Connection, GUARD, quoteText } from '../../postgres.ts'
import { tryLock } from './lease.ts'
import { BEGIN } from './session.ts'

/** Shows that the process lives, as long as its connection does. */
export class Guard {
  readonly #connect: (signal: AbortSignal) => Promise<Connection>
  readonly #ended = new AbortController()
  /** What the lease's row calls its holder by. */
  readonly token = newId()
  #connection: Connection | undefined
  #holding: Promise<void> | undefined

  constructor(connect: (signal: AbortSignal) => Promise<Connection>) {
    this.#connect = connect
  }

  /** Takes the lock, unless it has it. The server may not have seen yet that an earlier connection of ours is gone. */
  hold(): Promise<void> {
    this.#holding ??= this.#hold().finally(() => {
      this.#holding = undefined
    })
    return this.#holding
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.#ended.abort(new BizonError('internal', 'the lease was released'))
    await this.#holding?.catch(() => {})
    await this.#connection?.close()
  }

  async #hold(): Promise<void> {
    if (this.#connection && !this.#connection.lost) return
    await this.#connection?.close()
    const connection = await this.#connect(this.#ended.signal)
    this.#connection = connection
    // In one message without values: the portal of a statement that has values would keep its snapshot.
    const begin = `${BEGIN}; SET LOCAL application_name = ${quoteText(GUARD)}`
    const asked = connection.query(`${begin}; ${tryLock(quoteText(this.token))}`)
    const { rows } = await connection.interruptible(this.#ended.signal, asked)
    if (rows[0]?.taken !== true) connection.cut()
  }
}

interface HeldLeaseOptions {
  readonly epoch: number
  readonly guard: Guard
  readonly seconds: number
  readonly renew: () => Promise<void>
  readonly giveBack: () => Promise<void>
  readonly onEnd: () => void
  readonly log: Log
}

/** Renewed at each third of its time, until it is released. */
export class HeldLease implements Lease {
  readonly #options: HeldLeaseOptions
  readonly #timer: NodeJS.Timeout
  #releasing: Promise<void> | undefined

  constructor(options: HeldLeaseOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#renew(), (options.seconds * 1000) / 3)
    this.#timer.unref()
  }

  get epoch(): number {
    return this.#options.epoch
  }

  release(): Promise<void> {
    this.#releasing ??= this.#release()
    return this.#releasing
  }

  /** Without a word to the server, which sees that the connection has gone. */
  async end(): Promise<void> {
    clearInterval(this.#timer)
    this.#options.onEnd()
    await this.#options.guard.close()
  }

  async #release(): Promise<void> {
    clearInterval(this.#timer)
    try {
      await this.#options.giveBack()
    } catch (error) {
      // Its time is over soon, or its connection is gone already.
      this.#options.log.warn(`the lock could not be given back: ${messageOf(error)}`)
    } finally {
      await this.end()
    }
  }

  /** Shows again that the process lives, should that connection have been lost. Never rejects: it is tried again soon. */
  async stand(): Promise<void> {
    const { guard, log } = this.#options
    if (this.#releasing) return
    await guard.hold().catch((error: unknown) => log.debug(`no sign of life can be given: ${messageOf(error)}`))
  }

  /** What comes of it, the next change tells. */
  async #renew(): Promise<void> {
    const { renew, log } = this.#options
    await renew().catch((error: unknown) => log.debug(`the lease was not renewed: ${messageOf(error)}`))
    await this.stand()
  }
}
