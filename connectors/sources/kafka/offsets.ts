// How far each partition of each topic is read. An offset has 63 bits, of which numbers hold 53: more than anybody has messages.

import { isJsonObject, type Json, type JsonObject, objectOr } from '../../../lib/record.ts'

/** What a read goes on from in one partition: the next offset and, of a read that ends, the offset where it ends. */
export interface Span {
  readonly next: number
  readonly end?: number
}

export class Offsets {
  readonly #topics = new Map<string, Map<number, Span>>()

  static of(json: Json | undefined): Offsets {
    const offsets = new Offsets()
    for (const [topic, partitions] of Object.entries(objectOr(objectOr(json).topics))) {
      for (const [partition, span] of Object.entries(objectOr(partitions))) {
        const [next, end] = Array.isArray(span) ? span : [span]
        offsets.set(topic, Number(partition), {
          next: Number(next),
          ...(end !== undefined && { end: Number(end) }),
        })
      }
    }
    return offsets
  }

  /** `{"topics":{"orders":{"0":[12,40],"1":[40,40]}}}`; without ends `{"topics":{"orders":{"0":12}}}`. */
  toJson(): JsonObject {
    const topics = Object.fromEntries(
      [...this.#topics].map(([topic, partitions]) => [
        topic,
        Object.fromEntries([...partitions].map(([partition, span]) => [partition, jsonOf(span)])),
      ]),
    )
    return { topics }
  }

  get(topic: string, partition: number): Span | undefined {
    return this.#topics.get(topic)?.get(partition)
  }

  set(topic: string, partition: number, span: Span): void {
    let partitions = this.#topics.get(topic)
    if (!partitions) {
      partitions = new Map()
      this.#topics.set(topic, partitions)
    }
    partitions.set(partition, span)
  }

  /** Whether there is one of that topic. */
  has(topic: string): boolean {
    return this.#topics.has(topic)
  }

  *[Symbol.iterator](): IterableIterator<{ topic: string; partition: number } & Span> {
    for (const [topic, partitions] of this.#topics) {
      for (const [partition, span] of partitions) yield { topic, partition, ...span }
    }
  }

  /** A copy in which each partition goes on at its end: where the next read begins. */
  ends(): Offsets {
    const offsets = new Offsets()
    for (const { topic, partition, next, end = next } of this) offsets.set(topic, partition, { next: end })
    return offsets
  }
}

const jsonOf = ({ next, end }: Span): Json => (end === undefined ? next : [next, end])

/** Whether it can be read as offsets; another source's, or an older version's, cannot. */
export function isOffsets(json: Json | undefined): boolean {
  return json !== undefined && isJsonObject(json) && isJsonObject(json.topics as Json)
}
