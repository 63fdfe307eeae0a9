// `bizon run` over a broker: both halves in one process.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runPipeline } from '../../../lib/index.ts'
import { testConfig } from '../../support/engine.ts'
import { MemoryBroker } from '../../support/memory-broker.ts'
import { extractInto } from '../../support/queued.ts'
import { type Script, type Shelf, scriptedSource, shelf, shelfDestination } from '../../support/shelf.ts'

let folder: string
let broker: MemoryBroker
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-queue-run-'))
  broker = new MemoryBroker()
})
afterEach(() => rm(folder, { recursive: true, force: true }))

interface Parts extends Partial<Script> {
  readonly keys?: { readonly [key: string]: unknown }
  readonly on?: Shelf
  readonly fails?: (step: string) => void
}

function configOf({ keys = {}, on = shelf(), fails = () => {}, ...script }: Parts = {}) {
  const source = scriptedSource({ pages: [2, 0, 2, 1], ...script, interfere: fails })
  return testConfig({ folder, source, destination: shelfDestination(on, fails), sourceKeys: keys, broker })
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const failsAt = (step: string, at: number) => {
  let passed = 0
  return (reached: string): void => {
    if (reached === step && ++passed === at) throw new Error(`trouble at ${step}`)
  }
}

test('a run is over when what it read is published', async () => {
  const on = shelf()
  expect(await runPipeline(await configOf({ on }))).toMatchObject({ status: 'complete', rows: 5 })
  expect(on.published).toEqual(upTo(5))
  expect(broker.acknowledged).toBe(3)
})

test('a run that waits in the queue is loaded before its own', async () => {
  const on = shelf()
  const keys = { sync_mode: 'incremental' }
  await extractInto(broker, await configOf({ keys }))
  const outcome = await runPipeline(await configOf({ keys, on, pages: [2, 0, 2, 1, 4] }))
  expect(outcome).toMatchObject({ status: 'complete', rows: 4 })
  expect(on.published).toEqual(upTo(9))
})

test('a source that fails fails the run; what it gave waits in the queue', async () => {
  const on = shelf()
  await expect(runPipeline(await configOf({ on, fails: failsAt('fetch', 3) }))).rejects.toThrow('trouble at fetch')
  expect(on.published).toEqual([])
  expect(await runPipeline(await configOf({ on }))).toMatchObject({ status: 'complete', totalRows: 5 })
  expect(on.published).toEqual(upTo(5))
})

test('a destination that fails fails the run, and the next one goes on', async () => {
  const on = shelf()
  await expect(runPipeline(await configOf({ on, fails: failsAt('flush', 3) }))).rejects.toThrow('trouble at flush')
  expect(on.published).toEqual([])
  expect(await runPipeline(await configOf({ on }))).toMatchObject({ status: 'complete', totalRows: 5 })
  expect(on.published).toEqual(upTo(5))
})

test('a run that may fetch some pages only is stopped when they are loaded', async () => {
  const on = shelf()
  const outcome = await runPipeline(await configOf({ on, keys: { max_iterations: 3 } }))
  expect(outcome).toMatchObject({ status: 'stopped', rows: 4 })
  expect(on.committed?.checkpoint.page).toBe(3)
  expect(await runPipeline(await configOf({ on }))).toMatchObject({ status: 'complete', totalRows: 5 })
})

test('a second run is refused, and the first one goes on', async () => {
  const config = await configOf()
  const { backend } = config.engine
  const store = backend.definition.create(backend)
  await store.open()
  const lease = await store.acquire({ name: 'test', source: 'scripted', stream: 'numbers' }, 'the first run')
  await expect(runPipeline(config)).rejects.toMatchObject({ code: 'locked' })
  expect(broker.producer).toBeUndefined()
  await lease.release()
  await store.close()
})

test('a broker of the pipeline is left alone in a scratch folder', async () => {
  const { inScratch } = await import('../../../lib/chaos/scratch.ts')
  const { destination: _, source: __, ...config } = await configOf()
  expect((await inScratch(config, join(folder, 'scratch'))).engine.queue.broker).toBeUndefined()
})

test('a broker that does not say what waits keeps no run waiting', async () => {
  let asked: AbortSignal | undefined
  const { channel } = broker
  broker.channel = (...given) => ({
    ...channel.apply(broker, given),
    waiting: (signal) => {
      asked = signal
      return new Promise(() => {})
    },
  })
  expect(await runPipeline(await configOf())).toMatchObject({ status: 'complete' })
  expect(asked?.aborted).toBe(true)
})
