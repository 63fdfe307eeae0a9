// Answers without messages, by a broker that is made for it: few real ones give them, and not on demand.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { FetchedPartition } from '../../../connectors/kafka/answer.ts'
import type { FetchCluster } from '../../../connectors/kafka/cluster.ts'
import { PartitionReader } from '../../../connectors/kafka/reader.ts'
import { never } from '../../../lib/wait.ts'

const END = 3

interface Request {
  readonly maxWaitTime: number
  readonly topics: readonly { readonly partitions: readonly { readonly fetchOffset: string }[] }[]
}

/** One partition of three offsets. `answer` gives the messages from an offset on. */
function readerOf(answer: (offset: number, request: Request) => Promise<readonly number[]>): PartitionReader {
  const fetch = async (request: object) => {
    const offset = Number((request as Request).topics[0]?.partitions[0]?.fetchOffset)
    const answered = await answer(offset, request as Request)
    const messages = answered.map((at) => ({ offset: String(at), key: null, value: null, timestamp: '0', headers: {} }))
    const ends = { highWatermark: String(END), lastStableOffset: String(END) }
    const partition: FetchedPartition = { partition: 0, ...ends, abortedTransactions: [], messages }
    return { responses: [{ topicName: 't', partitions: [partition] }] }
  }
  const cluster = {
    addMultipleTargetTopics: async () => {},
    refreshMetadataIfNecessary: async () => {},
    findLeaderForPartitions: () => ({ 1: [0] }),
    findBroker: async () => ({ fetch }),
  }
  const reader = new PartitionReader(
    cluster as unknown as FetchCluster,
    { code: 'source', brokers: [] },
    { maxWaitMs: 5 },
  )
  reader.assign('t', 0, 0)
  return reader
}

async function offsetsIn(reader: PartitionReader): Promise<readonly number[]> {
  const found: number[] = []
  for (let at = 0; at < END; ) {
    for (const { messages, next } of await reader.fetch(never)) {
      found.push(...messages.map(({ offset }) => offset))
      at = next
    }
  }
  reader.unassign('t', 0)
  return found
}

test('the shell of messages that were compacted away is stepped over, in the middle and at the end', async () => {
  expect(await offsetsIn(readerOf(async () => []))).toEqual([])
  expect(await offsetsIn(readerOf(async (offset) => (offset === 1 ? [1] : [])))).toEqual([1])
})

test('messages that a broker does not get at in time are waited for', async () => {
  let late = 3
  const reader = readerOf(async (offset, { maxWaitTime }) => {
    if (late === 0) return [0, 1, 2].slice(offset)
    late -= 1
    await sleep(maxWaitTime)
    return []
  })
  expect(await offsetsIn(reader)).toEqual([0, 1, 2])
})
