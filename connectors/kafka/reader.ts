// Reads partitions from given offsets, without a group: whoever reads knows where to go on. One request is always on its
// way to each broker, while the messages of the one before are worked on.
//
// Requests go through the client; what comes back is read here (answer.ts, batches.ts).

import { BizonError } from '../../lib/errors.ts'
import { orAborted, sleep } from '../../lib/wait.ts'
import type { Absence } from './absence.ts'
import { type LandedBatch, landed, reading } from './answer.ts'
import type { FetchBroker, FetchCluster } from './cluster.ts'
import { isPassing, kafkaError, OffsetsGone, type Place, protocolType } from './errors.ts'
import { inTime } from './in-time.ts'
import type { Messages } from './messages.ts'
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

/** Some of what one partition had to give, in the order of offsets. May hold no messages, where only others moved on. */
export interface Batch {
  readonly topic: string
  readonly partition: number
  readonly messages: Messages
  /** Where the partition goes on. */
  readonly next: number
  /** The offset after the last that may be read, at the moment of the answer. */
  readonly end: number
}

export interface Assigned {
  readonly topic: string
  readonly partition: number
  next: number
  /** Its last answer was empty although there is more: it is asked for alone. */
  isSuspect: boolean
}

/** Who is told of brokers that do not answer. */
export interface Watch {
  readonly absence?: Absence
  /** Closes the connections. */
  readonly cut?: () => void
  /** How long an answer may take beyond what was asked for. Default 45. */
  readonly answerSeconds?: number
}

/** One at a time; not shared. */
export class PartitionReader {
  readonly #cluster: FetchCluster
  readonly #place: Place
  readonly #options: ReaderOptions
  readonly #watch: Watch
  readonly #assigned = new Map<string, Assigned>()
  readonly #flights = new Map<number, Promise<Landing>>()

  constructor(cluster: FetchCluster, place: Place, options: ReaderOptions, watch: Watch = {}) {
    this.#cluster = cluster
    this.#watch = watch
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
        await orAborted(this.#depart(), signal)
        signal.throwIfAborted()
        if (this.#flights.size === 0) {
          await sleep((this.#options.maxWaitMs ?? WAIT_MS) / 1000, signal)
          return []
        }
        const landing = await orAborted(Promise.race(this.#flights.values()), signal)
        signal.throwIfAborted()
        if (landing === undefined) continue
        this.#flights.delete(landing.node)
        if (landing.error !== undefined) {
          if (this.#isOutdated(landing)) continue
          throw landing.error
        }
        // Where its leader changed, another broker may have been asked for the same, and may have answered first.
        const batches = landing.batches.filter(
          ({ from, offset }) => this.#assigned.get(keyOf(from.topic, from.partition)) === from && from.next === offset,
        )
        for (const { from, batch, isSuspect } of batches) {
          from.next = batch.next
          from.isSuspect = isSuspect
          this.#toTheEnd(from)
        }
        this.#watch.absence?.answered()
        // Under way while these are worked on. What keeps requests from being sent the next fetch meets again: these have come.
        await orAborted(this.#depart(), signal).catch(() => {})
        // Of what was assigned anew meanwhile, or has come already.
        if (batches.length === 0 && landing.batches.length > 0) continue
        return batches.map(({ batch }) => batch)
      } catch (error) {
        signal.throwIfAborted()
        if (protocolType(error) === 'OFFSET_OUT_OF_RANGE') throw await this.#gone(error)
        if (!isPassing(error) && !STALE.has(protocolType(error) ?? '')) throw kafkaError(error, this.#place)
        if (performance.now() > patience) throw kafkaError(error, this.#place)
        this.#watch.absence?.missed(error, patienceSeconds)
        await sleep(pause, signal)
        const refreshed = this.#timed(this.#cluster.refreshMetadata().catch(() => this.#cluster.connect()))
        await orAborted(refreshed, signal).catch(() => {})
      }
    }
  }

  /** Whoever was given something is asked for last: brokers fill an answer in the order of the request. */
  #toTheEnd(from: Assigned): void {
    const key = keyOf(from.topic, from.partition)
    this.#assigned.delete(key)
    this.#assigned.set(key, from)
  }

  /** Sends a request to each broker that leads a partition and has none on its way. */
  async #depart(): Promise<void> {
    const topics = [...new Set([...this.#assigned.values()].map(({ topic }) => topic))]
    if (topics.length === 0) return
    await this.#timed(this.#cluster.addMultipleTargetTopics(topics))
    await this.#timed(this.#cluster.refreshMetadataIfNecessary())
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
    const { isolation, minBytes = 1, maxBytes = MAX_BYTES, maxWaitMs = WAIT_MS } = this.#options
    const { maxBytesPerPartition = MAX_PARTITION_BYTES } = this.#options
    const { code } = this.#place
    // A broker that answers at once has nothing to wait for: all that it had there was compacted away.
    const isDoubted = partitions.length === 1 && partitions[0]?.isSuspect === true
    const time = isDoubted ? Math.max(maxWaitMs, DOUBT_MS) : maxWaitMs
    // Another assignment may have taken its place until the answer comes.
    const asked = partitions.map((from) => ({ from, offset: from.next }))
    const byTopic = groupBy(asked, ({ from }) => from.topic)
    try {
      const broker = reading(await this.#timed(this.#cluster.findBroker({ nodeId: String(node) })))
      const quick = isDoubted ? QUICK_MS + (await this.#tripMs(broker, partitions[0] as Assigned)) : 0
      const request = {
        maxWaitTime: time,
        minBytes: isDoubted ? 1 : minBytes,
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
      }
      const begun = performance.now()
      const { responses } = await this.#timed(broker.fetch(request), time / 1000)
      const isSure = isDoubted && performance.now() - begun < quick
      const batches: LandedBatch[] = []
      let room = UNPACKED * maxBytes
      for (const { topicName, partitions: answers } of responses) {
        for (const answer of answers) {
          const one = asked.find(({ from }) => from.topic === topicName && from.partition === answer.partition)
          if (!one || room <= 0) continue // what there is no room for is asked for again
          const some = await landed({ ...one, answer, isSure, code }, { ...this.#options, maxBytes: room })
          for (const { batch } of some)
            if (batch.messages.bytes.buffer !== answer.records.buffer) room -= batch.messages.bytes.length
          batches.push(...some)
        }
      }
      return { node, batches: batches.filter(({ batch, from, isSuspect }) => batch.next > from.next || isSuspect) }
    } catch (error) {
      return { node, batches: [], error, asked: partitions }
    }
  }

  /** How long the broker takes to answer what it knows. */
  async #tripMs(broker: FetchBroker, { topic, partition }: Assigned): Promise<number> {
    const begun = performance.now()
    const partitions = [{ partition, timestamp: -1 }]
    await this.#timed(broker.listOffsets({ isolationLevel: 0, topics: [{ topic, partitions }] }))
    return performance.now() - begun
  }

  /** `seconds`: how long it may take of itself. */
  #timed<T>(work: Promise<T>, seconds = 0): Promise<T> {
    const { answerSeconds = ANSWER_SECONDS, cut = () => {} } = this.#watch
    return inTime(work, this.#place, { seconds: seconds + answerSeconds, late: cut })
  }

  /** Whether the error is of an offset that was assigned anew meanwhile. */
  #isOutdated({ error, asked = [] }: Landing): boolean {
    if (protocolType(error) !== 'OFFSET_OUT_OF_RANGE') return false
    const { topic, partition } = error as { topic: string; partition: number }
    const assigned = this.#assigned.get(keyOf(topic, partition))
    return assigned === undefined || !asked.includes(assigned)
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
/** How many times as large as it may be an answer may become when it is unpacked, but for the batch with which that is reached. */
const UNPACKED = 4
const WAIT_MS = 200
/** What a broker is given at least for a partition of which it has sent nothing. */
const DOUBT_MS = 1000
/** What an answer at once takes beyond the way. One that keeps old messages elsewhere gives up on them later, by itself. */
const QUICK_MS = 100
const PATIENCE_SECONDS = 60
const ANSWER_SECONDS = 45

/** Passes when the client has asked anew who leads which partition. */
const STALE = new Set(['UNKNOWN_TOPIC_OR_PARTITION'])

interface Landing {
  readonly node: number
  readonly batches: readonly LandedBatch[]
  readonly error?: unknown
  /** With an error. */
  readonly asked?: readonly Assigned[]
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
