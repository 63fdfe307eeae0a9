// Partitions whose runs were begun by machines with other clocks.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { extract } from '../../../lib/extract.ts'
import { loadQueue } from '../../../lib/pipe/queue/load.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { testConfig } from '../../support/engine.ts'
import { PartitionedBroker } from '../../support/memory-group.ts'
import { type PartShelf, partShelf, partShelfDestination } from '../../support/part-shelf.ts'
import { scriptedSource } from '../../support/shelf.ts'

const HOUR_MS = 3_600_000

let folder: string
let on: PartShelf
let broker: PartitionedBroker
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-clock-'))
  on = partShelf()
  broker = new PartitionedBroker(2)
})
afterEach(async () => {
  vi.useRealTimers()
  await rm(folder, { recursive: true, force: true })
})

test('a partition that has ended waits for one that is a run behind, though that run is of a later time', async () => {
  const pages = [6]
  let waited = 0
  const interfere = (step: string): void => {
    if (step === 'waits') waited += 1
  }
  const config = await testConfig({
    folder,
    source: scriptedSource({ pages }),
    destination: partShelfDestination(on, { interfere }),
    sourceKeys: { sync_mode: 'incremental' },
  })
  await extractTo(extract(config), { channel: broker.channel() })
  await loadQueue(broker.channel(), config)
  pages.push(6)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - HOUR_MS })
  await extractTo(extract(config), { channel: broker.channel() })
  vi.useRealTimers()
  const other = broker.partitions[1]
  const first = other?.messages.findIndex(({ offset }) => offset > other.acknowledged)
  const held = other?.messages.splice(first ?? 0) ?? []
  expect(held.length).toBeGreaterThan(0)

  waited = 0
  const loading = loadQueue(broker.channel(), config)
  // So often that it has looked whether the run is still wanted.
  while (waited < 5) await new Promise((done) => setTimeout(done, 10))
  other?.add(held)
  expect(await loading).toMatchObject({ status: 'complete' })
  expect([...on.published].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, n) => n))
})
