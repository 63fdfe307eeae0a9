// A channel of a connection to RabbitMQ: what the queues need of it, as promises that always settle.

import { BizonError } from '../../lib/errors.ts'
import { orAborted } from '../../lib/wait.ts'
import { type ConfirmChannel, type Message, type RabbitConnection, replyCode } from '../rabbitmq.ts'

/** What may stand beside a body. */
export interface Labels {
  readonly headers: Readonly<Record<string, string>>
  /** The property `message_id`. */
  readonly id?: string | undefined
}

export interface Posted extends Labels {
  readonly body: Uint8Array
}

export interface Received extends Posted {
  /** Names it on this channel, until it is acknowledged or given back. */
  readonly tag: number
  /** Somebody has had it and has not acknowledged it. */
  readonly isRedelivered: boolean
}

export interface QueueKind {
  /** Of the connection alone, and gone with it. Default: durable and of everybody. */
  readonly isExclusive?: boolean
  readonly arguments?: Readonly<Record<string, unknown>>
}

export interface QueueCounts {
  /** Those that nobody has. */
  readonly messages: number
  readonly consumers: number
}

const GOODBYE_SECONDS = 5
/** Whoever may not do something now may not do it a moment later: asked again it would be refused again, without end. */
const ACCESS_REFUSED = 403

export class RabbitChannel {
  /** Aborts when the channel or its connection ends; its reason is a BizonError. */
  readonly ended: AbortSignal
  readonly #raw: ConfirmChannel
  readonly #connection: RabbitConnection
  readonly #end = new AbortController()
  /** Ids of messages that no queue was there for. */
  readonly #returned = new Set<string>()

  constructor(raw: ConfirmChannel, connection: RabbitConnection) {
    this.#raw = raw
    this.#connection = connection
    this.ended = this.#end.signal
    raw.on('error', (error) => this.#finish(connection.error('it closed the channel', error, mayPass(error))))
    raw.on('close', () => this.#finish(connection.ended.reason ?? connection.error('a channel', 'closed', true)))
    raw.on('return', ({ properties }) => this.#returned.add(String(properties.messageId)))
  }

  /** Rejects with the broker's own error, whose number `replyCode` gives; the channel has ended then. */
  async declareQueue(name: string, { isExclusive = false, arguments: given = {} }: QueueKind): Promise<QueueCounts> {
    const options = { exclusive: isExclusive, durable: !isExclusive, arguments: { ...given } }
    const { messageCount, consumerCount } = await this.#raw.assertQueue(name, options)
    return { messages: messageCount, consumers: consumerCount }
  }

  /** As `declareQueue`. */
  async bind(queue: string, exchange: string): Promise<void> {
    await this.#raw.bindQueue(queue, exchange, queue)
  }

  /** As `declareQueue`. */
  async hasExchange(name: string): Promise<void> {
    await this.#raw.checkExchange(name)
  }

  /** As `declareQueue`. */
  async declareExchange(name: string): Promise<void> {
    await this.#raw.assertExchange(name, 'direct', { durable: true })
  }

  /** Whoever takes from the queue, or has messages of it that are not acknowledged. A broker that is slow says 0. */
  async consumersOf(queue: string): Promise<number> {
    return (await this.#answered(this.#raw.checkQueue(queue))).consumerCount
  }

  /** How many wait in the queue that nobody has. As `declareQueue`, where there is no such queue. */
  async messagesIn(queue: string): Promise<number> {
    return (await this.#raw.checkQueue(queue)).messageCount
  }

  /** Resolves once the message is safe at the broker, in a queue. Ids have to differ. */
  publish(exchange: string, key: string, { headers, id, body }: Posted): Promise<void> {
    const options = { persistent: true, mandatory: true, headers, ...(id !== undefined && { messageId: id }) }
    const content = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    return new Promise((resolve, reject) => {
      const settle = (error: unknown): void => {
        if (error) reject(this.#failure('it has not taken a message', error))
        else if (this.#returned.delete(String(id))) reject(unroutable())
        else resolve()
      }
      const unroutable = (): unknown => {
        const what = exchange === '' ? `no queue ${key}` : `no queue behind exchange ${exchange} for the key ${key}`
        return this.#connection.error('it has not taken a message', `there is ${what}`)
      }
      try {
        this.#raw.publish(exchange, key, content, options, settle)
      } catch (error) {
        reject(this.#failure('it has not taken a message', error))
      }
    })
  }

  /** The next message, if there is one. */
  async get(queue: string): Promise<Received | undefined> {
    const message = await this.#answered(this.#raw.get(queue))
    return message ? received(message) : undefined
  }

  /** Gives the next message to the function, once there is one, and no other until that is acknowledged. Resolves to what ends it. */
  async consumeOne(queue: string, take: (message: Received) => void, lost: () => void): Promise<() => Promise<void>> {
    await this.#answered(this.#raw.prefetch(1))
    const consuming = this.#raw.consume(queue, (message) => (message ? take(received(message)) : lost()))
    const { consumerTag } = await this.#answered(consuming)
    return async () => {
      await this.#answered(this.#raw.cancel(consumerTag))
    }
  }

  /** The broker may forget the message. Nothing happens where the channel has ended. */
  ack(tag: number): void {
    if (!this.ended.aborted) this.#raw.ack(named(tag))
  }

  /** The message is the next that comes to somebody, behind others that were given back before it. */
  giveBack(tag: number): void {
    if (!this.ended.aborted) this.#raw.nack(named(tag), false, true)
  }

  /** Never rejects. What was sent before is done; what was not acknowledged comes again. */
  async close(): Promise<void> {
    if (this.ended.aborted) return
    // A broker that does not answer any more must not keep the program from ending.
    const timer = setTimeout(() => this.#connection.cut(), GOODBYE_SECONDS * 1000)
    const closing = async (): Promise<void> => this.#raw.close()
    await orAborted(
      closing().catch(() => {}),
      this.ended,
    )
    clearTimeout(timer)
  }

  async #answered<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw this.#failure('it does not answer', error)
    }
  }

  #failure(what: string, error: unknown): unknown {
    if (this.#connection.ended.aborted) return this.#connection.ended.reason
    if (this.ended.aborted) return this.ended.reason
    return error instanceof BizonError ? error : this.#connection.error(what, error, mayPass(error))
  }

  #finish(reason: unknown): void {
    if (!this.ended.aborted) this.#end.abort(reason)
  }
}

const mayPass = (error: unknown): boolean => replyCode(error) !== ACCESS_REFUSED

function named(tag: number): Message {
  return { fields: { deliveryTag: tag } } as Message
}

function received({ fields, properties, content }: Message): Received {
  const headers = Object.entries(properties.headers ?? {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  const id: unknown = properties.messageId
  return {
    tag: fields.deliveryTag,
    isRedelivered: fields.redelivered,
    headers: Object.fromEntries(headers),
    id: typeof id === 'string' ? id : undefined,
    body: content,
  }
}
