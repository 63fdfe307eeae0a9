// What waits in the topic of a queue: behind what its group has committed. The group is not joined.

import type { Log } from '../../../lib/log.ts'
import type { KafkaConnection } from '../../kafka/config.ts'
import { connectKafka, type KafkaClient, messagesOf, type Stretch } from '../../kafka.ts'
import { checkCount, goesOnAt, type Topic } from './topic.ts'

/** Fewer are counted: each end of a transaction has an offset of its own, so that where offsets go on there may be no message. */
const FEW = 16

/** At most so many messages; undefined: there is no such topic. */
export async function waitingIn(
  connection: KafkaConnection,
  topic: Topic,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<number | undefined> {
  const { name, group, partitions } = topic
  const client = await connectKafka(connection, { code: 'source', log }, signal)
  try {
    if (!(await client.hasTopic(name, signal))) return undefined
    await checkCount(client, topic, signal)
    const committed = await client.committed(group, [name], signal)
    let sum = 0
    for (const { partition, low, high } of await client.watermarks(name, signal)) {
      if (partition >= partitions) continue
      const next = Math.max(low, goesOnAt(topic, committed, partition) ?? low)
      if (next >= high) continue
      sum += high - next > FEW ? high - next : await count(client, { topic: name, partition, next, end: high }, signal)
    }
    return sum
  } finally {
    await client.close()
  }
}

async function count(client: KafkaClient, stretch: Stretch, signal: AbortSignal): Promise<number> {
  const reader = client.reader({})
  let found = 0
  for await (const messages of messagesOf(reader, stretch, () => reader.fetch(signal)))
    found += messages.before(stretch.end)
  return found
}
