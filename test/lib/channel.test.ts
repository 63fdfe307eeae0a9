import { describe, expect, it } from 'vitest'
import { channelName } from '../../lib/channel.ts'
import { channelContract } from '../contract/channel.ts'
import { groupContract } from '../contract/group.ts'
import { MemoryBroker } from '../support/memory-broker.ts'
import { PartitionedBroker } from '../support/memory-group.ts'

for (const hasTransactions of [true, false]) {
  const make = async () => {
    const broker = new MemoryBroker({ hasTransactions, messageBytes: 1 << 20 })
    return {
      channel: () => broker.channel(),
      putForeign: async (body: string) => broker.add([{ headers: {}, body: Buffer.from(body) }]),
      deadLetters: async () => broker.deadLetters,
      remove: async () => {},
    }
  }
  const name = `a broker in memory ${hasTransactions ? 'with' : 'without'} transactions`
  channelContract(name, make, { fences: true, hasTransactions })
}

groupContract('a broker in memory', async () => {
  const broker = new PartitionedBroker(3)
  return { channel: () => broker.channel() }
})

describe('the name of a topic or queue', () => {
  it('is that of the pipeline and the stream', () => {
    expect(channelName('crm', 'orders')).toBe('bizon.crm.orders')
  })

  it('holds nothing that a broker does not take, and stays another one for other names', () => {
    const names = [
      channelName('my crm', 'orders/é'),
      channelName('my-crm', 'orders/é'),
      channelName('my crm', 'orders-é'),
    ]
    expect(new Set(names).size).toBe(3)
    for (const name of names) expect(name).toMatch(/^bizon\.my-crm\.orders--?-[0-9a-f]{8}$/)
    expect(channelName('x'.repeat(300), 'y').length).toBeLessThan(200)
  })
})
