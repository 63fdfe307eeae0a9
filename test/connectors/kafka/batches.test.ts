// What brokers send, read as the client itself reads it.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { landed } from '../../../connectors/kafka/answer.ts'
import { readBatches } from '../../../connectors/kafka/batches.ts'
import { crc32c } from '../../../connectors/kafka/checksum.ts'
import { ALL, batches, byClient, messagesIn, shown, shownByClient, valuesIn } from '../../support/client-batches.ts'
import { batchOf, markerOf, type WrittenBatch } from '../../support/record-batch.ts'

describe('record batches', () => {
  test('are read as the client reads them', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async (list) => {
        const written = Buffer.concat(list.map(batchOf))
        const parts = await readBatches(written, ALL)
        expect(messagesIn(parts).map(shown)).toEqual((await byClient(written)).map(shownByClient))
        const last = list.at(-1) as WrittenBatch
        expect(parts.at(-1)?.next).toBe((last.lastOffset ?? last.messages.at(-1)?.offset ?? 0) + 1)
      }),
    )
  })

  test('numbers that few messages have', async () => {
    const far = 2 ** 53 - 10
    for (const timeOf of [0, 1, 63, 64, 8191, 8192, 2 ** 31, 2 ** 48, 2 ** 50, 2 ** 52].flatMap((n) => [n, -n])) {
      const written = batchOf({ messages: [{ offset: far, time: 2e12 + timeOf }], baseTime: 2e12 })
      const [message] = messagesIn(await readBatches(written, ALL))
      expect(message).toMatchObject({ offset: far, timestamp: 2e12 + timeOf, key: null, value: null })
    }
    const beyond = batchOf({ messages: [{ offset: 2 ** 53 }] })
    await expect(readBatches(beyond, ALL)).rejects.toThrow(/offsets are none/)
  })

  test('more than the stack of the client holds are read', async () => {
    const count = 130_000
    const one = batchOf({ messages: [{ offset: 7 }] })
    const written = Buffer.concat([one, ...Array<Buffer>(count - 1).fill(one.subarray(61))])
    written.writeInt32BE(written.length - 12, 8)
    written.writeInt32BE(count, 57)
    written.writeUInt32BE(crc32c(written, 21, written.length), 17)
    const [part] = await readBatches(written, ALL)
    expect([part?.messages.length, part?.next]).toEqual([count, 8])
  })

  test('headers of any name', async () => {
    const headers = ['constructor', '__proto__', 'a', 'a', 'a'].map((name, i) => [name, Buffer.from(`${i}`)] as const)
    const [message] = messagesIn(await readBatches(batchOf({ messages: [{ offset: 0, headers }] }), ALL))
    const found = Object.entries(message?.headers ?? {}).map(([name, value]) => [name, String(value)])
    expect(found).toEqual([
      ['constructor', '0'],
      ['__proto__', '1'],
      ['a', '2,3,4'],
    ])
  })

  test('begin at the offset that is wanted, and end where the batch does', async () => {
    const messages = [2, 5, 9].map((offset) => ({ offset, value: Buffer.from(`${offset}`) }))
    for (const codec of [0, 1]) {
      const written = Buffer.concat([
        batchOf({ messages, codec, lastOffset: 12 }),
        batchOf({ messages: [], baseOffset: 13 }),
      ])
      expect(valuesIn(await readBatches(written, { ...ALL, offset: 5 }))).toEqual(['5', '9'])
      const parts = await readBatches(written, { ...ALL, offset: 10 })
      expect([valuesIn(parts), parts.at(-1)?.next]).toEqual([[], 14])
    }
  })

  test('what is unpacked is bounded, in one batch and in an answer', async () => {
    const value = Buffer.alloc(1000, 'x')
    const [first, second] = [0, 1].map((offset) => batchOf({ messages: [{ offset, value }], codec: 1 })) as [
      Buffer,
      Buffer,
    ]
    const parts = await readBatches(Buffer.concat([first, second]), { ...ALL, maxBytes: 1000 })
    expect(parts.map(({ messages, next }) => [messages.length, next])).toEqual([[1, 1]])
    await expect(readBatches(first, { ...ALL, maxBatchBytes: 1000 })).rejects.toThrow(
      'the batch at offset 0 has more than 1000 bytes when it is unpacked',
    )
  })

  test.each([
    [2, 'Snappy'],
    [3, 'LZ4'],
    [4, 'ZSTD'],
  ])('codec %i is said to be %s', async (codec, name) => {
    const written = batchOf({ messages: [{ offset: 0 }], codec })
    const from = { topic: 'orders', partition: 2, next: 0, isSuspect: false }
    const answer = {
      ...{ partition: 2, errorCode: 0, highWatermark: 1, lastStableOffset: 1 },
      ...{ abortedTransactions: [], records: written },
    }
    const landing = landed({ from, offset: 0, answer, isSure: true, code: 'source' }, { maxBytes: 1 << 20 })
    await expect(landing).rejects.toMatchObject({
      message: `topic orders, partition 2: the batch at offset 0 is compressed by ${name}, which cannot be read`,
      hint: 'Write it with gzip, or without compression.',
    })
    await expect(readBatches(written, ALL)).rejects.toThrow(
      `the batch at offset 0 is compressed by ${name}, which cannot be read`,
    )
  })
})

test('transactions that were aborted are not shown, whoever else writes meanwhile', async () => {
  const step = fc.record({
    producer: fc.nat({ max: 2 }),
    count: fc.integer({ min: 1, max: 3 }),
    codec: fc.constantFrom(0, 1),
  })
  const ending = fc.record({
    producer: fc.nat({ max: 2 }),
    end: fc.constantFrom<'commit' | 'abort'>('commit', 'abort'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(step, ending), { maxLength: 25 }), fc.boolean(), async (steps, markers) => {
      let offset = 0
      const written: Buffer[] = []
      const aborted: { producerId: bigint; firstOffset: number }[] = []
      const open = new Map<number, number[]>()
      const gone = new Set<number>()
      const all: number[] = []
      const ends: number[] = []
      for (const one of [...steps, ...[0, 1, 2].map((producer) => ({ producer, end: 'commit' as const }))]) {
        const { producer } = one
        const held = open.get(producer) ?? []
        if ('end' in one) {
          if (held.length === 0) continue
          open.delete(producer)
          if (one.end === 'abort') {
            aborted.push({ producerId: BigInt(producer), firstOffset: held[0] as number })
            for (const each of held) gone.add(each)
          }
          ends.push(offset)
          written.push(markerOf(offset++, producer, one.end))
        } else {
          const messages = Array.from({ length: one.count }, () => ({ offset: offset++, key: Buffer.alloc(4) }))
          for (const message of messages) {
            held.push(message.offset)
            all.push(message.offset)
          }
          open.set(producer, held)
          written.push(batchOf({ messages, producerId: producer, isTransactional: true, codec: one.codec }))
        }
      }
      const parts = await readBatches(Buffer.concat(written), { ...ALL, aborted, markers })
      const right = all.filter((each) => !gone.has(each))
      const wanted = markers ? [...right, ...ends].sort((a, b) => a - b) : right
      expect(messagesIn(parts).map((message) => message.offset)).toEqual(wanted)
      expect(parts.at(-1)?.next ?? 0).toBe(offset)
    }),
  )
})
