// The flow as a whole, over a real state store: what is written, in which order, and what a failure leaves.

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Outcome, PipelineEvent } from '../../lib/events.ts'
import {
  checkpoint,
  extract,
  load,
  type PipelineOptions,
  pipeline,
  runPipeline,
  type Step,
  silentLog,
  type Transform,
  transform,
} from '../../lib/index.ts'
import { OpenLoad } from '../../lib/load.ts'
import type { SourceDefinition } from '../../lib/source.ts'
import type { StoreDefinition } from '../../lib/state.ts'
import { sleep } from '../../lib/wait.ts'
import { type TestConfig, testConfig } from '../support/engine.ts'
import { type Script, scriptedSource, shelf, shelfDestination } from '../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-pipeline-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

type Parts = Partial<Omit<TestConfig, 'source' | 'folder'>> & {
  on?: ReturnType<typeof shelf>
  source?: Partial<Script>
}

async function run({ on = shelf(), source, ...parts }: Parts = {}, options: PipelineOptions = {}): Promise<Outcome> {
  const config = await testConfig({
    folder,
    source: scriptedSource({ pages: [2, 2, 1], ...source }),
    destination: shelfDestination(on),
    ...parts,
  })
  return runPipeline(config, options)
}

/** Fails the n-th time the step is reached. */
function failing(step: string, n = 1) {
  let passed = 0
  return (reached: string) => {
    if (reached === step && ++passed === n) throw new Error(`${step} failed`)
  }
}

describe('a run that ends', () => {
  it('writes every page, makes each checkpoint durable, publishes once, and closes', async () => {
    const on = shelf()
    const outcome = await run({ on })
    expect(on.published).toEqual(upTo(5))
    expect(on.calls).toEqual(['open', 'write', 'flush', 'write', 'flush', 'write', 'flush', 'publish', 'close'])
    expect(outcome).toMatchObject({ status: 'complete', rows: 5, totalRows: 5, pages: 3, checkpoints: 3 })
  })

  it('publishes an empty extract too', async () => {
    const on = shelf()
    on.published = [1, 2, 3]
    expect(await run({ on, source: { pages: [] } })).toMatchObject({ status: 'complete', rows: 0 })
    expect(on.published).toEqual([])
  })

  it('moves the positions behind a page in one order: destination, state store, source, queue', async () => {
    const order: string[] = []
    const on = shelf()
    const config = await testConfig({
      folder,
      source: scriptedSource({ pages: [1, 1], acknowledged: () => order.push('source') }),
      destination: shelfDestination(on, (step) => void (step === 'flush' && order.push('destination'))),
    })
    const { backend } = config.engine
    const telling: StoreDefinition = {
      ...backend.definition,
      create(...given) {
        const store = backend.definition.create(...given)
        const save = store.saveCheckpoint.bind(store)
        return Object.assign(store, {
          saveCheckpoint: async (...args: Parameters<typeof save>) => {
            await save(...args)
            order.push('store')
          },
        })
      },
    }
    const watched = { ...config, engine: { ...config.engine, backend: { ...backend, definition: telling } } }
    const source = await extract(config).open()
    const sink = new OpenLoad(watched, source, {
      log: silentLog,
      signal: new AbortController().signal,
      observe: () => {},
    })
    await sink.open()
    order.length = 0
    const at = { run: 'r', page: 1, rows: 1, position: { page: 1 }, end: false }
    await sink.write({ item: at, ack: async () => void order.push('queue') })
    await sink.close()
    expect(order).toEqual(['destination', 'store', 'source', 'queue'])
  })

  it('tells an observer of every step in the order it became true', async () => {
    const events: string[] = []
    await run({}, { observe: (event: PipelineEvent) => events.push(event.type) })
    expect(events).toEqual(['start', 'page', 'checkpoint', 'page', 'checkpoint', 'page', 'checkpoint', 'published'])
  })

  it('acknowledges the source only for what is durable', async () => {
    const on = shelf()
    const order: string[] = []
    const acknowledged = (position: unknown) =>
      order.push(`ack ${JSON.stringify(position)} with ${on.committed?.checkpoint.page} committed`)
    await run({ on, source: { acknowledged } })
    // The last page has no place of its own: that of the one before it is told once more, behind the publish.
    expect(order).toEqual([
      'ack {"page":1} with 1 committed',
      'ack {"page":2} with 2 committed',
      'ack {"page":2} with 3 committed',
    ])
  })

  it('starts the next full refresh from the beginning', async () => {
    const on = shelf()
    await run({ on })
    await run({ on, source: { pages: [1, 1] } })
    expect(on.published).toEqual(upTo(2))
  })
})

describe('a run that fails', () => {
  it.each(['fetch', 'write', 'flush', 'publish'])(
    'in %s publishes nothing, and the next one resumes it',
    async (step) => {
      const on = shelf()
      on.published = [42]
      const interfere = failing(step, step === 'publish' ? 1 : 2)
      const starts: unknown[] = []
      const source: Partial<Script> = { started: ({ position }) => starts.push(position) }
      const broken =
        step === 'fetch' ? { source: { ...source, interfere } } : { destination: shelfDestination(on, interfere) }
      await expect(run({ on, source, ...broken })).rejects.toThrow(`${step} failed`)
      expect(on.published).toEqual([42])
      expect(on.calls.at(-1)).toBe('close')

      await run({ on, source })
      expect(on.published).toEqual(upTo(5))
      // The first page was durable in each case; a publish that failed is repeated without reading anything again.
      expect(starts.slice(1)).toEqual(step === 'publish' ? [] : [{ page: 1 }])
    },
  )

  it('in the source keeps every page that came before, whatever the settings of checkpoints', async () => {
    const on = shelf()
    const source = { interfere: failing('fetch', 3) }
    await expect(run({ on, checkpointPages: 100, source })).rejects.toThrow('fetch failed')
    expect(on.committed?.rows).toEqual(upTo(4))
    expect(on.calls).not.toContain('publish')
  })

  it('that stops short without saying that it is exhausted is not taken for complete', async () => {
    const on = shelf()
    const stopsShort = run({ on, source: { ending: 'return' } })
    await expect(stopsShort).rejects.toMatchObject({ code: 'incomplete' })
    expect(on.calls).not.toContain('publish')
  })

  it('starts a full refresh over when positions do not survive', async () => {
    const on = shelf()
    const starts: unknown[] = []
    const source: Partial<Script> = { stream: { resumable: false }, started: ({ position }) => starts.push(position) }
    await expect(run({ source, destination: shelfDestination(on, failing('write', 3)) })).rejects.toThrow()
    await run({ on, source })
    expect(starts).toEqual([undefined, undefined])
    expect(on.published).toEqual(upTo(5))
  })

  it('keeps the reason in the job, which is failed', async () => {
    await expect(run({ destination: shelfDestination(shelf(), failing('flush')) })).rejects.toThrow()
    const { default: sqlite } = await import('../../connectors/stores/sqlite.ts')
    const store = sqlite.create({ type: 'sqlite', database: join(folder, 'state'), schema: '', echo: false })
    await store.open()
    const jobs = await store.unfinishedJobs({ name: 'test', source: 'scripted', stream: 'numbers' })
    await store.close()
    expect(jobs).toMatchObject([{ status: 'failed', errorMessage: 'flush failed' }])
  })

  it('is told of the loss when the destination lost what was durable', async () => {
    const on = shelf()
    await expect(run({ destination: shelfDestination(on, failing('write', 3)) })).rejects.toThrow()
    on.committed = undefined
    await expect(run({ on })).rejects.toMatchObject({ code: 'edited' })
  })

  it('adopts what the destination holds and the state store never heard of', async () => {
    const on = shelf()
    const starts: unknown[] = []
    // The process dies, as it were, between the commit of page 2 and the store's copy.
    await expect(run({ destination: shelfDestination(on) }, { observe: dieAfter('checkpoint', 1) })).rejects.toThrow(
      'observer died',
    )
    if (!on.committed) throw new Error('nothing committed')
    on.committed = {
      ...on.committed,
      rows: upTo(4),
      checkpoint: { ...on.committed.checkpoint, page: 2, rows: 4, position: { page: 2 } },
    }
    await run({ on, source: { started: ({ position }) => starts.push(position) } })
    expect(starts).toEqual([{ page: 2 }])
    expect(on.published).toEqual(upTo(5))
  })
})

/** Throws from the observer when the n-th event of the type is told. */
function dieAfter(type: PipelineEvent['type'], n: number) {
  let seen = 0
  return (event: PipelineEvent) => {
    if (event.type === type && ++seen === n) throw new Error('observer died')
  }
}

it('keeps what references stand for out of the state', async () => {
  process.env.BIZON_TEST_CANARY = 'canary-7431'
  try {
    const destination = shelfDestination(shelf(), () => {
      throw new Error('refused: canary-7431')
    })
    const config = await testConfig({
      folder,
      source: scriptedSource({ pages: [1] }),
      destination,
      sourceKeys: { cursor_field: 'env://BIZON_TEST_CANARY' },
    })
    await expect(runPipeline(config)).rejects.toThrow()
  } finally {
    delete process.env.BIZON_TEST_CANARY
  }
  const written = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'latin1')))
  expect(written.join('')).toContain('refused: ***')
  expect(written.join('')).not.toContain('canary-7431')
})

describe('a run that is stopped', () => {
  it('by max_iterations reads exactly so many pages, publishes nothing, and goes on next time', async () => {
    const on = shelf()
    const capped = { sourceKeys: { max_iterations: 2 } }
    expect(await run({ on, ...capped })).toMatchObject({ status: 'stopped', pages: 2, rows: 4 })
    expect(on.published).toEqual([])
    expect(await run({ on, ...capped })).toMatchObject({ status: 'complete', pages: 1, rows: 1, totalRows: 5 })
    expect(on.published).toEqual(upTo(5))
  })

  it('by the stop signal makes what was read durable and resolves', async () => {
    const on = shelf()
    const stop = new AbortController()
    const observe = (event: PipelineEvent) => event.type === 'page' && stop.abort()
    const outcome = await run({ on, source: { pages: upTo(50).map(() => 1) } }, { stop: stop.signal, observe })
    expect(outcome.status).toBe('stopped')
    expect(on.committed?.rows).toEqual(upTo(outcome.rows))
    expect(outcome.rows).toBeLessThan(50)
    expect(on.published).toEqual([])
  })

  it('by the stop signal before it reads rejects at once, though the source minds no signal', async () => {
    const on = shelf()
    const stop = new AbortController()
    const reason = new Error('enough')
    const interfere = (step: string) => (step === 'check' ? new Promise<void>(() => stop.abort(reason)) : undefined)
    await expect(run({ on, source: { interfere } }, { stop: stop.signal })).rejects.toBe(reason)
    expect(await run({ on })).toMatchObject({ status: 'complete', rows: 5 })
  })

  it('by the stop signal does not wait for a source that waits', async () => {
    const stop = new AbortController()
    const interfere = (step: string) => (step === 'fetch' ? new Promise<void>(() => stop.abort()) : undefined)
    expect(await run({ source: { interfere } }, { stop: stop.signal })).toMatchObject({ status: 'stopped', rows: 0 })
  }, 120_000)

  it('by the abort signal rejects with its reason', async () => {
    const on = shelf()
    const controller = new AbortController()
    const reason = new Error('at once')
    const observe = (event: PipelineEvent) => event.type === 'page' && controller.abort(reason)
    await expect(run({ on }, { signal: controller.signal, observe })).rejects.toBe(reason)
    expect(on.calls.at(-1)).toBe('close')
    await expect(run({ on }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('incremental runs', () => {
  const incremental = { sourceKeys: { sync_mode: 'incremental' } }

  it('read everything first, then only what is newer, by the watermark the source left', async () => {
    const on = shelf()
    const starts: unknown[] = []
    const source = (pages: number[]): Partial<Script> => ({ pages, started: ({ since }) => starts.push(since?.value) })
    await run({ on, ...incremental, source: source([2]) })
    await run({ on, ...incremental, source: source([2, 3]) })
    await run({ on, ...incremental, source: source([2, 3]) })
    await run({ on, ...incremental, source: source([2, 3, 1]) })
    expect(starts).toEqual([undefined, 1, 2, 2])
    expect(on.published).toEqual(upTo(6))
  })

  it('hand the watermark on when they find nothing that has one', async () => {
    const on = shelf()
    const seen: unknown[] = []
    const source = (watermark: number | undefined): SourceDefinition => ({
      ...scriptedSource({ pages: [] }),
      create: () => ({
        async *read({ since }) {
          seen.push(since?.value)
          yield { records: [], next: null, ...(watermark !== undefined && { watermark }) }
        },
      }),
    })
    for (const watermark of [7, undefined, undefined]) {
      const config = await testConfig({
        folder,
        source: source(watermark),
        destination: shelfDestination(on),
        ...incremental,
      })
      await runPipeline(config)
    }
    expect(seen).toEqual([undefined, 7, 7])
  })

  it('do not move the watermark when they fail', async () => {
    const on = shelf()
    await run({ on, ...incremental, source: { pages: [2] } })
    const broken = { destination: shelfDestination(on, failing('flush', 2)), source: { pages: [2, 2, 2] } }
    await expect(run({ ...incremental, ...broken })).rejects.toThrow()
    expect(on.published).toEqual(upTo(2))
    await run({ on, ...incremental, source: { pages: [2, 2, 2] } })
    expect(on.published).toEqual(upTo(6))
  })

  it('fetch and replace everything on a reset, and only once', async () => {
    const on = shelf()
    await run({ on, ...incremental, source: { pages: [2] } })
    on.published = [99]
    await run({ on, sourceKeys: { sync_mode: 'incremental', reset: true }, source: { pages: [2, 2] } })
    expect(on.published).toEqual(upTo(4))
    await run({ on, ...incremental, source: { pages: [2, 2, 1] } })
    expect(on.published).toEqual(upTo(5))
  })
})

describe('the stream runner', () => {
  it('asks for a page only when the one before is written', async () => {
    const on = shelf()
    const writtenAtFetch: number[] = []
    const interfere = async (step: string) => {
      if (step === 'fetch') writtenAtFetch.push(on.calls.filter((call) => call === 'write').length)
    }
    await run({ on, runner: 'stream', source: { pages: [1, 1, 1, 1], interfere } })
    expect(writtenAtFetch).toEqual([0, 1, 2, 3])
    expect(on.published).toEqual(upTo(4))
  })

  it('reads ahead in the thread runner, by contrast', async () => {
    const on = shelf()
    const fetched: number[] = []
    const slow = shelfDestination(on, async (step) => {
      if (step === 'write') await sleep(0.02, new AbortController().signal)
    })
    const interfere = (step: string) =>
      void (step === 'fetch' && fetched.push(on.calls.filter((call) => call === 'write').length))
    await run({ destination: slow, source: { pages: [1, 1, 1, 1], interfere } })
    expect(fetched).not.toEqual([0, 1, 2, 3])
    expect(on.published).toEqual(upTo(4))
  })
})

it('reads ahead by bytes, not by pages: a dozen MiB of a source that has much more', async () => {
  let asked = 0
  const large: SourceDefinition = {
    ...scriptedSource({ pages: [] }),
    create: () => ({
      async *read() {
        for (asked = 1; asked < 500; asked++) yield { records: [], next: { asked }, bytes: 1 << 20 }
      },
    }),
  }
  const controller = new AbortController()
  const stalled = shelfDestination(shelf(), async (step) => {
    if (step !== 'write') return
    await sleep(0.2, controller.signal)
    controller.abort(new Error('seen enough'))
  })
  const config = await testConfig({ folder, source: large, destination: stalled })
  await expect(runPipeline(config, { signal: controller.signal })).rejects.toThrow('seen enough')
  expect(asked).toBeGreaterThan(3)
  expect(asked).toBeLessThanOrEqual(14)
})

describe('stream mode', () => {
  it('keeps one job for ever, and goes on after the last position', async () => {
    const on = shelf()
    const parts = { on, sourceKeys: { sync_mode: 'stream', max_iterations: 1 } }
    const first = await run(parts)
    const second = await run(parts)
    expect(second.job).toBe(first.job)
    expect(second).toMatchObject({ status: 'stopped', rows: 2, totalRows: 4 })
    expect(on.committed?.rows).toEqual(upTo(4))
  })
})

describe('a pipeline in a script', () => {
  const parts = (on: ReturnType<typeof shelf>) =>
    testConfig({ folder, source: scriptedSource({ pages: [2, 2, 1] }), destination: shelfDestination(on) })

  it('passes records through transforms, which may drop and change them', async () => {
    const on = shelf()
    const config = await parts(on)
    const odd = transform((records) => records.filter(({ id }) => Number(id) % 2 === 1))
    const outcome = await pipeline(extract(config), odd, checkpoint({ everyPages: 2 }), load(config))
    expect(on.published).toEqual([1, 3])
    expect(outcome).toMatchObject({ rows: 2, checkpoints: 2 })
  })

  it('names a transform that throws', async () => {
    const on = shelf()
    const config = await parts(on)
    const broken = transform(() => {
      throw new Error('no such field')
    })
    await expect(pipeline(extract(config), broken, load(config))).rejects.toMatchObject({
      code: 'transform',
      message: expect.stringContaining('no such field'),
    })
    expect(on.calls).not.toContain('publish')
  })

  it('does not take a transform that returns nothing for one that drops everything', async () => {
    const on = shelf()
    const config = await parts(on)
    const forgetful = transform((() => {}) as unknown as Transform)
    await expect(pipeline(extract(config), forgetful, load(config))).rejects.toMatchObject({ code: 'transform' })
    expect(on.calls).not.toContain('publish')
  })

  it('ends at once although a transform minds no signal', async () => {
    const config = await parts(shelf())
    const controller = new AbortController()
    const reason = new Error('enough')
    const deaf = transform(() => {
      controller.abort(reason)
      return new Promise(() => {})
    })
    await expect(pipeline(extract(config), deaf, load(config), { signal: controller.signal })).rejects.toBe(reason)
  })

  it('gives pages to a loop, with no load and no state', async () => {
    const ids: string[] = []
    for await (const page of extract(await parts(shelf()))) ids.push(...page.records.map(({ id }) => id))
    expect(ids).toEqual(['0', '1', '2', '3', '4'])
  })

  it('closes the source when the loop is left early', async () => {
    let closed = false
    const source = scriptedSource({ pages: [1, 1, 1] })
    const watched = {
      ...source,
      create: (...given: Parameters<typeof source.create>) => ({
        ...source.create(...given),
        close: async () => {
          closed = true
        },
      }),
    }
    const config = await testConfig({ folder, source: watched, destination: shelfDestination(shelf()) })
    for await (const _page of extract(config)) break
    expect(closed).toBe(true)
  })

  it('says how its stages are ordered when they are not', async () => {
    const config = await parts(shelf())
    const wrong = [load(config), extract(config)] as unknown as Parameters<typeof pipeline>
    await expect(pipeline(...wrong)).rejects.toMatchObject({ code: 'usage' })
  })
})

describe('the buffers of a page', () => {
  async function released(step: Step): Promise<number[]> {
    const on = shelf()
    const calls: number[] = []
    const source = scriptedSource({ pages: [1, 1, 1] })
    const lending = {
      ...source,
      create: (...given: Parameters<typeof source.create>) => ({
        async *read(...from: Parameters<ReturnType<typeof source.create>['read']>) {
          let n = 0
          for await (const page of source.create(...given).read(...from)) {
            const mine = n++
            yield { ...page, release: () => void calls.push(mine) }
          }
        },
      }),
    }
    const config = await testConfig({ folder, source: lending, destination: shelfDestination(on) })
    await pipeline(extract(config), step, load(config))
    expect(on.published).toEqual(upTo(3))
    return calls
  }

  it('go back to the source once each is written', async () => {
    expect(await released(checkpoint({ everyPages: 3 }))).toEqual([0, 1, 2])
  })

  it('do not when a transform may have kept a record', async () => {
    expect(await released(transform((records) => records))).toEqual([])
  })
})
