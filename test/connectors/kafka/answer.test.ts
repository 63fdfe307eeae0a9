// What stands around batches: the answer to a fetch; and what stood there before there were batches.

import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { fetchedIn } from '../../../connectors/kafka/answer.ts'
import { readBatches } from '../../../connectors/kafka/batches.ts'
import {
  ALL,
  byClient,
  decodeAnswer,
  messagesIn,
  shown,
  shownByClient,
  valuesIn,
  writeSet,
} from '../../support/client-batches.ts'
import { batchOf } from '../../support/record-batch.ts'

describe('the answer around them', () => {
  const records = batchOf({ messages: [{ offset: 7, value: Buffer.from('v') }] })
  const answer = Buffer.concat([
    Buffer.from('00000005' + '0000' + '00000000' + '00000001', 'hex'),
    Buffer.from('0002' + '74c3', 'hex').subarray(0, 2),
    Buffer.from('é'),
    Buffer.from(`00000001${'00000003'}0000${'0000000000000009'}${'0000000000000008'}${'0000000000000000'}`, 'hex'),
    Buffer.from(`00000001${'0000000000000004'}${'0000000000000006'}ffffffff`, 'hex'),
    Buffer.from(records.length.toString(16).padStart(8, '0'), 'hex'),
    records,
  ])

  test('is read as the client reads it', async () => {
    const theirs = await decodeAnswer.decode(answer)
    const { clientSideThrottleTime, responses } = fetchedIn(answer, 11)
    expect(clientSideThrottleTime).toBe(5)
    expect(responses).toEqual([
      {
        topicName: 'é',
        partitions: [
          {
            partition: 3,
            errorCode: 0,
            highWatermark: 9,
            lastStableOffset: 8,
            abortedTransactions: [{ producerId: 4n, firstOffset: 6 }],
            records,
          },
        ],
      },
    ])
    expect(theirs.responses[0]).toMatchObject({ topicName: 'é', partitions: [{ partition: 3, highWatermark: '9' }] })
  })

  test('that is cut off is an error wherever that is', () => {
    for (let length = 0; length < answer.length; length++) {
      expect(() => fetchedIn(answer.subarray(0, length), 11)).toThrow('the answer of a broker ends too early')
    }
  })
})

describe('message sets, of brokers before 0.11', () => {
  const entries = ['a', 'b', 'c'].map((value, i) => ({ key: i === 1 ? null : `k${i}`, value, timestamp: 1000 + i }))

  /** Offsets as a broker sets them. */
  function placed(set: Buffer, first: number): Buffer {
    for (let at = 0; at < set.length; at += 12 + set.readInt32BE(at + 8)) set.writeBigInt64BE(BigInt(first++), at)
    return set
  }

  test.each([0, 1])('format %i is read as the client reads it', async (messageVersion) => {
    const written = placed(Buffer.from(writeSet({ messageVersion, compression: 0, entries }).buffer), 40)
    const parts = await readBatches(written, { ...ALL, offset: 41 })
    expect(parts.at(-1)?.next).toBe(43)
    const theirs = (await byClient(written)).slice(1)
    const right = theirs.map((one) => ({ ...shownByClient({ ...one, timestamp: one.timestamp ?? '-1' }) }))
    expect(messagesIn(parts).map(shown)).toEqual(right)
    expect(valuesIn(parts)).toEqual(['b', 'c'])
  })

  test('packed ones have the offsets that follow from the last', async () => {
    const inner = placed(Buffer.from(writeSet({ messageVersion: 1, compression: 0, entries }).buffer), 0)
    const packed = { key: null, value: gzipSync(inner), compression: 1, timestamp: 5 }
    const written = Buffer.from(writeSet({ messageVersion: 1, compression: 0, entries: [packed] }).buffer)
    written.writeBigInt64BE(42n, 0)
    const next = batchOf({ messages: [{ offset: 43, value: Buffer.from('d') }] })
    const parts = await readBatches(Buffer.concat([written, next]), ALL)
    expect(messagesIn(parts).map(({ offset, value }) => [offset, String(value)])).toEqual([
      [40, 'a'],
      [41, 'b'],
      [42, 'c'],
      [43, 'd'],
    ])
    written[written.length - 20] = (written[written.length - 20] as number) ^ 1
    await expect(readBatches(written, ALL)).rejects.toThrow(
      'the batch at offset 42 is damaged: its checksum is another',
    )
  })
})
