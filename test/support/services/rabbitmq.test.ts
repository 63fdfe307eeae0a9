import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { freshVhost, queuesOf, withChannel } from '../rabbitmq.ts'
import { queuesOnDisk, RabbitServer, rabbitUrl } from './rabbitmq.ts'

let server: RabbitServer
beforeAll(async () => {
  server = await RabbitServer.create()
})
afterAll(() => server.remove())

test('a node that is killed and started again has its address and what was durable', async () => {
  const vhost = await freshVhost(server.address)
  await withChannel(vhost.url, async (channel) => {
    await channel.assertQueue('kept', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    await queuesOnDisk(server.address)
    channel.sendToQueue('kept', Buffer.from('one'), { persistent: true })
    await channel.waitForConfirms()
  })
  await server.kill()
  await server.start()
  await withChannel(vhost.url, async (channel) => {
    expect(await channel.get('kept')).toMatchObject({ content: Buffer.from('one') })
    const held = { name: 'kept', type: 'quorum', messages: 1, unacknowledged: 1 }
    await vi.waitFor(async () => expect(await queuesOf(vhost)).toMatchObject([held]), 120_000)
  })
})

test('a virtual host lets in its own user alone', async () => {
  const [mine, other] = await Promise.all([freshVhost(server.address), freshVhost(server.address)])
  const open = (url: string): Promise<void> => withChannel(url, async () => {})
  await open(mine.url)
  await expect(open(rabbitUrl(server.address, other.name, mine.user, mine.password))).rejects.toThrow(
    'Expected ConnectionOpenOk',
  )
  await expect(open(rabbitUrl(server.address, mine.name, mine.user, 'wrong'))).rejects.toThrow('ACCESS_REFUSED')
})
