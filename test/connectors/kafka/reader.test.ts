// Answers without messages, by a broker that is made for it: few real ones give them, and not on demand.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { FetchedPartition } from '../../../connectors/kafka/answer.ts'
import type { FetchCluster } from '../../../connectors/kafka/cluster.ts'
import { PartitionReader, type Watch } from '../../../connectors/kafka/reader.ts'
import { BizonError } from '../../../lib/errors.ts'
import { never } from '../../../lib/wait.ts'
import { batchOf } from '../../support/record-batch.ts'

const END = 3

interface Request {
  readonly maxWaitTime: number
  readonly topics: readonly { readonly partitions: readonly { readonly fetchOffset: string }[] }[]
}

const batchesOf = (offsets: readonly number[]): Buffer =>
  offsets.length === 0 ? Buffer.alloc(0) : batchOf({ messages: offsets.map((offset) => ({ offset })) })

interface Around {
  readonly watch?: Watch
  readonly patienceSeconds?: number
  /** Before requests are sent. */
  readonly refresh?: () => Promise<void>
  readonly leader?: () => number
}

/** One partition of three offsets. `answer` gives the messages from an offset on, or their batches. */
function readerOf(
  answer: (offset: number, request: Request) => Promise<readonly number[] | Buffer>,
  { watch, patienceSeconds, refresh = async () => {}, leader = () => 1 }: Around = {},
): PartitionReader {
  const fetch = async (request: object) => {
    const offset = Number((request as Request).topics[0]?.partitions[0]?.fetchOffset)
    const answered = await answer(offset, request as Request)
    const records = Buffer.isBuffer(answered) ? answered : batchesOf(answered)
    const ends = { errorCode: 0, highWatermark: END, lastStableOffset: END }
    const partition: FetchedPartition = { partition: 0, ...ends, abortedTransactions: [], records }
    return { responses: [{ topicName: 't', partitions: [partition] }] }
  }
  const cluster = {
    addMultipleTargetTopics: async () => {},
    refreshMetadata: async () => {},
    refreshMetadataIfNecessary: refresh,
    findLeaderForPartitions: () => ({ [leader()]: [0] }),
    findBroker: async () => ({ fetch, listOffsets: async () => ({ responses: [] }) }),
  }
  const reader = new PartitionReader(
    cluster as unknown as FetchCluster,
    { code: 'source', brokers: [] },
    { maxWaitMs: 5, patienceSeconds },
    watch,
  )
  reader.assign('t', 0, 0)
  return reader
}

async function offsetsIn(reader: PartitionReader): Promise<readonly number[]> {
  const found: number[] = []
  for (let at = 0; at < END; ) {
    for (const { messages, next } of await reader.fetch(never)) {
      found.push(...[...messages].map(({ offset }) => offset))
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

test.each([
  ['when its time is over', (ms: number) => ms],
  ['at a limit of its own', (ms: number) => Math.min(ms, 300)],
])('messages that a broker does not get at are waited for, though it says so %s', async (_, limit) => {
  let late = 3
  const reader = readerOf(async (offset, { maxWaitTime }) => {
    if (late === 0) return [0, 1, 2].slice(offset)
    late -= 1
    await sleep(limit(maxWaitTime))
    return []
  })
  expect(await offsetsIn(reader)).toEqual([0, 1, 2])
})

test('what is never answered is asked once more over other connections, and fails at last', async () => {
  let silent = 1
  const cuts: string[] = []
  const watch = { cut: () => void cuts.push('cut'), answerSeconds: 0.05 }
  const answer = async (offset: number): Promise<readonly number[]> =>
    silent-- > 0 ? new Promise(() => {}) : [0, 1, 2].slice(offset)
  expect(await offsetsIn(readerOf(answer, { watch }))).toEqual([0, 1, 2])
  expect(cuts).toEqual(['cut'])
  silent = 1000
  await expect(offsetsIn(readerOf(answer, { watch, patienceSeconds: 0.2 }))).rejects.toThrow(/: no answer for \d+ s$/)
})

test('the shell of a batch says itself where it ends', async () => {
  const asked: number[] = []
  const reader = readerOf(async (offset) => {
    asked.push(offset)
    return batchOf({ messages: [], baseOffset: 0, lastOffset: END - 1 })
  })
  expect(await offsetsIn(reader)).toEqual([])
  expect(asked[1] ?? END).toBe(END)
})

test('a batch that was cut off comes whole when its partition is asked for alone, else it is damaged', async () => {
  const whole = batchesOf([0, 1, 2])
  let cut = 1
  const answer = async (): Promise<Buffer> => (cut-- > 0 ? whole.subarray(0, whole.length - 1) : whole)
  expect(await offsetsIn(readerOf(answer))).toEqual([0, 1, 2])
  cut = 10
  await expect(offsetsIn(readerOf(answer))).rejects.toThrow(
    'topic t, partition 0: the batch at offset 0 is damaged: it has no end',
  )
})

test('what has come is given, also where no more can be asked for', async () => {
  let turns = 0
  const refresh = async (): Promise<void> => {
    if (++turns === 2) throw new BizonError('source', 'there is no leader', { retriable: true })
  }
  const reader = readerOf(async (offset) => [0, 1, 2].slice(offset, offset + 1), { refresh })
  expect(await offsetsIn(reader)).toEqual([0, 1, 2])
})

test('what two brokers have answered, of which one led before the other, is given once', async () => {
  let leader = 1
  const answer = async (offset: number): Promise<readonly number[]> =>
    [0, 1, 2].slice(offset, leader === 1 ? offset + 1 : END)
  const reader = readerOf(answer, { leader: () => leader })
  const [first] = await reader.fetch(never)
  expect(first?.next).toBe(1)
  // The next answer is there by then, and waits.
  await sleep(20)
  leader = 2
  expect(await offsetsIn(reader)).toEqual([1, 2])
})

test('a read that is called off does not wait for brokers that are to say who leads', async () => {
  const stop = new AbortController()
  const reader = readerOf(async () => [], { refresh: () => new Promise(() => {}) })
  const reading = reader.fetch(stop.signal)
  stop.abort(new Error('enough'))
  await expect(reading).rejects.toThrow('enough')
}, 5000)

test('one answer is unpacked as far as it may be; whose messages were left has its turn next', async () => {
  const value = Buffer.alloc(1 << 20)
  const fetch = async (request: object) => {
    const [topic] = (request as { topics: { partitions: { partition: number; fetchOffset: string }[] }[] }).topics
    const partitions = topic?.partitions.map(({ partition, fetchOffset }) => {
      const records = batchOf({ messages: [{ offset: Number(fetchOffset), value }], codec: 1 })
      return { partition, errorCode: 0, highWatermark: 9, lastStableOffset: 9, abortedTransactions: [], records }
    })
    return { responses: [{ topicName: 't', partitions }] }
  }
  const cluster = {
    addMultipleTargetTopics: async () => {},
    refreshMetadataIfNecessary: async () => {},
    findLeaderForPartitions: () => ({ 1: [0] }),
    findBroker: async () => ({ fetch }),
  }
  const place = { code: 'source', brokers: [] } as const
  const reader = new PartitionReader(cluster as unknown as FetchCluster, place, { maxBytes: 1 << 18 })
  for (const partition of [0, 1, 2]) reader.assign('t', partition, 0)
  const given: string[] = []
  while (given.length < 6) {
    const batches = await reader.fetch(never)
    expect(batches).toHaveLength(1)
    for (const { partition, next } of batches) given.push(`${partition}: ${next}`)
  }
  expect(given).toEqual(['0: 1', '1: 1', '2: 1', '0: 2', '1: 2', '2: 2'])
})
