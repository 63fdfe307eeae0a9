// Takes messages out of the topic. The consumer group says whose turn it is, and keeps the offset behind what is durable; messages are
// read from there. Where the group has an older offset than it was told, messages come twice, which the loader notices.

import type { Arrival, ChannelConsumer, Headers } from '../../../lib/channel.ts'
import type { Log } from '../../../lib/log.ts'
import { memorySizes } from '../../../lib/memory.ts'
import { never } from '../../../lib/wait.ts'
import type { KafkaConnection } from '../../kafka/config.ts'
import {
  type Assignment,
  connectKafka,
  type GroupMember,
  type KafkaClient,
  type KafkaProducer,
  type Message,
  OffsetsGone,
  type PartitionReader,
} from '../../kafka.ts'
import { deadLetterSettings, goesOnAt, joinGroup, PARTITION, type Topic } from './topic.ts'

/** A partition that a member of a group was given, and what it is read with. */
export interface Given {
  readonly client: KafkaClient
  readonly member: GroupMember
  readonly assignment: Assignment
  readonly partition: number
}

export class KafkaChannelConsumer implements ChannelConsumer {
  readonly #connection: KafkaConnection
  readonly #topic: Topic
  readonly #log: Log
  readonly #given: Given | undefined
  readonly #partition: number
  #client: KafkaClient | undefined
  #member: GroupMember | undefined
  #dead: KafkaProducer | undefined
  #held: Message[] = []
  /** The newest that the group has told of. */
  #assignment: Assignment | undefined
  /** The group's, as far as it was told by this process. */
  #committed = -1

  /** With `given` it is open, and who gave that closes it. */
  constructor(connection: KafkaConnection, topic: Topic, log: Log, given?: Given) {
    this.#connection = connection
    this.#topic = topic
    this.#log = log
    this.#given = given
    this.#client = given?.client
    this.#member = given?.member
    this.#partition = given?.partition ?? PARTITION
  }

  get heldBytes(): number {
    return this.#held.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
  }

  async open(signal: AbortSignal): Promise<void> {
    this.#client = await connectKafka(this.#connection, { code: 'source', log: this.#log }, signal)
    this.#member = await joinGroup(this.#client, this.#topic, signal)
  }

  async *take(signal: AbortSignal): AsyncGenerator<Arrival, void, void> {
    const { client, member } = this.#opened()
    const { name } = this.#topic
    const assignment = this.#given?.assignment ?? (await this.#turn(member, signal))
    this.#held = []
    this.#committed = -1
    // One answer is worked on while the next one is on its way.
    const { readAhead: maxBytes } = memorySizes()
    const reader = client.reader({ maxBytes, maxBytesPerPartition: maxBytes })
    reader.assign(name, this.#partition, await this.#begin(client, signal))
    try {
      while (member.isCurrent(assignment)) {
        const message = this.#held.shift()
        if (message) yield this.#arrival(message, assignment)
        else await this.#fetch(reader, signal)
      }
    } finally {
      reader.unassign(name, this.#partition)
      this.#held = []
    }
  }

  async refuse({ headers, body, place }: Arrival, reason: string): Promise<void> {
    const { client } = this.#opened()
    const { name, deadLetters: topic, replicas } = this.#topic
    if (!this.#dead) {
      const config = await deadLetterSettings(client, name)
      await client.createTopic(topic, { partitions: 1, config, ...(replicas !== undefined && { replicas }) }, never)
      this.#dead = await client.producer({ maxRequestBytes: Infinity }, never)
    }
    const value = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    const said = { ...headers, 'bizon-reason': reason, 'bizon-place': place }
    await this.#dead.send([{ topic, key: null, value, headers: said, partition: PARTITION }])
  }

  async close(): Promise<void> {
    this.#held = []
    if (this.#given) return
    await this.#client?.close()
  }

  /** Waits until the partition is this member's. */
  async #turn(member: GroupMember, signal: AbortSignal): Promise<Assignment> {
    for (;;) {
      const known = this.#assignment
      const assignment = known && member.isCurrent(known) && isTurn(known) ? known : await member.next(signal)
      this.#assignment = assignment
      if (isTurn(assignment)) return assignment
      this.#log.info(`another loader of group ${this.#topic.group} is given the messages; this one waits`)
    }
  }

  async #begin(client: KafkaClient, signal: AbortSignal): Promise<number> {
    const { name, group } = this.#topic
    const offset = goesOnAt(this.#topic, await client.committed(group, [name], signal), this.#partition)
    if (offset !== undefined) return offset
    const marks = (await client.watermarks(name, signal)).find(({ partition }) => partition === this.#partition)
    return marks?.low ?? 0
  }

  async #fetch(reader: PartitionReader, signal: AbortSignal): Promise<void> {
    try {
      for (const { messages } of await reader.fetch(signal)) for (const message of messages) this.#held.push(message)
    } catch (error) {
      if (!(error instanceof OffsetsGone)) throw error
      // Whether what was deleted is missing, the loader finds out by what comes behind it.
      this.#log.warn(`${error.message}; it goes on with what is there`)
      reader.assign(this.#topic.name, this.#partition, error.low)
    }
  }

  #arrival({ offset, value, headers }: Message, assignment: Assignment): Arrival {
    const { name } = this.#topic
    return {
      headers: textsIn(headers),
      body: value ?? Buffer.alloc(0),
      place: `topic ${name}, partition ${this.#partition}, offset ${offset}`,
      ack: () => this.#ack(offset + 1, assignment),
    }
  }

  async #ack(offset: number, assignment: Assignment): Promise<void> {
    if (offset <= this.#committed) return
    const taken = await this.#opened().member.commit(assignment, [
      { topic: this.#topic.name, partition: this.#partition, offset, metadata: this.#topic.key },
    ])
    if (taken) this.#committed = offset
  }

  #opened(): { readonly client: KafkaClient; readonly member: GroupMember } {
    if (!this.#client || !this.#member) throw new TypeError('the channel is not open')
    return { client: this.#client, member: this.#member }
  }
}

const isTurn = ({ partitions }: Assignment): boolean => partitions.some(({ partition }) => partition === PARTITION)

/** Those that are text, of which there is one. */
function textsIn(headers: Message['headers']): Headers {
  const texts = Object.entries(headers).flatMap(([name, value]) =>
    Buffer.isBuffer(value) ? [[name, value.toString()]] : [],
  )
  return Object.fromEntries(texts)
}
