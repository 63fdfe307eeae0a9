// The loader of a queue: one pipe after the other out of its messages, each loaded as bizon-load loads a pipe, until a run is
// published. Messages are acknowledged once their pages are durable in the destination, never before.
//
//   broker ──take──▶ messages ──feed──▶ pipe ──▶ pages ──▶ transform* ──▶ checkpoint ──▶ destination
//      ▲                                                                                      │
//      └──────────────────────────────── ack, behind what is durable ◀───────────────────────┘

import type { Channel, ChannelConsumer } from '../../channel.ts'
import type { ConfigOf } from '../../config.ts'
import { BizonError, Damaged, Unloadable } from '../../errors.ts'
import { NOTHING_LOADED, type Outcome, together } from '../../events.ts'
import { load } from '../../load.ts'
import { type Log, silentLog } from '../../log.ts'
import { checkPartitions } from '../../partition.ts'
import { pipeline } from '../../pipeline.ts'
import type { RawJson } from '../../record.ts'
import type { PipelineOptions } from '../../steps.ts'
import { Linked, never, sleep } from '../../wait.ts'
import { Refused } from '../admit.ts'
import type { Tell } from '../echo.ts'
import { FromPipe } from '../from.ts'
import { readState } from '../state.ts'
import { doneWith } from './done.ts'
import { Feed, type FeedParts, keepCopy, keyOf, type Piece, unloadable } from './feed.ts'
import { loadShared, type One } from './share.ts'

export interface LoadQueueOptions extends PipelineOptions {
  /** The stream; absent: that of the first message. */
  readonly streamName?: string | undefined
  /** The run whose publish ends it. Absent: the first one that is published. */
  readonly until?: (() => string | undefined) | undefined
  /** Messages that cannot be loaded are passed over, up to the next that can. */
  readonly skipBroken?: boolean
  /** Whether it waits where another loader has the pipeline, and does not fail. Default true. */
  readonly standsBy?: boolean
  /** Told of each message whose pages are on their way to the destination. */
  readonly taken?: FeedParts['taken']
  /** Told the STATE value behind the last page that is durable. */
  readonly acknowledged?: Tell
}

/** How long a loader waits before it looks whether another one has let go of the pipeline. */
const STANDBY_SECONDS = 1

/** Resolves once a run is published, or it was stopped. */
export async function loadQueue(
  channel: Channel,
  config: ConfigOf<'destination'>,
  options: LoadQueueOptions = {},
): Promise<Outcome> {
  const { signal = never, stop = never } = options
  const { partitions = 1 } = channel
  const loadOne = (one: One): Promise<Outcome> => loadPipes({ channel, config, ...one })
  if (partitions > 1) {
    checkPartitions(config, config.source?.mode)
    return loadShared({ channel, partitions, config, options, loadOne })
  }
  const consumer = channel.consumer()
  try {
    await consumer.open(AbortSignal.any([signal, stop]))
    options.log?.info(`takes messages from ${channel.place}`)
    return await loadOne({ consumer, options })
  } finally {
    await consumer.close()
  }
}

interface PipesParts extends One {
  readonly channel: Channel
  readonly config: ConfigOf<'destination'>
}

/** Out of one sequence of messages, until a run is published. */
async function loadPipes({ options, ...parts }: PipesParts): Promise<Outcome> {
  const { signal = never, stop = never } = options
  const halted = AbortSignal.any([signal, stop])
  const memory: Memory = { left: new Set(), isStandby: false }
  for (;;) {
    const taking = new Linked(halted)
    const messages = parts.consumer.take(taking.signal)
    try {
      const outcome = await new QueueLoad({ ...parts, options, memory, halted }).drain(messages)
      if (outcome) return outcome
    } finally {
      taking.abort()
      taking.release()
      await messages.return().catch(() => {}) // whoever ends it has a result or an error already
    }
  }
}

/** What outlives one `take`. */
interface Memory {
  /** What is not looked at any more, by `keyOf`. */
  readonly left: Set<string>
  /** It was said that another loader is at work. */
  isStandby: boolean
  /** Of the run that is loaded. */
  loaded?: Outcome
}

interface QueueLoadParts extends PipesParts {
  readonly memory: Memory
  readonly halted: AbortSignal
}

/** What is done with the messages that one `take` gives. */
class QueueLoad {
  readonly #parts: QueueLoadParts
  readonly #log: Log

  constructor(parts: QueueLoadParts) {
    this.#parts = parts
    this.#log = parts.options.log ?? silentLog
  }

  /** Undefined: what is not durable is to be taken once more. */
  async drain(messages: ReturnType<ChannelConsumer['take']>): Promise<Outcome | undefined> {
    const { channel, consumer, partition, begins, config, options, memory, halted } = this.#parts
    const feed = new Feed({
      ...{ consumer, messages, left: memory.left, partition },
      pipeline: config.name,
      stream: options.streamName ?? config.source?.stream,
      isShared: channel.isShared,
      skipBroken: options.skipBroken ?? false,
      taken: options.taken,
      place: channel.place,
      log: this.#log,
    })
    for (let piece = await feed.first(); piece; piece = await feed.first()) {
      begins?.(piece.head)
      try {
        const done = await doneWith(config, piece, this.#log)
        if (done) {
          const say = done.isPublished ? this.#log.info : this.#log.warn
          say(`${piece.arrival.place}: run ${piece.head.run} ${done.why}; it is passed over`)
          if ((await feed.passOver(piece)) && done.isLast && this.#endsWith(piece)) return done.outcome
          continue
        }
        const outcome = this.#counted(await this.#pipe(feed, piece))
        if (outcome.status === 'complete') {
          await feed.settle()
          if (this.#endsWith(piece)) return outcome
        } else if (halted.aborted) return outcome
      } catch (error) {
        if (isLocked(error) && options.standsBy !== false) return this.#standBy()
        await this.#broken(feed, piece, error)
      }
      if (this.#isTorn(feed)) return undefined
    }
    return undefined
  }

  /** With what came of the run in pipes before. */
  #counted(outcome: Outcome): Outcome {
    const { memory } = this.#parts
    memory.loaded = together(memory.loaded?.job === outcome.job ? memory.loaded : undefined, outcome)
    return memory.loaded
  }

  #endsWith({ head }: Piece): boolean {
    const until = this.#parts.options.until
    return until === undefined || until() === head.run
  }

  /** One pipe, from its first message to where it goes on no more. */
  async #pipe(feed: Feed, first: Piece): Promise<Outcome> {
    const { config, options } = this.#parts
    const { acknowledged, stop, log, signal, observe, meter } = options
    const leaving = new AbortController()
    const told = async (value: RawJson): Promise<void> => {
      await acknowledged?.(value)
      const state = readState(value)
      if (state) await feed.durable(state.page)
    }
    const bytes = feed.pipe(first, () => leaving.abort(new BizonError('interrupted', 'the pipe goes on no more')))
    const ends = new Linked(leaving.signal, ...(stop ? [stop] : []))
    const failing = new Linked(...(signal ? [signal] : []))
    const pipe = new FromPipe(bytes, config, {
      acknowledged: told,
      isQueued: true,
      signal: AbortSignal.any([ends.signal, failing.signal]),
    })
    try {
      return await pipeline(pipe, load(config), {
        meter,
        stop: ends.signal,
        signal: failing.signal,
        ...(log && { log }),
        ...(observe && { observe }),
      })
    } catch (error) {
      // It was left before anything of it was read.
      if (leaving.signal.aborted && error === leaving.signal.reason)
        return { ...NOTHING_LOADED, status: 'stopped', job: first.head.run }
      throw error
    } finally {
      ends.release()
      failing.release()
    }
  }

  /** Of what can never be loaded a copy is kept; then the load fails, for going on would lose rows, unless that is asked for. */
  async #broken(feed: Feed, first: Piece, error: unknown): Promise<void> {
    const { consumer, memory, options } = this.#parts
    const last = feed.current ?? first
    const reason = unloadableBy(error, first, last)
    if (!reason) throw error
    if (error instanceof Damaged) await keepCopy(consumer, last.arrival, reason.message)
    if (!options.skipBroken) throw reason
    this.#log.warn(`${reason.message}; what follows it is passed over, up to what was written anew`)
    memory.left.add(keyOf(last.head))
    feed.forget()
  }

  /** Pages before a page that nobody has ended may not be durable, and what follows begins behind them. */
  #isTorn({ torn }: Feed): boolean {
    if (!torn) return false
    this.#parts.memory.left.add(keyOf(torn.head, true))
    return true
  }

  /** Another loader is at work, or was killed a moment ago. */
  async #standBy(): Promise<undefined> {
    const { halted, memory } = this.#parts
    if (!memory.isStandby) this.#log.info('another loader has the pipeline; this one waits until it lets go of it')
    memory.isStandby = true
    await sleep(STANDBY_SECONDS, halted)
    halted.throwIfAborted()
  }
}

/** Undefined: something else went wrong than what the messages hold. */
function unloadableBy(error: unknown, first: Piece, last: Piece): Unloadable | undefined {
  if (error instanceof Unloadable) return error
  if (error instanceof Refused) return unloadable(`${first.arrival.place}: ${error.why}`, error)
  return error instanceof Damaged ? unloadable(`${last.arrival.place}: ${error.message}`, error) : undefined
}

const isLocked = (error: unknown): boolean => error instanceof BizonError && error.code === 'locked'
