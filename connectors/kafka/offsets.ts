// Offsets of a topic, by partition, asked of the brokers that lead them.

import type { FetchCluster } from './reader.ts'

/** What is asked for: the first offset, the one after the last, or the first whose message is not older than a time in ms. */
export type Which = 'first' | 'end' | number

const NAMED = { first: -2, end: -1 } as const

/**
 * `read_committed`: the end is that of what is settled: where a transaction that has not ended begins. A time that is newer
 * than all messages has the offset -1.
 */
export async function offsetsOf(
  cluster: FetchCluster,
  topic: string,
  which: Which,
  isolation: 'read_committed' | 'read_uncommitted',
): Promise<Map<number, number>> {
  await cluster.addMultipleTargetTopics([topic])
  await cluster.refreshMetadataIfNecessary()
  const timestamp = typeof which === 'number' ? which : NAMED[which]
  // The client's own way to ask takes read_committed for granted where it is not told.
  const isolationLevel = isolation === 'read_committed' ? 1 : 0
  const all = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
  const answers = await Promise.all(
    Object.entries(cluster.findLeaderForPartitions(topic, all)).map(async ([nodeId, those]) => {
      const broker = await cluster.findBroker({ nodeId })
      const partitions = those.map((partition) => ({ partition, timestamp }))
      const { responses } = await broker.listOffsets({ isolationLevel, topics: [{ topic, partitions }] })
      return responses.flatMap((response) => response.partitions)
    }),
  )
  return new Map(answers.flat().map(({ partition, offset }) => [partition, Number(offset)]))
}
