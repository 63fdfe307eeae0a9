// A read that ends: each partition up to where it ended when the read began, one after the other, so that a read that
// goes on at a position gives the same pages as one that was never stopped.

import type { Page, Start } from '../../../lib/source.ts'
import { type BoundsOptions, spans } from './bounds.ts'
import type { Broker, Reader } from './broker.ts'
import { Gathering, type PageOptions } from './gathering.ts'
import type { Message } from './message.ts'
import type { Records } from './records.ts'

/** So often in a row a broker says that nothing lies between an offset and one that was there. */
const ENOUGH = 2

export interface ReadParts {
  readonly broker: Broker
  readonly records: Records
  readonly bounds: BoundsOptions
  readonly pages: PageOptions
  readonly fetch: { readonly maxBytes: number; readonly maxWaitMs: number }
}

export async function* readBounded(
  parts: ReadParts,
  from: Start,
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  const { broker, records, bounds, pages, fetch } = parts
  const offsets = await spans(broker, from, bounds)
  const watermark = offsets.ends().toJson()
  const gathering = new Gathering(pages)
  const reader = broker.reader(fetch)
  const left = new AbortController()
  const reading = AbortSignal.any([signal, left.signal])
  try {
    for (const { topic, partition, next, end = next } of [...offsets]) {
      for await (const messages of messagesOf(reader, { topic, partition, next, end }, reading)) {
        for (const message of messages) {
          gathering.add(topic, partition, message)
          if (!gathering.full) continue
          offsets.set(topic, partition, { next: message.offset + 1n, end })
          const page = await gathering.take(records, signal)
          if (signal.aborted) return
          yield { ...page, next: offsets.toJson() }
        }
      }
      if (signal.aborted) return
      offsets.set(topic, partition, { next: end, end })
    }
    const page = await gathering.take(records, signal)
    if (signal.aborted) return
    yield { ...page, next: null, watermark }
  } finally {
    left.abort()
    await reader.close()
  }
}

interface Part {
  readonly topic: string
  readonly partition: number
  readonly next: bigint
  readonly end: bigint
}

/** The messages up to the end, as they come. */
async function* messagesOf(
  reader: Reader,
  { topic, partition, next: first, end }: Part,
  signal: AbortSignal,
): AsyncGenerator<readonly Message[], void, void> {
  if (first >= end) return // else a fetch would wait for what comes
  reader.assign(topic, partition, first)
  let fetching = reader.fetch(signal)
  let nothing = 0
  try {
    for (let at = first; at < end; ) {
      const found = await fetching
      if (signal.aborted) return
      const batch = found.find((one) => one.topic === topic && one.partition === partition)
      const next = batch?.next ?? at
      // The next messages come while these are written.
      if (next < end) fetching = reader.fetch(signal)
      if (batch && batch.messages.length > 0) yield batch.messages.filter(({ offset }) => offset >= at && offset < end)
      // Where nothing is left, as behind a compacted end, the last offset never comes.
      nothing = next > at ? 0 : nothing + (batch !== undefined && batch.high >= end ? 1 : 0)
      at = next > at ? next : nothing >= ENOUGH ? end : at
    }
  } finally {
    fetching.catch(() => {})
    reader.unassign(topic, partition)
  }
}
