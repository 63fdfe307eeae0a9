// Kafka as far as its source sees it, with what a real broker shows only by chance: gaps, deletions, answers without data.

import { setTimeout as wait } from 'node:timers/promises'
import type { Broker, Committed, Fetched, Reader } from '../../connectors/sources/kafka/broker.ts'
import type { Message } from '../../connectors/sources/kafka/message.ts'
import { message } from './kafka-decoding.ts'

interface Log {
  low: bigint
  /** Null: an offset that is no message, such as the end of a transaction. */
  entries: (Message | null)[]
  /** Offset of the first entry. */
  first: bigint
}

export class FakeBroker implements Broker {
  readonly logs = new Map<string, Log[]>()
  readonly groups = new Map<string, Committed[]>()
  /** Messages that one fetch gives at most. */
  perFetch = 3
  /** So many fetches come back with nothing, whatever there is. */
  silent = 0
  /** Thrown by the next commit. */
  refusal: Error | undefined
  fetches = 0
  open = 0

  /** Adds values to a partition; null is an offset without a message. */
  add(topic: string, partition: number, ...values: (string | null)[]): void {
    const logs = this.logs.get(topic) ?? []
    this.logs.set(topic, logs)
    while (logs.length <= partition) logs.push({ low: 0n, entries: [], first: 0n })
    const log = logs[partition] as Log
    for (const value of values) {
      const offset = log.first + BigInt(log.entries.length)
      log.entries.push(value === null ? null : message({ value, offset, timestamp: 1000 * Number(offset) }))
    }
  }

  /** Deletes all before the offset. */
  delete(topic: string, partition: number, before: bigint): void {
    const log = this.logs.get(topic)?.[partition] as Log
    log.low = before
  }

  async partitions(topic: string): Promise<number[]> {
    return (this.logs.get(topic) ?? []).map((_, partition) => partition)
  }

  async watermarks(topic: string): Promise<{ partition: number; low: bigint; high: bigint }[]> {
    return (this.logs.get(topic) ?? [])
      .map((log, partition) => ({ partition, low: log.low, high: endOf(log) }))
      .reverse()
  }

  async offsetsAt(topic: string, time: number): Promise<{ partition: number; offset: bigint }[]> {
    return (this.logs.get(topic) ?? []).map((log, partition) => ({
      partition,
      offset: log.entries.find((entry) => entry && entry.timestamp >= time)?.offset ?? endOf(log),
    }))
  }

  async committed(group: string, topics: readonly string[]): Promise<readonly Committed[]> {
    return (this.groups.get(group) ?? []).filter(({ topic }) => topics.includes(topic))
  }

  async commit(group: string, offsets: readonly Committed[]): Promise<void> {
    const { refusal } = this
    this.refusal = undefined
    if (refusal) throw refusal
    this.groups.set(group, [...offsets])
  }

  reader({ maxWaitMs }: { maxWaitMs: number }): Reader {
    const places = new Map<string, { topic: string; partition: number; at: bigint }>()
    this.open += 1
    return {
      assign: (topic, partition, at) => void places.set(`${topic}/${partition}`, { topic, partition, at }),
      unassign: (topic, partition) => void places.delete(`${topic}/${partition}`),
      fetch: async (signal) => {
        this.fetches += 1
        await wait(0)
        const found = this.silent-- > 0 ? [] : [...places.values()].map((place) => this.#fetch(place))
        if (found.every(({ messages }) => messages.length === 0))
          await wait(maxWaitMs, undefined, { signal }).catch(() => {})
        return found
      },
      close: async () => {
        this.open -= 1
      },
    }
  }

  async close(): Promise<void> {}

  #fetch(place: { topic: string; partition: number; at: bigint }): Fetched {
    const { topic, partition } = place
    const log = this.logs.get(topic)?.[partition] as Log
    const messages: Message[] = []
    while (messages.length < this.perFetch && place.at < endOf(log)) {
      const rest = log.entries.slice(Number(place.at - log.first))
      // As of a compacted topic: behind the last message there is nothing to be had.
      if (rest.every((entry) => entry === null)) break
      if (rest[0]) messages.push(rest[0])
      place.at += 1n
    }
    return { topic, partition, messages, next: place.at, high: endOf(log) }
  }
}

const endOf = ({ first, entries }: Log): bigint => first + BigInt(entries.length)
