// A stream in partitions: which record goes where, what a message says of it, and a loader that has lost its partition without
// knowing.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { PipelineConfig } from '../../../lib/config.ts'
import { extract } from '../../../lib/extract.ts'
import { checkPartitions, partRun, wholeRun } from '../../../lib/partition.ts'
import { loadQueue } from '../../../lib/pipe/queue/load.ts'
import { readHead } from '../../../lib/pipe/queue/message.ts'
import { Splitter } from '../../../lib/pipe/queue/split.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { RawJson } from '../../../lib/record.ts'
import { testConfig } from '../../support/engine.ts'
import { PartitionedBroker } from '../../support/memory-group.ts'
import { type Ground, partShelf, partShelfDestination } from '../../support/part-shelf.ts'
import { listening } from '../../support/queued.ts'
import { scriptedSource } from '../../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-partitions-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const placeOf = (data: string, id = '1', primaryKey?: string[]): number => {
  const stream = { name: 's', ...(primaryKey && { primaryKey }) }
  const pages = new Splitter(16).split({ records: [{ id, data: RawJson.from(data) }], next: {} }, stream)
  return pages.findIndex(({ records }) => records.length === 1)
}

describe('a record', () => {
  test('goes by its primary key, however that is spelled', () => {
    const spellings = [
      '{"a":1,"b":"x"}',
      '{"b":"x","a":1.0}',
      '{ "a" : 1e0, "b":"\\u0078"}',
      '{"a":"1","b":"x","c":[]}',
    ]
    expect(new Set(spellings.map((text, at) => placeOf(text, String(at), ['a', 'b']))).size).toBe(1)
    const big = ['{"a":12345678901234567890}', '{"a":"12345678901234567890"}']
    expect(new Set(big.map((text) => placeOf(text, '', ['a']))).size).toBe(1)
    const others = upTo(200).map((n) => placeOf(`{"a":${n},"b":"x"}`, '1', ['a', 'b']))
    expect(new Set(others).size).toBe(16)
    expect(placeOf('{"b":1}', '7', ['a'])).toBe(placeOf('{"a":null}', '8', ['a']))
  })

  test('goes by its id where there is no key, as an object as well as text', () => {
    expect(placeOf('{"n":1}', 'a')).toBe(placeOf('{"n":2}', 'a'))
    expect(new Set(upTo(200).map((n) => placeOf('{}', String(n)))).size).toBe(16)
    const split = new Splitter(4)
    const stream = { name: 's', primaryKey: ['k'] }
    const page = { records: [{ id: '1', data: { k: 'x' } }], next: null, watermark: 3, bytes: 9 }
    const raw = { ...page, records: [{ id: '2', data: RawJson.from('{"k":"x"}') }] }
    const sizes = (given: typeof page | typeof raw) => split.split(given, stream).map(({ records }) => records.length)
    expect(sizes(page)).toEqual(sizes(raw))
    expect(split.split(page, stream)).toHaveLength(4)
    expect(split.split(page, stream).every(({ next, watermark }) => next === null && watermark === 3)).toBe(true)
  })
})

test('the run of a partition is told from that of another, and tells the whole one', () => {
  const whole = wholeRun('0123456789abcdef0123456789abcdef')
  expect(whole).toBe('0123456789abcdef0123456789ab0000')
  expect(upTo(256).map((at) => partRun(whole, at))).toHaveLength(
    new Set(upTo(256).map((at) => partRun(whole, at))).size,
  )
  expect(wholeRun(partRun(whole, 17))).toBe(whole)
})

describe('an extract', () => {
  test('puts each page into all partitions, and says where each of them stands', async () => {
    const broker = new PartitionedBroker(3, { messageBytes: 100_000 })
    await extractTo(extract(await configOf()), { channel: broker.channel() })
    const heads = broker.partitions.map(({ messages }) => messages.map((one) => readHead({ ...one, place: '' })))
    for (const [index, some] of heads.entries()) {
      expect(some.map((head) => [head?.from, head?.to, head?.end])).toEqual([
        [0, 1, false],
        [1, 2, false],
        [2, 3, true],
      ])
      expect(some[0]).toMatchObject({ partition: { index, of: 3 }, run: partRun(some[0]?.run ?? '', index) })
    }
    expect(new Set(heads.flat().map((head) => wholeRun(head?.run ?? ''))).size).toBe(1)
    const { bizon } = JSON.parse(broker.last ?? '')
    expect(bizon).toMatchObject({ page: 3, rows: 9, end: true, begin: { partitions: 3 } })
    expect(bizon.partitions.reduce((sum: number, rows: number) => sum + rows, 0)).toBe(9)
  })

  test('into another number of partitions than what waits is refused', async () => {
    const broker = new PartitionedBroker(3)
    await extractTo(extract(await configOf()), { channel: broker.channel() })
    const other = new PartitionedBroker(2)
    other.last = broker.last
    await expect(extractTo(extract(await configOf()), { channel: other.channel() })).rejects.toThrow(
      /engine.queue.config.queue.partitions: is 2, and what was put in .* is in 3 partitions/,
    )
  })

  test('for a destination of one loader is refused', async () => {
    const { invalid } = await configOf()
    const destination = { name: 'file', options: {}, definition: {} }
    expect(() => checkPartitions({ destination, invalid }, 'stream')).toThrow(
      'engine.queue.config.queue.partitions: is above 1, and destination file is written to by one loader at a time',
    )
  })

  test('for a destination that refuses some modes is for the messages to say', async () => {
    const { invalid } = await configOf()
    const refusing = (refusesPartitions: (options: unknown, mode: string) => string | undefined) => ({
      destination: { name: 'picky', options: {}, definition: { refusesPartitions } },
      invalid,
    })
    const some = refusing((_, mode) => (mode === 'stream' ? 'a stream has no end' : undefined))
    expect(() => checkPartitions(some, undefined)).not.toThrow()
    expect(() => checkPartitions(some, 'stream')).toThrow('is above 1, and a stream has no end')
    expect(() =>
      checkPartitions(
        refusing(() => 'never'),
        undefined,
      ),
    ).toThrow('is above 1, and never')
  })

  test('is refused by a loader that has no source, before it takes anything', async () => {
    const { source: _, ...config } = await configOf()
    const group = vi.fn()
    const channel = { ...new PartitionedBroker(2).channel(), group }
    const destination = { ...config.destination, definition: { ...config.destination.definition } }
    delete (destination.definition as { refusesPartitions?: unknown }).refusesPartitions
    await expect(loadQueue(channel, { ...config, destination })).rejects.toThrow('by one loader at a time')
    expect(group).not.toHaveBeenCalled()
  })
})

describe('a loader that does not know that its partition has gone to another one', () => {
  /** With a state store of its own, as one that has lost its lease. */
  async function woken(ground: Ground): Promise<{ rows: number[]; failed: unknown }> {
    const broker = new PartitionedBroker(2)
    const on = partShelf()
    let wake = (): void => {}
    const asleep = new Promise<void>((done) => {
      wake = done
    })
    let flushes = 0
    let sleeps = (): void => {}
    const sleeping = new Promise<void>((done) => {
      sleeps = done
    })
    const sleeper = await configOf('one', {
      ...ground,
      on,
      interfere: async (step, partition) => {
        if (step !== 'flush' || partition !== 0 || ++flushes !== 2) return
        sleeps()
        await asleep
      },
    })
    await extractTo(extract(sleeper), { channel: broker.channel() })
    const stop = new AbortController()
    const first = loadQueue(broker.channel(), sleeper, { stop: stop.signal }).catch((error: unknown) => error)
    await sleeping
    const [lost] = broker.members
    if (lost) broker.lose(lost)
    const other = await configOf('two', { ...ground, on })
    const second = loadQueue(broker.channel(), other, { stop: stop.signal }).catch((error: unknown) => error)
    const isDone = (): boolean => broker.partitions.every((one) => one.isIdle)
    while (!isDone() || on.published.length < 9) await new Promise((done) => setTimeout(done, 5))
    wake()
    await new Promise((done) => setTimeout(done, 50))
    stop.abort(new Error('enough'))
    const failed = await first
    await second
    return { rows: [...on.published].sort((a, b) => a - b), failed }
  }

  test('is refused by the destination', async () => {
    const { rows, failed } = await woken({})
    expect(failed).toMatchObject({ code: 'fenced' })
    expect(rows).toEqual(upTo(9))
  })

  test('would write rows twice where it is not', async () => {
    const { rows } = await woken({ doesNotFence: true })
    expect(rows.length).toBeGreaterThan(9)
  })
})

test('a loader that fails while its partition goes to another one says so, and that one goes on', async () => {
  const broker = new PartitionedBroker(2)
  const on = partShelf()
  let failed = false
  const config = await configOf('one', {
    on,
    async interfere(step, partition) {
      if (step !== 'flush' || partition !== 0 || failed) return
      failed = true
      while (broker.members.length < 2) await new Promise((done) => setTimeout(done, 1))
      broker.rebalance(1)
      throw new Error('the disk is full')
    },
  })
  await extractTo(extract(config), { channel: broker.channel() })
  const stop = new AbortController()
  const log = listening()
  const loads = [1, 2].map(() =>
    loadQueue(broker.channel(), config, { stop: stop.signal, log }).catch((error: unknown) => {
      if (error !== stop.signal.reason) throw error
    }),
  )
  while (on.published.length < 9) await new Promise((done) => setTimeout(done, 5))
  stop.abort(new Error('enough'))
  await Promise.all(loads)
  expect([...on.published].sort((a, b) => a - b)).toEqual(upTo(9))
  expect(log.said).toContainEqual('partition 1 of 2: the disk is full')
})

async function configOf(
  name = 'one',
  { on = partShelf(), ...ground }: Ground & { on?: ReturnType<typeof partShelf> } = {},
): Promise<PipelineConfig> {
  await mkdir(join(folder, name), { recursive: true })
  const isStream = ground.interfere !== undefined || name === 'two' || 'doesNotFence' in ground
  return testConfig({
    folder: join(folder, name),
    source: scriptedSource({ pages: [4, 0, 5], ending: isStream ? 'return' : 'null' }),
    destination: partShelfDestination(on, ground),
    sourceKeys: { sync_mode: isStream ? 'stream' : 'full_refresh' },
  })
}
