// What a broker has answered: its partitions by our own reading of the client's fetch requests, the messages of each as
// bytes; then what counts of those, and where the partition goes on.

import { BizonError, type ErrorCode } from '../../lib/errors.ts'
import { memorySizes } from '../../lib/memory.ts'
import { type Aborted, readBatches } from './batches.ts'
import type { FetchBroker, Protocol } from './cluster.ts'
import { Messages } from './messages.ts'
import type { Assigned, Batch, ReaderOptions } from './reader.ts'
import { Broken, longAt, TooLarge, Unpackable } from './wire.ts'

export interface FetchedPartition {
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly abortedTransactions: readonly Aborted[]
  /** Record batches. */
  readonly records: Buffer
}

export interface Fetched {
  readonly clientSideThrottleTime: number
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[]
}

/** Brokers since 0.11 know it, whose record batches are the format of today. */
const FIRST_VERSION = 4

/** The broker, whose answers to `fetch` are read here. */
export function reading(broker: FetchBroker): FetchBroker {
  const { lookupRequest } = broker
  const read: FetchBroker['lookupRequest'] = (key, definition) => {
    const make = lookupRequest.call(broker, key, definition)
    return (options) => {
      const asked: Protocol = make(options)
      const { apiVersion } = asked.request
      const decode = async (bytes: Buffer): Promise<Fetched> => fetchedIn(bytes, apiVersion)
      return { ...asked, response: { ...asked.response, decode } }
    }
  }
  return Object.create(broker, { lookupRequest: { value: read } }) as FetchBroker
}

/** The answer to a request of that version. Throws `Broken`. */
export function fetchedIn(bytes: Buffer, version: number): Fetched {
  if (version < FIRST_VERSION) throw new Error('brokers before Kafka 0.11 are not supported')
  let at = 0
  const take = (length: number): number => {
    at += length
    if (length < 0 || at > bytes.length) throw new Broken('the answer of a broker ends too early')
    return at - length
  }
  const int = (): number => bytes.readInt32BE(take(4))
  const long = (): number => longAt(bytes, take(8))
  const list = <T>(read: () => T): T[] => {
    const found: T[] = []
    for (let left = int(); left > 0; left--) found.push(read())
    return found
  }
  const partition = (): FetchedPartition => {
    const id = int()
    const errorCode = bytes.readInt16BE(take(2))
    const [highWatermark, lastStableOffset] = [long(), long()]
    if (version >= 5) take(8)
    const abortedTransactions = list(() => ({ producerId: bytes.readBigInt64BE(take(8)), firstOffset: long() }))
    if (version >= 11) take(4)
    const length = int()
    const start = take(Math.max(length, 0))
    const records = bytes.subarray(start, at)
    return { partition: id, errorCode, highWatermark, lastStableOffset, abortedTransactions, records }
  }
  const clientSideThrottleTime = int()
  if (version >= 7) take(6)
  const responses = list(() => {
    const length = bytes.readInt16BE(take(2))
    const topicName = bytes.toString('utf8', take(length), at)
    return { topicName, partitions: list(partition) }
  })
  return { clientSideThrottleTime, responses }
}

export interface LandedBatch {
  readonly from: Assigned
  /** What was asked for. */
  readonly offset: number
  readonly batch: Batch
  readonly isSuspect: boolean
}

interface Landing {
  readonly from: Assigned
  /** What was asked for. */
  readonly offset: number
  readonly answer: FetchedPartition
  /** The broker had something to send for this partition, and all that it had is in the answer. */
  readonly isSure: boolean
  readonly code: ErrorCode
}

/** Rejects where the bytes are none that a broker sends. */
export async function landed(
  { from, offset, answer, isSure, code }: Landing,
  { isolation, markers = false, maxBytes }: ReaderOptions & { readonly maxBytes: number },
): Promise<readonly LandedBatch[]> {
  const { topic, partition } = from
  const { records } = answer
  const committedOnly = isolation !== 'read_uncommitted'
  const end = committedOnly ? answer.lastStableOffset : answer.highWatermark
  const failed = (reason: string, hint: string): BizonError =>
    new BizonError(code, `topic ${topic}, partition ${partition}: ${reason}`, { hint })
  const damaged = (reason: string): BizonError => failed(reason, DAMAGED)
  const parts = await readBatches(records, {
    offset,
    aborted: committedOnly ? answer.abortedTransactions : [],
    markers,
    maxBytes,
    maxBatchBytes: Math.min(MAX_BATCH_BYTES, memorySizes().answer),
  }).catch((error: unknown) => {
    if (error instanceof TooLarge) throw failed(error.message, LARGE)
    if (error instanceof Unpackable) throw failed(error.message, 'Write it with gzip, or without compression.')
    throw error instanceof Broken ? damaged(error.message) : error
  })
  if (parts.length > 0) {
    return parts.map(({ messages, next }) => {
      const batch = { topic, partition, messages, next: Math.max(offset, next), end }
      return { from, offset, isSuspect: false, batch }
    })
  }
  // Who is asked for a partition alone sends the first batch whole.
  if (records.length > 0 && from.isSuspect) throw damaged(`the batch at offset ${offset} is damaged: it has no end`)
  // An answer may be empty because other partitions filled it, or because the broker, which may keep what is old in another
  // place, did not get at it in time: to step over what is there would lose it. But where all was compacted away at the end
  // nothing ever comes. Asked alone in vain it waits for the others.
  const isSuspect = end > offset && (isSure || !from.isSuspect)
  const next = isSuspect && isSure ? offset + 1 : offset
  return [{ from, offset, isSuspect, batch: { topic, partition, messages: NONE, next, end } }]
}

const NONE = new Messages(Buffer.alloc(0))
const MAX_BATCH_BYTES = 512 << 20
const DAMAGED =
  'See with kafka-dump-log --deep-iteration on the broker whether what it has is damaged; if it is, delete the records up to there.'
const LARGE =
  'Give it more by --max-memory, if that is set; up to 512 MiB are unpacked. Or let producers write smaller batches (batch.size).'
