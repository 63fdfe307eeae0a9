// A read without end: what all partitions give, as it comes. Nobody else has a say in where it goes on: it joins no group,
// so that there are no rebalances, and what a group has committed counts only for the very first start.

import { BizonError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Page, Start } from '../../../lib/source.ts'
import type { ReadParts } from './bounded.ts'
import { beginnings, type First } from './bounds.ts'
import type { Broker, Reader } from './broker.ts'
import { fetched } from './fetched.ts'
import { Gathering } from './gathering.ts'
import type { Offsets } from './offsets.ts'

export interface StreamParts extends ReadParts {
  readonly group: string
  readonly first: First
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
  for (const { topic, partition, next } of offsets) reader.assign(topic, partition, next)
  for (let looked = now(); ; ) {
    for (const { topic, partition, messages, next, end } of await fetched(reader, bounds, signal)) {
      for (let at = 0; at < messages.length; ) {
        at = gathering.add(topic, partition, messages, at)
        if (!gathering.full) break
        offsets.set(topic, partition, { next: messages.offset(at - 1) + 1 })
        const page = await gathering.take(records, signal)
        if (signal.aborted) return
        yield { ...page, next: offsets.toJson() }
      }
      offsets.set(topic, partition, { next })
      lag.at(topic, partition, end - next)
    }
    lag.tell()
    if (!gathering.empty) {
      const page = await gathering.take(records, signal)
      if (signal.aborted) return
      yield { ...page, next: offsets.toJson() }
    }
    if (now() - looked < lookMs) continue
    looked = now()
    try {
      await assignNew(broker, reader, offsets, bounds.topics)
    } catch (error) {
      // A broker that is away for a while is waited for by the reader; the next look may succeed.
      if (!(error instanceof BizonError && error.retriable)) throw error
    }
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
  readonly #behind = new Map<string, number>()
  #told: number
  #last = 0

  constructor(log: Log, now: () => number) {
    this.#log = log
    this.#now = now
    this.#told = now()
  }

  at(topic: string, partition: number, behind: number): void {
    this.#behind.set(`${topic}/${partition}`, behind < 0 ? 0 : behind)
  }

  tell(): void {
    if (this.#now() - this.#told < TOLD_MS) return
    this.#told = this.#now()
    let sum = 0
    for (const behind of this.#behind.values()) sum += behind
    // An idle stream need not say so every minute.
    if (sum > 0 || this.#last > 0) this.#log.info(`messages behind: ${sum}`)
    this.#last = sum
  }
}
