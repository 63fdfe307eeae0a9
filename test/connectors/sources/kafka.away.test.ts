// A broker of its own that is killed right after a run has begun, and started again.

import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { never } from '../../../lib/wait.ts'
import { createTopic, produce } from '../../support/kafka.ts'
import { openKafka, pagesOf, valuesOf } from '../../support/kafka-source.ts'
import { KafkaServer } from '../../support/services/kafka.ts'
import { listeningLog } from '../../support/table-source.ts'

let server: KafkaServer
beforeAll(async () => {
  server = await KafkaServer.create()
  await createTopic('orders', { at: server.address })
  await produce('orders', [{ value: '1' }, { value: '2' }], { at: server.address })
})
afterAll(() => server.remove())

test.each([
  ['after its check', undefined],
  ['while it connects', 0],
  ['while it looks for its place', 60],
  ['while it reads', 300],
])('a stream whose broker is killed %s waits until it is back', async (_, afterMs) => {
  const log = listeningLog()
  const source = openKafka({ at: server.address, topics: ['orders'], context: { mode: 'stream', log } })
  await source.check?.(never)
  if (afterMs === undefined) await server.kill()
  const reading = pagesOf(source, {}, afterMs === 300 ? 3 : 2)
  reading.catch(() => {})
  if (afterMs !== undefined) await wait(afterMs)
  await server.kill()
  await wait(3000)
  await server.start()
  if (afterMs === 300) await produce('orders', [{ value: '3' }], { at: server.address })
  expect(valuesOf(await reading).slice(0, 2)).toEqual([1, 2])
  if (afterMs === undefined) {
    expect(log.said).toContainEqual(expect.stringMatching(/^Kafka at .*trying again for up to 60 s$/))
    expect(log.said).toContainEqual(expect.stringMatching(/^Kafka at .* answers again$/))
  }
})

test('a run whose broker is not there at first fails within seconds', async () => {
  await server.kill()
  const source = openKafka({ at: server.address, topics: ['orders'], context: { mode: 'stream' } })
  const began = performance.now()
  await expect(source.check?.(never)).rejects.toThrow('cannot be reached')
  await expect(pagesOf(source, {}, 1)).rejects.toThrow('cannot be reached')
  expect(performance.now() - began).toBeLessThan(20_000)
})
