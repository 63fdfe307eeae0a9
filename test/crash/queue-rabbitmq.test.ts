// Both halves of a pipeline with a queue of RabbitMQ between them, either of them killed: as with a topic of Kafka what is published is
// the old content or the new, byte for byte, as jq reads it, and the new one in the end.

import { describe, expect, test } from 'vitest'
import { sharedRabbit } from '../support/services/rabbitmq.ts'
import { inQueued, killExtract, killLoad, type QueuedOptions } from './queued.ts'
import { killBothAgainAndAgain, killOneOfTwo } from './queued-several.ts'
import { type Scenario, scenarios } from './scenario.ts'
import { fewOf, TEST_LIMIT_MS } from './workspace.ts'

const { fullRefreshOver, incrementalAppend } = scenarios
const rabbitWith = (more: object): NonNullable<QueuedOptions['broker']> => {
  return async (name) => {
    const { port } = await sharedRabbit()
    const user = { username: 'guest', password: 'guest' }
    const queue = { host: '127.0.0.1', port, ...user, queue_name: name, linger_ms: 0, ...more }
    return { type: 'rabbitmq', config: { queue } }
  }
}
const rabbit: QueuedOptions = { broker: rabbitWith({}) }
/** Pages that are larger than a message: they are seen before they are whole. */
const CUT: QueuedOptions = {
  broker: rabbitWith({ message_bytes: 16_384 }),
  edit: (text) => text.replace('page_bytes: 4096', 'page_bytes: 20000'),
}

const extracts = fewOf<[string, Scenario, QueuedOptions]>(
  [
    ['put.after@2', incrementalAppend, rabbit],
    ['put.after@3', fullRefreshOver, CUT],
    ['fetch.after@3', fullRefreshOver, rabbit],
  ],
  2,
)
const loads = fewOf<[string, Scenario, QueuedOptions]>(
  [
    ['ack.before@2', incrementalAppend, rabbit],
    ['stage.after@2', fullRefreshOver, CUT],
    ['ack.after@2', fullRefreshOver, rabbit],
    ['cursor.after@2', incrementalAppend, rabbit],
    ['publish.mid', fullRefreshOver, rabbit],
    ['publish.after', incrementalAppend, rabbit],
    ['end.received', fullRefreshOver, CUT],
  ],
  2,
)

describe.concurrent('with a queue of RabbitMQ', { timeout: TEST_LIMIT_MS }, () => {
  test.each(extracts)('bizon-extract killed at %s', async (failpoint, scenario, options) => {
    expect(await killExtract(scenario, failpoint, options)).toEqual([])
  })

  test.each(loads)('bizon-load killed at %s', async (failpoint, scenario, options) => {
    expect(await killLoad(scenario, failpoint, options)).toEqual([])
  })

  test('both halves killed at once, again and again, it ends', async () => {
    expect(await inQueued(incrementalAppend, rabbit, killBothAgainAndAgain)).toEqual([])
  })

  test('two loaders, of which one is killed: the other takes its place', async () => {
    expect(await inQueued(fullRefreshOver, rabbit, killOneOfTwo)).toEqual([])
  })
})
