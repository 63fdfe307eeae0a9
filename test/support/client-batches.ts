// Batches of every kind, and the client's own reading of them, which ours is compared with.

import { createRequire } from 'node:module'
import fc from 'fast-check'
import type { Part, Wanted } from '../../connectors/kafka/batches.ts'
import type { Message } from '../../connectors/kafka/messages.ts'
import type { WrittenBatch } from './record-batch.ts'

const inside = (path: string): unknown => createRequire(import.meta.url)(`kafkajs/src/protocol/${path}`)
const Decoder = inside('decoder') as new (bytes: Buffer) => object
const decodeByClient = inside('requests/fetch/v4/decodeMessages') as (decoder: object) => Promise<readonly Theirs[]>
export const decodeAnswer = inside('requests/fetch/v11/response') as {
  decode(bytes: Buffer): Promise<{ responses: readonly { topicName: string; partitions: readonly object[] }[] }>
}
export const writeSet = inside('messageSet') as (set: object) => { readonly buffer: Buffer }

export interface Theirs {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: object
  readonly isControlRecord?: boolean
  readonly batchContext?: { readonly producerId: string; readonly inTransaction: boolean }
}

export const ALL: Wanted = { offset: 0, aborted: [], markers: true, maxBytes: Infinity, maxBatchBytes: 1 << 20 }

export const messagesIn = (parts: readonly Part[]): readonly Message[] => parts.flatMap(({ messages }) => [...messages])
export const valuesIn = (parts: readonly Part[]): readonly string[] =>
  messagesIn(parts).map(({ value }) => String(value))

export async function byClient(bytes: Buffer): Promise<readonly Theirs[]> {
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return decodeByClient(new Decoder(Buffer.concat([length, bytes])))
}

const textOf = (bytes: Buffer | null): string | undefined => bytes?.toString('latin1')

const headersOf = (headers: object): string =>
  JSON.stringify(headers, (_, value) => (value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value))

export const shown = ({ offset, timestamp, key, value, headers, transaction }: Message): object => ({
  ...{ offset, timestamp, key: textOf(key), value: textOf(value), headers: headersOf(headers) },
  ...{ producer: transaction?.producerId, end: transaction?.end },
})

export function shownByClient({ offset, timestamp, key, value, headers = {}, ...rest }: Theirs): object {
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
export const batches: fc.Arbitrary<readonly WrittenBatch[]> = fc
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
