// The topic of a queue: made if it is not there, and looked at, for it may be one that loses what it is to keep.

import { InvalidKey, inQueue } from '../../../lib/config/invalid-key.ts'
import type { GroupMember, KafkaClient, OffsetToCommit } from '../../kafka.ts'
import { LEAST_MESSAGE_BYTES } from './config.ts'

export interface Topic {
  readonly name: string
  /** Of every message of the pipeline and stream. */
  readonly key: string
  readonly group: string
  readonly deadLetters: string
  readonly replicas: number | undefined
  /** How many are written to, and loaded. */
  readonly partitions: number
  readonly messageBytes: number
  readonly sessionMs: number
}

/** Order is kept within a partition. */
export const PARTITION = 0
/** What stands beside a body in a request. */
const HEADER_BYTES = 64 << 10
/** Of topics that are made. */
const SETTINGS = { 'cleanup.policy': 'delete' }

/** A group shares all partitions of a topic, so that one too many would be somebody's only one. */
export async function checkCount(client: KafkaClient, { name, partitions }: Topic, signal: AbortSignal): Promise<void> {
  const { length: found } = await client.partitions(name, signal)
  if (partitions === 1 || found === partitions) return
  throw new InvalidKey(inQueue('partitions'), `is ${partitions}, and topic ${name} has ${found} partitions`, {
    hint: `Set it to ${found}, before anything is loaded. Or name a topic that is not there yet: it is made.`,
  })
}

/** Rejects where the topic would lose messages, or cannot take those of this size. */
export async function prepareTopic(client: KafkaClient, topic: Topic, signal: AbortSignal): Promise<void> {
  const { name, replicas, partitions, messageBytes } = topic
  if (!(await client.hasTopic(name, signal))) {
    const options = { partitions, config: SETTINGS, ...(replicas !== undefined && { replicas }) }
    await client.createTopic(name, options, signal)
  }
  await checkCount(client, topic, signal)
  const { 'cleanup.policy': policy = 'delete', 'max.message.bytes': most } = await client.topicConfig(name, signal)
  if (policy.includes('compact')) {
    throw new InvalidKey(
      inQueue('topic'),
      `topic ${name} has cleanup.policy ${policy}, which deletes messages before they are loaded`,
      {
        hint: 'Use another topic, or set its cleanup.policy to delete.',
      },
    )
  }
  if (most !== undefined && Number(most) < messageBytes + HEADER_BYTES) {
    const room = Number(most) - HEADER_BYTES
    const raise = `aise max.message.bytes of the topic to ${messageBytes + HEADER_BYTES}: headers come on top.`
    throw new InvalidKey(
      inQueue('message_bytes'),
      `is ${messageBytes}, and topic ${name} takes messages of ${most} bytes (max.message.bytes)`,
      { hint: room < LEAST_MESSAGE_BYTES ? `R${raise}` : `Set message_bytes to ${room} or less, or r${raise}` },
    )
  }
}

/** Of the topic for what is refused: it takes messages as large as this one does. */
export async function deadLetterSettings(client: KafkaClient, name: string): Promise<Readonly<Record<string, string>>> {
  const { 'max.message.bytes': most } = await client.topicConfig(name)
  return { ...SETTINGS, ...(most !== undefined && { 'max.message.bytes': most }) }
}

/** A member of the group that loads the topic, which is looked at first. */
export async function joinGroup(client: KafkaClient, topic: Topic, signal: AbortSignal): Promise<GroupMember> {
  await prepareTopic(client, topic, signal)
  const { name, group: groupId, sessionMs } = topic
  const patience = { sessionTimeoutMs: sessionMs, heartbeatIntervalMs: sessionMs / 4, rebalanceTimeoutMs: sessionMs }
  return client.member({ groupId, topics: [name], ...patience }, signal)
}

/**
 * Where the group goes on in a partition, by what it has committed. Undefined: at its beginning. One that another pipeline has moved is
 * behind messages that nobody has loaded.
 */
export function goesOnAt({ key }: Topic, committed: readonly OffsetToCommit[], partition: number): number | undefined {
  const found = committed.find((one) => one.partition === partition)
  return found && (found.metadata === '' || found.metadata === key) ? found.offset : undefined
}
