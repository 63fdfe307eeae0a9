// Reads partitions from given offsets, without a group: whoever reads knows where to go on. One request is always on its
// way to each broker, while the messages of the one before are worked on.
//
// Of transactions it shows what is committed. It tells aborted messages itself: the client's own way of it takes a message
// whose key is four zero bytes for the end of an aborted transaction, and shows what comes after it.

import { BizonError } from '../../lib/errors.ts'
import { orAborted, sleep } from '../../lib/wait.ts'
import { isPassing, kafkaError, OffsetsGone, type Place, protocolType } from './errors.ts'
import { offsetsOf } from './offsets.ts'

export interface ReaderOptions {
  /** Default read_committed. */
  readonly isolation?: 'read_committed' | 'read_uncommitted' | undefined
  /** Of one answer. Default 8 MiB; a message that is larger comes all the same. */
  readonly maxBytes?: number | undefined
  /** Of one partition in it. Default 1 MiB. */
  readonly maxBytesPerPartition?: number | undefined
  readonly minBytes?: number | undefined
  /** How long a broker waits for something to send. Default 200. */
  readonly maxWaitMs?: number | undefined
  /** Messages tell of the transaction that they are part of, and where those end is a message, too. Default false. */
  readonly markers?: boolean | undefined
  /** How long a broker may be away. Default 60. */
  readonly patienceSeconds?: number | undefined
}

export interface Message {
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** In ms since 1970; -1 where there is none. */
  readonly timestamp: number
  /** A name that stands there several times has a list. */
  readonly headers: Readonly<Record<string, Buffer | null | readonly (Buffer | null)[]>>
  /** With `markers`: of a message of a transaction, and of the end of one. */
  readonly transaction?: { readonly producerId: string; readonly end?: 'commit' | 'abort' }
}

/** What one partition had to give, in the order of offsets. May hold no messages, where only others moved on. */
export interface Batch {
  readonly topic: string
  readonly partition: number
  readonly messages: readonly Message[]
  /** Where the partition goes on. */
  readonly next: number
  /** The offset after the last that may be read, at the moment of the answer. */
  readonly end: number
}

interface Assigned {
  readonly topic: string
  readonly partition: number
  next: number
  /** Its last answer was empty although there is more: it is asked for alone. */
  isSuspect: boolean
}

/** One at a time; not shared. */
export class PartitionReader {
  readonly #cluster: FetchCluster
  readonly #place: Place
  readonly #options: ReaderOptions
  readonly #assigned = new Map<string, Assigned>()
  readonly #flights = new Map<number, Promise<Landing>>()

  constructor(cluster: FetchCluster, place: Place, options: ReaderOptions) {
    this.#cluster = cluster
    this.#place = place
    this.#options = options
  }

  /** Reads the partition from this offset on, whatever was read of it before. */
  assign(topic: string, partition: number, offset: number): void {
    this.#assigned.set(keyOf(topic, partition), { topic, partition, next: offset, isSuspect: false })
  }

  /** What is on its way for it is dropped. */
  unassign(topic: string, partition: number): void {
    this.#assigned.delete(keyOf(topic, partition))
  }

  /**
   * What the first broker that answers has, and what others have answered meanwhile: nothing when there is nothing new.
   * Rejects with the reason of the signal, with OffsetsGone, or when brokers were away for too long.
   */
  async fetch(signal: AbortSignal): Promise<readonly Batch[]> {
    const { patienceSeconds = PATIENCE_SECONDS } = this.#options
    const patience = performance.now() + patienceSeconds * 1000
    for (let pause = 0.05; ; pause = Math.min(pause * 2, 2)) {
      signal.throwIfAborted()
      try {
        await this.#depart()
        if (this.#flights.size === 0) {
          await sleep((this.#options.maxWaitMs ?? WAIT_MS) / 1000, signal)
          return []
        }
        const landing = await orAborted(Promise.race(this.#flights.values()), signal)
        signal.throwIfAborted()
        if (landing === undefined) continue
        this.#flights.delete(landing.node)
        if (landing.error !== undefined) throw landing.error
        const batches = landing.batches.filter(
          ({ from }) => this.#assigned.get(keyOf(from.topic, from.partition)) === from,
        )
        for (const { from, batch, isSuspect } of batches) {
          from.next = batch.next
          from.isSuspect = isSuspect
        }
        // Under way while these are worked on.
        await this.#depart()
        return batches.map(({ batch }) => batch)
      } catch (error) {
        signal.throwIfAborted()
        if (protocolType(error) === 'OFFSET_OUT_OF_RANGE') throw await this.#gone(error)
        if (!isPassing(error) && !STALE.has(protocolType(error) ?? '')) throw kafkaError(error, this.#place)
        if (performance.now() > patience) throw kafkaError(error, this.#place)
        await sleep(pause, signal)
        await this.#cluster.refreshMetadata().catch(() => this.#cluster.connect().catch(() => {}))
      }
    }
  }

  /** Sends a request to each broker that leads a partition and has none on its way. */
  async #depart(): Promise<void> {
    const topics = [...new Set([...this.#assigned.values()].map(({ topic }) => topic))]
    if (topics.length === 0) return
    await this.#cluster.addMultipleTargetTopics(topics)
    await this.#cluster.refreshMetadataIfNecessary()
    const leaders = new Map<number, Assigned[]>()
    for (const assigned of this.#assigned.values()) {
      const { topic, partition } = assigned
      const [leader] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]))
      if (leader === undefined) {
        throw new BizonError(this.#place.code, `topic ${topic} has no partition ${partition}`, {
          hint: 'See whether the topic was made anew with fewer partitions.',
        })
      }
      leaders.set(Number(leader), [...(leaders.get(Number(leader)) ?? []), assigned])
    }
    for (const [node, partitions] of leaders) {
      if (this.#flights.has(node)) continue
      const alone = partitions.find(({ isSuspect }) => isSuspect)
      this.#flights.set(node, this.#fly(node, alone ? [alone] : partitions))
    }
  }

  /** Never rejects. */
  async #fly(node: number, partitions: readonly Assigned[]): Promise<Landing> {
    const { isolation, markers = false, minBytes = 1, maxBytes = MAX_BYTES, maxWaitMs = WAIT_MS } = this.#options
    const { maxBytesPerPartition = MAX_PARTITION_BYTES } = this.#options
    // Another assignment may have taken its place until the answer comes.
    const asked = partitions.map((from) => ({ from, offset: from.next }))
    const byTopic = groupBy(asked, ({ from }) => from.topic)
    try {
      const broker = await this.#cluster.findBroker({ nodeId: String(node) })
      const { responses } = await broker.fetch({
        maxWaitTime: maxWaitMs,
        minBytes,
        maxBytes,
        isolationLevel: isolation === 'read_uncommitted' ? 0 : 1,
        topics: [...byTopic].map(([topic, those]) => ({
          topic,
          partitions: those.map(({ from, offset }) => ({
            partition: from.partition,
            fetchOffset: String(offset),
            maxBytes: maxBytesPerPartition,
          })),
        })),
      })
      const batches: LandedBatch[] = []
      for (const { topicName, partitions: answers } of responses) {
        for (const answer of answers) {
          const one = asked.find(({ from }) => from.topic === topicName && from.partition === answer.partition)
          if (one)
            batches.push(landed(one.from, one.offset, answer, { isolation, markers, isAlone: asked.length === 1 }))
        }
      }
      return { node, batches: batches.filter(({ batch, from, isSuspect }) => batch.next > from.next || isSuspect) }
    } catch (error) {
      return { node, batches: [], error }
    }
  }

  async #gone(error: unknown): Promise<BizonError> {
    const { topic, partition } = error as { topic: string; partition: number }
    const assigned = this.#assigned.get(keyOf(topic, partition))
    const { isolation = 'read_committed' } = this.#options
    try {
      const lows = await offsetsOf(this.#cluster, topic, 'first', isolation)
      const highs = await offsetsOf(this.#cluster, topic, 'end', isolation)
      const [low, high] = [lows.get(partition) ?? 0, highs.get(partition) ?? 0]
      return new OffsetsGone(this.#place.code, { topic, partition, offset: assigned?.next ?? -1, low, high })
    } catch (failure) {
      return kafkaError(failure, this.#place)
    }
  }
}

const MAX_BYTES = 8 << 20
const MAX_PARTITION_BYTES = 1 << 20
const WAIT_MS = 200
const PATIENCE_SECONDS = 60

/** Passes when the client has asked anew who leads which partition. */
const STALE = new Set(['UNKNOWN_TOPIC_OR_PARTITION'])

interface LandedBatch {
  readonly from: Assigned
  readonly batch: Batch
  readonly isSuspect: boolean
}

interface Landing {
  readonly node: number
  readonly batches: readonly LandedBatch[]
  readonly error?: unknown
}

const keyOf = (topic: string, partition: number): string => `${topic}\n${partition}`

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group) group.push(item)
    else groups.set(keyOf(item), [item])
  }
  return groups
}

function landed(
  from: Assigned,
  offset: number,
  answer: FetchedPartition,
  { isolation, markers, isAlone }: { isolation: ReaderOptions['isolation']; markers: boolean; isAlone: boolean },
): LandedBatch {
  const { topic, partition } = from
  const committedOnly = isolation !== 'read_uncommitted'
  const end = Number(committedOnly ? answer.lastStableOffset : answer.highWatermark)
  const { messages: raw } = answer
  const last = raw.at(-1)
  if (last === undefined) {
    // Compaction may leave the shell of messages that are all gone, and nothing is said of how many they were. An answer
    // for several partitions may also be empty because the others filled it.
    const isSuspect = end > offset
    const next = isSuspect && isAlone && from.isSuspect ? offset + 1 : offset
    return { from, isSuspect, batch: { topic, partition, messages: [], next, end } }
  }
  const counting = committedOnly ? committed(raw, answer.abortedTransactions) : raw
  const messages: Message[] = []
  for (const message of counting) {
    const at = Number(message.offset)
    if (at < offset || (message.isControlRecord && !markers)) continue
    const { key, value, timestamp, headers } = message
    const shown = { offset: at, key, value, timestamp: Number(timestamp), headers: headers as Message['headers'] }
    messages.push(markers ? { ...shown, ...transactionOf(message) } : shown)
  }
  const { batchContext: context } = last
  // Where the last messages of a batch were compacted away it still ends behind them.
  const whole = context?.lastOffsetDelta === undefined ? 0 : Number(context.firstOffset) + context.lastOffsetDelta + 1
  const next = Math.max(offset, Number(last.offset) + 1, whole)
  return { from, isSuspect: false, batch: { topic, partition, messages, next, end } }
}

const ABORT = 0

function transactionOf({ key, isControlRecord, batchContext }: FetchedMessage): Pick<Message, 'transaction'> {
  if (!batchContext?.inTransaction) return {}
  const { producerId } = batchContext
  if (!isControlRecord) return { transaction: { producerId } }
  return { transaction: { producerId, end: key?.readInt16BE(2) === ABORT ? 'abort' : 'commit' } }
}

/** Without those of transactions that were aborted. */
function committed(
  messages: readonly FetchedMessage[],
  aborted: FetchedPartition['abortedTransactions'],
): readonly FetchedMessage[] {
  if (!aborted || aborted.length === 0) return messages
  const begun = aborted
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: Number(firstOffset) }))
    .sort((a, b) => a.firstOffset - b.firstOffset)
  const aborting = new Set<string>()
  let next = 0
  return messages.filter((message) => {
    const offset = Number(message.offset)
    for (let one = begun[next]; one !== undefined && one.firstOffset <= offset; one = begun[++next]) {
      aborting.add(one.producerId)
    }
    const { producerId, inTransaction } = message.batchContext ?? {}
    if (producerId === undefined || !inTransaction) return true
    if (message.isControlRecord) {
      if (message.key?.readInt16BE(2) === ABORT) aborting.delete(producerId)
      return true
    }
    return !aborting.has(producerId)
  })
}

/** What is used of the client's view of the brokers. */
export interface FetchCluster {
  /** What versions of requests the brokers know, once one has answered. */
  readonly brokerPool: { readonly versions: object | null }
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  getNodeIds(): readonly string[]
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[]
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, readonly number[]>>
  findBroker(broker: { readonly nodeId: string }): Promise<FetchBroker>
}

interface FetchBroker {
  listOffsets(request: object): Promise<{
    readonly responses: readonly {
      readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
    }[]
  }>
  findGroupCoordinator(request: { readonly groupId: string; readonly coordinatorType: number }): Promise<unknown>
  fetch(request: object): Promise<{
    readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[]
  }>
}

interface FetchedPartition {
  readonly partition: number
  readonly highWatermark: string
  readonly lastStableOffset: string
  readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[] | null
  readonly messages: readonly FetchedMessage[]
}

interface FetchedMessage {
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestamp: string
  readonly headers: object
  readonly isControlRecord?: boolean
  readonly batchContext?: {
    readonly firstOffset: string
    readonly lastOffsetDelta: number
    readonly producerId: string
    readonly inTransaction: boolean
  }
}
