// Messages in the formats 0 and 1, which brokers before 0.11 wrote, and which later ones give as they are.
// https://kafka.apache.org/documentation/#messageset

import { crc32 } from 'node:zlib'
import type { Part, Wanted } from './batches.ts'
import { Messages } from './messages.ts'
import { Broken, longAt } from './wire.ts'

type Unpack = (codec: number, bytes: Buffer, maxBytes: number) => Promise<Buffer>

/** Offset, length, checksum, format, attributes. */
const HEAD_BYTES = 18
const CODEC = 0x07
const OF_APPENDING = 0x08

interface Entry {
  readonly offset: number
  readonly format: number
  readonly attributes: number
  readonly time: number
  readonly key: number
  readonly keyLength: number
  readonly value: number
  readonly valueLength: number
}

/** One message, or several that are packed into it. */
export async function readMessageSet(bytes: Buffer, wanted: Wanted, unpack: Unpack): Promise<Part> {
  const outer = entryAt(bytes, 0, bytes.length)
  const codec = outer.attributes & CODEC
  const next = outer.offset + 1
  if (!Number.isSafeInteger(next)) throw new Broken('its offset is none')
  if (codec === 0) return { messages: messagesOf(bytes, [outer], wanted.offset), next }
  if (outer.valueLength < 0) throw new Broken('it is packed, and empty')
  const packed = bytes.subarray(outer.value, outer.value + outer.valueLength)
  const inside = await unpack(codec, packed, wanted.maxBatchBytes)
  const entries: Entry[] = []
  for (let at = 0; at < inside.length; ) {
    const end = at + 12 + (inside.length - at < 12 ? Number.NaN : inside.readInt32BE(at + 8))
    if (!(end <= inside.length)) throw new Broken('a message ends behind it')
    entries.push(entryAt(inside, at, end))
    at = end
  }
  // Since format 1 their offsets count from the first of them, and that of the whole is that of the last.
  const last = entries.at(-1)?.offset ?? 0
  const base = outer.format === 0 ? 0 : outer.offset - last
  const isOfAppending = outer.format > 0 && (outer.attributes & OF_APPENDING) !== 0
  const placed = entries.map((entry) => ({
    ...entry,
    offset: entry.offset + base,
    time: isOfAppending ? outer.time : entry.time,
  }))
  return { messages: messagesOf(inside, placed, wanted.offset), next }
}

function messagesOf(bytes: Buffer, entries: readonly Entry[], from: number): Messages {
  const messages = new Messages(bytes)
  messages.reserve(entries.length)
  for (const { offset, time, key, keyLength, value, valueLength } of entries) {
    if (offset < from) continue
    const size = Math.max(keyLength, 0) + Math.max(valueLength, 0)
    messages.add(offset, time, key, keyLength, value, valueLength, -1, size)
  }
  return messages
}

function entryAt(bytes: Buffer, start: number, end: number): Entry {
  const least = HEAD_BYTES + 8
  if (end - start < least) throw new Broken('it is too short')
  const format = bytes.readInt8(start + 16)
  if (format !== 0 && format !== 1) throw new Broken(`it has the format ${format}, which is none`)
  if (format === 1 && end - start < least + 8) throw new Broken('it is too short')
  if (crc32(bytes.subarray(start + 16, end)) !== bytes.readUInt32BE(start + 12))
    throw new Broken('its checksum is another')
  const key = start + HEAD_BYTES + (format === 1 ? 8 : 0) + 4
  const keyLength = bytes.readInt32BE(key - 4)
  const keyEnd = key + Math.max(keyLength, 0)
  if (keyLength < -1 || keyEnd + 4 > end) throw new Broken('a key ends behind it')
  const value = keyEnd + 4
  const valueLength = bytes.readInt32BE(keyEnd)
  if (valueLength < -1 || value + Math.max(valueLength, 0) !== end) throw new Broken('a value ends elsewhere')
  const offset = longAt(bytes, start)
  const time = format === 1 ? longAt(bytes, start + HEAD_BYTES) : -1
  return { offset, format, attributes: bytes[start + 17] as number, time, key, keyLength, value, valueLength }
}
