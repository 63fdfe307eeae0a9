// Where a read begins in each partition, and where one that ends does; and what is to be done if the messages there are gone.

import { BizonError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Position, Start } from '../../../lib/source.ts'
import type { Broker, Watermarks } from './broker.ts'
import { isOffsets, Offsets } from './offsets.ts'

export const LOST = ['fail', 'earliest', 'latest'] as const

export interface BoundsOptions {
  readonly topics: readonly string[]
  /** What to do where messages that were not read were deleted. */
  readonly lost: (typeof LOST)[number]
  readonly log: Log
}

interface At extends Watermarks {
  readonly topic: string
}

/**
 * The partitions of a read that ends, in the order in which they are read: from the position, from where the last run
 * ended, or from the first message. It ends where they end now, or where the first process of the run saw them end.
 */
export async function spans(broker: Broker, from: Start, options: BoundsOptions): Promise<Offsets> {
  const known = knownIn(from.position ?? from.since?.value)
  const found = new Offsets()
  for (const topic of options.topics) {
    const times = !known && from.since ? await offsetsAt(broker, topic, from.since.time) : undefined
    for (const marks of await watermarksOf(broker, topic)) {
      const { partition, low, high } = marks
      const span = known?.get(topic, partition)
      const place = { topic, ...marks }
      if (span?.end !== undefined) found.set(topic, partition, rest(span.next, span.end, place, options))
      // A run that goes on reads the partitions that it began with.
      else if (from.position && known?.has(topic)) continue
      else if (span) found.set(topic, partition, { next: there(span.next, place, options), end: high })
      else found.set(topic, partition, { next: times?.get(partition) ?? low, end: high })
    }
  }
  return found
}

/** What is left of a span. */
function rest(next: bigint, end: bigint, place: At, options: BoundsOptions): { next: bigint; end: bigint } {
  if (next >= end) return { next: end, end }
  const from = there(next, place, options)
  if (end > place.high && options.lost === 'fail') throw shrunk(end, place)
  return { next: from > end ? end : from, end: end > place.high ? place.high : end }
}

/** The partitions of a stream: from the position, from what the group has committed, or from one end of the topic. */
export async function beginnings(
  broker: Broker,
  position: Position | undefined,
  options: BoundsOptions & { readonly group: string; readonly first: 'earliest' | 'latest' },
): Promise<Offsets> {
  const { topics, group, first, log } = options
  const known = knownIn(position)
  const strange = topics.filter((topic) => !known?.has(topic))
  const committed = new Offsets()
  if (strange.length > 0) {
    for (const { topic, partition, offset } of await broker.committed(group, strange)) {
      committed.set(topic, partition, { next: offset })
    }
  }
  const found = new Offsets()
  for (const topic of topics) {
    if (committed.has(topic)) log.info(`${topic}: goes on where the group ${group} has read up to`)
    for (const marks of await watermarksOf(broker, topic)) {
      const { partition, low, high } = marks
      const span = known?.get(topic, partition) ?? committed.get(topic, partition)
      // Of a topic that was read already a new partition is read from its first message.
      const isNew = known?.has(topic) || committed.has(topic) || first === 'earliest'
      const next = span ? there(span.next, { topic, ...marks }, options) : isNew ? low : high
      found.set(topic, partition, { next })
    }
  }
  return found
}

/** The offset, if it can be read from; else what the config says, or an error that says how much is lost. */
export function there(next: bigint, place: At, { lost, log }: Pick<BoundsOptions, 'lost' | 'log'>): bigint {
  const { low, high } = place
  if (next >= low && next <= high) return next
  const problem = next < low ? deleted(next, place) : beyond(next, place)
  if (lost === 'fail') throw problem
  const instead = lost === 'earliest' ? low : high
  log.warn(`${problem.message}; goes on at offset ${instead}`)
  return instead
}

const HINT =
  'Set source.auto_offset_reset to earliest to go on with what there is, or to latest to go on with what comes; or start over with force_ignore_checkpoint: true. A longer retention of the topic keeps messages until they are read.'

function deleted(next: bigint, { topic, partition, low }: At): BizonError {
  const count = low - next
  const lost =
    count === 1n ? `the message at offset ${next} is` : `the ${count} messages from offset ${next} to ${low - 1n} are`
  return new BizonError('source', `${topic}/${partition}: ${lost} lost: deleted from the topic before they were read`, {
    hint: HINT,
  })
}

function beyond(next: bigint, { topic, partition, high }: At): BizonError {
  return new BizonError(
    'source',
    `${topic}/${partition}: is read up to offset ${next}, and ends at ${high}: the topic was made anew, or this is another cluster`,
    { hint: HINT },
  )
}

function shrunk(end: bigint, { topic, partition, high }: At): BizonError {
  return new BizonError(
    'source',
    `${topic}/${partition}: is to be read up to offset ${end}, and ends at ${high}: the topic was made anew, or this is another cluster`,
    { hint: HINT },
  )
}

async function watermarksOf(broker: Broker, topic: string): Promise<readonly Watermarks[]> {
  return [...(await broker.watermarks(topic))].sort((a, b) => a.partition - b.partition)
}

async function offsetsAt(broker: Broker, topic: string, time: Date): Promise<Map<number, bigint>> {
  const found = await broker.offsetsAt(topic, time.getTime())
  return new Map(found.map(({ partition, offset }) => [partition, offset]))
}

function knownIn(json: Parameters<typeof isOffsets>[0]): Offsets | undefined {
  if (json === undefined || !isOffsets(json)) return undefined
  return Offsets.of(json)
}
