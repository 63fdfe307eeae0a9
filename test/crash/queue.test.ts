// Both halves of a pipeline with a topic of Kafka between them, either of them, or the broker itself, killed where it hurts: what is
// published is the old content or the new, byte for byte, as jq reads it, and the new one in the end.

import { describe, expect, test } from 'vitest'
import { KafkaServer } from '../support/services/kafka.ts'
import { complaintsAfter, stateOf } from './oracle.ts'
import { inQueued, killExtract, killLoad, type Queued, type QueuedOptions } from './queued.ts'
import { killBothAgainAndAgain, killOneOfTwo } from './queued-several.ts'
import { type Scenario, scenarios } from './scenario.ts'
import { fewOf, isStopped, TEST_LIMIT_MS, until } from './workspace.ts'

const { fullRefreshOver, incrementalAppend } = scenarios
/** Pages that are larger than a message. */
const CUT: QueuedOptions = {
  queue: { message_bytes: 16_384 },
  edit: (text) => text.replace('page_bytes: 4096', 'page_bytes: 20000'),
}

const extracts = fewOf<[string, Scenario, QueuedOptions]>(
  [
    ['put.mid@3', fullRefreshOver, {}],
    ['put.after@2', incrementalAppend, {}],
    ['put.before@2', fullRefreshOver, {}],
    ['put.mid@2', incrementalAppend, {}],
    ['put.mid@2', fullRefreshOver, CUT],
    ['fetch.after@3', fullRefreshOver, {}],
  ],
  2,
)
const loads = fewOf<[string, Scenario, QueuedOptions]>(
  [
    ['stage.after@3', fullRefreshOver, CUT],
    ['ack.after@2', fullRefreshOver, {}],
    ['status.after', incrementalAppend, {}],
    ['ack.before@2', incrementalAppend, {}],
    ['commit.mid@2', fullRefreshOver, {}],
    ['cursor.after@2', incrementalAppend, {}],
    ['publish.mid', fullRefreshOver, {}],
    ['publish.after', incrementalAppend, {}],
    ['end.received', fullRefreshOver, CUT],
  ],
  3,
)

describe.concurrent('one half killed, and run again', { timeout: TEST_LIMIT_MS }, () => {
  test.each(extracts)('bizon-extract at %s', async (failpoint, scenario, options) => {
    expect(await killExtract(scenario, failpoint, options)).toEqual([])
  })

  test.each(loads)('bizon-load at %s', async (failpoint, scenario, options) => {
    expect(await killLoad(scenario, failpoint, options)).toEqual([])
  })
})

/** One sleeps while it has the pipeline, for longer than the group waits for it, and wakes up while another one is given its messages. */
async function wakeZombie(queued: Queued): Promise<string[]> {
  const before = await stateOf(queued.place)
  const complaints: string[] = []
  const extracted = await queued.run('extract')
  if (extracted.code !== 0) return [extracted.stderr]
  let wake = (): void => {}
  let sleeps: () => void = () => {}
  const asleep = new Promise<void>((resolve) => {
    sleeps = resolve
  })
  const ended = new AbortController()
  const zombie = queued.run('load', {
    failpoint: 'stage.after@2:stop',
    async during(child) {
      await until('it sleeps', () => isStopped(child), child)
      wake = () => child.kill('SIGCONT')
      sleeps()
      await until('the other one is done', async () => ended.signal.aborted)
      child.kill('SIGTERM')
    },
  })
  await asleep
  const other = await queued.run('load', {
    args: ['--log-level', 'INFO'],
    async during(child) {
      let said = ''
      child.stderr?.on('data', (chunk: Buffer) => {
        said += chunk
      })
      // It has the messages, and waits for the lease of the one that sleeps.
      await until('it stands by', async () => said.includes('another loader has the pipeline'), child)
      wake()
    },
  })
  ended.abort()
  const { code } = await zombie
  if (other.code !== 0) complaints.push(`the other one: ${other.code} ${other.stderr}`)
  // Published by one of them; the other one waited for more until it was told to end.
  if (code !== 0 && code !== 143 && code !== 3) complaints.push(`the zombie ended with ${code}`)
  return [...complaints, ...(await complaintsAfter(queued.place, queued.scenario, before))]
}

/** The broker is killed while both are at work, and started again with what it has on disk. */
async function killBroker(): Promise<string[]> {
  const server = await KafkaServer.create()
  try {
    return await inQueued(fullRefreshOver, { address: server.address }, async (queued) => {
      const before = await stateOf(queued.place)
      let resume = (): void => {}
      const restarted = new Promise<void>((resolve) => {
        resume = resolve
      })
      const extracting = queued.run('extract', {
        failpoint: 'put.after@3:stop',
        async during(child) {
          await until('it has put three pages', () => isStopped(child), child)
          await restarted
          child.kill('SIGCONT')
        },
      })
      const loading = queued.run('load', {
        async during(child) {
          let said = ''
          child.stdout?.on('data', (chunk: Buffer) => {
            said += chunk
          })
          await until('two pages are durable', async () => said.includes('"page":2'), child)
          await server.kill()
          await server.start()
          resume()
        },
      })
      const [extracted, loaded] = await Promise.all([extracting, loading])
      if (extracted.code !== 0) return [`the extract: ${extracted.code} ${extracted.stderr}`]
      if (loaded.code !== 0) return [`the load: ${loaded.code} ${loaded.stderr}`]
      return complaintsAfter(queued.place, queued.scenario, before)
    })
  } finally {
    await server.remove()
  }
}

describe.concurrent('several at once', { timeout: TEST_LIMIT_MS }, () => {
  test('both halves killed at once, again and again, it ends', async () => {
    expect(await inQueued(incrementalAppend, {}, killBothAgainAndAgain)).toEqual([])
  })

  test('two loaders, of which one is killed: the other takes its place', async () => {
    expect(await inQueued(fullRefreshOver, {}, killOneOfTwo)).toEqual([])
  })

  test('a loader that sleeps while another one is given its messages, and wakes up', async () => {
    expect(await inQueued(incrementalAppend, {}, wakeZombie)).toEqual([])
  })

  test('the broker killed and started again while both are at work', async () => {
    expect(await killBroker()).toEqual([])
  })
})
