// What every state store does. A store's own test calls this with how to configure one over an empty folder.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stores } from '../../connectors/index.ts'
import { parseJson } from '../../lib/json.ts'
import type { Log } from '../../lib/log.ts'
import type { JsonObject } from '../../lib/record.ts'
import type {
  AdoptedJob,
  BeginJob,
  Identity,
  Job,
  Lease,
  StateStore,
  StoreConfig,
  StoredCheckpoint,
} from '../../lib/state.ts'
import { type Script, startScript } from '../support/script.ts'

export interface StoreTraits {
  /** Whether another store with the same config sees what this one wrote. */
  readonly persistent: boolean
  /** The same kind of place, in which there is nothing yet. Default: a database of another name. */
  readonly elsewhere?: (config: StoreConfig) => Promise<StoreConfig>
}

const WEATHER: Identity = { name: 'weather', source: 'file', stream: 'seattle' }
const STORE_SCRIPT = new URL('../support/scripts/store.ts', import.meta.url)

export function storeContract(
  configure: (folder: string) => StoreConfig | Promise<StoreConfig>,
  { persistent, elsewhere = async (config) => ({ ...config, database: `${config.database}-new` }) }: StoreTraits,
): void {
  let folder: string
  let config: StoreConfig
  let store: StateStore
  const opened: StateStore[] = []

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bizon-store-'))
    config = await configure(folder)
    store = await anotherStore()
  })
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function anotherStore(): Promise<StateStore> {
    const created = await createStore(config)
    opened.push(created)
    await created.open()
    return created
  }

  async function begun(fields: Partial<BeginJob> = {}): Promise<{ lease: Lease; job: Job }> {
    const lease = await store.acquire(fields.identity ?? WEATHER, 'test')
    return { lease, job: await store.begin(lease, beginJob(fields)) }
  }

  describe('a job', () => {
    test('is running from its beginning, with what was said of it', async () => {
      const before = Date.now()
      const { job } = await begun({ mode: 'incremental', complete: true, totalRecords: 1461 })
      expect(job).toEqual({
        ...WEATHER,
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        mode: 'incremental',
        status: 'running',
        attempt: 0,
        createdAt: expect.any(Date),
        epoch: expect.any(Number),
        totalRecords: 1461,
        ours: true,
        complete: true,
      })
      expect(job.createdAt.getTime()).toBeGreaterThanOrEqual(before)
      expect(job.createdAt.getTime()).toBeLessThanOrEqual(Date.now())
      expect(await store.unfinishedJobs(WEATHER)).toEqual([job])
    })

    test('that begins later in the same process has a later time of its own', async () => {
      const { lease, job } = await begun()
      await untilAfter(job.createdAt)
      const next = await store.begin(lease, beginJob({ cancel: [job.id] }))
      expect(next.createdAt.getTime()).toBeGreaterThan(job.createdAt.getTime())
    })

    test('that is resumed keeps its id and time, counts the attempt and drops the old error', async () => {
      const { lease, job } = await begun({ mode: 'incremental' })
      await store.finish(lease, job, { status: 'failed', error: 'no route to host' })
      const resumed = await store.begin(lease, beginJob({ resume: job.id, mode: 'incremental' }))
      expect(resumed).toEqual({ ...job, attempt: 1 })
      expect(await store.unfinishedJobs(WEATHER)).toEqual([resumed])
    })

    test('that failed is unfinished and says why, within the width of the column', async () => {
      const { lease, job } = await begun()
      await store.finish(lease, job, { status: 'failed', error: `${'x'.repeat(253)}🌧 and more` })
      const [failed] = await store.unfinishedJobs(WEATHER)
      expect(failed).toEqual({ ...job, status: 'failed', errorMessage: `${'x'.repeat(253)}🌧 ` })
    })

    test('that never got to anything is no attempt', async () => {
      const { lease, job } = await begun({ mode: 'incremental' })
      await store.finish(lease, job, { status: 'failed', error: 'another run is writing', isAttempt: false })
      const resumed = await store.begin(lease, beginJob({ resume: job.id, mode: 'incremental' }))
      expect(resumed).toEqual(job)
      await store.finish(lease, resumed, { status: 'failed', error: 'no route to host', isAttempt: true })
      const again = await store.begin(lease, beginJob({ resume: job.id, mode: 'incremental' }))
      expect(again.attempt).toBe(1)
    })

    test('that is interrupted goes on running', async () => {
      const { lease, job } = await begun()
      await store.finish(lease, job, { status: 'running' })
      expect(await store.unfinishedJobs(WEATHER)).toEqual([job])
    })

    test('that succeeded is no longer unfinished and keeps its watermark exactly', async () => {
      const watermark = parseJson('{"updated":"2024-05-01T12:00:00.123456Z","seq":9007199254740993,"price":1.10}')
      const { lease, job } = await begun()
      await store.finish(lease, job, { status: 'succeeded', watermark })
      expect(await store.unfinishedJobs(WEATHER)).toEqual([])
      expect(await store.lastSucceeded(WEATHER)).toEqual({ ...job, status: 'succeeded', watermark })
    })

    test('that was cancelled is neither unfinished nor succeeded and cannot be resumed', async () => {
      const { lease, job } = await begun()
      const next = await store.begin(lease, beginJob({ cancel: [job.id] }))
      expect(await store.unfinishedJobs(WEATHER)).toEqual([next])
      expect(await store.lastSucceeded(WEATHER)).toBeUndefined()
      await expect(store.begin(lease, beginJob({ resume: job.id }))).rejects.toMatchObject({ code: 'state' })
      await expect(store.finish(lease, job, { status: 'succeeded' })).rejects.toMatchObject({ code: 'state' })
    })

    test('that succeeded is not undone by being cancelled or resumed', async () => {
      const { lease, job } = await begun()
      await store.finish(lease, job, { status: 'succeeded' })
      await store.begin(lease, beginJob({ cancel: [job.id] }))
      await expect(store.begin(lease, beginJob({ resume: job.id }))).rejects.toMatchObject({ code: 'state' })
      expect(await store.lastSucceeded(WEATHER)).toMatchObject({ id: job.id })
    })

    test('begins whole or not at all', async () => {
      await store.requestReset(WEATHER)
      const { lease, job } = await begun()
      const resets = await store.resets(WEATHER, [])
      const change = { resume: 'f'.repeat(32), cancel: [job.id], consume: resets.map(({ id }) => id), bindReset: true }
      await expect(store.begin(lease, beginJob(change))).rejects.toMatchObject({ code: 'state' })
      expect(await store.unfinishedJobs(WEATHER)).toEqual([job])
      expect(await store.resets(WEATHER, [job.id])).toEqual(resets)
    })

    test('is newer than those that began before it', async () => {
      const { lease, job: one } = await begun()
      const two = await store.begin(lease, beginJob())
      const three = await store.begin(lease, beginJob())
      expect((await store.unfinishedJobs(WEATHER)).map(({ id }) => id)).toEqual([three.id, two.id, one.id])
      await store.finish(lease, two, { status: 'succeeded' })
      await store.finish(lease, one, { status: 'succeeded' })
      expect((await store.lastSucceeded(WEATHER))?.id).toBe(two.id)
    })

    test.each<[what: string, other: Identity]>([
      ['name', { ...WEATHER, name: 'weather2' }],
      ['source', { ...WEATHER, source: 'http' }],
      ['stream', { ...WEATHER, stream: 'Seattle' }],
    ])('of another %s is another matter', async (_, other) => {
      const { lease, job } = await begun()
      await store.requestReset(WEATHER)
      const theirs = await begun({ identity: other, cancel: [job.id] })
      expect(await store.unfinishedJobs(WEATHER)).toEqual([job])
      expect(await store.unfinishedJobs(other)).toEqual([theirs.job])
      expect(await store.resets(other, [theirs.job.id])).toEqual([])
      expect(await store.cancelResets(other)).toBe(0)
      await store.finish(lease, job, { status: 'succeeded' })
      expect(await store.lastSucceeded(other)).toBeUndefined()
    })

    test('may be called anything', async () => {
      const identity = { name: `it's "50%" of\n日本 🌧; --`, source: '_', stream: '' }
      const { job } = await begun({ identity })
      expect(job).toMatchObject(identity)
      expect(await store.unfinishedJobs(identity)).toEqual([job])
      expect(await store.unfinishedJobs({ ...identity, stream: '%' })).toEqual([])
    })
  })

  describe('a checkpoint', () => {
    test('is not there before one was saved', async () => {
      const { job } = await begun()
      expect(await store.lastCheckpoint(job)).toBeUndefined()
    })

    test('comes back as it was saved, the newest of its job', async () => {
      const { lease, job } = await begun()
      await store.saveCheckpoint(lease, job, at(job, 2), 'file')
      expect(await store.lastCheckpoint(job)).toEqual(at(job, 2))
      const newest = at(job, 5, { watermark: '2024-05-01', receipt: { bytes: 4711, part: 'a' } })
      await store.saveCheckpoint(lease, job, newest, 'file')
      expect(await store.lastCheckpoint(job)).toEqual(newest)
    })

    test('of the end has no position, and stays distinct from one before it', async () => {
      const { lease, job } = await begun()
      await store.saveCheckpoint(lease, job, at(job, 3), 'file')
      await store.saveCheckpoint(lease, job, at(job, 3, { position: null, end: true }), 'file')
      expect(await store.lastCheckpoint(job)).toEqual(at(job, 3, { position: null, end: true }))
    })

    test('of an extract without a page can be saved', async () => {
      const { lease, job } = await begun()
      const end = at(job, 0, { position: null, end: true })
      await store.saveCheckpoint(lease, job, end, 'file')
      expect(await store.lastCheckpoint(job)).toEqual(end)
    })

    test('can go back, as a destination that lost rows does', async () => {
      const { lease, job } = await begun()
      for (const page of [2, 4, 6]) await store.saveCheckpoint(lease, job, at(job, page), 'file')
      await store.saveCheckpoint(lease, job, at(job, 3), 'file')
      expect(await store.lastCheckpoint(job)).toEqual(at(job, 3))
      await store.saveCheckpoint(lease, job, at(job, 6, { rows: 7 }), 'file')
      expect(await store.lastCheckpoint(job)).toEqual(at(job, 6, { rows: 7 }))
    })

    test('belongs to its job alone and outlives a resume', async () => {
      const { lease, job } = await begun()
      await store.saveCheckpoint(lease, job, at(job, 2), 'file')
      const other = await store.begin(lease, beginJob())
      expect(await store.lastCheckpoint(other)).toBeUndefined()
      expect(await store.lastCheckpoint(await store.begin(lease, beginJob({ resume: job.id })))).toEqual(at(job, 2))
    })

    test('of a stream is still the newest after many', async () => {
      const { lease, job } = await begun({ mode: 'stream' })
      for (let page = 1; page <= 250; page++) await store.saveCheckpoint(lease, job, at(job, page), 'file')
      expect(await store.lastCheckpoint(job)).toEqual(at(job, 250))
    })

    test('keeps any position, watermark and receipt', async () => {
      const { lease, job } = await begun()
      let page = 0
      const object = fc
        .dictionary(fc.string(), fc.jsonValue())
        .map((value) => JSON.parse(JSON.stringify(value)) as JsonObject)
      await fc.assert(
        fc.asyncProperty(object, object, object, async (position, watermark, receipt) => {
          page += 1
          const checkpoint = at(job, page, { position, watermark, receipt })
          await store.saveCheckpoint(lease, job, checkpoint, 'file')
          expect(await store.lastCheckpoint(job)).toEqual(checkpoint)
        }),
        { numRuns: 50 },
      )
    })

    test('keeps numbers that a double cannot hold', async () => {
      const { lease, job } = await begun()
      const position = parseJson('{"offset":18446744073709551615,"price":1.10,"zero":-0}') as JsonObject
      await store.saveCheckpoint(lease, job, at(job, 1, { position }), 'file')
      expect(await store.lastCheckpoint(job)).toEqual(at(job, 1, { position }))
    })
  })

  describe('a lease', () => {
    test('keeps a second run out, naming the holder, until it is released', async () => {
      const lease = await store.acquire(WEATHER, 'pid 12 on here since noon')
      await expect(store.acquire(WEATHER, 'other')).rejects.toMatchObject({
        code: 'locked',
        message: 'pipeline "weather" (file - seattle) is locked by pid 12 on here since noon',
      })
      await lease.release()
      await (await store.acquire(WEATHER, 'other')).release()
    })

    test('of one pipeline leaves the others free', async () => {
      await store.acquire(WEATHER, 'one')
      await store.acquire({ ...WEATHER, stream: 'tacoma' }, 'two')
    })

    test('can be released twice without freeing that of the next holder', async () => {
      const lease = await store.acquire(WEATHER, 'one')
      await lease.release()
      await store.acquire(WEATHER, 'two')
      await lease.release()
      await expect(store.acquire(WEATHER, 'three')).rejects.toMatchObject({ code: 'locked' })
    })

    test('has a greater epoch than those before it, and than the clock had', async () => {
      const before = Date.now()
      const epochs: number[] = []
      for (let i = 0; i < 5; i++) {
        const lease = await store.acquire(WEATHER, 'test')
        epochs.push(lease.epoch)
        await lease.release()
      }
      expect(epochs[0]).toBeGreaterThanOrEqual(before)
      expect([...new Set(epochs)].sort((a, b) => a - b)).toEqual(epochs)
    })

    test('that a newer one replaced changes nothing any more', async () => {
      await store.requestReset(WEATHER)
      const { lease: old, job } = await begun()
      await store.saveCheckpoint(old, job, at(job, 1), 'file')
      await old.release()
      await store.acquire(WEATHER, 'newer')

      const fenced = { code: 'fenced', message: expect.stringContaining('pipeline "weather" (file - seattle)') }
      const resets = await store.resets(WEATHER, [])
      const change = beginJob({ cancel: [job.id], consume: resets.map(({ id }) => id), bindReset: true })
      await expect(store.begin(old, change)).rejects.toMatchObject(fenced)
      await expect(store.begin(old, beginJob({ resume: job.id }))).rejects.toMatchObject(fenced)
      await expect(store.saveCheckpoint(old, job, at(job, 2), 'file')).rejects.toMatchObject(fenced)
      await expect(store.finish(old, job, { status: 'succeeded' })).rejects.toMatchObject(fenced)
      const adopted = adoptedJob('e'.repeat(32))
      const adoption = { identity: WEATHER, cancel: [job.id], jobs: [adopted], destination: 'file' }
      await expect(store.adopt(old, adoption)).rejects.toMatchObject(fenced)
      await expect(store.rewind(old, job, undefined)).rejects.toMatchObject(fenced)
      await expect(store.clear(old, WEATHER, { published: true })).rejects.toMatchObject(fenced)

      expect(await store.unfinishedJobs(WEATHER)).toEqual([job])
      expect(await store.lastCheckpoint(job)).toEqual(at(job, 1))
      expect(await store.resets(WEATHER, [job.id])).toEqual(resets)
    })
  })

  describe('a reset request', () => {
    test('is pending once, however often it is made', async () => {
      expect(await store.requestReset(WEATHER)).toBe(true)
      expect(await store.requestReset(WEATHER)).toBe(false)
      const requests = await store.resets(WEATHER, [])
      expect(requests).toEqual([{ id: expect.stringMatching(/^[0-9a-f]{32}$/), requestedAt: expect.any(Date) }])
    })

    test('can be withdrawn while it is pending', async () => {
      await store.requestReset(WEATHER)
      expect(await store.cancelResets(WEATHER)).toBe(1)
      expect(await store.cancelResets(WEATHER)).toBe(0)
      expect(await store.resets(WEATHER, [])).toEqual([])
      expect(await store.requestReset(WEATHER)).toBe(true)
    })

    test('is taken by a job, and then seen only with that job', async () => {
      await store.requestReset(WEATHER)
      const [request] = await store.resets(WEATHER, [])
      const { job } = await begun({ consume: [request?.id ?? ''] })
      expect(await store.resets(WEATHER, [])).toEqual([])
      expect(await store.resets(WEATHER, ['f'.repeat(32)])).toEqual([])
      expect(await store.resets(WEATHER, ['f'.repeat(32), job.id])).toEqual([{ ...request, consumedByJobId: job.id }])
      expect(await store.cancelResets(WEATHER)).toBe(0)
    })

    test('that one job has taken is not taken again', async () => {
      await store.requestReset(WEATHER)
      const consume = (await store.resets(WEATHER, [])).map(({ id }) => id)
      const { lease, job } = await begun({ consume })
      const next = await store.begin(lease, beginJob({ consume }))
      expect(await store.resets(WEATHER, [next.id])).toEqual([])
      expect(await store.resets(WEATHER, [job.id])).toHaveLength(1)
    })

    test('can be recorded with the job that it is for', async () => {
      const { job } = await begun({ bindReset: true })
      expect(await store.resets(WEATHER, [])).toEqual([])
      expect(await store.resets(WEATHER, [job.id])).toMatchObject([{ consumedByJobId: job.id }])
      expect(await store.requestReset(WEATHER)).toBe(true)
      expect(await store.resets(WEATHER, [job.id])).toHaveLength(2)
    })
  })

  describe('the log', () => {
    test('has every job of the pipeline, however it ended, the newest first', async () => {
      const { lease, job: cancelled } = await begun()
      const failed = await store.begin(lease, beginJob({ cancel: [cancelled.id] }))
      await store.finish(lease, failed, { status: 'failed', error: 'no' })
      const succeeded = await store.begin(lease, beginJob())
      await store.finish(lease, succeeded, { status: 'succeeded', watermark: 7 })
      const running = await store.begin(lease, beginJob())
      await begun({ identity: { ...WEATHER, stream: 'tacoma' } })
      const expected = [
        running,
        { ...succeeded, status: 'succeeded', watermark: 7 },
        { ...failed, status: 'failed', errorMessage: 'no' },
        { ...cancelled, status: 'cancelled' },
      ]
      expect(await store.jobs(WEATHER)).toEqual(expected)
      expect(await store.jobs(WEATHER, 2)).toEqual(expected.slice(0, 2))
    })

    test('has the checkpoints of a job, the newest last, and how they came there', async () => {
      const { lease, job } = await begun({ mode: 'incremental' })
      expect(await store.checkpoints(job)).toEqual([])
      const before = Date.now()
      await store.saveCheckpoint(lease, job, at(job, 2), 'file')
      await store.finish(lease, job, { status: 'failed' })
      const again = await store.begin(lease, beginJob({ mode: 'incremental', resume: job.id }))
      await store.saveCheckpoint(lease, again, at(job, 4, { receipt: { bytes: 1 } }), 'file')
      await store.saveCheckpoint(lease, again, at(job, 4, { position: null, end: true, watermark: 9 }), 'file')
      await store.saveCheckpoint(lease, await store.begin(lease, beginJob()), at(job, 1), 'file')
      const logged = await store.checkpoints(job)
      const saved = { savedAt: expect.any(Date), destination: 'file' }
      expect(logged).toEqual([
        { ...at(job, 2), ...saved, attempt: 0 },
        { ...at(job, 4, { position: null, end: true, watermark: 9 }), ...saved, attempt: 1 },
      ])
      for (const { savedAt } of logged) {
        expect(savedAt.getTime()).toBeGreaterThanOrEqual(before)
        expect(savedAt.getTime()).toBeLessThanOrEqual(Date.now())
      }
      expect(await store.checkpoints(job, 1)).toEqual(logged.slice(-1))
      expect(await store.checkpoints(job, 9)).toEqual(logged)
    })
  })

  describe('a job of another store', () => {
    const [A, B] = ['a'.repeat(32), 'b'.repeat(32)]
    const adopt = (lease: Lease, jobs: readonly AdoptedJob[], cancel: readonly string[] = []): Promise<void> =>
      store.adopt(lease, { identity: WEATHER, cancel, jobs, destination: 'file' })

    test('that was published is the last one, with its time and watermark', async () => {
      const { lease, job } = await begun()
      await store.finish(lease, job, { status: 'succeeded' })
      const watermark = parseJson('{"seq":9007199254740993}')
      await adopt(lease, [adoptedJob(A, { status: 'succeeded', watermark })])
      expect(await store.lastSucceeded(WEATHER)).toMatchObject({
        ...WEATHER,
        id: A,
        createdAt: NOON,
        watermark,
        ours: true,
        complete: false,
      })
      expect(await store.jobs(WEATHER)).toHaveLength(2)
    })

    test('that is unfinished can be gone on with from its checkpoint', async () => {
      const { lease, job: old } = await begun()
      await adopt(lease, [adoptedJob(A, { status: 'succeeded' }), adoptedJob(B)], [old.id])
      const [job, ...others] = await store.unfinishedJobs(WEATHER)
      expect(others).toEqual([])
      expect(job).toMatchObject({ id: B, status: 'running', mode: 'incremental' })
      expect(job && (await store.lastCheckpoint(job))).toEqual(adoptedJob(B).checkpoint)
      expect(await store.lastSucceeded(WEATHER)).toMatchObject({ id: A })
      expect(await store.begin(lease, beginJob({ mode: 'incremental', resume: B }))).toMatchObject({ attempt: 1 })
    })

    test('that is unfinished here too goes on to its checkpoint, or its end', async () => {
      const { lease, job } = await begun({ mode: 'incremental' })
      await store.saveCheckpoint(lease, job, at(job, 2), 'file')
      await adopt(lease, [adoptedJob(job.id, { checkpoint: at(job, 5) })])
      expect(await store.unfinishedJobs(WEATHER)).toEqual([job])
      expect(await store.lastCheckpoint(job)).toEqual(at(job, 5))
      const end = at(job, 6, { position: null, end: true })
      await adopt(lease, [adoptedJob(job.id, { checkpoint: end, status: 'succeeded', watermark: 6 })])
      expect(await store.lastSucceeded(WEATHER)).toEqual({ ...job, status: 'succeeded', watermark: 6 })
    })

    test('is not taken, nor any with it, when it has ended here or is of another pipeline', async () => {
      const { lease, job } = await begun()
      await store.finish(lease, job, { status: 'succeeded' })
      const other = await begun({ identity: { ...WEATHER, name: 'other' } })
      const { job: running } = { job: await store.begin(lease, beginJob()) }
      const before = await store.jobs(WEATHER)
      for (const id of [job.id, other.job.id]) {
        await expect(adopt(lease, [adoptedJob(A), adoptedJob(id)], [running.id])).rejects.toMatchObject({
          code: 'state',
        })
      }
      expect(await store.jobs(WEATHER)).toEqual(before)
    })
  })

  describe('a rewind', () => {
    async function published(lease: Lease, watermark: number): Promise<Job> {
      const job = await store.begin(lease, beginJob({ mode: 'incremental' }))
      await store.finish(lease, job, { status: 'succeeded', watermark })
      return { ...job, status: 'succeeded', watermark }
    }

    test('is noted at the last published job, and can be taken back', async () => {
      const lease = await store.acquire(WEATHER, 'test')
      const [one, two, three] = [await published(lease, 1), await published(lease, 2), await published(lease, 3)]
      await store.rewind(lease, three, one.id)
      const rewound = { ...three, rewound: { to: one.id, createdAt: one.createdAt, watermark: 1 } }
      expect(await store.lastSucceeded(WEATHER)).toEqual(rewound)
      expect(await store.jobs(WEATHER)).toEqual([rewound, two, one])
      await store.rewind(lease, three, undefined)
      expect(await store.lastSucceeded(WEATHER)).toEqual(three)
    })

    test('is of the last published job alone, and to an earlier published one', async () => {
      const lease = await store.acquire(WEATHER, 'test')
      const [one, two] = [await published(lease, 1), await published(lease, 2)]
      const unfinished = await store.begin(lease, beginJob({ mode: 'incremental' }))
      await expect(store.rewind(lease, one, two.id)).rejects.toMatchObject({ code: 'state' })
      for (const to of [two.id, unfinished.id, 'f'.repeat(32)])
        await expect(store.rewind(lease, two, to)).rejects.toMatchObject({ code: 'state' })
      expect(await store.lastSucceeded(WEATHER)).toEqual(two)
    })
  })

  describe('clearing', () => {
    test('cancels what is unfinished, and leaves what was published and other pipelines alone', async () => {
      const { lease, job: published } = await begun()
      await store.finish(lease, published, { status: 'succeeded' })
      await store.begin(lease, beginJob())
      const failed = await store.begin(lease, beginJob())
      await store.finish(lease, failed, { status: 'failed' })
      const other = await begun({ identity: { ...WEATHER, stream: 'tacoma' } })
      await store.clear(lease, WEATHER, { published: false })
      expect(await store.unfinishedJobs(WEATHER)).toEqual([])
      expect(await store.lastSucceeded(WEATHER)).toMatchObject({ id: published.id })
      expect(await store.unfinishedJobs(other.job)).toEqual([other.job])
    })

    test('makes a reset pending again that a cancelled run was to do', async () => {
      const { lease, job } = await begun({ mode: 'incremental', bindReset: true })
      const done = await store.begin(lease, beginJob({ mode: 'incremental', bindReset: true }))
      await store.finish(lease, done, { status: 'succeeded' })
      await store.clear(lease, WEATHER, { published: false })
      expect(await store.resets(WEATHER, [job.id, done.id])).toMatchObject([{}, { consumedByJobId: done.id }])
      expect(await store.resets(WEATHER, [])).toHaveLength(1)
    })

    test('of all forgets what was published too, and every reset', async () => {
      const { lease, job } = await begun({ mode: 'incremental' })
      await store.finish(lease, job, { status: 'succeeded' })
      const unfinished = await store.begin(lease, beginJob({ mode: 'incremental', bindReset: true }))
      await store.requestReset(WEATHER)
      await store.clear(lease, WEATHER, { published: true })
      expect(await store.lastSucceeded(WEATHER)).toBeUndefined()
      expect(await store.unfinishedJobs(WEATHER)).toEqual([])
      expect(await store.resets(WEATHER, [])).toEqual([])
      expect((await store.jobs(WEATHER)).map(({ id, status }) => [id, status])).toEqual([
        [unfinished.id, 'cancelled'],
        [job.id, 'cancelled'],
      ])
    })
  })

  describe('a store', () => {
    test('can be closed twice, and then rejects what is asked of it', async () => {
      await store.close()
      await store.close()
      await expect(store.unfinishedJobs(WEATHER)).rejects.toMatchObject({ code: 'internal' })
    })

    test('can be closed without having been opened', async () => {
      await (await createStore(config)).close()
    })

    test('logs its statements only when echo is set', async () => {
      const statements = async (echo: boolean): Promise<string[]> => {
        const lines: string[] = []
        const note = (line: string): void => void lines.push(line)
        const log = { trace: note, debug: note, info: note, warn: note, error: note }
        const echoing = await createStore({ ...config, echo }, log)
        opened.push(echoing)
        await echoing.open()
        await echoing.requestReset(WEATHER)
        return lines
      }
      expect(await statements(false)).toEqual([])
      expect((await statements(true)).join('\n')).toMatch(/stream_resets.*\n?.*weather/s)
    })
  })

  if (!persistent) return

  describe('what outlives a store', () => {
    const scripts: Script[] = []
    afterEach(async () => {
      for (const script of scripts.splice(0)) {
        script.signal('SIGKILL')
        await script.ended
      }
    })

    async function process(identity: Identity = WEATHER): Promise<Script> {
      const script = await startScript(STORE_SCRIPT, [JSON.stringify(config), JSON.stringify(identity)])
      scripts.push(script)
      return script
    }

    async function epochOf(script: Script): Promise<number> {
      const line = await script.line()
      expect(line).toMatch(/^held \d+$/)
      return Number(line?.slice('held '.length))
    }

    test('is all there when it is opened again', async () => {
      await store.requestReset(WEATHER)
      const { lease, job } = await begun()
      await store.saveCheckpoint(lease, job, at(job, 3, { receipt: { bytes: 12 } }), 'file')
      const before = await everything(store, job)
      await lease.release()
      await store.close()
      const again = await anotherStore()
      expect(await everything(again, job)).toEqual(before)
      const next = await again.acquire(WEATHER, 'test')
      expect(next.epoch).toBeGreaterThan(lease.epoch)
    })

    test('is seen at once by a store that is open already', async () => {
      const other = await anotherStore()
      const { job } = await begun()
      expect(await other.unfinishedJobs(WEATHER)).toEqual([job])
    })

    test('is a lease that another process holds', async () => {
      const other = await process()
      await epochOf(other)
      await expect(store.acquire(WEATHER, 'test')).rejects.toMatchObject({
        code: 'locked',
        message: `pipeline "weather" (file - seattle) is locked by pid ${other.pid}`,
      })
      other.tell('release')
      expect(await other.ended).toEqual({ code: 0, signal: null, stderr: '' })
      await store.acquire(WEATHER, 'test')
    })

    test('is no lease of a process that was killed', async () => {
      const other = await process()
      const epoch = await epochOf(other)
      other.signal('SIGKILL')
      await other.ended
      const lease = await store.acquire(WEATHER, 'test')
      expect(lease.epoch).toBeGreaterThan(epoch)
    })

    test('is a lease of a process that is stopped', async () => {
      const other = await process()
      await epochOf(other)
      other.signal('SIGSTOP')
      await expect(store.acquire(WEATHER, 'test')).rejects.toMatchObject({ code: 'locked' })
    })

    test('is all there of several processes that write at once', async () => {
      const file = new URL('../support/scripts/store-work.ts', import.meta.url)
      const streams = ['a', 'b', 'c']
      const starting = streams.map((stream) =>
        startScript(file, [JSON.stringify(config), JSON.stringify({ ...WEATHER, stream }), '300']),
      )
      scripts.push(...(await Promise.all(starting)))
      for (const script of scripts) expect(await script.line()).toBe('ready')
      for (const script of scripts) script.tell('go')
      for (const script of scripts) expect(await script.line()).toBe('done')
      for (const stream of streams) {
        const [job] = await store.unfinishedJobs({ ...WEATHER, stream })
        expect(job && (await store.lastCheckpoint(job))).toMatchObject({ page: 300 })
      }
    })

    test('lets one of several processes in that start together over nothing', async () => {
      await store.close()
      config = await elsewhere(config)
      const starting = await Promise.all(Array.from({ length: 4 }, () => process()))
      const lines = await Promise.all(starting.map((script) => script.line()))
      expect(lines.filter((line) => line?.startsWith('held '))).toHaveLength(1)
      expect(lines.filter((line) => line?.startsWith('locked '))).toHaveLength(3)
    })

    test('lets several processes in that start different pipelines together over nothing', async () => {
      await store.close()
      config = await elsewhere(config)
      const starting = await Promise.all(['a', 'b', 'c', 'd'].map((stream) => process({ ...WEATHER, stream })))
      for (const script of starting) await epochOf(script)
    })
  })
}

async function createStore(config: StoreConfig, log?: Log): Promise<StateStore> {
  const { default: definition } = await stores[config.type as keyof typeof stores]()
  return definition.create(config, log && { log })
}

function beginJob(fields: Partial<BeginJob> = {}): BeginJob {
  return {
    identity: WEATHER,
    cancel: [],
    mode: 'full_refresh',
    complete: false,
    consume: [],
    bindReset: false,
    ...fields,
  }
}

function at(job: Job, page: number, fields: Partial<StoredCheckpoint> = {}): StoredCheckpoint {
  return { run: job.id, page, rows: page * 10, position: { page }, end: false, ...fields }
}

const NOON = new Date('2024-05-01T12:00:00.123Z')

function adoptedJob(id: string, fields: Partial<AdoptedJob> = {}): AdoptedJob {
  return {
    id,
    createdAt: NOON,
    mode: 'incremental',
    complete: false,
    status: 'running',
    checkpoint: { run: id, page: 4, rows: 40, position: { page: 4 }, end: false },
    ...fields,
  }
}

async function everything(store: StateStore, job: Job): Promise<unknown> {
  return [
    await store.unfinishedJobs(WEATHER),
    await store.lastSucceeded(WEATHER),
    await store.lastCheckpoint(job),
    await store.resets(WEATHER, [job.id]),
  ]
}

async function untilAfter(time: Date): Promise<void> {
  while (Date.now() <= time.getTime()) await new Promise((resolve) => setTimeout(resolve, 1))
}
