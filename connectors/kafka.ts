// What is done with a connection to a cluster of Kafka. Errors are in our words (kafka/errors.ts), what the client logs goes to our
// log. Of kafkajs, an optional peer, only kafka/modules.ts loads anything.
//
//   KafkaClient ─┬─ link     (kafka/link)      the connection, and patience while brokers are away
//                ├─ topics, offsets            what is there
//                ├─ reader   (kafka/reader)    partitions from given offsets, without a group
//                ├─ member   (kafka/member)    which partitions are whose in a group, its committed offsets
//                └─ producer (kafka/producer)  messages, in transactions

import type * as Client from 'kafkajs'
import { type ErrorCode, messageOf } from '../lib/errors.ts'
import { type Log, silentLog } from '../lib/log.ts'
import { never, sleep } from '../lib/wait.ts'
import { type CommitCluster, commitOffsets, type OffsetToCommit } from './kafka/commit.ts'
import { definedOf, type KafkaConnection } from './kafka/config.ts'
import { isPassing, type Place, protocolType } from './kafka/errors.ts'
import { Link, PATIENCE_SECONDS, retries } from './kafka/link.ts'
import { type ClientConsumer, GroupMember, type MemberOptions } from './kafka/member.ts'
import { loadModules } from './kafka/modules.ts'
import { offsetsOf, type Which } from './kafka/offsets.ts'
import { type ClientProducer, KafkaProducer, noting, type ProducerOptions } from './kafka/producer.ts'
import { PartitionReader, type ReaderOptions } from './kafka/reader.ts'

export type { OffsetToCommit } from './kafka/commit.ts'
export { OffsetsGone } from './kafka/errors.ts'
export type { Assignment, GroupMember, MemberOptions, TopicPartition } from './kafka/member.ts'
export { headerText, type Message } from './kafka/messages.ts'
export type { KafkaProducer, OutMessage, ProducerOptions } from './kafka/producer.ts'
export { MessageTooLarge, sizeOfMessage } from './kafka/producer.ts'
export type { Batch, PartitionReader, ReaderOptions } from './kafka/reader.ts'
export { messagesOf, type Stretch } from './kafka/stretch.ts'

export interface KafkaContext {
  /** Of the errors. */
  readonly code: ErrorCode
  readonly log?: Log
}

/** Rejects with a BizonError of the code within seconds where no broker can be reached, and with the signal's reason. */
export async function connectKafka(
  connection: KafkaConnection,
  { code, log = silentLog }: KafkaContext,
  signal: AbortSignal,
): Promise<KafkaClient> {
  signal.throwIfAborted()
  const link = new Link(connection, await loadModules(code), code, log)
  try {
    await link.open(signal)
    return new KafkaClient(link)
  } catch (error) {
    await link.close()
    throw error
  }
}

/** Of what a producer asks for, with all attempts. */
const SEND_SECONDS = 180

export interface TopicOptions {
  /** Default: what the brokers say. */
  readonly partitions?: number
  readonly replicas?: number
  readonly config?: Readonly<Record<string, string>>
}

export interface Watermarks {
  readonly partition: number
  /** The first offset that is there, and the one after the last: with read_committed of what is settled. */
  readonly low: number
  readonly high: number
}

export class KafkaClient {
  readonly #link: Link

  constructor(link: Link) {
    this.#link = link
  }

  /** Of errors. */
  get place(): Place {
    return this.#link.place
  }

  /** Of a topic, in order. Rejects when there is no such topic. */
  partitions(topic: string, signal: AbortSignal = never): Promise<readonly number[]> {
    return this.#link.persist({ topic }, signal, async () => {
      await this.#link.cluster.addMultipleTargetTopics([topic])
      await this.#link.cluster.refreshMetadata()
      return this.#link.cluster
        .findTopicPartitionMetadata(topic)
        .map(({ partitionId }) => partitionId)
        .sort((a, b) => a - b)
    })
  }

  async hasTopic(topic: string, signal: AbortSignal = never): Promise<boolean> {
    return (await this.#link.withAdmin({ topic }, signal, (admin) => admin.listTopics())).includes(topic)
  }

  /** All that this user may see. */
  topics(signal: AbortSignal = never): Promise<readonly string[]> {
    return this.#link.withAdmin({}, signal, (admin) => admin.listTopics())
  }

  /** With all that is in them. */
  async deleteTopics(topics: readonly string[], signal: AbortSignal = never): Promise<void> {
    await this.#link.withAdmin({}, signal, (admin) => admin.deleteTopics({ topics: [...topics] }))
  }

  /** Resolves to whether it was made; false: it is there already. It can be used then. */
  async createTopic(topic: string, options: TopicOptions = {}, signal: AbortSignal = never): Promise<boolean> {
    const { partitions, replicas, config = {} } = options
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    const wanted: Client.ITopicConfig = {
      topic,
      configEntries,
      ...(partitions !== undefined && { numPartitions: partitions }),
      ...(replicas !== undefined && { replicationFactor: replicas }),
    }
    const isNew = await this.#link.withAdmin({ topic }, signal, (admin) =>
      admin.createTopics({ topics: [wanted], waitForLeaders: false }),
    )
    // Brokers hear of it a moment later.
    const patience = performance.now() + PATIENCE_SECONDS * 1000
    const isThere = (): Promise<boolean> =>
      this.watermarks(topic, signal).then(
        () => true,
        (error: unknown) => {
          signal.throwIfAborted()
          if (protocolType(error) !== 'UNKNOWN_TOPIC_OR_PARTITION' || performance.now() > patience) throw error
          return false
        },
      )
    while (!(await isThere())) await sleep(0.05, signal)
    return isNew
  }

  /** Settings of a topic, with the defaults of its brokers. */
  async topicConfig(topic: string, signal: AbortSignal = never): Promise<Readonly<Record<string, string>>> {
    const { TOPIC } = this.#link.modules.kafkajs.ConfigResourceTypes
    const { resources } = await this.#link.withAdmin({ topic }, signal, (admin) =>
      admin.describeConfigs({ includeSynonyms: false, resources: [{ type: TOPIC, name: topic }] }),
    )
    const entries = resources[0]?.configEntries ?? []
    return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]))
  }

  /** Of a request, in bytes. Undefined: this user is not told. */
  async #largest(topic: string): Promise<number | undefined> {
    try {
      return Number((await this.topicConfig(topic))['max.message.bytes']) || undefined
    } catch (error) {
      if (isPassing(error)) throw error
      this.#link.log.debug(`the settings of topic ${topic} are not shown to this user: ${messageOf(error)}`)
      return undefined
    }
  }

  /** Of all partitions of a topic. */
  async watermarks(topic: string, signal: AbortSignal = never): Promise<readonly Watermarks[]> {
    const { isolation = 'read_committed' } = this.#link.connection.settings
    const highs = await this.#offsets(topic, 'end', isolation, signal)
    return [...(await this.#offsets(topic, 'first', isolation, signal))]
      .map(([partition, low]) => ({ partition, low, high: highs.get(partition) ?? low }))
      .sort((a, b) => a.partition - b.partition)
  }

  /** The offset after the last of each partition, also of what is not settled yet. */
  ends(topic: string, signal: AbortSignal = never): Promise<ReadonlyMap<number, number>> {
    return this.#offsets(topic, 'end', 'read_uncommitted', signal)
  }

  /** The first offset of each partition whose message is not older; its end, where there is none. */
  async offsetsAt(topic: string, time: Date, signal: AbortSignal = never): Promise<ReadonlyMap<number, number>> {
    const { isolation = 'read_committed' } = this.#link.connection.settings
    // In this order: behind ends that are asked for later there may be a message that came meanwhile.
    const ends = await this.#offsets(topic, 'end', isolation, signal)
    const found = await this.#offsets(topic, time.getTime(), isolation, signal)
    return new Map([...found].map(([partition, at]) => [partition, at < 0 ? (ends.get(partition) ?? 0) : at]))
  }

  /**
   * The offsets that a group has committed, of the partitions that it has committed any of. Right after a commit it may
   * still be the one before, for a moment: a destination's checkpoint decides, not this.
   */
  async committed(
    groupId: string,
    topics: readonly string[],
    signal: AbortSignal = never,
  ): Promise<readonly OffsetToCommit[]> {
    const found = await this.#link.withAdmin({ group: groupId }, signal, (admin) =>
      admin.fetchOffsets({ groupId, topics: [...topics] }),
    )
    return found.flatMap(({ topic, partitions }) =>
      partitions
        .map(({ partition, offset, metadata }) => ({
          topic,
          partition,
          offset: Number(offset),
          metadata: metadata ?? '',
        }))
        .filter(({ offset }) => offset >= 0),
    )
  }

  /** Commits offsets to a group that has no members; with some it is refused. */
  commit(groupId: string, offsets: readonly OffsetToCommit[], signal: AbortSignal = never): Promise<void> {
    return this.#link.persist({ group: groupId }, signal, () =>
      commitOffsets(this.#link.cluster as unknown as CommitCluster, groupId, offsets),
    )
  }

  /** Reads partitions that are assigned to it. Ends with the client. */
  reader(options: ReaderOptions = {}): PartitionReader {
    return new PartitionReader(this.#link.cluster, this.place, options, {
      absence: this.#link.absence,
      cut: this.#link.cut,
    })
  }

  /** Joins a group. Ends with the client, if not before. */
  async member(options: MemberOptions, signal: AbortSignal): Promise<GroupMember> {
    const { sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs } = this.#link.connection.settings
    const { groupId, topics, ...rest } = options
    for (const topic of topics) await this.partitions(topic, signal)
    const chosen = {
      sessionTimeoutMs: 45_000,
      heartbeatIntervalMs: 3_000,
      rebalanceTimeoutMs: 60_000,
      ...definedOf(rest),
      ...definedOf({ sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs }),
    }
    const consumer = this.#link.kafka.consumer({
      groupId,
      sessionTimeout: chosen.sessionTimeoutMs,
      heartbeatInterval: chosen.heartbeatIntervalMs,
      rebalanceTimeout: chosen.rebalanceTimeoutMs,
      // How often it looks whether a heartbeat is due.
      maxWaitTimeInMs: 200,
      allowAutoTopicCreation: false,
      retry: retries(PATIENCE_SECONDS),
    })
    const member = new GroupMember(consumer as unknown as ClientConsumer, options, this.place, this.#link.cut)
    return this.#link.opened(member, { group: groupId }, signal)
  }

  /** With a transactional id it has fenced whoever had that id before. Ends with the client, if not before. */
  async producer(options: ProducerOptions, signal: AbortSignal): Promise<KafkaProducer> {
    const { transactionalId } = options
    const { compression, transactionTimeoutMs, maxMessageBytes } = this.#link.connection.settings
    const chosen = { ...options, ...definedOf({ compression, transactionTimeoutMs, maxRequestBytes: maxMessageBytes }) }
    const client = this.#link.kafka.producer({
      createPartitioner: () => noting(this.#link.modules.kafkajs.Partitioners.DefaultPartitioner()),
      allowAutoTopicCreation: false,
      // Of a transactional producer the transactions are that anyway.
      idempotent: transactionalId === undefined,
      // More would not be kept in order after one failed.
      maxInFlightRequests: 1,
      retry: retries(PATIENCE_SECONDS),
      ...(transactionalId !== undefined && {
        transactionalId,
        transactionTimeout: chosen.transactionTimeoutMs ?? 60_000,
      }),
    })
    const largest = (topic: string): Promise<number | undefined> => this.#largest(topic)
    const producer = new KafkaProducer(client as unknown as ClientProducer, chosen, this.place, largest, {
      seconds: SEND_SECONDS,
      late: this.#link.cut,
      answered: () => this.#link.absence.answered(),
    })
    return this.#link.opened(producer, { transactionalId }, signal)
  }

  #offsets(topic: string, which: Which, isolation: 'read_committed' | 'read_uncommitted', signal: AbortSignal) {
    return this.#link.persist({ topic }, signal, () => offsetsOf(this.#link.cluster, topic, which, isolation))
  }

  /** Closes what was opened with it. Never rejects; safe twice. */
  close(): Promise<void> {
    return this.#link.close()
  }
}
