// The record batches of a partition, as a broker sends them: Kafka's format 2, and the formats before (message-set.ts) of what
// was written before 2017. https://kafka.apache.org/documentation/#recordbatch
//
// The client's own decoder makes some ten objects of each message, has a stack that ends at 100,000 of them, and unpacks
// whatever comes without a bound.

import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { crc32c } from './checksum.ts'
import { readMessageSet } from './message-set.ts'
import { Messages, type Transaction } from './messages.ts'
import { Broken, Cursor, longAt, TooLarge, Unpackable } from './wire.ts'

export interface Wanted {
  /** The first offset; a batch may begin before it. */
  readonly offset: number
  /** Without those of transactions that were aborted: these are said by the broker. */
  readonly aborted: readonly Aborted[]
  /** Messages tell of their transactions, whose ends are messages, too. */
  readonly markers: boolean
  /** Unpacked. What follows so much is left for the next answer. */
  readonly maxBytes: number
  /** Of one batch, unpacked. */
  readonly maxBatchBytes: number
}

export interface Aborted {
  readonly producerId: bigint
  readonly firstOffset: number
}

/** Some that are in the same bytes, and where the partition goes on behind them. */
export interface Part {
  readonly messages: Messages
  readonly next: number
}

/** What stands before the batch itself: its first offset, its length. */
const FRAME_BYTES = 12
const MAGIC_AT = 16
const CURRENT = 2
/** What the checksum is of begins there. */
const CHECKED_AT = 21
/** Of a batch without messages, behind the frame. */
const LEAST_BYTES = 49
/** Of a batch, behind which its messages are. */
const HEAD_BYTES = 61
/** Of a message that has nothing. */
const LEAST_MESSAGE_BYTES = 7

const CODECS = ['none', 'gzip', 'Snappy', 'LZ4', 'ZSTD']
const CODEC = 0x07
const OF_APPENDING = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
const ABORT = 0

const unpack = promisify(gunzip)

/**
 * All that is whole: the last batch may be cut off, as brokers do it. No parts: there is not one whole batch. Rejects with
 * `Broken`, or with `TooLarge`.
 */
export async function readBatches(bytes: Buffer, wanted: Wanted): Promise<readonly Part[]> {
  const parts: { messages: Messages; next: number }[] = []
  const aborting = new Aborting(wanted.aborted)
  let unpacked = 0
  for (let at = 0; bytes.length - at > MAGIC_AT && unpacked < wanted.maxBytes; ) {
    const end = at + FRAME_BYTES + bytes.readInt32BE(at + 8)
    if (end > bytes.length) break
    const first = longAt(bytes, at)
    try {
      const magic = bytes.readInt8(at + MAGIC_AT)
      if (magic !== CURRENT) {
        const set = await readMessageSet(bytes.subarray(at, end), wanted, unpackedBy)
        parts.push(set)
        unpacked += set.messages.bytes.length
      } else {
        const batch = headOf(bytes, at, end)
        const isWanted = batch.next > wanted.offset && aborting.shows(batch) && (!batch.isControl || wanted.markers)
        const last = parts.at(-1)
        if (isWanted && batch.codec !== 0) {
          const records = await unpackedBy(batch.codec, bytes.subarray(at + HEAD_BYTES, end), wanted.maxBatchBytes)
          unpacked += records.length
          const messages = new Messages(records, wanted.markers ? transactionOf(batch) : undefined)
          readRecords(messages, { ...batch, start: 0, end: records.length }, wanted.offset)
          parts.push({ messages, next: batch.next })
        } else {
          // Those of one buffer are one part, unless each tells of its transaction.
          const isOn = last?.messages.bytes === bytes && !wanted.markers
          const messages = isOn ? last.messages : new Messages(bytes, wanted.markers ? transactionOf(batch) : undefined)
          if (isWanted) readRecords(messages, batch, wanted.offset)
          if (isOn) last.next = batch.next
          else parts.push({ messages, next: batch.next })
        }
      }
    } catch (error) {
      if (error instanceof Unpackable) throw new Unpackable(`the batch at offset ${first} is ${error.message}`)
      if (error instanceof TooLarge) throw new TooLarge(`the batch at offset ${first} has ${error.message}`)
      if (!(error instanceof Broken)) throw error
      throw new Broken(`the batch at offset ${first} is damaged: ${error.message}`)
    }
    at = end
  }
  return parts
}

/** Of the bytes of a batch. */
export async function unpackedBy(codec: number, bytes: Buffer, maxBytes: number): Promise<Buffer> {
  if (codec !== 1) throw new Unpackable(`compressed by ${CODECS[codec] ?? `codec ${codec}`}, which cannot be read`)
  try {
    return await unpack(bytes, { maxOutputLength: maxBytes })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_BUFFER_TOO_LARGE') throw new Broken('it is not gzip')
    throw new TooLarge(`more than ${maxBytes} bytes when it is unpacked`)
  }
}

interface Head {
  readonly codec: number
  readonly isControl: boolean
  readonly isTransactional: boolean
  readonly baseOffset: number
  readonly lastDelta: number
  /** Behind its last offset, also where the messages there are gone. */
  readonly next: number
  readonly baseTime: number
  /** Of all of them, instead of their own. */
  readonly time: number | undefined
  readonly producerId: bigint
  readonly count: number
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

function headOf(bytes: Buffer, at: number, end: number): Head {
  if (end - at < FRAME_BYTES + LEAST_BYTES) throw new Broken('it is too short')
  if (crc32c(bytes, at + CHECKED_AT, end) !== bytes.readUInt32BE(at + 17)) throw new Broken('its checksum is another')
  const attributes = bytes.readInt16BE(at + CHECKED_AT)
  const baseOffset = longAt(bytes, at)
  const lastDelta = bytes.readInt32BE(at + 23)
  const next = baseOffset + lastDelta + 1
  if (baseOffset < 0 || lastDelta < 0 || !Number.isSafeInteger(next)) throw new Broken('its offsets are none')
  const count = bytes.readInt32BE(at + 57)
  if (count < 0) throw new Broken(`it has ${count} messages`)
  return {
    codec: attributes & CODEC,
    isControl: (attributes & CONTROL) !== 0,
    isTransactional: (attributes & TRANSACTIONAL) !== 0,
    baseOffset,
    lastDelta,
    next,
    baseTime: longAt(bytes, at + 27),
    time: (attributes & OF_APPENDING) === 0 ? undefined : longAt(bytes, at + 35),
    producerId: bytes.readBigInt64BE(at + 43),
    count,
    bytes,
    start: at + HEAD_BYTES,
    end,
  }
}

/** Adds those from the offset on. All of the batch is looked at. */
function readRecords(messages: Messages, batch: Omit<Head, 'bytes'>, from: number): void {
  const { start, end, count, baseOffset, lastDelta, baseTime, time } = batch
  const { bytes } = messages
  if (count * LEAST_MESSAGE_BYTES > end - start) throw new Broken(`it has not room for ${count} messages`)
  messages.reserve(count)
  const cursor = new Cursor(bytes, start)
  for (let i = 0; i < count; i++) {
    const length = cursor.int()
    const stop = cursor.at + length
    if (length < LEAST_MESSAGE_BYTES - 1 || stop > end) throw new Broken('a message ends behind it')
    cursor.at += 1 // attributes, of which there are none
    const timeDelta = cursor.long()
    const delta = cursor.int()
    if (delta < 0 || delta > lastDelta) throw new Broken('a message has an offset behind it')
    const keyLength = cursor.int()
    const key = cursor.at
    if (keyLength > 0) cursor.at += keyLength
    const valueLength = cursor.int()
    const value = cursor.at
    if (valueLength > 0) cursor.at += valueLength
    const headers = cursor.at
    const headerCount = cursor.int()
    let size = (keyLength > 0 ? keyLength : 0) + (valueLength > 0 ? valueLength : 0)
    if (headerCount > 0) size += skipHeaders(cursor, headerCount, stop)
    if (cursor.at !== stop || keyLength < -1 || valueLength < -1 || headerCount < 0) {
      throw new Broken('a message has another length than it says')
    }
    const offset = baseOffset + delta
    if (offset < from) continue
    const at = time ?? baseTime + timeDelta
    messages.add(offset, at, key, keyLength, value, valueLength, headerCount > 0 ? headers : -1, size)
  }
  if (cursor.at !== end) throw new Broken('there is something behind its messages')
}

/** Returns the bytes of names and values. */
function skipHeaders(cursor: Cursor, count: number, stop: number): number {
  let size = 0
  for (let i = 0; i < count && cursor.at < stop; i++) {
    const name = cursor.int()
    if (name < 0) throw new Broken('a header has no name')
    cursor.at += name
    const value = cursor.int()
    if (value < -1) throw new Broken('a header has a length below zero')
    if (value > 0) cursor.at += value
    size += name + (value > 0 ? value : 0)
  }
  return size
}

/** Which transactions that were aborted are under way where the batches have come to. */
class Aborting {
  readonly #begun: readonly Aborted[]
  readonly #open = new Set<bigint>()
  #next = 0

  constructor(aborted: readonly Aborted[]) {
    this.#begun = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** Whether the next batch counts. */
  shows(batch: Head): boolean {
    for (let one = this.#begun[this.#next]; one && one.firstOffset < batch.next; one = this.#begun[++this.#next]) {
      this.#open.add(one.producerId)
    }
    if (this.#open.size === 0 || !batch.isTransactional) return true
    if (!batch.isControl) return !this.#open.has(batch.producerId)
    if (endOf(batch) === 'abort') this.#open.delete(batch.producerId)
    return true
  }
}

function transactionOf(batch: Head): Transaction | undefined {
  if (!batch.isTransactional) return undefined
  const producerId = String(batch.producerId)
  return batch.isControl ? { producerId, end: endOf(batch) } : { producerId }
}

/** How a transaction ended: in the key of the only message of such a batch, behind its version. */
function endOf(batch: Head): 'commit' | 'abort' {
  const messages = new Messages(batch.bytes)
  readRecords(messages, batch, 0)
  const key = messages.length > 0 ? messages.message(0).key : undefined
  if (!key || key.length < 4) throw new Broken('it ends a transaction, and does not say how')
  return key.readInt16BE(2) === ABORT ? 'abort' : 'commit'
}
