// What a broker has answered of one partition: the messages that count, and where it goes on.

import type { Assigned, Batch, Message, ReaderOptions } from './reader.ts'

export interface LandedBatch {
  readonly from: Assigned
  readonly batch: Batch
  readonly isSuspect: boolean
}

/** `isSure`: the broker had something to send for this partition, and all that it had is in the answer. */
export function landed(
  from: Assigned,
  offset: number,
  answer: FetchedPartition,
  { isolation, markers, isSure }: { isolation: ReaderOptions['isolation']; markers: boolean; isSure: boolean },
): LandedBatch {
  const { topic, partition } = from
  const committedOnly = isolation !== 'read_uncommitted'
  const end = Number(committedOnly ? answer.lastStableOffset : answer.highWatermark)
  const { messages: raw } = answer
  const last = raw.at(-1)
  if (last === undefined) {
    // Compaction may leave the shell of messages that are all gone, and nothing is said of how many they were. An answer
    // may also be empty because other partitions filled it, or because the broker, which may keep what is old in another
    // place, did not get at it in time: to step over those would lose them. Asked alone in vain it waits for the others.
    const isSuspect = end > offset && (isSure || !from.isSuspect)
    const next = isSuspect && isSure ? offset + 1 : offset
    return { from, isSuspect, batch: { topic, partition, messages: [], next, end } }
  }
  const counting = committedOnly ? committed(raw, answer.abortedTransactions) : raw
  const messages: Message[] = []
  for (const message of counting) {
    const at = Number(message.offset)
    if (at < offset || (message.isControlRecord && !markers)) continue
    const { key, value, timestamp, headers } = message
    const shown = { offset: at, key, value, timestamp: Number(timestamp), headers: headers as Message['headers'] }
    messages.push(markers ? { ...shown, ...transactionOf(message) } : shown)
  }
  const { batchContext: context } = last
  // Where the last messages of a batch were compacted away it still ends behind them.
  const whole = context?.lastOffsetDelta === undefined ? 0 : Number(context.firstOffset) + context.lastOffsetDelta + 1
  const next = Math.max(offset, Number(last.offset) + 1, whole)
  return { from, isSuspect: false, batch: { topic, partition, messages, next, end } }
}

const ABORT = 0

function transactionOf({ key, isControlRecord, batchContext }: FetchedMessage): Pick<Message, 'transaction'> {
  if (!batchContext?.inTransaction) return {}
  const { producerId } = batchContext
  if (!isControlRecord) return { transaction: { producerId } }
  return { transaction: { producerId, end: key?.readInt16BE(2) === ABORT ? 'abort' : 'commit' } }
}

/** Without those of transactions that were aborted. */
function committed(
  messages: readonly FetchedMessage[],
  aborted: FetchedPartition['abortedTransactions'],
): readonly FetchedMessage[] {
  if (!aborted || aborted.length === 0) return messages
  const begun = aborted
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: Number(firstOffset) }))
    .sort((a, b) => a.firstOffset - b.firstOffset)
  const aborting = new Set<string>()
  let next = 0
  return messages.filter((message) => {
    const offset = Number(message.offset)
    for (let one = begun[next]; one !== undefined && one.firstOffset <= offset; one = begun[++next]) {
      aborting.add(one.producerId)
    }
    const { producerId, inTransaction } = message.batchContext ?? {}
    if (producerId === undefined || !inTransaction) return true
    if (message.isControlRecord) {
      if (message.key?.readInt16BE(2) === ABORT) aborting.delete(producerId)
      return true
    }
    return !aborting.has(producerId)
  })
}

export interface FetchedPartition {
  readonly partition: number
  readonly highWatermark: string
  readonly lastStableOffset: string
  readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[] | null
  readonly messages: readonly FetchedMessage[]
}

interface FetchedMessage {
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestamp: string
  readonly headers: object
  readonly isControlRecord?: boolean
  readonly batchContext?: {
    readonly firstOffset: string
    readonly lastOffsetDelta: number
    readonly producerId: string
    readonly inTransaction: boolean
  }
}
