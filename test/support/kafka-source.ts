// The source `kafka` over the broker that tests share.

import definition from '../../connectors/sources/kafka.ts'
import type { Log } from '../../lib/log.ts'
import { textOf } from '../../lib/record.ts'
import type { Page, Source, SourceContext, Start } from '../../lib/source.ts'
import type { KafkaAddress } from './services/kafka.ts'
import { sourceContext } from './source-context.ts'

export interface Given {
  readonly at: KafkaAddress
  readonly topics: readonly string[]
  readonly config?: object
  readonly context?: Partial<SourceContext>
  readonly log?: Log
}

/** JSON, a few messages a page, hardly any waiting. */
export function openKafka({ at, topics, config = {}, context = {} }: Given): Source {
  const options = definition.config.parse({
    bootstrap_servers: at.plain,
    topics: topics.map((name) => ({ name })),
    message_encoding: 'utf-8',
    batch_size: 4,
    consumer_config: { 'fetch.wait.max.ms': 100 },
    ...config,
  })
  return definition.create(options, sourceContext({ stream: 'topic', ...context }))
}

/** All pages of a read, or those up to so many records of one without end. */
export async function pagesOf(source: Source, from: Start = {}, count = Number.POSITIVE_INFINITY): Promise<Page[]> {
  const pages: Page[] = []
  const stop = new AbortController()
  const limit = setTimeout(() => stop.abort(new Error('nothing more came')), 180_000)
  try {
    for (let seen = 0; seen < count; ) {
      for await (const page of source.read(from, stop.signal)) {
        pages.push(page)
        seen += page.records.length
        if (seen >= count) break
      }
      if (count === Number.POSITIVE_INFINITY) break
    }
  } finally {
    clearTimeout(limit)
    await source.close?.()
  }
  return pages
}

export const idsOf = (pages: readonly Page[]): string[] => pages.flatMap(({ records }) => records.map(({ id }) => id))
export const valuesOf = (pages: readonly Page[]): unknown[] =>
  pages.flatMap(({ records }) => records.map(({ data }) => JSON.parse(textOf(data)).value))
