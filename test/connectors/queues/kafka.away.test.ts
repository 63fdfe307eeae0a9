// A broker of its own that goes away while messages are put into a queue.

import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { never } from '../../../lib/wait.ts'
import { channelAt, freshName } from '../../support/kafka-queue.ts'
import { KafkaServer } from '../../support/services/kafka.ts'
import { listeningLog } from '../../support/table-source.ts'

test('an extract says that the broker is away, once, and that it is back', async () => {
  const server = await KafkaServer.create()
  const log = listeningLog()
  const producer = channelAt(freshName(), server.address, {}, 'test', { ...log, debug: () => {} }).producer()
  const put = (text: string) => producer.put({ headers: {}, body: Buffer.from(text), last: text }, never)
  try {
    await producer.open(never)
    await put('1')
    await server.kill()
    const away = put('2')
    await wait(6000)
    const [said, ...others] = log.said
    expect(said).toMatch(/^Kafka at 127\.0\.0\.1:\d+: .*trying again for up to 60 s$/)
    expect(others).toEqual([])
    await server.start()
    await away
    await put('3')
    expect(log.said.slice(1)).toEqual([expect.stringMatching(/^Kafka at 127\.0\.0\.1:\d+ answers again$/)])
    expect(await producer.last()).toBe('3')
  } finally {
    await producer.close()
    await server.remove()
  }
})
