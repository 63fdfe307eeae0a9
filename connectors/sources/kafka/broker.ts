// What this source needs of Kafka. `connectors/kafka.ts` has it.

import type { OffsetToCommit } from '../../kafka/commit.ts'
import type { Batch } from '../../kafka/reader.ts'
import type { StretchReader } from '../../kafka/stretch.ts'

export interface Watermarks {
  readonly partition: number
  /** Offset of the first message that is still there. */
  readonly low: number
  /** Offset behind the last message that may be read. */
  readonly high: number
}

/** Reads partitions from the offsets that it was told; in no group. */
export interface Reader extends StretchReader {
  /** What there is, as soon as there is something; nothing after a while. Rejects when the signal aborts. */
  fetch(signal: AbortSignal): Promise<readonly Batch[]>
}

export interface FetchOptions {
  readonly maxBytes: number
  readonly maxBytesPerPartition?: number | undefined
  readonly minBytes?: number | undefined
  readonly maxWaitMs: number
  readonly isolation?: 'read_committed' | 'read_uncommitted' | undefined
  readonly patienceSeconds: number
}

export interface Broker {
  partitions(topic: string): Promise<readonly number[]>
  watermarks(topic: string): Promise<readonly Watermarks[]>
  /** Offset of the first message that is not older; the high watermark if there is none. */
  offsetsAt(topic: string, time: Date): Promise<ReadonlyMap<number, number>>
  /** Of a group; partitions without one are left out. */
  committed(group: string, topics: readonly string[]): Promise<readonly OffsetToCommit[]>
  /** For a group that has no members. */
  commit(group: string, offsets: readonly OffsetToCommit[], signal?: AbortSignal): Promise<void>
  reader(options: FetchOptions): Reader
  close(): Promise<void>
}
