// Kafka as far as its source sees it, with what a real broker shows only by chance: gaps, deletions, answers without data.

import { setTimeout as wait } from 'node:timers/promises'
import type { OffsetToCommit } from '../../connectors/kafka/commit.ts'
import { OffsetsGone } from '../../connectors/kafka/errors.ts'
import type { Message } from '../../connectors/kafka/messages.ts'
import type { Batch } from '../../connectors/kafka/reader.ts'
import type { Broker, Reader } from '../../connectors/sources/kafka/broker.ts'
import { message } from './kafka-decoding.ts'
import { messagesOf } from './kafka-messages.ts'

interface Log {
  low: number
  /** Null: an offset that is no message, such as the end of a transaction. */
  entries: (Message | null)[]
  /** Offset of the first entry. */
  first: number
}

export class FakeBroker implements Broker {
  readonly logs = new Map<string, Log[]>()
  readonly groups = new Map<string, OffsetToCommit[]>()
  /** Messages that one fetch gives at most. */
  perFetch = 3
  /** So many fetches come back with nothing, whatever there is. */
  silent = 0
  /** Thrown by the next commit. */
  refusal: Error | undefined

  /** Adds values to a partition; null is an offset without a message. */
  add(topic: string, partition: number, ...values: (string | null)[]): void {
    const logs = this.logs.get(topic) ?? []
    this.logs.set(topic, logs)
    while (logs.length <= partition) logs.push({ low: 0, entries: [], first: 0 })
    const log = logs[partition] as Log
    for (const value of values) {
      const offset = log.first + log.entries.length
      log.entries.push(value === null ? null : message({ value, offset, timestamp: 1000 * offset }))
    }
  }

  /** Deletes all before the offset. */
  delete(topic: string, partition: number, before: number): void {
    const log = this.logs.get(topic)?.[partition] as Log
    log.low = before
  }

  async partitions(topic: string): Promise<number[]> {
    return (this.logs.get(topic) ?? []).map((_, partition) => partition)
  }

  async watermarks(topic: string): Promise<{ partition: number; low: number; high: number }[]> {
    return (this.logs.get(topic) ?? [])
      .map((log, partition) => ({ partition, low: log.low, high: endOf(log) }))
      .reverse()
  }

  async offsetsAt(topic: string, time: Date): Promise<Map<number, number>> {
    return new Map(
      (this.logs.get(topic) ?? []).map((log, partition) => [
        partition,
        log.entries.find((entry) => entry && entry.timestamp >= time.getTime())?.offset ?? endOf(log),
      ]),
    )
  }

  async committed(group: string, topics: readonly string[]): Promise<readonly OffsetToCommit[]> {
    return (this.groups.get(group) ?? []).filter(({ topic }) => topics.includes(topic))
  }

  async commit(group: string, offsets: readonly OffsetToCommit[]): Promise<void> {
    const { refusal } = this
    this.refusal = undefined
    if (refusal) throw refusal
    this.groups.set(group, [...offsets])
  }

  reader({ maxWaitMs }: { maxWaitMs: number }): Reader {
    const places = new Map<string, { topic: string; partition: number; at: number }>()
    return {
      assign: (topic, partition, at) => void places.set(`${topic}/${partition}`, { topic, partition, at }),
      unassign: (topic, partition) => void places.delete(`${topic}/${partition}`),
      fetch: async (signal) => {
        await wait(0)
        signal.throwIfAborted()
        const found = this.silent-- > 0 ? [] : [...places.values()].map((place) => this.#fetch(place))
        const batches = found.filter(({ moved }) => moved).map(({ batch }) => batch)
        if (batches.length === 0) await wait(maxWaitMs, undefined, { signal })
        return batches
      },
    }
  }

  async close(): Promise<void> {}

  #fetch(place: { topic: string; partition: number; at: number }): { batch: Batch; moved: boolean } {
    const { topic, partition, at: offset } = place
    const log = this.logs.get(topic)?.[partition] as Log
    const { low } = log
    if (offset < low) throw new OffsetsGone('source', { topic, partition, offset, low, high: endOf(log) })
    const messages: Message[] = []
    while (messages.length < this.perFetch && place.at < endOf(log)) {
      const entry = log.entries[place.at - log.first]
      if (entry) messages.push(entry)
      place.at += 1
    }
    return {
      batch: { topic, partition, messages: messagesOf(messages), next: place.at, end: endOf(log) },
      moved: place.at > offset,
    }
  }
}

const endOf = ({ first, entries }: Log): number => first + entries.length
