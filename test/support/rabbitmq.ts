// A place of their own for tests at the shared node of RabbitMQ.

import { randomBytes } from 'node:crypto'
import { type ConfirmChannel, connect } from 'amqplib'
import { type RabbitAddress, rabbitmqctl, rabbitUrl, sharedRabbit } from './services/rabbitmq.ts'

export interface TestVhost {
  readonly name: string
  /** Of a user that may do everything in there, and nothing elsewhere. */
  readonly url: string
  readonly user: string
  readonly password: string
  readonly address: RabbitAddress
}

/** A new virtual host of the shared node, or of another, with a user of its own. */
export async function freshVhost(at?: RabbitAddress): Promise<TestVhost> {
  const address = at ?? (await sharedRabbit())
  const name = `v-${randomBytes(8).toString('hex')}`
  const password = randomBytes(8).toString('hex')
  await rabbitmqctl(address, 'add_vhost', name)
  await rabbitmqctl(address, 'add_user', name, password)
  await rabbitmqctl(address, 'set_permissions', '-p', name, name, '.*', '.*', '.*')
  return { name, url: rabbitUrl(address, name, name, password), user: name, password, address }
}

/** A channel whose publisher is told what the node has. */
export async function withChannel<T>(url: string, work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
  const connection = await connect(url)
  // Whoever waits for an answer is told, too.
  connection.on('error', () => {})
  try {
    return await work(await connection.createConfirmChannel())
  } finally {
    await connection.close()
  }
}

export interface QueueStatus {
  readonly name: string
  readonly type: string
  /** Ready and unacknowledged. */
  readonly messages: number
  readonly unacknowledged: number
  readonly consumers: number
}

/** The queues of a virtual host, as RabbitMQ's own program lists them: of quorum queues what was so a moment ago. */
export async function queuesOf({ address, name }: TestVhost): Promise<readonly QueueStatus[]> {
  const columns = ['name', 'type', 'messages', 'messages_unacknowledged', 'consumers']
  const text = await rabbitmqctl(address, 'list_queues', '-p', name, '--formatter', 'json', ...columns)
  const rows = JSON.parse(text) as readonly Record<string, unknown>[]
  return rows.map((row) => ({
    name: String(row.name),
    type: String(row.type),
    messages: Number(row.messages),
    unacknowledged: Number(row.messages_unacknowledged),
    consumers: Number(row.consumers),
  }))
}
