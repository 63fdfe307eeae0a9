// A stream in partitions whose loader is edited while it is loaded: before anything of the run is there, in the middle of it, and where
// a run has no end.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { extract } from '../../../lib/extract.ts'
import { loadQueue } from '../../../lib/pipe/queue/load.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { testConfig } from '../../support/engine.ts'
import { PartitionedBroker } from '../../support/memory-group.ts'
import { type Ground, type PartShelf, partShelf, partShelfDestination } from '../../support/part-shelf.ts'
import { scriptedSource } from '../../support/shelf.ts'

let folder: string
let on: PartShelf
let broker: PartitionedBroker
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-edited-'))
  on = partShelf()
  broker = new PartitionedBroker(3, { messageBytes: 100_000 })
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const EDITED = [{ label: 'edited', javascript: 'data.n += 100' }]

const configOf = (mode: string, transforms: object[] = [], ground: Ground = {}) =>
  testConfig({
    folder,
    source: scriptedSource({ pages: [9, 4, 7], ending: mode === 'stream' ? 'return' : 'null' }),
    destination: partShelfDestination(on, ground),
    sourceKeys: { sync_mode: mode },
    transforms,
  })

/** Loads until the destination has come so far, then is stopped. */
async function loadUntil(config: Awaited<ReturnType<typeof configOf>>, isSo: () => boolean): Promise<void> {
  const stop = new AbortController()
  const loading = loadQueue(broker.channel(), config, { stop: stop.signal })
  let isOver = false
  loading.then(
    () => {},
    () => {
      isOver = true
    },
  )
  while (!isSo() && !isOver) await new Promise((done) => setTimeout(done, 5))
  stop.abort(new Error('enough'))
  await loading
}

/** The least page that one of the partitions holds. */
const least = (): number => Math.min(...broker.partitions.map((_, at) => on.parts.get(at)?.checkpoint?.page ?? 0))
const rows = (): number[] => [...on.published].sort((a, b) => a - b)

test('goes on with the new settings, where all partitions were begun with the old ones, and nothing was loaded', async () => {
  await extractTo(extract(await configOf('full_refresh')), { channel: broker.channel() })
  let begun = 0
  const dies: Ground = {
    async interfere(step) {
      if (step !== 'write') return
      begun += 1
      while (begun < 3) await new Promise((done) => setTimeout(done, 5))
      throw new Error('killed')
    },
  }
  await expect(loadQueue(broker.channel(), await configOf('full_refresh', [], dies))).rejects.toThrow('killed')
  // The first partition is far ahead when the others begin.
  const held = broker.partitions.slice(1).map((one) => one.messages.splice(0))
  await loadUntil(await configOf('full_refresh', EDITED), () => on.parts.get(0)?.checkpoint?.end === true)
  for (const [at, messages] of held.entries()) broker.partitions[at + 1]?.add(messages)
  await loadQueue(broker.channel(), await configOf('full_refresh', EDITED))
  expect(rows()).toEqual(upTo(20).map((n) => n + 100))
})

test('is refused where one partition has a page, and others none', async () => {
  await extractTo(extract(await configOf('full_refresh')), { channel: broker.channel() })
  const held = broker.partitions.slice(1).map((one) => one.messages.splice(0))
  await loadUntil(await configOf('full_refresh'), () => on.parts.get(0)?.checkpoint?.end === true)
  for (const [at, messages] of held.entries()) broker.partitions[at + 1]?.add(messages)
  // Nobody opens the first one, whose end would be given again.
  const [first] = broker.partitions
  const end = first?.messages.splice(0) ?? []
  await expect(loadQueue(broker.channel(), await configOf('full_refresh', EDITED))).rejects.toThrow(
    'were edited while a run was being loaded: partition 1 of 3 has 3 pages of it as they were before',
  )
  first?.add(end)
  await loadQueue(broker.channel(), await configOf('full_refresh'))
  expect(rows()).toEqual(upTo(20))
})

test('is refused each time, also where only the destination knows of a page', async () => {
  await extractTo(extract(await configOf('full_refresh')), { channel: broker.channel() })
  const held = broker.partitions.map((one) => one.messages.splice(1))
  // Between the commit there and the note of it here.
  const dies: Ground = {
    async interfere(step) {
      if (step !== 'flushed') return
      while (least() < 1) await new Promise((done) => setTimeout(done, 5))
      throw new Error('killed')
    },
  }
  await expect(loadQueue(broker.channel(), await configOf('full_refresh', [], dies))).rejects.toThrow('killed')
  for (const [at, messages] of held.entries()) broker.partitions[at]?.add(messages)
  for (const _ of upTo(3)) {
    await expect(loadQueue(broker.channel(), await configOf('full_refresh', EDITED))).rejects.toThrow(
      /were edited while a run was being loaded: partition \d of 3 has 1 page of it/,
    )
  }
  await loadQueue(broker.channel(), await configOf('full_refresh'))
  expect(rows()).toEqual(upTo(20))
})

test('is nothing that a stream minds: it has no end that would be published', async () => {
  await extractTo(extract(await configOf('stream')), { channel: broker.channel() })
  const held = broker.partitions.map((one) => one.messages.splice(1))
  await loadUntil(await configOf('stream'), () => least() === 1)
  for (const [at, messages] of held.entries()) broker.partitions[at]?.add(messages)
  await loadUntil(await configOf('stream', EDITED), () => least() === 3)
  expect(rows()).toEqual([...upTo(9), ...upTo(11).map((n) => n + 109)])
})
