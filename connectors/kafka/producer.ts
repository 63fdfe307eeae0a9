// Writes messages: each once, in order, within one partition; with a transactional id all of a transaction or none.

import { BizonError } from '../../lib/errors.ts'
import { kafkaError, type Place, protocolType } from './errors.ts'
import { inTime, type Limit } from './in-time.ts'

export interface OutMessage {
  readonly topic: string
  /** Chooses the partition, as Java's client does; null: any. */
  readonly key: Buffer | string | null
  readonly value: Buffer | string | null
  readonly headers?: Readonly<Record<string, Buffer | string>>
  readonly partition?: number
  /** In ms since 1970. Default: now. */
  readonly timestamp?: number
}

export interface ProducerOptions {
  /** Whoever opens a producer with the same id fences this one. Absent: no transactions. */
  readonly transactionalId?: string | undefined
  /** After which brokers give a transaction up. Default 60,000. */
  readonly transactionTimeoutMs?: number | undefined
  readonly compression?: 'none' | 'gzip' | undefined
  /** Of one request: what goes to one partition in it must not be larger than the topic takes. Default 900,000. */
  readonly maxRequestBytes?: number | undefined
}

/** A message that its topic does not take. */
export class MessageTooLarge extends BizonError {
  readonly lost: OutMessage

  constructor(error: unknown, place: Place, lost: OutMessage | undefined) {
    const { code, message, hint } = kafkaError(error, place)
    super(code, message, { hint, cause: error })
    this.lost = lost ?? { topic: place.topic ?? '', key: null, value: null }
  }
}

const TOO_LARGE = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

/** Not shared: one call after the other. */
export class KafkaProducer {
  readonly #client: ClientProducer
  readonly #options: ProducerOptions
  readonly #place: Place
  readonly #largest: (topic: string) => Promise<number | undefined>
  readonly #limit: Limit
  /** What topics take at most. */
  readonly #limits = new Map<string, number>()
  #transaction: ClientTransaction | undefined

  /**
   * `client`: its partitioner is `noting`. `largest`: what a topic takes at most in one request; undefined: it is not told. `limit`: of
   * each thing that the client is asked for, with all its attempts.
   */
  constructor(
    client: ClientProducer,
    options: ProducerOptions,
    place: Place,
    largest: (topic: string) => Promise<number | undefined>,
    limit: Limit,
  ) {
    this.#limit = limit
    this.#client = client
    this.#options = options
    this.#place = { ...place, transactionalId: options.transactionalId }
    this.#largest = largest
  }

  /**
   * Connects. With a transactional id it also finishes or aborts what an earlier producer of that id has left, and fences
   * it: nothing that it sends later is taken.
   */
  async open(): Promise<void> {
    await this.#try(async () => {
      await this.#client.connect()
      if (this.#options.transactionalId === undefined) return
      // The id is only asked for with the first transaction; one without messages is nothing to the brokers.
      await (await this.#client.transaction()).abort()
    })
  }

  get inTransaction(): boolean {
    return this.#transaction !== undefined
  }

  async begin(): Promise<void> {
    this.#transaction = await this.#try(() => this.#client.transaction())
  }

  /** Resolves when the brokers have them, all replicas in sync; within a transaction they are seen once it is committed. */
  async send(messages: readonly OutMessage[]): Promise<void> {
    const most = await this.#mostBytes(messages)
    for (let start = 0; start < messages.length; ) {
      let end = start
      for (let bytes = 0; end < messages.length; end++) {
        bytes += sizeOfMessage(messages[end] as OutMessage)
        if (bytes > most && end > start) break
      }
      await this.#sendOnce(messages.slice(start, end))
      start = end
    }
  }

  /** Of a request: no topic refuses it for all of its messages together. */
  async #mostBytes(messages: readonly OutMessage[]): Promise<number> {
    let { maxRequestBytes: most = REQUEST_BYTES } = this.#options
    if (messages.length < 2) return most
    for (const topic of new Set(messages.map((message) => message.topic))) {
      const limit = this.#limits.get(topic) ?? (await this.#largest(topic)) ?? Infinity
      this.#limits.set(topic, limit)
      most = Math.min(most, limit - BATCH_BYTES)
    }
    return most
  }

  async #sendOnce(messages: readonly OutMessage[]): Promise<void> {
    const topics = new Map<string, ClientMessage[]>()
    for (const { topic, timestamp, ...message } of messages) {
      const given = { ...message, ...(timestamp !== undefined && { timestamp: String(timestamp) }) }
      const those = topics.get(topic)
      if (those) those.push(given)
      else topics.set(topic, [given])
    }
    const topicMessages = [...topics].map(([topic, those]) => ({ topic, messages: those }))
    const compression = this.#options.compression === 'gzip' ? 1 : 0
    const [first] = topics.keys()
    const topic = topics.size === 1 ? first : undefined
    const place = { ...this.#place, topic }
    try {
      const sent = (this.#transaction ?? this.#client).sendBatch({ acks: -1, compression, topicMessages })
      const answers = await inTime(sent, place, this.#limit)
      checkTaken(topicMessages, answers, place)
    } catch (error) {
      if (!TOO_LARGE.has(protocolType(error) ?? '')) throw kafkaError(error, place)
      const [lost, ...others] = messages
      if (others.length === 0) throw new MessageTooLarge(error, place, lost)
      // What other partitions have taken of it would be there twice.
      if (partitionsOf(topicMessages).size > 1) throw undivided(error, place)
      // The topic takes less than was thought, which is nothing against each of them.
      const half = messages.length >> 1
      await this.#sendOnce(messages.slice(0, half))
      await this.#sendOnce(messages.slice(half))
    }
  }

  /** Offsets of a group, with the transaction. Another member of the group is not kept from it: see docs/decisions.md. */
  async sendOffsets(
    consumerGroupId: string,
    offsets: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[],
  ): Promise<void> {
    const transaction = this.#opened()
    const topics = offsets.map(({ topic, partition, offset }) => ({
      topic,
      partitions: [{ partition, offset: String(offset) }],
    }))
    await this.#try(() => transaction.sendOffsets({ consumerGroupId, topics }))
  }

  /**
   * After a failure it is not known whether it was committed, and this producer is of no use any more: open another one
   * with the same id, which settles it, and read what is there.
   */
  async commit(): Promise<void> {
    const transaction = this.#opened()
    this.#transaction = undefined
    await this.#try(() => transaction.commit())
  }

  async abort(): Promise<void> {
    const transaction = this.#opened()
    this.#transaction = undefined
    await this.#try(() => transaction.abort())
  }

  /** Aborts a transaction that is open. Never rejects, but may take its time with a broker that is gone. */
  async close(): Promise<void> {
    if (this.#transaction) await this.abort().catch(() => {})
    await this.#client.disconnect().catch(() => {})
  }

  #opened(): ClientTransaction {
    if (this.#transaction) return this.#transaction
    throw new BizonError('internal', 'no transaction was begun')
  }

  async #try<T>(work: () => Promise<T>): Promise<T> {
    try {
      // Not that brokers have answered: the client may end what it has begun by itself.
      const { seconds, late } = this.#limit
      return await inTime(work(), this.#place, { seconds, late })
    } catch (error) {
      throw kafkaError(error, this.#place)
    }
  }
}

const REQUEST_BYTES = 900_000
/** What a request has of a partition beside its messages. */
const BATCH_BYTES = 100

/** A partitioner that notes in each message where it goes: there it goes, too, when the client sends it once more. */
export const noting =
  <Given extends { readonly message: { partition?: number } }>(choose: (given: Given) => number) =>
  (given: Given): number => {
    given.message.partition ??= choose(given)
    return given.message.partition
  }

/**
 * Where leaders change between the attempts of one request, the client may leave out what the new leader was to be sent, or
 * send the same twice, and tells neither. So each partition must have been answered for, and once.
 */
function checkTaken(sent: readonly TopicMessages[], answers: readonly Answer[], place: Place): void {
  const missing = partitionsOf(sent)
  if (answers.every(({ topicName, partition }) => missing.delete(keyOf(topicName, partition))) && missing.size === 0)
    return
  throw new BizonError(
    place.code,
    `Kafka at ${place.brokers.join(',')}: leaders of partitions changed, and it is not known what they have taken`,
    { hint: 'Run it once more: what was not committed is sent again.', retriable: true },
  )
}

function partitionsOf(sent: readonly TopicMessages[]): Set<string> {
  const numbers = (messages: readonly ClientMessage[]) => [...new Set(messages.map(({ partition }) => partition))]
  return new Set(sent.flatMap(({ topic, messages }) => numbers(messages).map((partition) => keyOf(topic, partition))))
}

const keyOf = (topic: string, partition: number | undefined): string => `${topic}/${partition}`

function undivided(cause: unknown, place: Place): BizonError {
  const { code, message } = kafkaError(cause, place)
  return new BizonError(code, `${message}, or several together`, {
    hint: 'Set message.max.bytes in producer_config to what the topic takes (its max.message.bytes), or allow DescribeConfigs of the topic by an ACL: then it is asked.',
    cause,
  })
}

/** Roughly what a message takes in a request. */
export function sizeOfMessage({ key, value, headers = {} }: Omit<OutMessage, 'topic'>): number {
  let size = 40 + lengthOf(key) + lengthOf(value)
  for (const [name, header] of Object.entries(headers)) size += 4 + Buffer.byteLength(name) + lengthOf(header)
  return size
}

const lengthOf = (bytes: Buffer | string | null): number => (bytes === null ? 0 : Buffer.byteLength(bytes))

interface ClientMessage extends Omit<OutMessage, 'topic' | 'timestamp' | 'partition'> {
  readonly timestamp?: string
  partition?: number
}

interface TopicMessages {
  topic: string
  messages: ClientMessage[]
}

/** Of a partition. */
interface Answer {
  readonly topicName: string
  readonly partition: number
}

interface Sends {
  sendBatch(batch: { acks: number; compression: number; topicMessages: TopicMessages[] }): Promise<readonly Answer[]>
}

/** What is used of the client's producer. */
export interface ClientProducer extends Sends {
  connect(): Promise<void>
  disconnect(): Promise<void>
  transaction(): Promise<ClientTransaction>
}

interface ClientTransaction extends Sends {
  commit(): Promise<void>
  abort(): Promise<void>
  sendOffsets(offsets: {
    consumerGroupId: string
    topics: { topic: string; partitions: { partition: number; offset: string }[] }[]
  }): Promise<void>
}
