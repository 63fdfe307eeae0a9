import definition from '../../../connectors/queues/rabbitmq.ts'
import type { Channel } from '../../../lib/channel.ts'
import { silentLog } from '../../../lib/log.ts'
import { channelContract } from '../../contract/channel.ts'
import { freshVhost, type TestVhost, withChannel } from '../../support/rabbitmq.ts'

let vhost: Promise<TestVhost> | undefined
let queues = 0

/** A queue of its own, in one virtual host: each takes RabbitMQ's own program seconds to make. */
async function freshQueue(): Promise<{ readonly vhost: TestVhost; readonly name: string }> {
  vhost ??= freshVhost()
  return { vhost: await vhost, name: `q${++queues}` }
}

function channelAt(vhost: TestVhost, name: string, keys: object = {}): Channel {
  const queue = {
    host: '127.0.0.1',
    port: vhost.address.port,
    virtual_host: vhost.name,
    username: vhost.user,
    password: vhost.password,
    ...keys,
  }
  const context = { pipeline: 'p', stream: 's', name, log: silentLog }
  return definition.connect(definition.config.parse({ queue }), context)
}

channelContract(
  'rabbitmq',
  async () => {
    const { vhost, name } = await freshQueue()
    return {
      channel: () => channelAt(vhost, name),
      putForeign: (body) =>
        withChannel(vhost.url, async (channel) => {
          channel.sendToQueue(name, Buffer.from(body))
          await channel.waitForConfirms()
        }),
      deadLetters: () =>
        withChannel(vhost.url, async (channel) => {
          const letters = []
          for (;;) {
            const letter = await channel.get(`${name}.dead`)
            if (!letter) return letters
            const reason = String(letter.properties.headers?.['bizon-reason'])
            letters.push({ body: letter.content.toString(), reason })
          }
        }),
      remove: async () => {},
    }
  },
  { fences: false, hasTransactions: false },
)
