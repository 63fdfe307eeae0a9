// A topic between two halves: as a channel, and as the lines of a pipeline file.

import { randomBytes } from 'node:crypto'
import kafka from '../../connectors/queues/kafka.ts'
import type { Channel } from '../../lib/channel.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { consoleConsume, produce } from './kafka.ts'
import { type KafkaAddress, sharedKafka } from './services/kafka.ts'

export const freshName = (): string => `q-${randomBytes(6).toString('hex')}`

/** `engine.queue.config`. */
export function queueConfig(topic: string, { plain }: Pick<KafkaAddress, 'plain'>, more: object = {}) {
  return {
    queue: { bootstrap_server: plain, topic, ...more },
    consumer: { group_id: topic, session_timeout_ms: 2000 },
  }
}

export function channelAt(
  topic: string,
  address: Pick<KafkaAddress, 'plain'>,
  more: object = {},
  pipeline = 'test',
  log: Log = silentLog,
): Channel {
  const context = { pipeline, stream: 'numbers', name: `bizon.${pipeline}.numbers`, log }
  return kafka.connect(kafka.config.parse(queueConfig(topic, address, more)), context)
}

/** For the contract of channels. */
export async function kafkaGround() {
  const address = await sharedKafka()
  const topic = freshName()
  return {
    channel: () => channelAt(topic, address),
    putForeign: (body: string) => produce(topic, [{ value: body, partition: 0 }]),
    deadLetters: async () => {
      const found = await consoleConsume(`${topic}.dead`)
      return found.map(({ value, headers }) => ({ body: String(value), reason: String(headers['bizon-reason']) }))
    },
    remove: async () => {},
  }
}
