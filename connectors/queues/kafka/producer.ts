// Puts messages into the topic: a group of them is one transaction. The transactional id is that of the pipeline and stream, so
// that an extract which is started again fences the one before, and gives up what that has not ended.

import type { ChannelProducer, Outgoing } from '../../../lib/channel.ts'
import { faultPoint } from '../../../lib/fault.ts'
import type { Log } from '../../../lib/log.ts'
import { never, orAborted } from '../../../lib/wait.ts'
import type { KafkaConnection } from '../../kafka/config.ts'
import { connectKafka, type KafkaClient, type KafkaProducer, type Message } from '../../kafka.ts'
import { PARTITION, prepareTopic, type Topic } from './topic.ts'

/** What stands behind the message, of the last one of a group. */
const LAST = 'bizon-state'
/** A page may take its time; what is left open by a killed process keeps others waiting that read the same topic. */
const TRANSACTION_MS = 120_000
/** Offsets that are looked through for the newest message, at first. */
const WINDOW = 8

export class KafkaChannelProducer implements ChannelProducer {
  readonly #connection: KafkaConnection
  readonly #topic: Topic
  readonly #log: Log
  #client: KafkaClient | undefined
  #producer: KafkaProducer | undefined
  #last: string | undefined

  constructor(connection: KafkaConnection, topic: Topic, log: Log) {
    this.#connection = connection
    this.#topic = topic
    this.#log = log
  }

  async open(signal: AbortSignal): Promise<void> {
    const { name, key } = this.#topic
    this.#client = await connectKafka(this.#connection, { code: 'destination', log: this.#log }, signal)
    await prepareTopic(this.#client, this.#topic, signal)
    const transactionalId = `${name}/${key}/${PARTITION}`
    const options = {
      transactionalId,
      transactionTimeoutMs: TRANSACTION_MS,
      maxRequestBytes: Infinity, // a message is a request
    }
    this.#producer = await this.#client.producer(options, signal)
    this.#last = await this.#newest(this.#client)
  }

  async last(): Promise<string | undefined> {
    return this.#last
  }

  async put({ partition = PARTITION, headers, body, last }: Outgoing, signal: AbortSignal): Promise<void> {
    await orAborted(this.#put({ partition, headers, body, ...(last !== undefined && { last }) }), signal)
    signal.throwIfAborted()
  }

  async close(): Promise<void> {
    await this.#producer?.close()
    await this.#client?.close()
  }

  async #put({ partition = PARTITION, headers, body, last }: Outgoing): Promise<void> {
    const producer = this.#producer
    if (!producer) throw new TypeError('the channel is not open')
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
      reader.assign(name, PARTITION, start)
      for (let next = start; next < end; ) {
        for (const batch of await reader.fetch(never)) {
          next = batch.next
          for (const message of batch.messages) {
            if (message.offset < end && String(message.key) === key) found = textIn(message, LAST) ?? found
          }
        }
      }
      reader.unassign(name, PARTITION)
      if (found !== undefined) return found
      end = start
    }
    return undefined
  }
}

/** A header of which there is one, as text. */
export function textIn({ headers }: Pick<Message, 'headers'>, name: string): string | undefined {
  const value = headers[name]
  return Buffer.isBuffer(value) ? value.toString() : undefined
}
