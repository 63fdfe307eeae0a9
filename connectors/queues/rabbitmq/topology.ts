// The queues that stand for one stream of a pipeline at RabbitMQ, and how they are declared.
//
//   <queue>            the messages
//   <queue>.last       one message: what stands behind the newest group; a newer one drops it
//   <queue>.loader     one message that says whose turn it is: the consumer that holds it takes from the queue, others wait
//   <queue>.producer   exclusive, there while a producer is
//   <queue>.dead       copies of what was refused, with the reason

import { BizonError } from '../../../lib/errors.ts'
import type { QueueCounts, QueueKind, RabbitChannel } from '../../rabbitmq/channel.ts'
import type { Address, RabbitConnection } from '../../rabbitmq.ts'
import { replyCode, said } from '../../rabbitmq.ts'

export interface Place {
  readonly address: Address
  readonly queue: string
  /** Empty: that which leads to the queue of a name. */
  readonly exchange: string
}

/** Survives the broker's restart, and the loss of less than half of its nodes. */
const SAFE: Readonly<Record<string, unknown>> = {
  'x-queue-type': 'quorum',
  // A message is given back whenever a loader ends; from version 4 on the broker would drop it at the twentieth time.
  'x-delivery-limit': 1_000_000_000,
}
const ONE_MESSAGE = { ...SAFE, 'x-max-length': 1, 'x-overflow': 'drop-head' }

export const lastOf = (queue: string): string => `${queue}.last`
export const loaderOf = (queue: string): string => `${queue}.loader`
export const producerOf = (queue: string): string => `${queue}.producer`
export const deadOf = (queue: string): string => `${queue}.dead`

export interface Declared {
  /** Somebody holds the message that says whose turn it is, or may have it. False may be wrong where the broker is slow. */
  readonly hasTurn: boolean
}

/** Creates what is missing. Rejects with one clear error where something of another kind has a name. */
export async function declareAll(connection: RabbitConnection, { queue, exchange }: Place): Promise<Declared> {
  const turn = await onChannel(connection, async (channel) => {
    await declare(channel, connection, queue, { arguments: SAFE })
    await declare(channel, connection, deadOf(queue), { arguments: SAFE })
    await declare(channel, connection, lastOf(queue), { arguments: ONE_MESSAGE })
    return declare(channel, connection, loaderOf(queue), {
      arguments: { ...ONE_MESSAGE, 'x-single-active-consumer': true },
    })
  })
  if (exchange !== '') await bindTo(exchange, queue, connection)
  return { hasTurn: turn.messages + turn.consumers > 0 }
}

async function bindTo(exchange: string, queue: string, connection: RabbitConnection): Promise<void> {
  const isThere = await onChannel(connection, (channel) => channel.hasExchange(exchange)).then(
    () => true,
    (error: unknown) => {
      if (replyCode(error) === NOT_FOUND) return false
      throw explained(error, connection, `exchange ${exchange}`)
    },
  )
  const bind = async (channel: RabbitChannel): Promise<void> => {
    if (!isThere) await channel.declareExchange(exchange)
    await channel.bind(queue, exchange)
  }
  await onChannel(connection, bind).catch((error: unknown) => {
    throw explained(error, connection, `exchange ${exchange}`)
  })
}

/** Takes the lock of producers, which goes with the connection. False: another one has it. */
export async function lockProducer(connection: RabbitConnection, queue: string): Promise<boolean> {
  const name = producerOf(queue)
  // Its channel stays: it is closed with the connection.
  const channel = await connection.channel()
  try {
    await channel.declareQueue(name, { isExclusive: true })
    return true
  } catch (error) {
    if (replyCode(error) === RESOURCE_LOCKED) return false
    throw explained(error, connection, `queue ${name}`)
  }
}

/** There must be a message that says whose turn it is. One too many is dropped, or left to the next. */
export async function publishTurn(channel: RabbitChannel, queue: string): Promise<void> {
  const body = Buffer.from('Whoever has taken this message, and has not acknowledged it, loads from the queue.\n')
  await channel.publish('', loaderOf(queue), { headers: {}, body })
}

/** A channel for the time of the work. */
export async function onChannel<T>(
  connection: RabbitConnection,
  work: (channel: RabbitChannel) => Promise<T>,
): Promise<T> {
  const channel = await connection.channel()
  try {
    return await work(channel)
  } finally {
    await channel.close()
  }
}

const ACCESS_REFUSED = 403
export const NOT_FOUND = 404
const RESOURCE_LOCKED = 405
const PRECONDITION_FAILED = 406

async function declare(
  channel: RabbitChannel,
  connection: RabbitConnection,
  name: string,
  kind: QueueKind,
): Promise<QueueCounts> {
  return channel.declareQueue(name, kind).catch((error: unknown) => {
    throw explained(error, connection, `queue ${name}`)
  })
}

function explained(error: unknown, connection: RabbitConnection, what: string): unknown {
  if (connection.ended.aborted) return connection.ended.reason
  if (error instanceof BizonError) return error
  const { address, code } = connection
  const at = `RabbitMQ at ${address.host}:${address.port}`
  const failed = (reason: string, hint: string): BizonError =>
    new BizonError(code, `${at}: ${reason}`, { hint, cause: error })
  const reply = replyCode(error)
  if (reply === PRECONDITION_FAILED) {
    const hint = 'Choose another queue_name; or, once nobody needs what is in it, delete it: rabbitmqctl delete_queue.'
    return failed(`${what} exists and is not as bizon makes it: ${said(error)}`, hint)
  }
  if (reply === RESOURCE_LOCKED) return failed(`${what} is of another connection alone`, 'Choose another queue_name.')
  if (reply === ACCESS_REFUSED) {
    const hint = `rabbitmqctl set_permissions -p ${address.virtualHost} ${address.username} '.*' '.*' '.*', or as much as its names need.`
    return failed(`user ${address.username} may not declare or use ${what}`, hint)
  }
  return connection.error(`${what} cannot be declared`, error, true)
}
