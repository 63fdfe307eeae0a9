// Topics for tests, and what is in them according to the broker's own program.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type IHeaders, Kafka, logLevel, Partitioners } from 'kafkajs'
import { type KafkaAddress, kafkaCommand, sharedKafka } from './services/kafka.ts'

type At = Pick<KafkaAddress, 'plain'>

/** A new topic of the shared broker, or of another. */
export async function freshTopic(options: TopicOptions = {}): Promise<string> {
  const name = `t-${randomBytes(8).toString('hex')}`
  await createTopic(name, options)
  return name
}

export interface TopicOptions {
  /** Default 1. */
  readonly partitions?: number
  /** `cleanup.policy` and the like. */
  readonly config?: Readonly<Record<string, string>>
  readonly at?: At | undefined
}

/** There when this resolves. */
export async function createTopic(
  topic: string,
  { partitions = 1, config = {}, at }: TopicOptions = {},
): Promise<void> {
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
  await withKafka(at, async (kafka) => {
    const admin = kafka.admin()
    await admin.connect()
    try {
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }], waitForLeaders: false })
      // A broker hears of it a moment after the one that makes it.
      const isThere = async (): Promise<boolean> =>
        (await admin.fetchTopicOffsets(topic).catch(() => [])).length === partitions
      while (!(await isThere())) await sleep(20)
    } finally {
      await admin.disconnect()
    }
  })
}

export interface TestMessage {
  readonly key?: Buffer | string | null
  readonly value: Buffer | string | null
  readonly headers?: IHeaders
  readonly partition?: number
  /** In ms. */
  readonly timestamp?: number
}

export interface ProduceOptions {
  /** One transaction of them all, and how it ends. Default: none. */
  readonly transaction?: 'commit' | 'abort'
  readonly at?: At | undefined
}

/** Durable when this resolves; of a transaction also its end, so that readers see what became of it. */
export async function produce(
  topic: string,
  messages: readonly TestMessage[],
  { transaction, at }: ProduceOptions = {},
): Promise<void> {
  const given = messages.map(({ timestamp, key = null, ...message }) => ({
    ...message,
    key,
    ...(timestamp !== undefined && { timestamp: String(timestamp) }),
  }))
  await withKafka(at, async (kafka) => {
    const createPartitioner = Partitioners.DefaultPartitioner
    const producer = kafka.producer({
      createPartitioner,
      // Else what is sent again may be there twice.
      idempotent: true,
      maxInFlightRequests: 1,
      ...(transaction && { transactionalId: `t-${randomBytes(8).toString('hex')}` }),
    })
    await producer.connect()
    try {
      if (!transaction) return void (await producer.send({ topic, messages: given }))
      const open = await producer.transaction()
      const sent = await open.send({ topic, messages: given })
      await open[transaction]()
      const total = (partition: number): number =>
        given.length === 1 || sent.length === 1
          ? given.length
          : given.filter((one) => one.partition === partition).length
      const ends = sent.map(
        ({ partition, baseOffset }) => [partition, Number(baseOffset) + total(partition) + 1] as const,
      )
      await untilStable(kafka, topic, new Map(ends))
    } finally {
      await producer.disconnect()
    }
  })
}

/**
 * Resolves once nothing before these offsets is of a transaction that has not ended. Its end is written some time after who
 * ended it was answered.
 */
export async function untilStable(kafka: Kafka, topic: string, offsets: ReadonlyMap<number, number>): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    for (;;) {
      // The last stable ones.
      const found = await admin.fetchTopicOffsets(topic)
      if ([...offsets].every(([of, end]) => found.some(({ partition, high }) => partition === of && +high >= end)))
        return
      await sleep(20)
    }
  } finally {
    await admin.disconnect()
  }
}

/** Keys and values without tabs or line ends, as Kafka's own console producer writes them. */
export async function javaProduce(topic: string, messages: readonly (readonly [string, string])[]): Promise<void> {
  const { plain } = await sharedKafka()
  const { command, args, env } = await kafkaCommand('org.apache.kafka.tools.ConsoleProducer', [
    ...['--bootstrap-server', plain, '--topic', topic, '--reader-property', 'parse.key=true'],
  ])
  const child = spawn(command, args, { env, stdio: ['pipe', 'ignore', 'inherit'] })
  child.stdin.end(messages.map(([key, value]) => `${key}\t${value}\n`).join(''))
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`the console producer ended with ${code}`)
}

/** As the console shows it: bytes are read as UTF-8. */
export interface ConsoleMessage {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string | null>>
}

export interface ConsumeOptions {
  /** Default read_committed. */
  readonly isolation?: 'read_committed' | 'read_uncommitted'
  /** Default 180,000: a transaction that is still open keeps the reader waiting. */
  readonly withinMs?: number
  readonly at?: At | undefined
}

/**
 * All messages of the topic, as Kafka's own console consumer prints them, by partition and offset. It is told where to stop
 * by a message at the end of each partition, which is left out here, and stays in the topic.
 */
export async function consoleConsume(topic: string, options: ConsumeOptions = {}): Promise<readonly ConsoleMessage[]> {
  const { isolation = 'read_committed', withinMs = 180_000, at = await sharedKafka() } = options
  const end = randomBytes(8).toString('hex')
  const partitions = await partitionsOf(topic, at)
  await produce(
    topic,
    partitions.map((partition) => ({ partition, key: END, value: end, headers: { [END]: end } })),
    { at },
  )
  const shown = ['timestamp', 'partition', 'offset', 'headers', 'key', 'value'].map((what) => `print.${what}=true`)
  const marks = [
    `key.separator=${FIELD}`,
    `line.separator=${LINE}`,
    `headers.separator=${HEADER}`,
    `null.literal=${NULL}`,
  ]
  const { command, args, env } = await kafkaCommand('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    ...['--bootstrap-server', at.plain, '--topic', topic, '--from-beginning', '--isolation-level', isolation],
    ...[...shown, ...marks].flatMap((property) => ['--formatter-property', property]),
  ])
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), withinMs)
  try {
    return await untilEnd(child, end, partitions.length)
  } finally {
    clearTimeout(timer)
    child.kill('SIGKILL')
  }
}

const END = 'bizon-test-end'
/** Characters that no test uses. */
const [FIELD, LINE, HEADER, NULL] = ['\u0001', '\u0002', '\u0003', '\u0004']

async function untilEnd(
  child: ChildProcessByStdio<null, Readable, Readable>,
  end: string,
  ends: number,
): Promise<readonly ConsoleMessage[]> {
  const messages: ConsoleMessage[] = []
  let [rest, said, missing] = ['', '', ends]
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  for await (const text of child.stdout.setEncoding('utf8')) {
    const lines = (rest + text).split(LINE)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const message = parseLine(line)
      if (message.headers[END] === undefined) messages.push(message)
      else if (message.headers[END] === end) missing--
    }
    if (missing === 0) return messages.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  }
  throw new Error(`the console consumer ended before the topic did: ${said}`)
}

/** `CreateTime:1⇥Partition:0⇥Offset:7⇥a:b,c:d⇥key⇥value`, with other separators. */
function parseLine(line: string): ConsoleMessage {
  const [time = '', partition = '', offset = '', headers = '', key = '', value = ''] = line.split(FIELD)
  const number = (text: string): number => Number(text.slice(text.indexOf(':') + 1))
  const orNull = (text: string): string | null => (text === NULL ? null : text)
  const pairs = headers === 'NO_HEADERS' ? [] : headers.split(HEADER)
  return {
    timestamp: number(time),
    partition: number(partition),
    offset: number(offset),
    key: orNull(key),
    value: orNull(value),
    headers: Object.fromEntries(
      pairs.map((pair) => [pair.slice(0, pair.indexOf(':')), orNull(pair.slice(pair.indexOf(':') + 1))]),
    ),
  }
}

async function partitionsOf(topic: string, at: At): Promise<readonly number[]> {
  return withKafka(at, async (kafka) => {
    const admin = kafka.admin()
    await admin.connect()
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return (topics[0]?.partitions ?? []).map(({ partitionId }) => partitionId)
    } finally {
      await admin.disconnect()
    }
  })
}

/** The bare client, for what is not here. Whoever connects a part of it disconnects it. */
export async function withKafka<T>(at: At | undefined, work: (kafka: Kafka) => Promise<T>): Promise<T> {
  const { plain } = at ?? (await sharedKafka())
  // A topic that was made a moment ago is not known yet: asked anew soon, not in seconds.
  const retry = { initialRetryTime: 20, multiplier: 1.5, maxRetryTime: 500, retries: 25 }
  const given = { clientId: 'test', brokers: [plain], logLevel: logLevel.NOTHING, connectionTimeout: 10_000, retry }
  return work(new Kafka(given))
}
