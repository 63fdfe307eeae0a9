// Whose turn it is to take from a queue. `<queue>.loader` has one message, and gives it to one of its consumers: as long as
// that holds it, all others wait. When its connection ends, the next one is given it.

import type { RabbitConnection } from '../../rabbitmq.ts'
import { loaderOf } from './topology.ts'

/**
 * Resolves to a promise that resolves when it is this connection's turn, and rejects when the connection ends before.
 * Whoever loses the turn must stop at once: the connection is cut, and what was taken is given to the next.
 */
export async function waitInLine(
  connection: RabbitConnection,
  queue: string,
  renewSeconds: number,
): Promise<{ readonly mine: Promise<void> }> {
  const channel = await connection.channel()
  let tag: number | undefined
  let resolve: () => void = () => {}
  const mine = new Promise<void>((yes, no) => {
    resolve = yes
    channel.ended.addEventListener('abort', () => {
      clearInterval(timer)
      no(channel.ended.reason)
      connection.cut(channel.ended.reason)
    })
  })
  mine.catch(() => {})
  // The broker closes channels that do not acknowledge a message within half an hour. The same one is given it again.
  const timer = setInterval(() => {
    if (tag !== undefined) channel.giveBack(tag)
    tag = undefined
  }, renewSeconds * 1000)
  timer.unref()
  const take = (message: { readonly tag: number }): void => {
    tag = message.tag
    resolve()
  }
  await channel.consumeOne(loaderOf(queue), take, () => connection.cut())
  return { mine }
}
