// Topics of Kafka: read up to where they end now, or without end. The value of a message stays text.
//
//   kafka/config.ts      its keys
//   kafka/bounds.ts      where partitions begin and end; messages that are gone
//   kafka/bounded.ts     kafka/stream.ts     the two ways to read; kafka/offsets.ts     their positions
//   kafka/commits.ts     what the consumer group is told
//   kafka/plan.ts        what would be read
//   kafka/patience.ts    brokers that are away
//   kafka/records.ts     messages to records

import { join } from 'node:path'
import { type Log, silentLog } from '../../lib/log.ts'
import { memorySizes } from '../../lib/memory.ts'
import { defineSource } from '../../lib/source.ts'
import { Absence } from '../kafka/absence.ts'
import { connectionOf } from '../kafka/config.ts'
import { requireTlsFiles } from '../kafka/security.ts'
import { connectKafka } from '../kafka.ts'
import { readBounded } from './kafka/bounded.ts'
import type { Broker } from './kafka/broker.ts'
import { Commits } from './kafka/commits.ts'
import { config, tuning } from './kafka/config.ts'
import { openDecoding } from './kafka/decoding.ts'
import { patiently } from './kafka/patience.ts'
import { plannedReads } from './kafka/plan.ts'
import { readStream } from './kafka/stream.ts'

/** What is fetched at once. */
const FETCH_BYTES = 4 * 1024 * 1024
const LOOK_MS = 60_000
/** What a read that ends waits at the broker: all that it reads is there, and what comes behind it is not for it. */
const BOUNDED_WAIT_MS = 10

export default defineSource({
  summary: 'Topics of Kafka, as JSON or Avro: up to their end, what is new, or as they come.',
  config,
  tuning,
  ignored: {
    topic: 'use topics',
    nb_bytes_schema_id: 'use schema_id_bytes; without it each message shows how long its schema id is',
    timestamp_ms_name: 'the time of a record is that of its message',
  },
  streams: () => [{ name: 'topic', incremental: true, resumable: true }],
  scratch: (options, folder) => ({
    ...options,
    ...(options.dead_letter_path !== undefined && { dead_letter_path: join(folder, 'dead-letters.ndjson') }),
  }),
  create(options, context) {
    const { log, mode } = context
    const connection = connectionOf(options, ['source'], ['consumer_config', options.consumer_config])
    requireTlsFiles(connection, options, ['source'])
    const decoding = openDecoding(options, context)
    const bounds = { topics: options.topics.map(({ name }) => name), lost: options.auto_offset_reset, log }
    const connectWith = (log: Log) => (signal: AbortSignal) => connectKafka(connection, { code: 'source', log }, signal)
    const connect = patiently(connectWith(log), {
      seconds: options.reconnect_timeout,
      absence: new Absence(`Kafka at ${connection.brokers.join(',')}`, log),
    })
    const { settings } = connection
    const parts = {
      records: decoding.records,
      bounds,
      pages: options,
      fetch: {
        maxBytes: Math.min(settings.maxBytes ?? FETCH_BYTES, memorySizes().readAhead),
        // A read that ends has one at a time.
        maxBytesPerPartition: settings.maxBytesPerPartition ?? (mode === 'stream' ? undefined : FETCH_BYTES),
        minBytes: settings.minBytes,
        maxWaitMs: settings.maxWaitMs ?? (mode === 'stream' ? options.consumer_timeout * 1000 : BOUNDED_WAIT_MS),
        isolation: settings.isolation,
        patienceSeconds: options.reconnect_timeout,
      },
      group: options.group_id,
      first: settings.offsetReset ?? ('earliest' as const),
      lookMs: settings.metadataMaxAgeMs ?? LOOK_MS,
      log,
    }
    // That a broker is away is said by the read, and that nothing can be told by whoever tells it: not by this connection as well.
    const unheard = connectWith({ ...silentLog, debug: (message) => log.debug(message) })
    const commits = new Commits(unheard, options.group_id, log)
    return {
      async check(signal) {
        await decoding.check()
        await withClient(connect, signal, async (client) => {
          for (const topic of bounds.topics) await client.partitions(topic)
        })
      },
      async count(signal) {
        if (mode === 'stream') return undefined
        return withClient(connect, signal, async (client) => {
          let sum = 0
          for (const topic of bounds.topics) {
            for (const { low, high } of await client.watermarks(topic)) sum += high - low
          }
          return sum
        })
      },
      plan: (from, signal) =>
        withClient(connect, signal, (broker) => plannedReads({ ...parts, broker, isStream: mode === 'stream' }, from)),
      async *read(from, signal) {
        if (signal.aborted) return
        const broker = await connect(signal)
        const read = mode === 'stream' ? readStream : readBounded
        try {
          yield* read({ ...parts, broker }, from, signal)
        } catch (error) {
          if (!signal.aborted) throw error
        } finally {
          decoding.rejects.finish()
          await broker.close()
        }
      },
      async acknowledge(position) {
        if (mode === 'stream') commits.add(position)
      },
      close: () => commits.close(),
    }
  },
})

async function withClient<Result>(
  connect: (signal: AbortSignal) => Promise<Broker>,
  signal: AbortSignal,
  use: (client: Broker) => Promise<Result>,
): Promise<Result> {
  const client = await connect(signal)
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}
