// A broker in memory, with what those have in common that we connect to: one producer and one consumer at a time, groups that become
// visible whole, what was not acknowledged comes again. Tests can also make it lose, double and give messages anew.

import {
  type Arrival,
  type Channel,
  type ChannelConsumer,
  type ChannelProducer,
  type Message,
  type Outgoing,
  READ_AHEAD_BYTES,
} from '../../lib/channel.ts'
import { BizonError } from '../../lib/errors.ts'
import { Signpost } from '../../lib/wait.ts'

interface Kept extends Message {
  readonly offset: number
}

export interface BrokerOptions {
  readonly messageBytes?: number
  readonly lingerSeconds?: number
  /** Default true. */
  readonly hasTransactions?: boolean
  readonly isShared?: boolean
}

/** `idle`: a consumer has been given all there is, and waits. A throw is that step's failure. */
export type BrokerStep = 'put' | 'putted' | 'ack' | 'refuse' | 'idle'

export class MemoryBroker {
  /** What is there and not acknowledged comes first. Tests may change it. */
  messages: Kept[] = []
  readonly deadLetters: { body: string; reason: string }[] = []
  readonly changed = new Signpost()
  last: string | undefined
  acknowledged = -1
  producer: MemoryProducer | undefined
  consumers: MemoryConsumer[] = []
  readonly options: Required<BrokerOptions>
  interfere: (step: BrokerStep) => void = () => {}
  /** Whoever took last was given all there is, and waits. */
  isIdle = false
  #next = 0

  constructor({
    messageBytes = 1000,
    lingerSeconds = 0,
    hasTransactions = true,
    isShared = false,
  }: BrokerOptions = {}) {
    this.options = { messageBytes, lingerSeconds, hasTransactions, isShared }
  }

  /** Messages that were not acknowledged. */
  get waiting(): number {
    return this.messages.filter(({ offset }) => offset > this.acknowledged).length
  }

  channel(): Channel {
    const { messageBytes, lingerSeconds, isShared } = this.options
    return {
      place: 'a queue in memory',
      messageBytes,
      lingerSeconds,
      isShared,
      waiting: async () => (this.last === undefined ? undefined : this.waiting),
      producer: () => new MemoryProducer(this),
      consumer: () => new MemoryConsumer(this),
    }
  }

  add(messages: readonly Message[], last?: string): void {
    for (const { headers, body } of messages) {
      this.messages.push({ headers, body: Uint8Array.from(body), offset: this.#next++ })
    }
    this.last = last ?? this.last
    this.isIdle = false
    this.changed.change()
  }

  /** From this offset on, all comes again. */
  redeliverFrom(offset: number): void {
    this.acknowledged = offset - 1
    this.redeliver()
  }

  /** As after a connection that was lost. */
  redeliver(): void {
    for (const consumer of this.consumers) consumer.restart()
    this.changed.change()
  }
}

class MemoryProducer implements ChannelProducer {
  readonly #broker: MemoryBroker
  #group: Message[] = []

  constructor(broker: MemoryBroker) {
    this.#broker = broker
  }

  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#broker.producer = this
  }

  async last(): Promise<string | undefined> {
    return this.#broker.last
  }

  async put({ headers, body, last }: Outgoing, signal: AbortSignal): Promise<void> {
    await Promise.resolve()
    signal.throwIfAborted()
    const broker = this.#broker
    if (broker.producer !== this) throw new BizonError('fenced', 'another producer has taken over')
    if (body.length > broker.options.messageBytes)
      throw new BizonError('destination', `${body.length} bytes are too many`)
    broker.interfere('put')
    this.#group.push({ headers, body: Uint8Array.from(body) })
    if (last !== undefined || !broker.options.hasTransactions) {
      broker.add(this.#group, last)
      this.#group = []
    }
    broker.interfere('putted')
  }

  async close(): Promise<void> {
    this.#group = []
  }
}

class MemoryConsumer implements ChannelConsumer {
  readonly #broker: MemoryBroker
  #held: Kept[] = []
  #generation = 0
  #isClosed = false

  constructor(broker: MemoryBroker) {
    this.#broker = broker
  }

  get heldBytes(): number {
    return this.#held.reduce((sum, { body }) => sum + body.length, 0)
  }

  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#broker.consumers.push(this)
  }

  restart(): void {
    this.#generation += 1
  }

  async *take(signal: AbortSignal): AsyncGenerator<Arrival, void, void> {
    const broker = this.#broker
    const generation = ++this.#generation
    let next = 0
    this.#held = []
    for (;;) {
      signal.throwIfAborted()
      if (this.#isClosed || generation !== this.#generation) return
      const isMine = broker.consumers[0] === this
      if (isMine && this.#held.length === 0) next = this.#fetch(Math.max(next, broker.acknowledged + 1))
      const message = this.#held.shift()
      if (!message) {
        broker.isIdle = true
        broker.interfere('idle')
        await broker.changed.wait(signal)
        continue
      }
      broker.isIdle = false
      const { headers, body, offset } = message
      const ack = async (): Promise<void> => {
        broker.interfere('ack')
        if (generation === this.#generation && !this.#isClosed)
          broker.acknowledged = Math.max(broker.acknowledged, offset)
      }
      yield { headers, body, place: `message ${offset} of the queue in memory`, ack }
    }
  }

  async refuse({ body }: Arrival, reason: string): Promise<void> {
    this.#broker.interfere('refuse')
    this.#broker.deadLetters.push({ body: Buffer.from(body).toString(), reason })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#held = []
    this.#broker.consumers = this.#broker.consumers.filter((one) => one !== this)
    this.#broker.changed.change()
  }

  /** Returns where the next fetch begins. */
  #fetch(from: number): number {
    let bytes = 0
    for (const message of this.#broker.messages) {
      if (message.offset < from) continue
      if (bytes > 0 && bytes + message.body.length > READ_AHEAD_BYTES) break
      this.#held.push(message)
      bytes += message.body.length
    }
    return (this.#held.at(-1)?.offset ?? from - 1) + 1
  }
}
