// What brokers send, read as the client itself reads it; and bytes that no broker sends.

import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fetchedIn } from '../../../connectors/kafka/answer.ts'
import { type Part, readBatches, type Wanted } from '../../../connectors/kafka/batches.ts'
import { crc32c } from '../../../connectors/kafka/checksum.ts'
import type { Message } from '../../../connectors/kafka/messages.ts'
import { Broken } from '../../../connectors/kafka/wire.ts'
import { batchOf, markerOf, type WrittenBatch } from '../../support/record-batch.ts'

const inside = (path: string): unknown => createRequire(import.meta.url)(`kafkajs/src/protocol/${path}`)
const Decoder = inside('decoder') as new (bytes: Buffer) => object
const decodeByClient = inside('requests/fetch/v4/decodeMessages') as (decoder: object) => Promise<readonly Theirs[]>
const decodeAnswer = inside('requests/fetch/v11/response') as {
  decode(bytes: Buffer): Promise<{ responses: readonly { topicName: string; partitions: readonly object[] }[] }>
}
const writeSet = inside('messageSet') as (set: object) => { readonly buffer: Buffer }

interface Theirs {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: object
  readonly isControlRecord?: boolean
  readonly batchContext?: { readonly producerId: string; readonly inTransaction: boolean }
}

const ALL: Wanted = { offset: 0, aborted: [], markers: true, maxBytes: Infinity, maxBatchBytes: 1 << 20 }

const messagesIn = (parts: readonly Part[]): readonly Message[] => parts.flatMap(({ messages }) => [...messages])
const valuesIn = (parts: readonly Part[]): readonly string[] => messagesIn(parts).map(({ value }) => String(value))

async function byClient(bytes: Buffer): Promise<readonly Theirs[]> {
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return decodeByClient(new Decoder(Buffer.concat([length, bytes])))
}

const textOf = (bytes: Buffer | null): string | undefined => bytes?.toString('latin1')

const headersOf = (headers: object): string =>
  JSON.stringify(headers, (_, value) => (value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value))

const shown = ({ offset, timestamp, key, value, headers, transaction }: Message): object => ({
  ...{ offset, timestamp, key: textOf(key), value: textOf(value), headers: headersOf(headers) },
  ...{ producer: transaction?.producerId, end: transaction?.end },
})

function shownByClient({ offset, timestamp, key, value, headers = {}, ...rest }: Theirs): object {
  const { producerId, inTransaction = false } = rest.batchContext ?? {}
  const isEnd = inTransaction && rest.isControlRecord === true
  return {
    ...{ offset: Number(offset), timestamp: Number(timestamp) },
    ...{ key: textOf(key), value: textOf(value), headers: headersOf(headers) },
    producer: inTransaction ? producerId : undefined,
    end: isEnd ? (key?.readInt16BE(2) === 0 ? 'abort' : 'commit') : undefined,
  }
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each))
const someBytes = fc.option(fc.oneof({ weight: 9, arbitrary: bytes }, fc.constant(Buffer.alloc(20_000, 'x'))))
const time = fc.integer({ min: 0, max: 4e12 })

/** Batches one behind the other, with gaps as compaction leaves them. */
const batches: fc.Arbitrary<readonly WrittenBatch[]> = fc
  .array(
    fc.record({
      gap: fc.integer({ min: 0, max: 1 << 30 }),
      behind: fc.integer({ min: 0, max: 3 }),
      messages: fc.array(
        fc.record({
          gap: fc.nat({ max: 200 }),
          time,
          key: someBytes,
          value: someBytes,
          // Of a name such as `constructor` the client makes something else.
          headers: fc.array(fc.tuple(fc.constantFrom('a', 'b', '', 'é', '7', 'long'.repeat(40)), fc.option(bytes)), {
            maxLength: 4,
          }),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      baseTime: time,
      appended: fc.option(time, { nil: undefined }),
      codec: fc.constantFrom(0, 1),
      producerId: fc.integer({ min: 0, max: 2 ** 40 }),
      isTransactional: fc.boolean(),
      ends: fc.option(fc.constantFrom<'commit' | 'abort'>('commit', 'abort'), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((list) => {
    let next = 0
    return list.map(({ gap, behind, messages, ends, ...batch }): WrittenBatch => {
      const baseOffset = next + gap
      if (ends) {
        next = baseOffset + 1
        const key = Buffer.from([0, 0, 0, ends === 'commit' ? 1 : 0])
        const marker = { offset: baseOffset, key, value: Buffer.alloc(6) }
        return { ...batch, messages: [marker], baseOffset, codec: 0, isTransactional: true, isControl: true }
      }
      next = baseOffset
      const placed = messages.map(({ gap: skipped, ...message }) => {
        const offset = next + skipped
        next = offset + 1
        return { ...message, offset }
      })
      next += behind
      return { ...batch, messages: placed, baseOffset, lastOffset: next - 1 }
    })
  })

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
      'the batch at offset 0 is damaged: it has more than 1000 bytes when it is unpacked',
    )
  })

  test.each([
    [2, 'Snappy'],
    [3, 'LZ4'],
    [4, 'ZSTD'],
  ])('codec %i is said to be %s', async (codec, name) => {
    const written = batchOf({ messages: [{ offset: 0 }], codec })
    await expect(readBatches(written, ALL)).rejects.toThrow(`${name} compression not implemented`)
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

describe('bytes that are cut off or changed', () => {
  test('of a last batch that is cut off nothing is shown', async () => {
    await fc.assert(
      fc.asyncProperty(batches, fc.double({ min: 0, max: 1, noNaN: true }), async (list, share) => {
        const each = list.map(batchOf)
        const written = Buffer.concat(each)
        const length = Math.floor(share * written.length)
        let whole = 0
        for (let size = 0; size + (each[whole]?.length ?? Infinity) <= length; whole++) size += each[whole]?.length ?? 0
        const parts = await readBatches(written.subarray(0, length), ALL)
        const right = messagesIn(await readBatches(Buffer.concat(each.slice(0, whole)), ALL))
        expect(messagesIn(parts).map(shown)).toEqual(right.map(shown))
      }),
    )
  })

  test('a byte that was changed is found, or its batch seems to be cut off', async () => {
    await fc.assert(
      fc.asyncProperty(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), async (list, place, change) => {
        const written = Buffer.concat(list.map(batchOf))
        const right = messagesIn(await readBatches(written, ALL)).map(shown)
        const at = place % written.length
        written[at] = (written[at] as number) ^ change
        try {
          const found = messagesIn(await readBatches(written, ALL)).map(shown)
          // The first offset, and the epoch of the leader, are not in the checksum: brokers set them.
          const isOutside = list.map(batchOf).reduce(
            ({ from, found: known }, { length }) => ({
              from: from + length,
              found: known || (at >= from && at < from + 16),
            }),
            { from: 0, found: false },
          ).found
          if (!isOutside) expect(found).toEqual(right.slice(0, found.length))
        } catch (error) {
          expect(error).toBeInstanceOf(Broken)
          expect((error as Error).message).toMatch(/^the batch at offset -?\d+ is damaged: /)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a batch whose checksum is right, and that is none, is an error', async () => {
    await fc.assert(
      fc.asyncProperty(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), async ([first], place, change) => {
        const written = batchOf(first as WrittenBatch)
        const at = 21 + (place % (written.length - 21))
        written[at] = (written[at] as number) ^ change
        written.writeUInt32BE(crc32c(written, 21, written.length), 17)
        try {
          const parts = await readBatches(written, ALL)
          for (const { messages } of parts) {
            for (const { key, value } of messages)
              expect((key?.length ?? 0) + (value?.length ?? 0)).toBeLessThan(1 << 20)
          }
        } catch (error) {
          if (!/compression not implemented/.test(String(error))) expect(error).toBeInstanceOf(Broken)
        }
      }),
      { numRuns: 300 },
    )
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
