// Messages to the bytes of pipes. What goes on where the message before it ended is the same pipe; what comes again is dropped;
// anything else is the beginning of another pipe. What is missing is an error, for nothing else will ever bring it.

import type { Arrival, ChannelConsumer } from '../../channel.ts'
import { BizonError, messageOf, Unloadable } from '../../errors.ts'
import { faultPoint } from '../../fault.ts'
import type { Log } from '../../log.ts'
import type { Partition } from '../../partition.ts'
import { damageOf, type MessageHead, readHead } from './message.ts'

export interface FeedParts {
  readonly consumer: ChannelConsumer
  readonly messages: AsyncGenerator<Arrival, void, void>
  /** What is to be loaded; without a stream that of the first message. */
  readonly pipeline: string
  readonly stream: string | undefined
  /** Which partition it is. Absent: there is one. */
  readonly partition: Partition | undefined
  /** Whether messages of others are passed over. */
  readonly isShared: boolean
  /** Whether a message that cannot be read is passed over. */
  readonly skipBroken: boolean
  readonly place: string
  readonly taken?: ((head: MessageHead) => void) | undefined
  readonly log: Log
  /** What is not looked at any more, by `keyOf`. Kept by the caller: it outlives a feed. */
  readonly left: Set<string>
}

/** A message of the pipeline. */
export interface Piece {
  readonly head: MessageHead
  readonly arrival: Arrival
}

interface Given {
  readonly head: MessageHead
  readonly ack: Arrival['ack']
}

/** What a message belongs to: its session, or (of a page that was cut) that page of it. */
export const keyOf = ({ session, from }: MessageHead, isPage = false): string =>
  isPage ? `${session} ${from}` : session

const LF = 0x0a

export class Feed {
  readonly #parts: FeedParts
  #stream: string | undefined
  /** Whose messages were passed over. */
  readonly #others = new Set<string>()
  /** What begins the next pipe. */
  #next: Piece | undefined
  /** Given to the loader and not durable yet, oldest first; without the bodies, which would fill the memory. */
  #given: Given[] = []
  /** Of the last message that was passed over. */
  #passed: Arrival['ack'] | undefined
  /** Of the pipe that is fed. */
  #current: Piece | undefined
  /** The pipe was left within a page: what of it came is of no use. */
  #torn: Piece | undefined

  constructor(parts: FeedParts) {
    this.#parts = parts
    this.#stream = parts.stream
  }

  /** The message that was given last. */
  get current(): Piece | undefined {
    return this.#current
  }

  /** The page that nobody has ended, and whether pages before it may not be durable. */
  get torn(): Piece | undefined {
    return this.#torn
  }

  /** The message with which the next pipe begins. Undefined: the broker gives what is not durable once more, to whoever takes. */
  async first(): Promise<Piece | undefined> {
    this.#current = undefined
    this.#torn = undefined
    let piece = this.#next ?? (await this.#own())
    this.#next = undefined
    // The beginning of the page was durable, or is missing: which of them, the next pipe will tell.
    while (piece && piece.head.part > 0) piece = await this.#own()
    return piece
  }

  /** Of a run that is done with: its messages up to its end, or to those of another one. Returns whether it ended. */
  async passOver(first: Piece): Promise<boolean> {
    for (let piece: Piece | undefined = first; piece; piece = await this.#own()) {
      if (piece.head.run !== first.head.run) {
        this.#next = piece
        await this.#settlePassed()
        return false
      }
      this.#passed = piece.arrival.ack
      if (!(piece.head.end && piece.head.last)) continue
      await this.#settlePassed()
      return true
    }
    return false
  }

  /**
   * The bytes of the pipe that begins with this message. Ends behind the end of the run. Where the pipe goes on no more,
   * `leave` is told, and nothing more is given: all that was given ends with a page, unless `torn` says otherwise.
   */
  async *pipe(first: Piece, leave: () => void): AsyncGenerator<Uint8Array, void, void> {
    let isWithinLine = false
    for (let piece: Piece | undefined = first; ; piece = await this.#own()) {
      const last: Piece | undefined = this.#current
      if (piece && last) {
        const place = this.#placeOf(piece.head, last.head)
        if (place === 'again') continue
        if (place === 'other') this.#next = piece
        if (place === 'behind') throw this.#gap(piece, last.head)
      }
      if (!piece || this.#next) {
        // Where the broker gives it once more, it will be whole.
        if (piece && last && !last.head.last) this.#torn = last
        leave()
        return
      }
      this.#current = piece
      const { head, arrival } = piece
      const { ack } = arrival
      this.#given.push({ head, ack })
      // The line with which a pipe begins stands before what goes on, too.
      if (last && head.part === 0) isWithinLine = true
      let { body } = arrival
      if (isWithinLine) {
        const end = body.indexOf(LF) + 1
        body = body.subarray(end === 0 ? body.length : end)
        isWithinLine = end === 0
      }
      if (body.length > 0) yield body
      // Asked for more, whoever reads has done with that.
      this.#parts.taken?.(head)
      if (head.last && head.end) return
    }
  }

  /** The page of the run, and all before it, is durable. */
  async durable(page: number): Promise<void> {
    const done = this.#given.findLastIndex(({ head }) => head.last && head.to <= page)
    if (done < 0) return
    await this.#acknowledge(done)
  }

  /** All that was given is, or nobody wants it any more. */
  async settle(): Promise<void> {
    await this.#acknowledge(this.#given.length - 1)
  }

  /** Nothing of what was given is waited for. */
  forget(): void {
    this.#given = []
  }

  /** Everything up to here. */
  async #acknowledge(last: number): Promise<void> {
    const given = this.#given[last]
    if (!given) return
    faultPoint('ack.before')
    await given.ack()
    faultPoint('ack.after')
    this.#given.splice(0, last + 1)
  }

  #placeOf(head: MessageHead, last: MessageHead): 'next' | 'again' | 'other' | 'behind' {
    if (head.session !== last.session || head.run !== last.run) return 'other'
    if (last.last) {
      if (head.from === last.to) return head.part === 0 ? 'next' : 'behind'
      if (head.to <= last.to) return 'again'
      return head.from > last.to ? 'behind' : 'other'
    }
    if (head.from === last.from) {
      if (head.part <= last.part) return 'again'
      return head.part === last.part + 1 ? 'next' : 'behind'
    }
    return head.to <= last.from ? 'again' : 'behind'
  }

  /** The next message of the pipeline. */
  async #own(): Promise<Piece | undefined> {
    for (;;) {
      const next = await this.#arrived()
      if (next.done) return undefined
      const arrival = next.value
      const head = await this.#headOf(arrival)
      if (head && !this.#isLeft(head)) return { head, arrival }
      // Nothing before it waits: it is not to come again and again.
      if (this.#given.length === 0) this.#passed = arrival.ack
    }
  }

  /** What was passed over is acknowledged once there is no next message at hand: of many, the last. */
  async #arrived(): Promise<IteratorResult<Arrival, void>> {
    const next = this.#parts.messages.next()
    if (!this.#passed) return next
    const isThere = await Promise.race([
      next.then(
        ({ done }) => !done,
        () => false,
      ),
      new Promise<boolean>((resolve) => setImmediate(resolve, false)),
    ])
    if (!isThere) await this.#settlePassed()
    return next
  }

  async #settlePassed(): Promise<void> {
    const ack = this.#passed
    this.#passed = undefined
    // What waits before it will be acknowledged with what is behind it.
    if (this.#given.length === 0) await ack?.()
  }

  #isLeft(head: MessageHead): boolean {
    const { left } = this.#parts
    return left.has(keyOf(head)) || left.has(keyOf(head, true))
  }

  /** Undefined: it is not to be loaded. */
  async #headOf(arrival: Arrival): Promise<MessageHead | undefined> {
    const { pipeline, isShared, place, log } = this.#parts
    const head = await this.#read(arrival)
    if (!head) return undefined
    if (this.#isOwn(head)) {
      this.#stream ??= head.stream
      return this.#checked(head, arrival)
    }
    if (isShared) {
      const other = `${head.stream} of ${head.pipeline}`
      if (!this.#others.has(other)) log.info(`${arrival.place}: messages of ${other} are passed over`)
      this.#others.add(other)
      return undefined
    }
    throw new BizonError(
      'source',
      `${arrival.place}: it is of stream ${head.stream} of pipeline ${head.pipeline}, and this is ${this.#stream ?? 'another'} of ${pipeline}`,
      { hint: `Give each pipeline and stream a queue of its own; ${place} is that of another one.` },
    )
  }

  #isOwn({ pipeline, stream }: MessageHead): boolean {
    return pipeline === this.#parts.pipeline && stream === (this.#stream ?? stream)
  }

  /** What was put in other partitions would be loaded beside them. */
  #checked(head: MessageHead, { place }: Arrival): MessageHead {
    const { partition } = this.#parts
    const [given, here] = [head.partition, partition].map((one) => (one ? `${one.index + 1} of ${one.of}` : '1 of 1'))
    if (given === here) return head
    throw new BizonError('config', `${place}: it is of partition ${given}, and this loader loads ${here}`, {
      hint: 'Set engine.queue.config.queue.partitions to the same number for bizon-extract and all loaders; to change it see docs/scaling.md.',
    })
  }

  /** Undefined, and a copy is kept: it is not of bizon. */
  async #read(arrival: Arrival): Promise<MessageHead | undefined> {
    const { consumer, skipBroken, log } = this.#parts
    try {
      const head = readHead(arrival)
      // What is of others is for their loaders to find.
      const damage = head && this.#isOwn(head) ? damageOf(arrival) : undefined
      if (damage !== undefined) throw unloadable(`${arrival.place}: ${damage}`)
      if (head) return head
      await keepCopy(
        consumer,
        arrival,
        `${arrival.place}: it is not a message of bizon`,
        'it is not a message of bizon',
      )
      log.warn(`${arrival.place}: it is not a message of bizon; a copy is kept with the dead letters`)
    } catch (error) {
      if (!(error instanceof BizonError)) throw error
      await keepCopy(consumer, arrival, error.message)
      if (!skipBroken) throw error
      log.warn(`${error.message}; it is passed over`)
    }
    return undefined
  }

  #gap({ head, arrival }: Piece, last: MessageHead): BizonError {
    const missing = head.part > 0 ? `a part of page ${head.from + 1}` : `pages ${last.to + 1} to ${head.from}`
    const what = `it goes on with page ${head.from + 1}, and ${missing} of run ${head.run} did not come`
    return unloadable(`${arrival.place}: ${what}`)
  }
}

/** With the dead letters. Rejects with the reason too where that fails: nobody would know it. */
export async function keepCopy(
  consumer: Pick<ChannelConsumer, 'refuse'>,
  arrival: Arrival,
  reason: string,
  noted = reason,
): Promise<void> {
  try {
    await consumer.refuse(arrival, noted)
  } catch (error) {
    const hint = error instanceof BizonError ? error.hint : undefined
    throw new BizonError(
      'source',
      `${reason}; and no copy of it could be kept with the dead letters: ${messageOf(error)}`,
      {
        ...{ hint, cause: error },
        retriable: error instanceof BizonError && error.retriable,
      },
    )
  }
}

/** What a queue does not give any more is to be written once more. What the cause has to say of it comes first. */
export function unloadable(message: string, cause?: unknown): Unloadable {
  const known = cause instanceof BizonError ? cause.hint : undefined
  const hint = known === undefined ? REMEDY : `${known} Of a queue: ${REMEDY.charAt(0).toLowerCase()}${REMEDY.slice(1)}`
  return new Unloadable('source', message, { hint, cause })
}

const REMEDY =
  'Write what the destination does not hold once more, then go on there: bizon-extract FILE --to-queue --ignore-queue; bizon-load FILE --from-queue --skip-broken.'
