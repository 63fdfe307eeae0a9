import { expect, test, vi } from 'vitest'
import { NIGHTLY } from '../../crash/workspace.ts'
import { freshVhost, queuesOf, withChannel } from '../rabbitmq.ts'
import { queuesOnDisk, RabbitServer, rabbitUrl, sharedRabbit } from './rabbitmq.ts'

/** By day the tests of what uses a node kill theirs. */
async function killAndStart(): Promise<void> {
  const server = await RabbitServer.create()
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
  await server.remove()
}
if (NIGHTLY) test('a node that is killed and started again has its address and what was durable', killAndStart)

test('a virtual host lets in its own user alone', async () => {
  const address = await sharedRabbit()
  const [mine, other] = await Promise.all([freshVhost(address), freshVhost(address)])
  const open = (url: string): Promise<void> => withChannel(url, async () => {})
  await open(mine.url)
  await expect(open(rabbitUrl(address, other.name, mine.user, mine.password))).rejects.toThrow(
    'Expected ConnectionOpenOk',
  )
  await expect(open(rabbitUrl(address, mine.name, mine.user, 'wrong'))).rejects.toThrow('ACCESS_REFUSED')
})
