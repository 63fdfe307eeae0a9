// Messages of one queue in the order in which they were put, taken one by one, on a channel of their own.
//
// A consumer of RabbitMQ is given as many messages as it may have unacknowledged, and then none; but a page may be of more
// messages than that, and is durable only once all have come. So messages are asked for (basic.get), which counts nothing,
// and a consumer of one message is only the bell that rings when there were none.
//
// What a loader has taken and not acknowledged is given back when it ends, in no order. So whoever begins takes all of
// that first, without keeping bodies, and holds it. A message that is due is then given back alone and asked for again:
// what was given back comes before anything else, and nothing else was. In the same way a message that is held for
// long is made new, since the broker closes channels that do not acknowledge one within half an hour.

import { setTimeout as pause } from 'node:timers/promises'
import { BizonError } from '../../../lib/errors.ts'
import type { RabbitChannel, Received } from '../../rabbitmq/channel.ts'
import { AWAY_PAUSE_MS, Bell, firstAlone, type Held, heldOf, returned, scan, unless } from './given-back.ts'

export interface Given {
  readonly held: Held
  readonly body: Uint8Array
}

export interface TakingOptions {
  /** How old a message gets before it is made new. */
  readonly renewSeconds: number
  /** Somebody else takes from the queue, or what he took has not been given back for a while. Said once. */
  onOthers(): void
}

const GOODBYE_SECONDS = 3

export class Taking {
  readonly #channel: RabbitChannel
  readonly #queue: string
  readonly #renewSeconds: number
  /** What was given to the caller and is not acknowledged. */
  readonly #taken: Held[] = []
  /** What comes next. */
  readonly #waiting: Held[]
  #ahead: Promise<void> | undefined
  #ringBell: (() => void) | undefined
  #working: Promise<unknown> = Promise.resolve()
  #isRenewing = false
  #hasAcked = false
  #failure: unknown
  readonly #timer: NodeJS.Timeout

  private constructor(channel: RabbitChannel, queue: string, waiting: Held[], renewSeconds: number) {
    this.#channel = channel
    this.#queue = queue
    this.#waiting = waiting
    this.#renewSeconds = renewSeconds
    this.#timer = setInterval(() => this.#renewOld(), renewSeconds * 100).unref()
  }

  /** Waits until there is a message. It must be the caller's turn, and nobody else's. */
  static async begin(
    channel: RabbitChannel,
    queue: string,
    signal: AbortSignal,
    { renewSeconds, onOthers }: TakingOptions,
  ): Promise<Taking> {
    const first = await firstAlone(channel, queue, signal, onOthers)
    channel.giveBack(first.tag)
    return new Taking(channel, queue, await scan(channel, queue, signal), renewSeconds)
  }

  /** Bytes of bodies that were not given to the caller. */
  get heldBytes(): number {
    return this.#waiting.reduce((sum, { body }) => sum + (body?.length ?? 0), 0)
  }

  /** The next message, as soon as there is one. */
  async next(signal: AbortSignal): Promise<Given> {
    for (;;) {
      await unless(signal, this.#ahead ?? Promise.resolve())
      this.#ahead = undefined
      this.#check()
      if (this.#waiting.length > 0)
        return unless(
          signal,
          this.#exclusively(() => this.#give()),
        )
      await unless(
        signal,
        this.#exclusively(() => this.#fetch()),
      )
      if (this.#waiting.length === 0) await this.#exclusively(() => this.#listen(signal))
    }
  }

  /** It, and all that were given before it. */
  ack(held: Held): void {
    if (!this.#taken.includes(held)) return
    for (let first = this.#taken.shift(); first; first = this.#taken.shift()) {
      first.isDone = true
      this.#hasAcked = true
      if (!first.isAway) this.#channel.ack(first.tag)
      if (first === held) return
    }
  }

  /** Never rejects. What was not acknowledged comes again. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#acknowledged().catch(() => {}) // the channel has ended, and they come again
    await this.#channel.close()
  }

  /** The broker works off acknowledgements after a while, and leaves those that it has not come to when the channel closes. */
  async #acknowledged(): Promise<void> {
    if (!this.#hasAcked || this.#channel.ended.aborted) return
    const deadline = performance.now() + GOODBYE_SECONDS * 1000
    // Each message that is held counts for a consumer, and the bell is one.
    const held = this.#taken.length + this.#waiting.length + 1
    while (performance.now() < deadline && (await this.#channel.consumersOf(this.#queue)) > held)
      await pause(AWAY_PAUSE_MS)
  }

  async #give(): Promise<Given> {
    const held = this.#waiting[0] as Held
    const body = held.body ?? (await this.#again(held))
    held.body = undefined
    this.#waiting.shift()
    this.#taken.push(held)
    // While the caller works on it, the next one is on its way.
    if (this.#waiting.length === 0) {
      this.#ahead = this.#exclusively(() => this.#fetch())
      this.#ahead.catch(() => {})
    }
    return { held, body }
  }

  async #fetch(): Promise<void> {
    const message = await this.#channel.get(this.#queue)
    if (message) this.#waiting.push(heldOf(message))
  }

  /** Until there is a message, or something else is to be done. */
  async #listen(signal: AbortSignal): Promise<void> {
    const bell = new Bell(this.#channel.ended)
    this.#ringBell = bell.ring
    try {
      const take = (message: Received): void => {
        this.#waiting.push(heldOf(message))
        bell.ring()
      }
      const end = await this.#channel.consumeOne(this.#queue, take, bell.ring)
      await unless(signal, bell.rung)
      await end()
    } finally {
      this.#ringBell = undefined
      bell.remove()
    }
  }

  #renewOld(): void {
    if (this.#isRenewing || this.#oldest() === undefined) return
    this.#isRenewing = true
    this.#ringBell?.()
    const renewing = this.#exclusively(async () => {
      for (let held = this.#oldest(); held; held = this.#oldest()) await this.#again(held)
    })
    renewing
      .catch((error: unknown) => {
        this.#failure ??= error
        this.#ringBell?.()
      })
      .finally(() => {
        this.#isRenewing = false
      })
  }

  #oldest(): Held | undefined {
    const limit = performance.now() - this.#renewSeconds * 1000
    const isOld = ({ takenAt }: Held): boolean => takenAt < limit
    return this.#taken.find(isOld) ?? this.#waiting.find(isOld)
  }

  /** Gives it back and takes it once more: it is the only one that was given back, so it is the next that comes. */
  async #again(held: Held): Promise<Uint8Array> {
    held.isAway = true
    this.#channel.giveBack(held.tag)
    const message = await returned(this.#channel, this.#queue)
    if (message?.id !== held.id || !message) {
      throw new BizonError('source', `another program takes messages from queue ${this.#queue}`, { retriable: true })
    }
    held.tag = message.tag
    held.takenAt = performance.now()
    held.isAway = false
    if (held.isDone) this.#channel.ack(held.tag)
    return message.body
  }

  /** One thing at a time is done on the channel, so that what is given back is not taken for something else. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#working.then(work)
    this.#working = done.catch(() => {})
    return done
  }

  #check(): void {
    this.#channel.ended.throwIfAborted()
    if (this.#failure !== undefined) throw this.#failure
  }
}
