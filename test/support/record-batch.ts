// Record batches as Kafka has them, also such as few brokers send.

import { gzipSync } from 'node:zlib'
import { crc32c } from '../../connectors/kafka/checksum.ts'
import { varint } from './kafka-messages.ts'

export interface WrittenMessage {
  readonly offset: number
  readonly time?: number
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly headers?: readonly (readonly [string, Buffer | null])[]
}

export interface WrittenBatch {
  readonly messages: readonly WrittenMessage[]
  /** Default: that of the first message. */
  readonly baseOffset?: number
  /** Default: that of the last message; compaction leaves a larger one. */
  readonly lastOffset?: number
  readonly baseTime?: number
  /** Of all messages, when it is set. */
  readonly appended?: number | undefined
  readonly codec?: number
  readonly producerId?: number
  readonly isTransactional?: boolean
  readonly isControl?: boolean
}

export function batchOf(batch: WrittenBatch): Buffer {
  const { messages, baseTime = 0, appended, codec = 0, producerId = -1 } = batch
  const { baseOffset = messages[0]?.offset ?? 0, lastOffset = messages.at(-1)?.offset ?? baseOffset } = batch
  const records = Buffer.concat(messages.map((message) => recordOf(message, baseOffset, baseTime)))
  const flags = [appended !== undefined && 0x08, batch.isTransactional && 0x10, batch.isControl && 0x20]
  const body = Buffer.alloc(40)
  body.writeInt16BE(codec | flags.reduce<number>((sum, flag) => sum | (flag || 0), 0), 0)
  body.writeInt32BE(lastOffset - baseOffset, 2)
  body.writeBigInt64BE(BigInt(baseTime), 6)
  body.writeBigInt64BE(BigInt(appended ?? baseTime), 14)
  body.writeBigInt64BE(BigInt(producerId), 22)
  body.writeInt32BE(messages.length, 36)
  const checked = Buffer.concat([body, codec === 1 ? gzipSync(records) : records])
  const head = Buffer.alloc(21)
  head.writeBigInt64BE(BigInt(baseOffset), 0)
  head.writeInt32BE(9 + checked.length, 8)
  head.writeInt8(2, 16)
  head.writeUInt32BE(crc32c(checked, 0, checked.length), 17)
  return Buffer.concat([head, checked])
}

/** The end of a transaction. */
export function markerOf(offset: number, producerId: number, end: 'commit' | 'abort'): Buffer {
  const key = Buffer.from([0, 0, 0, end === 'commit' ? 1 : 0])
  const value = Buffer.alloc(6)
  return batchOf({ messages: [{ offset, key, value }], producerId, isTransactional: true, isControl: true })
}

function recordOf(message: WrittenMessage, baseOffset: number, baseTime: number): Buffer {
  const { offset, time = baseTime, key = null, value = null, headers = [] } = message
  const sized = (bytes: Buffer | null): Buffer[] => (bytes ? [varint(bytes.length), bytes] : [varint(-1)])
  const body = Buffer.concat([
    Buffer.from([0]),
    varint(BigInt(time) - BigInt(baseTime)),
    varint(offset - baseOffset),
    ...sized(key),
    ...sized(value),
    varint(headers.length),
    ...headers.flatMap(([name, each]) => [...sized(Buffer.from(name)), ...sized(each)]),
  ])
  return Buffer.concat([varint(body.length), body])
}
