// What a recorded case that asks for KAFKA_… finds: a broker, a schema registry, and a topic of its own with the messages of
// its messages.json: texts, or bytes as {"hex": "00 0a"}. `delete-messages 4` deletes what is before offset 4, as retention does. The names in its pipeline.yml are replaced by what they stand for,
// since a value that came from a reference is never printed.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { freshTopic, produce } from './kafka.ts'
import { sharedKafka } from './services/kafka.ts'
import { sharedRegistry } from './services/schema-registry.ts'

interface Given {
  readonly messages: readonly (string | { readonly hex: string })[]
}

export interface ServerOfCase {
  readonly pipeline: () => Promise<string>
  /** Output without what is different each time. */
  readonly placed: (text: string) => string
  /** On the PATH of its cmd. */
  readonly programs?: { readonly [name: string]: string }
}

export async function kafkaOfCase(folder: string): Promise<ServerOfCase> {
  const at = await sharedKafka()
  const topic = await freshTopic()
  const text = await readFile(join(folder, 'messages.json'), 'utf8').catch(() => '{"messages":[]}')
  const { messages } = JSON.parse(text) as Given
  const value = (one: Given['messages'][number]) =>
    typeof one === 'string' ? one : Buffer.from(one.hex.replaceAll(' ', ''), 'hex')
  if (messages.length > 0) {
    await produce(
      topic,
      messages.map((one) => ({ value: value(one) })),
    )
  }
  const read = (): Promise<string> => readFile(join(folder, 'pipeline.yml'), 'utf8')
  const registry = (await read()).includes('KAFKA_REGISTRY') ? (await sharedRegistry()).confluent : ''
  const names = { KAFKA_BROKER: at.plain, KAFKA_SASL: at.sasl, KAFKA_TOPIC: topic, KAFKA_REGISTRY: registry }
  return {
    programs: { 'delete-messages': deleting(at.plain, topic) },
    pipeline: async () =>
      Object.entries(names).reduce((text, [name, found]) => text.replaceAll(name, found), await read()),
    placed: (said) =>
      Object.entries(names).reduce(
        (text, [name, found]) => (found === '' ? text : text.replaceAll(found, `<${name}>`)),
        said,
      ),
  }
}

/** A program of Node that takes the offset. */
function deleting(brokers: string, topic: string): string {
  const kafkajs = createRequire(import.meta.url).resolve('kafkajs')
  return `const { Kafka, logLevel } = require(${JSON.stringify(kafkajs)})
const admin = new Kafka({ brokers: [${JSON.stringify(brokers)}], logLevel: logLevel.NOTHING }).admin()
const work = async () => {
  await admin.connect()
  await admin.fetchTopicOffsets(${JSON.stringify(topic)})
  await admin.deleteTopicRecords({ topic: ${JSON.stringify(topic)}, partitions: [{ partition: 0, offset: process.argv[2] }] })
  await admin.disconnect()
}
work()
`
}
