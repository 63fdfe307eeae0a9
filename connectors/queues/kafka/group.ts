// A loader among several: a member of the consumer group, which gives it some of the partitions. When loaders come or go the group
// asks for all of them back, and gives each to somebody, perhaps the same.

import type { ChannelGroup, Assignment as Given } from '../../../lib/channel.ts'
import type { Log } from '../../../lib/log.ts'
import type { KafkaConnection } from '../../kafka/config.ts'
import { type Assignment, connectKafka, type GroupMember, type KafkaClient } from '../../kafka.ts'
import { KafkaChannelConsumer } from './consumer.ts'
import { joinGroup, type Topic } from './topic.ts'

export class KafkaChannelGroup implements ChannelGroup {
  readonly #connection: KafkaConnection
  readonly #topic: Topic
  readonly #log: Log
  readonly #closed = new AbortController()
  #client: KafkaClient | undefined
  #member: GroupMember | undefined

  constructor(connection: KafkaConnection, topic: Topic, log: Log) {
    this.#connection = connection
    this.#topic = topic
    this.#log = log
  }

  async open(signal: AbortSignal): Promise<void> {
    this.#client = await connectKafka(this.#connection, { code: 'source', log: this.#log }, signal)
    this.#member = await joinGroup(this.#client, this.#topic, signal)
  }

  async *assignments(signal: AbortSignal): AsyncGenerator<Given, void, void> {
    const [client, member] = [this.#client, this.#member]
    if (!client || !member) throw new TypeError('the group is not open')
    for (;;) {
      const assignment = await member.next(signal)
      const revoked = this.#revoked(member, assignment)
      const those = assignment.partitions.map(({ partition }) => partition).sort((a, b) => a - b)
      if (those.length === 0)
        this.#log.info(`group ${this.#topic.group} has a loader for each partition; this one waits`)
      for (const partition of those) {
        const given = { client, member, assignment, partition }
        yield {
          partition,
          revoked,
          consumer: new KafkaChannelConsumer(this.#connection, this.#topic, this.#log, given),
        }
      }
    }
  }

  async close(): Promise<void> {
    this.#closed.abort()
    await this.#client?.close()
  }

  #revoked(member: GroupMember, assignment: Assignment): AbortSignal {
    const revoking = new AbortController()
    member.ended(assignment, this.#closed.signal).then(
      () => revoking.abort(new Error('the group gives its partitions anew')),
      () => {}, // closed: nobody listens
    )
    return revoking.signal
  }
}
