// The kafka destination at the shared broker, and what is in its topics.

import { config, type KafkaOptions } from '../../connectors/destinations/kafka/config.ts'
import { KafkaDestination } from '../../connectors/destinations/kafka.ts'
import type { KafkaClient, Message } from '../../connectors/kafka.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import type { SyncMode } from '../../lib/source.ts'
import { never } from '../../lib/wait.ts'

export interface Given {
  readonly brokers: string
  readonly topic: string
  readonly mode?: SyncMode
  readonly before?: ((operation: string) => void) | undefined
  readonly log?: Log
  readonly options?: Partial<KafkaOptions>
}

export function kafkaDestination({ brokers, topic, mode = 'stream', before, log = silentLog, options }: Given) {
  const chosen: KafkaOptions = {
    ...config.parse({ bootstrap_servers: brokers }),
    destinationId: topic,
    unnest: false,
    recordSchemas: [],
    ...options,
  }
  return new KafkaDestination(chosen, { pipeline: 'trial', stream: 'main', mode, log }, { ...(before && { before }) })
}

/** What is committed, once no transaction is open any more; undefined: there is no such topic. */
export async function messagesIn(client: KafkaClient, topic: string): Promise<readonly Message[] | undefined> {
  if (!(await client.hasTopic(topic))) return undefined
  const reader = client.reader()
  const missing = new Map<number, number>()
  for (const [partition, end] of await client.ends(topic)) {
    if (end > 0) missing.set(partition, end)
    reader.assign(topic, partition, 0)
  }
  const messages: Message[] = []
  while (missing.size > 0) {
    for (const batch of await reader.fetch(never)) {
      messages.push(...batch.messages)
      if (batch.next >= (missing.get(batch.partition) ?? 0)) missing.delete(batch.partition)
    }
  }
  return messages
}

export async function keysIn(client: KafkaClient, topic: string): Promise<string[] | undefined> {
  return (await messagesIn(client, topic))?.map(({ key }) => String(key))
}
