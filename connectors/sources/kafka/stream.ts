// A read without end: what all partitions give, as it comes. Nobody else has a say in where it goes on: it joins no group,
// so that there are no rebalances, and what a group has committed counts only for the very first start.

import type { Log } from '../../../lib/log.ts'
import type { Page, Start } from '../../../lib/source.ts'
import type { ReadParts } from './bounded.ts'
import { beginnings } from './bounds.ts'
import type { Broker, Fetched, Reader } from './broker.ts'
import { Gathering } from './gathering.ts'
import type { Offsets } from './offsets.ts'

export interface StreamParts extends ReadParts {
  readonly group: string
  readonly first: 'earliest' | 'latest'
  /** How often to look for new partitions. */
  readonly lookMs: number
  readonly log: Log
  readonly now?: () => number
}

/** How often it is told how far behind the read is. */
const TOLD_MS = 60_000

export async function* readStream(
  parts: StreamParts,
  from: Start,
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  const { broker, records, bounds, pages, fetch, lookMs, now = Date.now } = parts
  const offsets = await beginnings(broker, from.position, { ...bounds, ...parts })
  const reader = broker.reader(fetch)
  const gathering = new Gathering(pages)
  const lag = new Lag(parts.log, now)
  const left = new AbortController()
  const reading = AbortSignal.any([signal, left.signal])
  let fetching: Promise<readonly Fetched[]> | undefined
  try {
    for (const { topic, partition, next } of offsets) reader.assign(topic, partition, next)
    let looked = now()
    fetching = reader.fetch(reading)
    while (!signal.aborted) {
      const found: readonly Fetched[] = await fetching
      if (signal.aborted) return
      if (now() - looked >= lookMs) {
        looked = now()
        await assignNew(broker, reader, offsets, bounds.topics)
      }
      // The next messages come while these are written.
      fetching = reader.fetch(reading)
      for (const { topic, partition, messages, next, high } of found) {
        for (const message of messages) {
          gathering.add(topic, partition, message)
          if (!gathering.full) continue
          offsets.set(topic, partition, { next: message.offset + 1n })
          const page = await gathering.take(records, signal)
          if (signal.aborted) return
          yield { ...page, next: offsets.toJson() }
        }
        offsets.set(topic, partition, { next })
        lag.at(topic, partition, high - next)
      }
      lag.tell()
      if (gathering.empty) continue
      const page = await gathering.take(records, signal)
      if (signal.aborted) return
      yield { ...page, next: offsets.toJson() }
    }
  } finally {
    left.abort()
    await fetching?.catch(() => {})
    await reader.close()
  }
}

/** Partitions that were added since are read from their first message. */
async function assignNew(broker: Broker, reader: Reader, offsets: Offsets, topics: readonly string[]): Promise<void> {
  for (const topic of topics) {
    const there = await broker.partitions(topic)
    if (there.every((partition) => offsets.get(topic, partition) !== undefined)) continue
    for (const { partition, low } of await broker.watermarks(topic)) {
      if (offsets.get(topic, partition) !== undefined) continue
      offsets.set(topic, partition, { next: low })
      reader.assign(topic, partition, low)
    }
  }
}

/** How many messages wait to be read. */
class Lag {
  readonly #log: Log
  readonly #now: () => number
  readonly #behind = new Map<string, bigint>()
  #told: number
  #last = 0n

  constructor(log: Log, now: () => number) {
    this.#log = log
    this.#now = now
    this.#told = now()
  }

  at(topic: string, partition: number, behind: bigint): void {
    this.#behind.set(`${topic}/${partition}`, behind < 0n ? 0n : behind)
  }

  tell(): void {
    if (this.#now() - this.#told < TOLD_MS) return
    this.#told = this.#now()
    let sum = 0n
    for (const behind of this.#behind.values()) sum += behind
    // An idle stream need not say so every minute.
    if (sum > 0n || this.#last > 0n) this.#log.info(`messages behind: ${sum}`)
    this.#last = sum
  }
}
