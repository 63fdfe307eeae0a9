// Where a read begins in each partition, and where one that ends does; and what is to be done if the messages there are gone.

import { BizonError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Position, Start } from '../../../lib/source.ts'
import type { Broker, Watermarks } from './broker.ts'
import { isOffsets, Offsets } from './offsets.ts'

export const LOST = ['fail', 'earliest', 'latest'] as const

/**
 * Noted beside offsets that are committed here: they say what a destination has, so that one that has nothing, as after
 * its table was dropped, begins at the beginning all the same. Others are of a program whose place is taken.
 */
export const OURS = 'bizon'

/** Where a stream begins that nobody has read. */
export type First = 'earliest' | 'latest' | 'error'

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
    const times = !known && from.since ? await broker.offsetsAt(topic, from.since.time) : undefined
    const partitions = await watermarksOf(broker, topic)
    checkShrunk(topic, partitions, known, options)
    for (const marks of partitions) {
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
function rest(next: number, end: number, place: At, options: BoundsOptions): { next: number; end: number } {
  if (next >= end) return { next: end, end }
  const from = there(next, place, options)
  if (end > place.high && options.lost === 'fail') throw shrunk(end, place)
  return { next: from > end ? end : from, end: end > place.high ? place.high : end }
}

/** The partitions of a stream: from the position, from what another program has committed to the group, or from one end of the topic. */
export async function beginnings(
  broker: Broker,
  position: Position | undefined,
  options: BoundsOptions & { readonly group: string; readonly first: First },
): Promise<Offsets> {
  const { topics, group, first, log } = options
  const known = knownIn(position)
  const strange = topics.filter((topic) => !known?.has(topic))
  const committed = new Offsets()
  if (strange.length > 0) {
    for (const { topic, partition, offset, metadata } of await broker.committed(group, strange)) {
      if (metadata !== OURS) committed.set(topic, partition, { next: offset })
    }
  }
  const found = new Offsets()
  for (const topic of topics) {
    if (committed.has(topic)) log.info(`${topic}: goes on where the group ${group} has read up to`)
    const partitions = await watermarksOf(broker, topic)
    checkShrunk(topic, partitions, known, options)
    for (const marks of partitions) {
      const { partition, low, high } = marks
      const span = known?.get(topic, partition) ?? committed.get(topic, partition)
      // Of a topic that was read already a new partition is read from its first message.
      const isNew = known?.has(topic) || committed.has(topic) || first === 'earliest'
      if (!span && !isNew && first === 'error') throw unread(topic, group)
      const next = span ? there(span.next, { topic, ...marks }, options) : isNew ? low : high
      found.set(topic, partition, { next })
    }
  }
  return found
}

/** The offset, if it can be read from; else what the config says, or an error that says how much is lost. */
export function there(next: number, place: At, { lost, log }: Pick<BoundsOptions, 'lost' | 'log'>): number {
  const { low, high } = place
  if (next >= low && next <= high) return next
  const problem = next < low ? deleted(next, place) : beyond(next, place)
  if (lost === 'fail') throw problem
  const instead = lost === 'earliest' ? low : high
  log.warn(`${problem.message}; goes on at offset ${instead}`)
  return instead
}

/** Partitions are never taken from a topic. */
function checkShrunk(
  topic: string,
  found: readonly Watermarks[],
  known: Offsets | undefined,
  { lost, log }: Pick<BoundsOptions, 'lost' | 'log'>,
): void {
  for (const { topic: one, partition } of known ?? []) {
    if (one !== topic || found.some((marks) => marks.partition === partition)) continue
    const problem = `${topic}/${partition}: was read, and is there no more: the topic was made anew, or this is another cluster`
    if (lost === 'fail') throw new BizonError('source', problem, { hint: HINT })
    log.warn(problem)
  }
}

const HINT =
  'Set source.auto_offset_reset to earliest to go on with what there is, or to latest to go on with what comes; or start over with force_ignore_checkpoint: true. A longer retention of the topic keeps messages until they are read.'

function deleted(next: number, { topic, partition, low }: At): BizonError {
  const count = low - next
  const lost =
    count === 1 ? `the message at offset ${next} is` : `the ${count} messages from offset ${next} to ${low - 1} are`
  return new BizonError('source', `${topic}/${partition}: ${lost} lost: deleted from the topic before they were read`, {
    hint: HINT,
  })
}

function beyond(next: number, { topic, partition, high }: At): BizonError {
  return new BizonError(
    'source',
    `${topic}/${partition}: is read up to offset ${next}, and ends at ${high}: the topic was made anew, or this is another cluster`,
    { hint: HINT },
  )
}

function shrunk(end: number, { topic, partition, high }: At): BizonError {
  return new BizonError(
    'source',
    `${topic}/${partition}: is to be read up to offset ${end}, and ends at ${high}: the topic was made anew, or this is another cluster`,
    { hint: HINT },
  )
}

function unread(topic: string, group: string): BizonError {
  return new BizonError('source', `${topic}: the group ${group} has no offset, and auto.offset.reset is error`, {
    hint: 'Set auto.offset.reset in source.consumer_config to earliest or latest, or another source.group_id.',
  })
}

async function watermarksOf(broker: Broker, topic: string): Promise<readonly Watermarks[]> {
  return [...(await broker.watermarks(topic))].sort((a, b) => a.partition - b.partition)
}

function knownIn(json: Parameters<typeof isOffsets>[0]): Offsets | undefined {
  if (json === undefined || !isOffsets(json)) return undefined
  return Offsets.of(json)
}
