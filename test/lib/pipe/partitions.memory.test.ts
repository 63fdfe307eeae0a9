// A loader that works for days: what it keeps of its partitions does not grow with how often they come and go, nor with the pipes that it
// has loaded of them.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { extract } from '../../../lib/extract.ts'
import { Meter } from '../../../lib/meter.ts'
import { loadQueue } from '../../../lib/pipe/queue/load.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { reportOf } from '../../../lib/report.ts'
import { testConfig } from '../../support/engine.ts'
import type { MemoryBroker } from '../../support/memory-broker.ts'
import { type Member, PartitionedBroker } from '../../support/memory-group.ts'
import { partShelf, partShelfDestination } from '../../support/part-shelf.ts'
import { scriptedSource } from '../../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-memory-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes in use, once what nobody needs is gone: that takes a few turns. */
async function used(): Promise<number> {
  for (let turn = 0; turn < 5; turn++) {
    collect()
    await new Promise((done) => setTimeout(done, 20))
  }
  return process.memoryUsage().heapUsed
}

const PARTITIONS = 4
/** Rounds between two looks; before the first of them caches are filled. */
const STRETCH = 100
const LOOKS = 4
/** Of a partition that was given once more; one that is kept takes several times as much. */
const TRACE_BYTES = 700

test.each<[string, (one: MemoryBroker, at: number, member: Member) => void]>([
  ['come and go', (_, at, member) => member.revoke(at)],
  ['are given pipe after pipe', (one) => one.redeliver()],
])('%s thousands of times', { timeout: 300_000 }, async (_, again) => {
  const broker = new PartitionedBroker(PARTITIONS, { messageBytes: 100_000 })
  const config = await testConfig({
    folder,
    source: scriptedSource({ pages: [9], ending: 'return' }),
    destination: partShelfDestination(partShelf()),
    sourceKeys: { sync_mode: 'stream' },
  })
  await extractTo(extract(config), { channel: broker.channel() })
  const [stop, meter] = [new AbortController(), new Meter()]
  const startedAt = new Date()
  const loading = loadQueue(broker.channel(), config, { meter, stop: stop.signal })
  const looks: number[] = []
  for (let round = 0; round < LOOKS * STRETCH; round++) {
    while (!broker.partitions.every((one) => one.isIdle)) await new Promise((done) => setTimeout(done, 1))
    if (round > 0 && round % STRETCH === 0) looks.push(await used())
    // What it has loaded already is given to it once more.
    for (const [at, one] of broker.partitions.entries()) {
      one.isIdle = false
      one.acknowledged = -1
      again(one, at, broker.members[0] as Member)
    }
  }
  while (!broker.partitions.every((one) => one.isIdle)) await new Promise((done) => setTimeout(done, 1))
  looks.push(await used())
  // Whatever else this process keeps comes once: what grows, grows each time.
  const growths = looks.slice(1).map((bytes, at) => (bytes - (looks[at] as number)) / (STRETCH * PARTITIONS))
  expect(Math.min(...growths)).toBeLessThan(TRACE_BYTES)
  stop.abort(new Error('enough'))
  expect(await loading).toMatchObject({ rows: 9, pages: PARTITIONS, totalRows: 9 })
  const report = reportOf({
    ...{ command: 'load', version: '1', startedAt, configs: [config], meter },
    ...{ outcome: 'stopped', exitCode: 143, outputs: [] },
  })
  const told = report.streams.map(({ partition, written, resumed_from: from }) => [
    partition?.number,
    written.pages,
    from,
  ])
  expect(told).toEqual([1, 2, 3, 4].map((number) => [number, 1, null]))
})
