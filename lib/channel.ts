// What a broker does for a pipeline of two processes: it carries messages in order and keeps them until whoever loads them
// says that they are durable. It only moves bytes; what they say is the pipe format, and lib/pipe writes and reads it.
//
//   bizon-extract ──pages──▶ messages ──put──▶ broker ──take──▶ messages ──▶ pages ──▶ bizon-load
//                                                 ◀──ack── once they are durable in the destination
//
// Exactly-once is not asked of a broker: what comes twice is passed over by the loader, what is missing is noticed by it.

import { createHash } from 'node:crypto'
import type * as z from 'zod'
import type { Log } from './log.ts'

/** What every broker can carry beside a body. Names are lower-case letters and hyphens; values are short and printable. */
export type Headers = { readonly [name: string]: string }

export interface Message {
  readonly headers: Headers
  readonly body: Uint8Array
}

/** Messages are put in groups: a page that is larger than a message is a group of several. */
export interface Outgoing extends Message {
  /** Where to. Absent: 0. A group may have messages for several, and its last is for the first; they become visible together. */
  readonly partition?: number
  /**
   * The message ends its group, and this text is what `last` gives from then on. Absent: the group goes on with the next
   * one. A few hundred bytes as a rule; it holds what a source calls a position.
   */
  readonly last?: string
}

/** A message on its way to a loader. */
export interface Arrival extends Message {
  /** Where it stands, for people: `partition 0, offset 12 of topic orders`. */
  readonly place: string
  /**
   * It and all that were taken before it are durable: the broker may forget them. Safe twice, and for one that stands before
   * another that was acknowledged. Works until `close`, also when the signal of `take` has aborted. It does not fail where somebody else has been given the messages meanwhile: they come
   * once more to that one, who passes over them. A function of its own: it is kept when the body is let go of.
   */
  readonly ack: () => Promise<void>
}

/** The side that puts. One call at a time. */
export interface ChannelProducer {
  /**
   * First call: connects within seconds or rejects, creates what is missing, and takes the place of an earlier producer of the
   * same pipeline and stream, whose `put` rejects with code `fenced` from then on. Where the broker cannot fence,
   * rejects with code `locked` while another one is there. A group that an earlier one has not ended is given up.
   */
  open(signal: AbortSignal): Promise<void>
  /** The `last` of the newest group that was put, by whichever producer of this pipeline and stream, also long ago. Undefined: there is none. */
  last(): Promise<string | undefined>
  /**
   * Resolves once the broker answers for the message: it survives the broker's restart. The messages of a group become
   * visible, and `last` changes, when its last one has resolved; where the broker has no transactions, messages of a
   * group that was never ended may be seen, and `last` may for a moment be that of the group before, never the other way round.
   * Rejects when the signal aborts, and with a BizonError when the broker does not take it; nothing is tried after that.
   */
  put(message: Outgoing, signal: AbortSignal): Promise<void>
  /** Always called; safe twice, and after a failed `open`. A group that has not ended is given up. */
  close(): Promise<void>
}

/** The side that takes. */
export interface ChannelConsumer {
  /** Bytes of bodies that it holds and has not yielded, for whoever watches over memory. */
  readonly heldBytes: number
  /** First call: connects within seconds or rejects, creates what is missing. Several may be open; one at a time is given messages. */
  open(signal: AbortSignal): Promise<void>
  /**
   * Messages in the order in which they were put, from the first that was not acknowledged. Never ends because there are none:
   * no queue decides that an extract is complete. Waits while another consumer is given them. Returns when they are given to
   * another one, or the connection was lost and is made anew: what was taken and not acknowledged comes again, to whoever takes next, and
   * `take` may be called once more. Rejects when the signal aborts, and when the broker is gone for good.
   *
   * `READ_AHEAD_BYTES` are held at most that were not yielded; one message always fits. What was yielded and is not
   * acknowledged is without bound: a page is durable only when all of it has come. While a message is being worked on, for
   * hours if need be, the connection is kept alive.
   */
  take(signal: AbortSignal): AsyncGenerator<Arrival, void, void>
  /** Keeps a copy of the message, with the reason, where people find it: a dead-letter topic or queue. Does not acknowledge it. */
  refuse(arrival: Arrival, reason: string): Promise<void>
  /** Always called; safe twice, and after a failed `open`. What was not acknowledged comes again, at once. */
  close(): Promise<void>
}

/** The messages of one pipeline's stream, at a broker. Made without connecting. */
export interface Channel {
  /** For people: `topic bizon.crm.orders of 127.0.0.1:9092`. No secrets. */
  readonly place: string
  /** A body is no longer than this; headers come on top, 64 KiB at most. */
  readonly messageBytes: number
  /** How long pages are gathered before they are put as one message, unless that is full before. */
  readonly lingerSeconds: number
  /** Whether messages of other pipelines may come too, to be passed over. False: they are not to be, and one is an error. */
  readonly isShared: boolean
  /** How many sequences of messages there are, each in order. Absent: one. */
  readonly partitions?: number
  /**
   * How many messages wait to be loaded, at most; undefined: nothing was put there yet. Joins nobody, changes nothing, creates
   * nothing. Absent: it cannot be told.
   */
  waiting?(signal: AbortSignal): Promise<number | undefined>
  producer(): ChannelProducer
  /** Where there is one partition. */
  consumer(): ChannelConsumer
  /** Where there are several: each is given to one of the loaders that are there. */
  group?(): ChannelGroup
}

/** A partition that this loader was given. */
export interface Assignment {
  readonly partition: number
  /**
   * Of this partition, open already. Its `take` returns once the partition is to go to another loader; whoever was given it then
   * closes it, as soon as nothing of it is under way. Until that it stays with this loader, within what the broker
   * allows.
   */
  readonly consumer: ChannelConsumer
  /** Aborts when the partition is to go to another loader: what is under way may be flushed, nothing more be begun. */
  readonly revoked: AbortSignal
}

/** One of several loaders that share the partitions. */
export interface ChannelGroup {
  /** First call: connects within seconds or rejects, creates what is missing, and joins. */
  open(signal: AbortSignal): Promise<void>
  /**
   * Each partition that this loader is given, as it is: at first, and when loaders come or go. Never ends by itself; rejects
   * when the signal aborts, and when the broker is gone for good. Every partition is somebody's while a loader is there,
   * and at no time, but for one that has stopped answering, two loaders'.
   */
  assignments(signal: AbortSignal): AsyncGenerator<Assignment, void, void>
  /** Always called, when no partition is worked on any more; safe twice, and after a failed `open`. The others are given its partitions. */
  close(): Promise<void>
}

export interface ChannelContext {
  readonly pipeline: string
  /** Undefined: nobody has said which, as in the file of a loader that has no source. */
  readonly stream: string | undefined
  /** What the topic, queue and group are called that the config does not name. Undefined where the stream is. */
  readonly name: string | undefined
  readonly log: Log
}

/** What a broker's file exports. */
export interface BrokerDefinition<Schema extends z.ZodType = z.ZodType> {
  readonly summary: string
  /** `engine.queue.config`, whole. Every key has a description. */
  readonly config: Schema
  /** Keys of `config` that do nothing, by their path (`consumer.poll_interval`), with what holds instead. They are warned of. */
  readonly ignored?: Readonly<Record<string, string>>
  /** Connects to nothing. Throws a BizonError of code `config` if the stream has to be known and is not. */
  connect(options: z.output<Schema>, context: ChannelContext): Channel
}

/** Infers the type of the options. */
export function defineBroker<Schema extends z.ZodType>(definition: BrokerDefinition<Schema>): BrokerDefinition<Schema> {
  return definition
}

/** Bytes of bodies that a consumer holds ahead of what it has yielded. */
export const READ_AHEAD_BYTES = 8 << 20

/** What every broker takes as a name. */
const NAME = /[^A-Za-z0-9._-]/g
const NAME_LENGTH = 180

/** What the topic, queue and group of a stream are called unless the config says: `bizon.<pipeline>.<stream>`. */
export function channelName(pipeline: string, stream: string): string {
  const whole = `bizon.${pipeline}.${stream}`
  const plain = whole.replaceAll(NAME, '-')
  if (plain === whole && whole.length <= NAME_LENGTH) return whole
  // Names that differ only in what is left out must not be one.
  const own = createHash('sha256').update(`${pipeline}\n${stream}`).digest('hex').slice(0, 8)
  return `${plain.slice(0, NAME_LENGTH)}-${own}`
}
