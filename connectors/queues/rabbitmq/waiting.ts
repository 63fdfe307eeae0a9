// What waits in a queue: what no loader has taken. Nothing is declared, nor taken.

import { connect, replyCode } from '../../rabbitmq.ts'
import { NOT_FOUND, type Place } from './topology.ts'

/** Undefined: there is no such queue. */
export async function waitingIn({ address, queue }: Place, signal: AbortSignal): Promise<number | undefined> {
  const connection = await connect(address, 'plan', signal, 'source')
  try {
    return await connection.interruptible(
      signal,
      connection.channel().then((channel) => channel.messagesIn(queue)),
    )
  } catch (error) {
    if (replyCode(error) === NOT_FOUND) return undefined
    throw error
  } finally {
    await connection.close()
  }
}
