// Puts messages into the topic: a group of them is one transaction. The transactional id is that of the pipeline and stream, so
// that an extract which is started again fences the one before, and gives up what that has not ended.

import type { ChannelProducer, Outgoing } from '../../../lib/channel.ts'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import type { Log } from '../../../lib/log.ts'
import { never, orAborted, sleep } from '../../../lib/wait.ts'
import type { KafkaConnection } from '../../kafka/config.ts'
import { connectKafka, headerText, type KafkaClient, type KafkaProducer, messagesOf } from '../../kafka.ts'
import { PARTITION, prepareTopic, type Topic } from './topic.ts'

/** What stands behind the message, of the last one of a group. */
const LAST = 'bizon-state'
/** A page may take its time; what is left open by a killed process keeps others waiting that read the same topic. */
const TRANSACTION_MS = 120_000
/** How long a broker may be away, beyond what the client waits for it. */
const PATIENCE_SECONDS = 60
/** Messages of a group that are kept to be sent once more. */
const KEPT_BYTES = 32 << 20
/** Offsets that are looked through for the newest message, at first. */
const WINDOW = 8

export class KafkaChannelProducer implements ChannelProducer {
  readonly #connection: KafkaConnection
  readonly #topic: Topic
  readonly #log: Log
  #client: KafkaClient | undefined
  #producer: KafkaProducer | undefined
  #last: string | undefined
  /** What was sent of the group; undefined: it is too much to be kept. */
  #sent: Outgoing[] | undefined = []

  constructor(connection: KafkaConnection, topic: Topic, log: Log) {
    this.#connection = connection
    this.#topic = topic
    this.#log = log
  }

  async open(signal: AbortSignal): Promise<void> {
    this.#client = await connectKafka(this.#connection, { code: 'destination', log: this.#log }, signal)
    await prepareTopic(this.#client, this.#topic, signal)
    this.#producer = await this.#enter(this.#client, signal)
    this.#last = await this.#newest(this.#client)
  }

  async last(): Promise<string | undefined> {
    return this.#last
  }

  async put({ partition = PARTITION, headers, body, last }: Outgoing, signal: AbortSignal): Promise<void> {
    await orAborted(this.#persist({ partition, headers, body, ...(last !== undefined && { last }) }, signal), signal)
    signal.throwIfAborted()
  }

  async close(): Promise<void> {
    await this.#producer?.close()
    await this.#client?.close()
  }

  /** Fences an earlier one of the same id, and gives up what that has not ended. */
  #enter(client: KafkaClient, signal: AbortSignal): Promise<KafkaProducer> {
    const { name, key } = this.#topic
    const transactionalId = `${name}/${key}/${PARTITION}`
    // A message is a request.
    const options = { transactionalId, transactionTimeoutMs: TRANSACTION_MS, maxRequestBytes: Infinity }
    return client.producer(options, signal)
  }

  /** While the broker is away, again and again: each time with what was sent of the group, for a failure may have given that up. */
  async #persist(message: Outgoing, signal: AbortSignal): Promise<void> {
    const before = this.#last
    const patience = performance.now() + PATIENCE_SECONDS * 1000
    for (let isAgain = false; ; isAgain = true) {
      try {
        if (isAgain && (await this.#settle(before, message, signal))) break
        for (const one of isAgain ? (this.#sent ?? []) : []) await this.#put(one)
        await this.#put(message)
        break
      } catch (error) {
        const isPassing = error instanceof BizonError && error.retriable
        if (!isPassing || !this.#sent || performance.now() > patience) throw error
        this.#log.debug(`${error.message}; the message is put once more`)
        await sleep(1, signal)
        signal.throwIfAborted()
      }
    }
    this.#keep(message)
  }

  /** What became of the group, by another producer of the same id. Resolves to whether it was committed. */
  async #settle(before: string | undefined, { last }: Outgoing, signal: AbortSignal): Promise<boolean> {
    const { client } = this.#opened()
    void this.#producer?.close() // it may take its time, and what it leaves is given up by the next one
    this.#producer = await this.#enter(client, signal)
    this.#last = await this.#newest(client)
    if (this.#last === before) return false
    if (last !== undefined && this.#last === last) return true
    throw new BizonError('fenced', `topic ${this.#topic.name}: another extract has put messages meanwhile`, {
      hint: 'See whether the pipeline runs twice.',
    })
  }

  #keep(message: Outgoing): void {
    if (message.last !== undefined) this.#sent = []
    else this.#sent?.push(message)
    const bytes = this.#sent?.reduce((sum, { body }) => sum + body.length, 0) ?? 0
    if (bytes > KEPT_BYTES) this.#sent = undefined
  }

  #opened(): { readonly client: KafkaClient; readonly producer: KafkaProducer } {
    if (!this.#client || !this.#producer) throw new TypeError('the channel is not open')
    return { client: this.#client, producer: this.#producer }
  }

  async #put({ partition = PARTITION, headers, body, last }: Outgoing): Promise<void> {
    const { producer } = this.#opened()
    const { name: topic, key } = this.#topic
    if (!producer.inTransaction) await producer.begin()
    const value = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    const all = last === undefined ? headers : { ...headers, [LAST]: last }
    await producer.send([{ topic, key, value, headers: all, partition }])
    faultPoint('put.mid')
    if (last === undefined) return
    await producer.commit()
    this.#last = last
  }

  /** What stands behind the last message of this pipeline and stream: looked for from the end, since others may use the topic. */
  async #newest(client: KafkaClient): Promise<string | undefined> {
    const { name, key } = this.#topic
    const marks = (await client.watermarks(name)).find(({ partition }) => partition === PARTITION)
    const { low, high } = marks ?? { low: 0, high: 0 }
    const reader = client.reader()
    for (let end = high, window = WINDOW; end > low; window *= 4) {
      const start = Math.max(low, end - window)
      let found: string | undefined
      const stretch = { topic: name, partition: PARTITION, next: start, end }
      for await (const messages of messagesOf(reader, stretch, () => reader.fetch(never))) {
        for (const message of messages) {
          if (message.offset < end && String(message.key) === key) found = headerText(message, LAST) ?? found
        }
      }
      if (found !== undefined) return found
      end = start
    }
    return undefined
  }
}
