import { afterAll, describe, expect, it } from 'vitest'
import definition from '../../../connectors/queues/rabbitmq.ts'
import type { Channel } from '../../../lib/channel.ts'
import { silentLog } from '../../../lib/log.ts'
import { channelContract } from '../../contract/channel.ts'
import { freshVhost, type TestVhost, withChannel } from '../../support/rabbitmq.ts'

function channelIn(vhost: TestVhost, keys: object = {}): Channel {
  const queue = {
    host: '127.0.0.1',
    port: vhost.address.port,
    virtual_host: vhost.name,
    username: vhost.user,
    password: vhost.password,
    ...keys,
  }
  const context = { pipeline: 'p', stream: 's', name: 'bizon.p.s', log: silentLog }
  return definition.connect(definition.config.parse({ queue }), context)
}

channelContract(
  'rabbitmq',
  async () => {
    const vhost = await freshVhost()
    return {
      channel: () => channelIn(vhost),
      putForeign: (body) =>
        withChannel(vhost.url, async (channel) => {
          channel.sendToQueue('bizon.p.s', Buffer.from(body))
          await channel.waitForConfirms()
        }),
      deadLetters: () =>
        withChannel(vhost.url, async (channel) => {
          const letters = []
          for (;;) {
            const letter = await channel.get('bizon.p.s.dead')
            if (!letter) return letters
            letters.push({
              body: letter.content.toString(),
              reason: String(letter.properties.headers?.['bizon-reason']),
            })
          }
        }),
      remove: async () => {},
    }
  },
  { fences: false, hasTransactions: false },
)
