// The side that puts: one message at a time, each confirmed by the broker before the next.

import { setTimeout as pause } from 'node:timers/promises'
import type { ChannelProducer, Outgoing } from '../../../lib/channel.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { RabbitChannel, Received } from '../../rabbitmq/channel.ts'
import { connect, type RabbitConnection } from '../../rabbitmq.ts'
import { inOrder, orderOf, orderText } from './order.ts'
import { declareAll, lastOf, lockProducer, type Place, producerOf, publishTurn } from './topology.ts'

const CODE = 'destination'
/** A producer that was killed a moment ago may still have the lock. */
const LOCK_TRIES = 6
const LOCK_PAUSE_MS = 250

export class RabbitProducer implements ChannelProducer {
  readonly #place: Place
  readonly #messageBytes: number
  readonly #log: Log
  #connection: RabbitConnection | undefined
  #channel: RabbitChannel | undefined
  #number = 0
  #messages = 0
  #last: string | undefined

  constructor(place: Place, messageBytes: number, log: Log) {
    this.#place = place
    this.#messageBytes = messageBytes
    this.#log = log
  }

  async open(signal: AbortSignal): Promise<void> {
    const { address } = this.#place
    const at = `RabbitMQ at ${address.host}:${address.port}`
    const connection = await connect(address, 'extract', signal, CODE, {
      blocked: (reason) => this.#log.warn(`${at} takes no messages for now (${reason}): the extract waits`),
      unblocked: () => this.#log.info(`${at} takes messages again`),
    })
    this.#connection = connection
    await connection.interruptible(signal, this.#begin(connection))
  }

  async #begin(connection: RabbitConnection): Promise<void> {
    const { queue } = this.#place
    await declareAll(connection, this.#place)
    await lock(connection, queue)
    const channel = await connection.channel()
    this.#channel = channel
    // Held until another stands in their place; should this process die before, they come back.
    const held = await all(channel, lastOf(queue))
    const newest = inOrder(held).at(-1)
    const text = newest ? Buffer.from(newest.body).toString() : ''
    this.#last = text === '' ? undefined : text
    this.#number = Math.max((orderOf(newest?.id)?.producer ?? 0) + 1, Date.now())
    // From here on no later producer takes a lesser number.
    await this.#publishLast(channel, text)
    for (const { tag } of held) channel.ack(tag)
    await publishTurn(channel, queue)
  }

  async last(): Promise<string | undefined> {
    return this.#last
  }

  async put(message: Outgoing, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const [connection, channel] = [this.#connection, this.#channel]
    if (!connection || !channel) throw new BizonError(CODE, 'the producer is not open')
    if (message.body.length > this.#messageBytes) {
      throw new BizonError(CODE, `a message of ${message.body.length} bytes is larger than ${this.#messageBytes}`)
    }
    try {
      await connection.interruptible(signal, this.#put(channel, message))
    } catch (error) {
      // Whether the broker has the message is not known: what comes behind it must not be put.
      connection.cut()
      throw error
    }
  }

  async #put(channel: RabbitChannel, { headers, body, last }: Outgoing): Promise<void> {
    const { queue, exchange } = this.#place
    this.#messages += 1
    const id = orderText({ producer: this.#number, message: this.#messages })
    await channel.publish(exchange, queue, { headers, id, body })
    if (last === undefined) return
    await this.#publishLast(channel, last)
    this.#last = last
  }

  async #publishLast(channel: RabbitChannel, text: string): Promise<void> {
    const id = orderText({ producer: this.#number, message: this.#messages })
    await channel.publish('', lastOf(this.#place.queue), { headers: {}, id, body: Buffer.from(text) })
  }

  async close(): Promise<void> {
    await this.#connection?.close()
  }
}

async function lock(connection: RabbitConnection, queue: string): Promise<void> {
  for (let tries = 1; !(await lockProducer(connection, queue)); tries++) {
    if (tries < LOCK_TRIES) {
      await pause(LOCK_PAUSE_MS)
      continue
    }
    throw new BizonError('locked', `another extract puts into queue ${queue}: it holds queue ${producerOf(queue)}`, {
      hint: 'Wait until it has ended. Of one that was cut off the broker hears no more within a minute.',
    })
  }
}

async function all(channel: RabbitChannel, queue: string): Promise<Received[]> {
  const messages: Received[] = []
  for (;;) {
    const message = await channel.get(queue)
    if (!message) return messages
    messages.push(message)
  }
}
