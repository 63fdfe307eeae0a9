// A node of RabbitMQ for the tests of its queue, with one virtual host, and what they look at there by amqplib itself.

import type { Channel as AmqpChannel } from 'amqplib'
import { placeOf } from '../../connectors/queues/rabbitmq/config.ts'
import type { Place } from '../../connectors/queues/rabbitmq/topology.ts'
import definition from '../../connectors/queues/rabbitmq.ts'
import type { Arrival, Channel, ChannelConsumer, Outgoing } from '../../lib/channel.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { withChannel } from './rabbitmq.ts'
import { RabbitServer, rabbitmqctl } from './services/rabbitmq.ts'

export const VHOST = 'team/a b'
export const USER = 'alice'
export const PASSWORD = 'p@ss/word&%'

export interface RabbitGround {
  readonly server: RabbitServer
  /** A name that no queue has. */
  fresh(): string
  channel(queue: string, keys?: object, log?: Log): Channel
  place(queue: string): Place
  /** By amqplib: body, headers and message id. */
  publish(queue: string, messages: readonly { body: string; id?: string }[]): Promise<void>
  /** Bodies and headers of what nobody has taken, which is gone then. */
  drain(queue: string): Promise<readonly { readonly body: string; readonly headers: Record<string, unknown> }[]>
  /** Anything else, by amqplib. */
  by(work: (channel: AmqpChannel) => Promise<unknown>): Promise<void>
  /** What Erlang's `eval` says. */
  evaluate(expression: string): Promise<string>
}

export async function rabbitGround(): Promise<RabbitGround> {
  const server = await RabbitServer.create()
  const evaluate = (expression: string): Promise<string> => rabbitmqctl(server.address, 'eval', expression)
  // One call of the program instead of three, which take seconds each.
  const [vhost, user, password] = [VHOST, USER, PASSWORD].map((text) => `<<"${text}">>`)
  await evaluate(
    `rabbit_vhost:add(${vhost}, <<"test">>),` +
      `rabbit_auth_backend_internal:add_user(${user}, ${password}, <<"test">>),` +
      `rabbit_auth_backend_internal:set_permissions(${user}, ${vhost}, <<".*">>, <<".*">>, <<".*">>, <<"test">>).`,
  )
  const url = server.url(VHOST, USER, encodeURIComponent(PASSWORD))
  let count = 0
  const config = (keys: object = {}) => {
    const address = { host: '127.0.0.1', port: server.address.port }
    const queue = { ...address, virtual_host: VHOST, username: USER, password: PASSWORD, ...keys }
    return definition.config.parse({ queue })
  }
  return {
    server,
    evaluate,
    fresh: () => `q${++count}`,
    channel: (name, keys, log = silentLog) =>
      definition.connect(config(keys), { pipeline: 'p', stream: 's', name, log }),
    place: (name) => placeOf(config().queue, { name }),
    by: (work) =>
      withChannel(url, async (channel) => {
        await work(channel)
      }),
    publish: (queue, messages) =>
      withChannel(url, async (channel) => {
        for (const { body, id } of messages) {
          channel.sendToQueue(queue, Buffer.from(body), {
            persistent: true,
            ...(id !== undefined && { messageId: id }),
          })
        }
        await channel.waitForConfirms()
      }),
    drain: (queue) =>
      withChannel(url, async (channel) => {
        const messages = []
        for (;;) {
          const message = await channel.get(queue, { noAck: true })
          if (!message) return messages
          messages.push({ body: message.content.toString(), headers: { ...message.properties.headers } })
        }
      }),
  }
}

export const textOf = ({ body }: Pick<Arrival, 'body'>): string => Buffer.from(body).toString()

export function message(body: string, last?: string): Outgoing {
  return { headers: {}, body: Buffer.from(body), ...(last !== undefined && { last }) }
}

/** The next messages of a consumer, by one `take`. */
export async function taken(consumer: ChannelConsumer, count: number, signal: AbortSignal): Promise<Arrival[]> {
  const taking = consumer.take(signal)
  const arrivals: Arrival[] = []
  while (arrivals.length < count) {
    const next = await taking.next()
    if (next.done) throw new Error(`it ended behind ${arrivals.length}`)
    arrivals.push(next.value)
  }
  return arrivals
}
