// What this source needs of Kafka. `connectors/kafka.ts` has it.

import type { Message } from './message.ts'

export interface Watermarks {
  readonly partition: number
  /** Offset of the first message that is still there. */
  readonly low: bigint
  /** Offset behind the last message that may be read. */
  readonly high: bigint
}

/** What one partition gave. */
export interface Fetched {
  readonly topic: string
  readonly partition: number
  readonly messages: readonly Message[]
  /** Where to go on: behind control records and aborted transactions too, which are no messages. */
  readonly next: bigint
  readonly high: bigint
}

/** Reads partitions from the offsets that it was told; in no group. */
export interface Reader {
  assign(topic: string, partition: number, offset: bigint): void
  unassign(topic: string, partition: number): void
  /** What there is, as soon as there is something; nothing after a while. */
  fetch(signal: AbortSignal): Promise<readonly Fetched[]>
  close(): Promise<void>
}

export interface Committed {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

export interface Broker {
  partitions(topic: string): Promise<readonly number[]>
  watermarks(topic: string): Promise<readonly Watermarks[]>
  /** Offset of the first message that is not older; the high watermark if there is none. */
  offsetsAt(topic: string, time: number): Promise<readonly { partition: number; offset: bigint }[]>
  /** Of a group; partitions without one are left out. */
  committed(group: string, topics: readonly string[]): Promise<readonly Committed[]>
  /** For a group that has no members. */
  commit(group: string, offsets: readonly Committed[]): Promise<void>
  reader(options: { readonly maxBytes: number; readonly maxWaitMs: number }): Reader
  close(): Promise<void>
}
