// The only file that imports kafkajs, an optional peer that is loaded when a config names Kafka: a connection to a cluster,
// and what is done with it. Errors are in our words (kafka/errors.ts), what the client logs goes to our log.
//
//   KafkaClient ─┬─ topics, offsets           what is there
//                ├─ reader   (kafka/reader)    partitions from given offsets, without a group
//                ├─ member   (kafka/member)    which partitions are whose in a group, its committed offsets
//                └─ producer (kafka/producer)  messages, in transactions

import type * as Client from 'kafkajs'
import { BizonError, type ErrorCode, messageOf, systemCode } from '../lib/errors.ts'
import { cuttable } from '../lib/fault.ts'
import { type Log, silentLog } from '../lib/log.ts'
import { never, orAborted, sleep } from '../lib/wait.ts'
import { Absence } from './kafka/absence.ts'
import type { FetchCluster } from './kafka/cluster.ts'
import { type CommitCluster, commitOffsets, type OffsetToCommit } from './kafka/commit.ts'
import { definedOf, type KafkaConnection } from './kafka/config.ts'
import { isPassing, kafkaError, type Place, protocolType } from './kafka/errors.ts'
import { inTime } from './kafka/in-time.ts'
import { type ClientConsumer, GroupMember, type MemberOptions } from './kafka/member.ts'
import { offsetsOf, type Which } from './kafka/offsets.ts'
import { type ClientProducer, KafkaProducer, noting, type ProducerOptions } from './kafka/producer.ts'
import { PartitionReader, type ReaderOptions } from './kafka/reader.ts'
import { type AskedSocket, Sockets, saslOptions, Tokens, tlsOptions } from './kafka/security.ts'

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

/** Of the first connection, whatever the client thinks. */
const CONNECT_SECONDS = 20
/** Of one attempt. */
const ATTEMPT_MS = 5_000
const REQUEST_MS = 30_000
/** How long a broker may be away in the midst of things: what is started again is back within seconds. */
const PATIENCE_SECONDS = 60
/** Of what a producer asks for, with all attempts. */
const SEND_SECONDS = 180
const GOODBYE_SECONDS = 5

/** Rejects with a BizonError of the code within seconds where no broker can be reached, and with the signal's reason. */
export async function connectKafka(
  connection: KafkaConnection,
  { code, log = silentLog }: KafkaContext,
  signal: AbortSignal,
): Promise<KafkaClient> {
  signal.throwIfAborted()
  const client = new KafkaClient(connection, await load(code), code, log)
  try {
    await client.open(signal)
    return client
  } catch (error) {
    await client.close()
    throw error
  }
}

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
  /** Of errors. */
  readonly place: Place
  readonly #connection: KafkaConnection
  readonly #log: Log
  readonly #kafka: Client.Kafka
  readonly #cluster: FetchCluster
  readonly #modules: Modules
  // The client tries again by itself, for long, and says nothing of it.
  readonly #sockets = new Sockets((error) => this.#isOpen && this.#absence.missed(error, PATIENCE_SECONDS))
  readonly #absence: Absence
  readonly #tokens: Tokens
  readonly #parts = new Set<{ close(): Promise<void> }>()
  readonly #cut = (): void => this.#sockets.cut('no answer')
  readonly #forget: () => void
  #admin: Promise<Client.Admin> | undefined
  #isOpen = false
  #closing: Promise<void> | undefined

  constructor(connection: KafkaConnection, modules: Modules, code: ErrorCode, log: Log) {
    const { brokers, sasl, settings } = connection
    this.#connection = connection
    this.#modules = modules
    this.#log = log
    this.place = {
      code,
      brokers,
      ...(sasl && { mechanism: sasl.mechanism }),
      ...(sasl && 'username' in sasl && { user: sasl.username }),
    }
    this.#absence = new Absence(`Kafka at ${brokers.join(',')}`, log)
    if (!told.has(settings)) for (const what of settings.ignored ?? []) log.warn(what)
    told.add(settings)
    this.#tokens = new Tokens(log)
    const options = this.#options()
    this.#kafka = new modules.kafkajs.Kafka({ ...options, retry: retries(PATIENCE_SECONDS) })
    this.#cluster = this.#clusterOf({ ...retries(2), retries: 2 })
    this.#forget = cuttable(() => this.#sockets.cut('cut'))
  }

  async open(signal: AbortSignal): Promise<void> {
    const over = new AbortController()
    const silent = (): never => {
      throw new BizonError(this.place.code, `Kafka at ${this.place.brokers.join(',')}: no answer`, {
        hint: 'See whether it runs, can be reached, and speaks what security_protocol says at this port.',
        retriable: true,
      })
    }
    const late = sleep(CONNECT_SECONDS, over.signal).then(() => over.signal.aborted || silent())
    late.catch(() => {})
    try {
      await orAborted(Promise.race([this.#cluster.connect(), late]), signal)
      signal.throwIfAborted()
      // A second attempt finds the connection open, and asks no more.
      if (!this.#cluster.brokerPool.versions) silent()
    } catch (error) {
      signal.throwIfAborted()
      throw kafkaError(error, this.place)
    } finally {
      over.abort()
    }
    this.#isOpen = true
  }

  /** Of a topic, in order. Rejects when there is no such topic. */
  partitions(topic: string, signal: AbortSignal = never): Promise<readonly number[]> {
    return this.#persist({ topic }, signal, async () => {
      await this.#cluster.addMultipleTargetTopics([topic])
      await this.#cluster.refreshMetadata()
      return this.#cluster
        .findTopicPartitionMetadata(topic)
        .map(({ partitionId }) => partitionId)
        .sort((a, b) => a - b)
    })
  }

  async hasTopic(topic: string, signal: AbortSignal = never): Promise<boolean> {
    return (await this.#withAdmin({ topic }, signal, (admin) => admin.listTopics())).includes(topic)
  }

  /** All that this user may see. */
  topics(signal: AbortSignal = never): Promise<readonly string[]> {
    return this.#withAdmin({}, signal, (admin) => admin.listTopics())
  }

  /** With all that is in them. */
  async deleteTopics(topics: readonly string[], signal: AbortSignal = never): Promise<void> {
    await this.#withAdmin({}, signal, (admin) => admin.deleteTopics({ topics: [...topics] }))
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
    const isNew = await this.#withAdmin({ topic }, signal, (admin) =>
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
    const { TOPIC } = this.#modules.kafkajs.ConfigResourceTypes
    const { resources } = await this.#withAdmin({ topic }, signal, (admin) =>
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
      this.#log.debug(`the settings of topic ${topic} are not shown to this user: ${messageOf(error)}`)
      return undefined
    }
  }

  /** Of all partitions of a topic. */
  async watermarks(topic: string, signal: AbortSignal = never): Promise<readonly Watermarks[]> {
    const { isolation = 'read_committed' } = this.#connection.settings
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
    const { isolation = 'read_committed' } = this.#connection.settings
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
    const found = await this.#withAdmin({ group: groupId }, signal, (admin) =>
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
    return this.#persist({ group: groupId }, signal, () =>
      commitOffsets(this.#cluster as unknown as CommitCluster, groupId, offsets),
    )
  }

  /** Reads partitions that are assigned to it. Ends with the client. */
  reader(options: ReaderOptions = {}): PartitionReader {
    return new PartitionReader(this.#cluster, this.place, options, { absence: this.#absence, cut: this.#cut })
  }

  /** Joins a group. Ends with the client, if not before. */
  async member(options: MemberOptions, signal: AbortSignal): Promise<GroupMember> {
    const { sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs } = this.#connection.settings
    const { groupId, topics, ...rest } = options
    for (const topic of topics) await this.partitions(topic, signal)
    const chosen = {
      sessionTimeoutMs: 45_000,
      heartbeatIntervalMs: 3_000,
      rebalanceTimeoutMs: 60_000,
      ...definedOf(rest),
      ...definedOf({ sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs }),
    }
    const consumer = this.#kafka.consumer({
      groupId,
      sessionTimeout: chosen.sessionTimeoutMs,
      heartbeatInterval: chosen.heartbeatIntervalMs,
      rebalanceTimeout: chosen.rebalanceTimeoutMs,
      // How often it looks whether a heartbeat is due.
      maxWaitTimeInMs: 200,
      allowAutoTopicCreation: false,
      retry: retries(PATIENCE_SECONDS),
    })
    const member = new GroupMember(consumer as unknown as ClientConsumer, options, this.place, this.#cut)
    return this.#opened(member, { group: groupId }, signal)
  }

  /** With a transactional id it has fenced whoever had that id before. Ends with the client, if not before. */
  async producer(options: ProducerOptions, signal: AbortSignal): Promise<KafkaProducer> {
    const { transactionalId } = options
    const { compression, transactionTimeoutMs, maxMessageBytes } = this.#connection.settings
    const chosen = { ...options, ...definedOf({ compression, transactionTimeoutMs, maxRequestBytes: maxMessageBytes }) }
    const client = this.#kafka.producer({
      createPartitioner: () => noting(this.#modules.kafkajs.Partitioners.DefaultPartitioner()),
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
      late: this.#cut,
      answered: () => this.#absence.answered(),
    })
    return this.#opened(producer, { transactionalId }, signal)
  }

  /** Closes what was opened with it. Never rejects; safe twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#forget()
    // Who has never answered needs no goodbye.
    if (!this.#isOpen) this.#sockets.cut('closed')
    const over = new AbortController()
    const goodbye = async (): Promise<void> => {
      for (const part of [...this.#parts].reverse()) await part.close()
      await this.#admin?.then((admin) => admin.disconnect()).catch(() => {})
      // What still waits for an answer waits for messages that nobody will take.
      this.#sockets.close()
      await this.#cluster.disconnect().catch(() => {})
      await this.#tokens.close()
    }
    await Promise.race([goodbye(), sleep(GOODBYE_SECONDS, over.signal)])
    over.abort()
    this.#sockets.close()
  }

  /** Opens a part; what is opened is closed with the client, also when the signal aborts meanwhile. */
  async #opened<Part extends { open(): Promise<void>; close(): Promise<void> }>(
    part: Part,
    about: Partial<Place>,
    signal: AbortSignal,
  ): Promise<Part> {
    this.#parts.add(part)
    try {
      await orAborted(part.open(), signal)
    } catch (error) {
      signal.throwIfAborted()
      throw kafkaError(await this.#explained(error, about), { ...this.place, ...about })
    }
    signal.throwIfAborted()
    return part
  }

  /** Why there is no coordinator: the client only says that it found none, also where it was not allowed to look. */
  async #explained(error: unknown, { group, transactionalId }: Partial<Place>): Promise<unknown> {
    const id = group ?? transactionalId
    const text = messageOf(error instanceof BizonError ? error.cause : error)
    if (id === undefined || !/find group coordinator/i.test(text)) return error
    try {
      await this.#cluster.refreshMetadata()
      const [nodeId] = this.#cluster.getNodeIds()
      if (nodeId === undefined) return error
      const broker = await this.#cluster.findBroker({ nodeId })
      await broker.findGroupCoordinator({ groupId: id, coordinatorType: group === undefined ? 1 : 0 })
      return error
    } catch (reason) {
      return reason
    }
  }

  #offsets(topic: string, which: Which, isolation: 'read_committed' | 'read_uncommitted', signal: AbortSignal) {
    return this.#persist({ topic }, signal, () => offsetsOf(this.#cluster, topic, which, isolation))
  }

  #withAdmin<T>(about: Partial<Place>, signal: AbortSignal, work: (admin: Client.Admin) => Promise<T>): Promise<T> {
    return this.#persist(about, signal, async () => {
      this.#admin ??= (async () => {
        const admin = this.#kafka.admin({ retry: retries(2) })
        await admin.connect()
        return admin
      })()
      const admin = await this.#admin.catch((error: unknown) => {
        this.#admin = undefined
        throw error
      })
      return work(admin)
    })
  }

  /** Again and again while the failure is one in passing. */
  async #persist<T>(about: Partial<Place>, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const patience = performance.now() + PATIENCE_SECONDS * 1000
    for (let pause = 0.05; ; pause = Math.min(pause * 2, 2)) {
      signal.throwIfAborted()
      try {
        const timed = inTime(work(), this.place, { seconds: PATIENCE_SECONDS, late: this.#cut })
        const done = await orAborted(timed, signal)
        signal.throwIfAborted()
        this.#absence.answered()
        return done as T
      } catch (thrown) {
        signal.throwIfAborted()
        const error = await this.#explained(thrown, about)
        const type = protocolType(error)
        // The client takes a topic that is not there for one that is about to be made.
        const isPatient = isPassing(error) && type !== 'UNKNOWN_TOPIC_OR_PARTITION' && performance.now() < patience
        if (!isPatient) throw kafkaError(error, { ...this.place, ...about })
        this.#absence.missed(error, PATIENCE_SECONDS)
        await sleep(pause, signal)
      }
    }
  }

  #options(): Client.KafkaConfig {
    const { brokers, tls, sasl, settings } = this.#connection
    const ssl = tls && tlsOptions(tls, this.place.code)
    return {
      // The client takes what stands before the first colon for the host.
      brokers: brokers.map((broker, at) => (broker.startsWith('[') ? `${seedOf(at)}:${portOf(broker)}` : broker)),
      clientId: settings.clientId ?? 'bizon',
      connectionTimeout: settings.connectTimeoutMs ?? ATTEMPT_MS,
      requestTimeout: settings.requestTimeoutMs ?? REQUEST_MS,
      logLevel: this.#modules.kafkajs.logLevel.WARN,
      logCreator:
        () =>
        ({ namespace, log }) =>
          this.#log.debug(`kafkajs: ${namespace} ${log.message}${log.broker ? ` (${String(log.broker)})` : ''}`),
      socketFactory: (asked) => {
        const { host, ...rest } = asked as AskedSocket
        const seed = brokers.find((_, at) => seedOf(at) === host)
        return this.#sockets.connect({ ...rest, host: seed === undefined ? host : addressOf(seed) })
      },
      ...(ssl && { ssl }),
      ...(sasl && { sasl: saslOptions(sasl, this.#tokens) as Client.SASLOptions }),
    }
  }

  /** The client's own view of the brokers, which it shows nowhere: groups are all that its consumers know. */
  #clusterOf(retry: Client.RetryOptions): FetchCluster {
    const { Cluster, createLogger } = this.#modules
    const { logCreator, logLevel: level, ...options } = this.#options()
    return new Cluster({
      ...options,
      logger: createLogger({ level, logCreator }),
      retry,
      metadataMaxAge: this.#connection.settings.metadataMaxAgeMs ?? 60_000,
      allowAutoTopicCreation: false,
      isolationLevel: this.#connection.settings.isolation === 'read_uncommitted' ? 0 : 1,
      enforceRequestTimeout: true,
    })
  }
}

/** In the place of an address of IPv6; no host is called so (RFC 6761). */
const seedOf = (at: number): string => `seed-${at}.invalid`
/** `[::1]:9092`: `::1`, and 9092. */
const addressOf = (broker: string): string => broker.slice(1, broker.indexOf(']'))
const portOf = (broker: string): string => broker.slice(broker.lastIndexOf(':') + 1)

/** From 50 ms on, doubled up to 2 s. */
function retries(seconds: number): Client.RetryOptions {
  return { initialRetryTime: 50, multiplier: 2, factor: 0.2, maxRetryTime: 2000, retries: 5 + Math.ceil(seconds / 2) }
}

/** Settings whose warnings were given: a source opens several connections. */
const told = new WeakSet<object>()

interface Modules {
  readonly kafkajs: Pick<typeof Client, 'Kafka' | 'Partitioners' | 'ConfigResourceTypes' | 'logLevel'>
  readonly Cluster: new (options: object) => FetchCluster
  readonly createLogger: (options: object) => object
}

async function load(code: ErrorCode): Promise<Modules> {
  // Not types but names: what is inside has none.
  const inside = (path: string): string => `kafkajs/src/${path}/index.js`
  const needed = 'Kafka needs the package kafkajs'
  let kafkajs: Modules['kafkajs']
  try {
    kafkajs = (await import('kafkajs')).default
  } catch (error) {
    if (systemCode(error) !== 'ERR_MODULE_NOT_FOUND' && systemCode(error) !== 'MODULE_NOT_FOUND') throw error
    throw new BizonError(code, `${needed}, which is not installed`, { hint: 'npm install kafkajs' })
  }
  try {
    const [cluster, loggers] = await Promise.all([import(inside('cluster')), import(inside('loggers'))])
    return { kafkajs, Cluster: cluster.default, createLogger: loggers.default.createLogger }
  } catch (error) {
    throw new BizonError(code, `${needed} 2.2: the one that is installed is another`, {
      hint: 'npm install kafkajs@2.2',
      cause: error,
    })
  }
}
