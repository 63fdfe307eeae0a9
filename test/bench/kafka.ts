// What the bench runs against Kafka: the brokers that BIZON_BENCH_KAFKA names, or one of its own.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { Kafka, logLevel } from 'kafkajs'
import { KafkaServer } from '../support/services/kafka.ts'
import type { Candidate, Places } from './commands.ts'

const TOPIC = 'bizon-bench'
const PARTITIONS = 3
/** So many travel together, as those of a producer that waits a little for more. */
const BATCH = 200

export interface KafkaBench {
  readonly brokers: string
  /** Makes the topic anew and writes the lines into it. */
  fill(path: string): Promise<void>
  remove(): Promise<void>
}

/** Undefined where there is no broker and none can be started. */
export async function openKafka(): Promise<KafkaBench | undefined> {
  const named = process.env.BIZON_BENCH_KAFKA
  const server = named === undefined ? await KafkaServer.create().catch(() => undefined) : undefined
  const brokers = named ?? server?.address.plain
  if (brokers === undefined) return undefined
  const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING })
  return {
    brokers,
    fill: (path) => fill(kafka, path),
    async remove() {
      if (server) await server.remove()
      else await dropTopics(kafka)
    },
  }
}

async function dropTopics(kafka: Kafka): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(TOPIC))
    if (topics.length > 0) await admin.deleteTopics({ topics })
  } finally {
    await admin.disconnect()
  }
}

async function fill(kafka: Kafka, path: string): Promise<void> {
  await dropTopics(kafka)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }], waitForLeaders: true })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  let values: string[] = []
  // One request has one batch for each partition.
  const send = async (): Promise<unknown> => {
    const messages = values.map((value, at) => ({ value, partition: Math.floor(at / BATCH) }))
    values = []
    return producer.send({ topic: TOPIC, acks: 1, messages })
  }
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (values.push(line) === BATCH * PARTITIONS) await send()
  }
  if (values.length > 0) await send()
  await producer.disconnect()
}

/** Out of the topic, beside the loop of the client that does nothing. */
export function fromKafka({ bizon, folder, file, kafka, records }: Places, brokers: string): Candidate[] {
  const pipeline = {
    name: 'from-kafka',
    source: {
      name: 'kafka',
      stream: 'topic',
      bootstrap_servers: brokers,
      message_encoding: 'json',
      topics: [{ name: TOPIC }],
    },
    destination: { name: 'file', config: { destination_id: `${folder}/from-kafka`, metadata: 'none' } },
  }
  const node = process.execPath
  const rest = { moves: 'ndjson', reshapes: true, group: 'from kafka', times: 5 } as const
  return [
    { name: 'kafka: the client alone', argv: [node, kafka.script, brokers, TOPIC, String(records)], ...rest },
    {
      name: 'kafka → NDJSON',
      argv: [node, bizon, 'run', file('from-kafka.yml', JSON.stringify(pipeline)), '--quiet'],
      output: `${folder}/from-kafka.json`,
      ...rest,
    },
  ]
}

/** The two halves with a pipe between, and with the broker. */
export function throughKafka({ bizon, folder, file, input }: Places, brokers: string): Candidate[] {
  const half = (name: string): string => `'${process.execPath}' '${bizon.replace('bizon.js', `bizon-${name}.js`)}'`
  const [extract, load] = [half('extract'), half('load')]
  const write = (name: string, topic: string): string =>
    file(
      `${name}.yml`,
      JSON.stringify({
        name,
        source: { name: 'file', stream: name, path: input.ndjson },
        destination: { name: 'file', config: { destination_id: `${folder}/${name}`, metadata: 'none' } },
        engine: { queue: { type: 'kafka', config: { queue: { bootstrap_server: brokers, topic } } } },
      }),
    )
  let runs = 0
  const line = (name: string, stem: string, script: (path: string) => string): Candidate => ({
    name,
    group: 'through kafka',
    argv: ['bash', '-c', `set -o pipefail; ${script(write(stem, ''))}`],
    // What waits is gone on behind.
    before: () => void write(stem, `${TOPIC}-${++runs}`),
    output: `${folder}/${stem}.json`,
    moves: 'ndjson',
    times: 3,
  })
  return [
    line(
      'pipe beside kafka: extract | load',
      'beside',
      (path) => `${extract} '${path}' -q | ${load} '${path}' -q > /dev/null`,
    ),
    line(
      'extract → kafka → load',
      'through',
      (path) => `${extract} '${path}' -q --to-queue & ${load} '${path}' -q --from-queue > /dev/null && wait $!`,
    ),
  ]
}
