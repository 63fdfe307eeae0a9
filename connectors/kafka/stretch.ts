// Messages of one partition, from an offset up to another one.

import type { Messages } from './messages.ts'

export interface Stretch {
  readonly topic: string
  readonly partition: number
  /** The first offset that is read. */
  readonly next: number
  /** Behind the last one. */
  readonly end: number
}

/** Reads nothing else meanwhile. */
export interface StretchReader {
  assign(topic: string, partition: number, offset: number): void
  unassign(topic: string, partition: number): void
}

interface Fetched {
  readonly messages: Messages
  /** Where what comes behind them begins. */
  readonly next: number
}

/** As they come, with perhaps some behind the end. `fetch`: what the reader gives next. */
export async function* messagesOf(
  reader: StretchReader,
  { topic, partition, next, end }: Stretch,
  fetch: () => Promise<readonly Fetched[]>,
): AsyncGenerator<Messages, void, void> {
  if (next >= end) return // else a fetch would wait for what comes
  reader.assign(topic, partition, next)
  try {
    for (let at = next; at < end; ) {
      for (const batch of await fetch()) {
        yield batch.messages
        at = batch.next
      }
    }
  } finally {
    reader.unassign(topic, partition)
  }
}
