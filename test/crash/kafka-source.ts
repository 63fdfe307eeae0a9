// What is read from Kafka in the crash tests, and the lines that it must be in the end, made from the messages as they were
// sent. jq and psql read what was loaded.

import { createTopic, produce } from '../support/kafka.ts'
import type { KafkaAddress } from '../support/services/kafka.ts'
import { line } from './scenario.ts'

const FIRST = 1_700_000_000_000

/** Messages of one partition: `from` up to but without `to`. */
export interface Span {
  readonly partition: number
  readonly from: number
  readonly to: number
}

export async function send(topic: string, spans: readonly Span[], at: KafkaAddress): Promise<void> {
  const messages = spans.flatMap(({ partition, from, to }) =>
    Array.from({ length: to - from }, (_, i) => ({
      partition,
      key: `{"k":${from + i}}`,
      value: line(from + i),
      timestamp: FIRST + from + i,
    })),
  )
  await produce(topic, messages, { at })
}

export async function makeTopic(topic: string, spans: readonly Span[], at: KafkaAddress): Promise<void> {
  // Else a broker that looks would delete messages as old as these.
  const config = { 'retention.ms': '-1' }
  await createTopic(topic, { partitions: 1 + Math.max(...spans.map(({ partition }) => partition)), config, at })
  await send(topic, spans, at)
}

/** The records of the messages, one a line, as they are to be loaded. Number and offset are one. */
export function linesOf(topic: string, spans: readonly Span[]): string {
  return spans
    .flatMap(({ partition, from, to }) =>
      Array.from({ length: to - from }, (_, i) => {
        const n = from + i
        return `{"topic":"${topic}","partition":${partition},"offset":${n},"timestamp":${FIRST + n},"keys":{"k":${n}},"headers":{},"value":${line(n)},"schema":{}}\n`
      }),
    )
    .join('')
}

interface Pipeline {
  readonly mode: 'full_refresh' | 'incremental' | 'stream'
  readonly topic: string
  readonly at: KafkaAddress
  readonly destination: object
  readonly consumer?: Readonly<Record<string, string | number>>
}

/** A checkpoint after every eight messages. */
export function kafkaPipeline({ mode, topic, at, destination, consumer = {} }: Pipeline): string {
  return JSON.stringify({
    name: 'crash',
    source: {
      name: 'kafka',
      stream: 'topic',
      sync_mode: mode,
      bootstrap_servers: at.plain,
      group_id: topic,
      topics: [{ name: topic }],
      message_encoding: 'utf-8',
      batch_size: 8,
      consumer_config: { 'fetch.wait.max.ms': 100, ...consumer },
    },
    destination,
    engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
  })
}

export const toFile = { name: 'file', config: { destination_id: 'out/records', buffer_size: 0, metadata: 'none' } }
export const toPostgres = {
  name: 'postgres',
  config: { url: 'env://PG_URL', destination_id: 'records', buffer_size: 0 },
}
