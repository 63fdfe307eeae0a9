// Between the extract and the load: memory in one process, a broker between several.
// A queue keeps order, carries pages and checkpoints alike, and never decides that an extract is complete.

import type { BrokerDefinition } from './channel.ts'
import type { Item } from './checkpoint.ts'

/** One item on its way to a loader. */
export interface Delivery {
  readonly item: Item
  /** This item and all taken before it are durable downstream: the queue may forget them. Safe to call twice. */
  ack(): Promise<void>
}

export interface Queue {
  /** Connects. First call, on either side. */
  open(signal: AbortSignal): Promise<void>
  /**
   * Resolves once the queue answers for the item: in memory when there is room for it, at a broker when the
   * broker has it. Waiting here is the backpressure that the source feels. One call at a time.
   */
  put(item: Item, signal: AbortSignal): Promise<void>
  /** No more items will be put. Not a proof of completeness: only a checkpoint with `end` is. */
  finish(): Promise<void>
  /** Items in order, once; ends after `finish`. What was not acknowledged comes again to a later process, where the queue outlives one. */
  take(signal: AbortSignal): AsyncGenerator<Delivery, void, void>
  /** Always called; safe twice. Whoever still waits is rejected. */
  close(): Promise<void>
}

export interface QueueOptions {
  /** Payload bytes that may be inside and not yet taken in full. One item always fits. */
  readonly maxBytes: number
  /** Items that may be inside. */
  readonly maxItems: number
}

/** One per queue file, its default export. */
export interface QueueDefinition {
  readonly summary: string
  create(options: QueueOptions): Queue
}

/** `engine.queue` of the config. */
export interface QueueConfig {
  readonly type: string
  /** Pages waiting at most; 0: bounded by bytes alone. */
  readonly maxPages: number
  /** Of the queue within one process. */
  readonly definition: QueueDefinition
  /** What stands between two processes; absent: nothing, or a pipe. */
  readonly broker?: { readonly definition: BrokerDefinition; readonly options: unknown }
}

/** Payload bytes that one process reads ahead of what it writes; the stages around the queue hold a page each. */
const READ_AHEAD_BYTES = 4 << 20

/** The queue that the config names, open. */
export async function openQueue({ definition, maxPages }: QueueConfig, signal: AbortSignal): Promise<Queue> {
  const queue = definition.create({ maxBytes: READ_AHEAD_BYTES, maxItems: maxPages || Infinity })
  await queue.open(signal)
  return queue
}
