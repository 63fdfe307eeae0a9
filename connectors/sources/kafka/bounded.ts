// A read that ends: each partition up to where it ended when the read began, one after the other, so that a read that
// goes on at a position gives the same pages as one that was never stopped.

import type { Page, Start } from '../../../lib/source.ts'
import type { Batch } from '../../kafka/reader.ts'
import { messagesOf } from '../../kafka/stretch.ts'
import { type BoundsOptions, spans } from './bounds.ts'
import type { Broker, FetchOptions } from './broker.ts'
import { fetched } from './fetched.ts'
import { Gathering, type PageOptions } from './gathering.ts'
import type { Records } from './records.ts'

export interface ReadParts {
  readonly broker: Broker
  readonly records: Records
  readonly bounds: BoundsOptions
  readonly pages: PageOptions
  readonly fetch: FetchOptions
}

export async function* readBounded(
  { broker, records, bounds, pages, fetch }: ReadParts,
  from: Start,
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  const offsets = await spans(broker, from, bounds)
  const watermark = offsets.ends().toJson()
  const gathering = new Gathering(pages)
  const reader = broker.reader(fetch)
  const more = (): Promise<readonly Batch[]> => fetched(reader, bounds, signal)
  for (const { topic, partition, next, end = next } of [...offsets]) {
    for await (const messages of messagesOf(reader, { topic, partition, next, end }, more)) {
      const count = messages.before(end)
      for (let at = 0; at < count; ) {
        at = gathering.add(topic, partition, messages, at, count)
        if (!gathering.full) break
        offsets.set(topic, partition, { next: messages.offset(at - 1) + 1, end })
        const page = await gathering.take(records, signal)
        if (signal.aborted) return
        yield { ...page, next: offsets.toJson() }
      }
    }
    offsets.set(topic, partition, { next: end, end })
  }
  const page = await gathering.take(records, signal)
  if (signal.aborted) return
  yield { ...page, next: null, watermark }
}
