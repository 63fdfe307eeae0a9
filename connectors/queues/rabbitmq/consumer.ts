// The side that takes. One consumer at a time has its turn: the one that holds the message of `<queue>.loader`.

import type { Arrival, ChannelConsumer } from '../../../lib/channel.ts'
import { BizonError, messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { sleep } from '../../../lib/wait.ts'
import type { RabbitChannel } from '../../rabbitmq/channel.ts'
import { connect, type RabbitConnection } from '../../rabbitmq.ts'
import { type Held, unless } from './given-back.ts'
import { orderOf } from './order.ts'
import { Taking } from './taking.ts'
import { deadOf, declareAll, type Place, publishTurn } from './topology.ts'
import { waitInLine } from './turn.ts'

const CODE = 'source'
/** How long a broker may be away. One that restarts with many messages takes minutes. */
const PATIENCE_SECONDS = 600
const MOST_PAUSE_SECONDS = 5
const TURN_SECONDS = 5
/** How old a message gets that is held, before it is made new: the broker gives half an hour, as a rule. */
const RENEW_SECONDS = 600
/** Of a reason in a header: a header has to fit a frame. */
const REASON_LENGTH = 2000

export interface ConsumerOptions {
  readonly renewSeconds?: number | undefined
  readonly patienceSeconds?: number | undefined
}

export class RabbitConsumer implements ChannelConsumer {
  readonly #place: Place
  readonly #log: Log
  readonly #options: ConsumerOptions
  #connection: RabbitConnection | undefined
  /** Settles when it is this consumer's turn, on this connection. */
  #turn: Promise<void> | undefined
  #taking: Taking | undefined
  /** Messages are put on a connection of their own: a broker that is full reads nothing more from one that puts. */
  #putting: RabbitConnection | undefined
  #puts: Promise<RabbitChannel> | undefined
  #foreign = 0
  /** It was said that the connection is lost, and not yet that there is another. */
  #isMissed = false
  readonly #closed = new AbortController()

  constructor(place: Place, log: Log, options: ConsumerOptions = {}) {
    this.#place = place
    this.#log = log
    this.#options = options
  }

  get heldBytes(): number {
    return this.#taking?.heldBytes ?? 0
  }

  async open(signal: AbortSignal): Promise<void> {
    const connection = await connect(this.#place.address, 'load', signal, CODE)
    this.#connection = connection
    await connection.interruptible(signal, this.#begin(connection))
  }

  async *take(signal: AbortSignal): AsyncGenerator<Arrival, void, void> {
    signal.throwIfAborted()
    this.#closed.signal.throwIfAborted()
    try {
      const taking = await this.#takeUp(signal)
      for (;;) {
        const { held, body } = await taking.next(signal)
        yield this.#arrival(taking, held, body)
      }
    } catch (error) {
      signal.throwIfAborted()
      if (this.#closed.signal.aborted) return
      if (!(error instanceof BizonError && error.retriable)) throw error
      // Messages that were taken may be with another consumer already.
      this.#connection?.cut()
      this.#isMissed = true
      this.#log.warn(`${messageOf(error)}; what was not acknowledged comes again`)
    }
  }

  async refuse({ headers, body }: Arrival, reason: string): Promise<void> {
    const channel = await this.#putsOn()
    const labels = { ...headers, 'bizon-reason': reason.slice(0, REASON_LENGTH) }
    await channel.publish('', deadOf(this.#place.queue), { headers: labels, body })
  }

  async close(): Promise<void> {
    this.#closed.abort(new BizonError('interrupted', 'the consumer was closed'))
    // Acknowledgements go before the farewell of their channel, which that of the connection would overtake.
    await this.#taking?.close()
    await Promise.all([this.#connection?.close(), this.#putting?.close()])
  }

  async #begin(connection: RabbitConnection): Promise<void> {
    const { queue } = this.#place
    const { hasTurn } = await declareAll(connection, this.#place)
    const { mine } = await waitInLine(connection, queue, this.#options.renewSeconds ?? RENEW_SECONDS)
    this.#turn = mine
    if (!hasTurn) await this.#makeTurn()
  }

  /** The message that says whose turn it is, where nobody holds it: no producer has ever opened, or somebody deleted the queue. */
  async #makeTurn(): Promise<void> {
    const made = this.#putsOn().then((channel) => publishTurn(channel, this.#place.queue))
    // A broker that is full takes it later.
    await Promise.race([made, sleep(TURN_SECONDS, this.#closed.signal)])
  }

  async #takeUp(signal: AbortSignal): Promise<Taking> {
    await this.#taking?.close()
    this.#taking = undefined
    const { queue } = this.#place
    const connection = await this.#connected(signal)
    await unless(signal, this.#turn ?? Promise.resolve())
    const channel = await connection.channel()
    const onOthers = (): void =>
      this.#log.warn(`another program takes messages from queue ${queue}: the load waits until it has none`)
    const { renewSeconds = RENEW_SECONDS } = this.#options
    const begun = Taking.begin(channel, queue, signal, { renewSeconds, onOthers })
    this.#taking = await begun.catch(async (error: unknown) => {
      await channel.close()
      throw error
    })
    return this.#taking
  }

  async #connected(signal: AbortSignal): Promise<RabbitConnection> {
    const began = performance.now()
    const patience = (this.#options.patienceSeconds ?? PATIENCE_SECONDS) * 1000
    for (let seconds = 0.1; ; seconds = Math.min(seconds * 2, MOST_PAUSE_SECONDS)) {
      const connection = this.#connection
      if (connection && !connection.ended.aborted) return connection
      this.#closed.signal.throwIfAborted()
      try {
        await this.open(signal)
        this.#sayBack()
      } catch (error) {
        signal.throwIfAborted()
        const isPassing = error instanceof BizonError && error.retriable
        if (!isPassing || performance.now() - began > patience) throw final(error)
        this.#connection?.cut()
        await sleep(seconds, signal)
        signal.throwIfAborted()
      }
    }
  }

  #sayBack(): void {
    const { host, port } = this.#place.address
    if (this.#isMissed) this.#log.info(`RabbitMQ at ${host}:${port} answers again`)
    this.#isMissed = false
  }

  #putsOn(): Promise<RabbitChannel> {
    if (this.#putting?.ended.aborted) this.#puts = undefined
    this.#puts ??= connect(this.#place.address, 'load, dead letters', this.#closed.signal, CODE).then((connection) => {
      this.#putting = connection
      return connection.channel()
    })
    this.#puts.catch(() => {
      this.#puts = undefined
    })
    return this.#puts
  }

  #arrival(taking: Taking, held: Held, body: Uint8Array): Arrival {
    const { queue } = this.#place
    const order = orderOf(held.id)
    const place = order
      ? `message ${order.message} of those put since ${new Date(order.producer).toISOString()} in queue ${queue}`
      : `message ${++this.#foreign} of another program in queue ${queue}`
    return { headers: held.headers, body, place, ack: async () => taking.ack(held) }
  }
}

/** Not to be taken for something that passes by whoever called. */
function final(error: unknown): unknown {
  if (!(error instanceof BizonError) || !error.retriable) return error
  return new BizonError(error.code, error.message, { hint: error.hint, cause: error.cause })
}
