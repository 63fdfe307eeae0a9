// How a taking begins: alone, and with all that others had taken and not acknowledged. See taking.ts.

import { setTimeout as pause } from 'node:timers/promises'
import { READ_AHEAD_BYTES } from '../../../lib/channel.ts'
import { BizonError } from '../../../lib/errors.ts'
import { orAborted, sleep } from '../../../lib/wait.ts'
import type { RabbitChannel, Received } from '../../rabbitmq/channel.ts'
import { firstUnacknowledged, inOrder } from './order.ts'

/** A message that the channel holds, unacknowledged. */
export interface Held {
  readonly id: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Undefined: not kept, the broker has it. */
  body: Uint8Array | undefined
  tag: number
  takenAt: number
  /** Given back, and not yet taken again. */
  isAway: boolean
  isDone: boolean
}

const OTHERS_SECONDS = 10
/** Of a message that was given back and does not come at once. */
const AWAY_TRIES = 50
export const AWAY_PAUSE_MS = 20

/** Somebody waits until it rings, or until the other side is gone. */
export class Bell {
  readonly rung: Promise<void>
  ring: () => void = () => {}
  readonly #ended: AbortSignal

  constructor(ended: AbortSignal) {
    this.#ended = ended
    this.rung = new Promise((resolve) => {
      this.ring = resolve
    })
    if (ended.aborted) this.ring()
    ended.addEventListener('abort', this.ring, { once: true })
  }

  remove(): void {
    this.#ended.removeEventListener('abort', this.ring)
  }
}

/**
 * The first message, once nobody else has any: whose turn it was may have ended a moment ago, and what it had
 * not acknowledged must come back before.
 */
export async function firstAlone(
  channel: RabbitChannel,
  queue: string,
  signal: AbortSignal,
  onOthers: () => void,
): Promise<Received> {
  let first: Received | undefined
  const bell = new Bell(channel.ended)
  const take = (message: Received): void => {
    first = message
    bell.ring()
  }
  const end = await channel.consumeOne(queue, take, bell.ring)
  try {
    const began = performance.now()
    for (let isSaid = false; (await unless(signal, channel.consumersOf(queue))) !== 1; ) {
      if (!isSaid && performance.now() - began > OTHERS_SECONDS * 1000) {
        isSaid = true
        onOthers()
      }
      await sleep(0.05, signal)
    }
    await unless(signal, bell.rung)
  } finally {
    bell.remove()
  }
  channel.ended.throwIfAborted()
  await end()
  if (first) return first
  throw new BizonError('source', `queue ${queue} is gone`, { retriable: true })
}

/** What somebody has taken before and not acknowledged, in order, and the message behind it. As many bodies as may be held are kept. */
export async function scan(channel: RabbitChannel, queue: string, signal: AbortSignal): Promise<Held[]> {
  const messages: Held[] = []
  let bytes = 0
  let message = await unless(signal, returned(channel, queue))
  while (message) {
    const held = heldOf(message)
    bytes += message.body.length
    if (bytes > READ_AHEAD_BYTES && messages.length > 0) held.body = undefined
    messages.push(held)
    message = message.isRedelivered ? await unless(signal, channel.get(queue)) : undefined
  }
  const sorted = inOrder(messages)
  const begin = firstUnacknowledged(sorted)
  for (const { tag } of sorted.slice(0, begin)) channel.ack(tag)
  return sorted.slice(begin)
}

/** A message that was just given back, or one that comes before it. */
export async function returned(channel: RabbitChannel, queue: string): Promise<Received | undefined> {
  for (let tries = 1; tries <= AWAY_TRIES; tries++) {
    const message = await channel.get(queue)
    if (message) return message
    await pause(AWAY_PAUSE_MS)
  }
  return undefined
}

export function heldOf({ id, headers, body, tag }: Received): Held {
  return { id, headers, body, tag, takenAt: performance.now(), isAway: false, isDone: false }
}

/** Waits; rejects with the signal's reason when that aborts, and leaves the work to itself. */
export async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const result = await orAborted(work, signal)
  signal.throwIfAborted()
  return result as T
}
