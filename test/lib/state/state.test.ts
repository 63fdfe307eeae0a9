// The state as a value that moves between stores and into producers: whatever way it goes, the run goes on exactly.
// And what would lose rows, or load them twice, is refused and changes nothing.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PipelineConfig } from '../../../lib/config.ts'
import { extract } from '../../../lib/extract.ts'
import { load } from '../../../lib/load.ts'
import { FromPipe } from '../../../lib/pipe/from.ts'
import { type PipeState, writeState } from '../../../lib/pipe/state.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { pipeline } from '../../../lib/pipeline.ts'
import { clearState, rewindState } from '../../../lib/state/change.ts'
import { importState } from '../../../lib/state/import.ts'
import { type StateStanding, standingIn, withState } from '../../../lib/state/standing.ts'
import { exportState, readStates, type StateFormat } from '../../../lib/state/value.ts'
import { testConfig } from '../../support/engine.ts'
import {
  type Interference,
  type Script,
  type Shelf,
  scriptedSource,
  shelf,
  shelfDestination,
} from '../../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-state-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

interface Parts extends Partial<Script> {
  /** Which state store. */
  readonly store?: string
  readonly keys?: { readonly [key: string]: unknown }
  readonly loading?: Interference
}

const INCREMENTAL = { sync_mode: 'incremental' }

async function configOf(on: Shelf, { store = 'one', keys = INCREMENTAL, loading, ...script }: Parts = {}) {
  await mkdir(join(folder, store), { recursive: true })
  return testConfig({
    folder: join(folder, store),
    source: scriptedSource({ pages: [2, 0, 2, 1], ...script }),
    destination: shelfDestination(on, loading),
    sourceKeys: keys,
  })
}

const run = (config: PipelineConfig) => pipeline(extract(config), load(config))
const standing = (config: PipelineConfig): Promise<StateStanding> => withState(config, standingIn)
const exported = (config: PipelineConfig, format: StateFormat = 'bizon') =>
  withState(config, (state) => exportState(state, format))
const importing = (config: PipelineConfig, text: string, expected?: string) =>
  withState(config, (state) => importState(state, { states: readStates(text, 'it', 'numbers'), expect: expected }))

/** Fails before the source's page `at`. */
function failingAt(at: number): Interference {
  let fetched = 0
  return (step) => {
    if (step === 'fetch' && ++fetched > at) throw new Error('cut off')
  }
}

/** Runs until the source has failed before its page `at`. */
async function interrupted(on: Shelf, at: number, parts: Parts = {}): Promise<PipelineConfig> {
  await expect(run(await configOf(on, { ...parts, interfere: failingAt(at) }))).rejects.toThrow('cut off')
  return configOf(on, parts)
}

/** The same in two processes: what one of the two ways has begun, the other does not go on with. */
async function interruptedPipe(on: Shelf, at: number, parts: Parts = {}): Promise<PipelineConfig> {
  const config = await configOf(on, parts)
  const { chunks, error } = await written(await configOf(on, { ...parts, interfere: failingAt(at) }))
  expect(error).toMatchObject({ message: 'cut off' })
  await expect(loaded(config, chunks)).rejects.toMatchObject({ code: 'incomplete' })
  return config
}

async function written(config: PipelineConfig, stateFile?: string): Promise<{ chunks: Buffer[]; error?: unknown }> {
  const chunks: Buffer[] = []
  const out = { write: async (bytes: Uint8Array): Promise<void> => void chunks.push(Buffer.from(bytes)) }
  const failure = extractTo(extract(config), out, { ...(stateFile && { from: stateFile }) })
  return failure.then(
    () => ({ chunks }),
    (error: unknown) => ({ chunks, error }),
  )
}

const loaded = (config: PipelineConfig, chunks: readonly Buffer[]) =>
  pipeline(new FromPipe(each(chunks), config), load(config))

/** By a pipe whose producer knows nothing but the value. */
async function piped(producer: PipelineConfig, loader: PipelineConfig, value: string) {
  const stateFile = join(folder, 'state.json')
  await writeFile(stateFile, value === '' ? '' : `${value}\n`)
  const { chunks, error } = await written(producer, stateFile)
  expect(error).toBeUndefined()
  return { outcome: await loaded(loader, chunks), records: chunks.join('').match(/"RECORD"/g)?.length ?? 0 }
}

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

describe('an exported value', () => {
  test.each<[what: string, keys: object]>([
    ['an unfinished full refresh', { sync_mode: 'full_refresh' }],
    ['an unfinished first run', INCREMENTAL],
  ])('of %s lets a producer without the store go on, exactly', async (_, keys) => {
    const on = shelf()
    const config = await interruptedPipe(on, 2, { keys: { ...keys } })
    const value = await exported(config)
    const { outcome, records } = await piped(
      await configOf(on, { store: 'none', keys: { ...keys } }),
      config,
      value ?? '',
    )
    expect(outcome).toMatchObject({ status: 'complete', totalRows: 5 })
    expect(records).toBe(3)
    expect(on.published).toEqual(upTo(5))
  })

  test('of a published run, and of an unfinished one after it, too', async () => {
    const on = shelf()
    await run(await configOf(on, { pages: [2, 1] }))
    const published = await exported(await configOf(on))
    await piped(await configOf(on, { store: 'none', pages: [2, 1, 2] }), await configOf(on), published ?? '')
    expect(on.published).toEqual(upTo(5))

    const pages = [2, 1, 2, 1, 1]
    const config = await interruptedPipe(on, 1, { pages })
    const value = (await exported(config)) ?? ''
    expect(value.split('\n').map((line) => JSON.parse(line).bizon.end)).toEqual([true, false])
    const { records } = await piped(await configOf(on, { store: 'none', pages }), config, value)
    expect(records).toBe(1)
    expect(on.published).toEqual(upTo(7))
  })

  test('of a run that is only not published yet is that before its end, and the rest follows', async () => {
    const on = shelf()
    let published = 0
    const loading = (step: string): void => {
      if (step === 'publish' && ++published === 1) throw new Error('no')
    }
    const config = await configOf(on, { loading })
    await expect(loaded(config, (await written(config)).chunks)).rejects.toThrow('no')
    const value = await exported(config)
    expect(JSON.parse(value ?? '').bizon).toMatchObject({ page: 3, end: false })
    await piped(await configOf(on, { store: 'none' }), config, value ?? '')
    expect(on.published).toEqual(upTo(5))
  })

  test('is nothing where the next run begins at the beginning, and a producer takes that', async () => {
    const on = shelf()
    const config = await configOf(on)
    expect(await exported(config)).toBeUndefined()
    await run(config)
    await withState(config, ({ store, identity }) => store.requestReset(identity))
    expect(await exported(config)).toBeUndefined()
    expect(await exported(await configOf(on, { keys: { sync_mode: 'full_refresh' } }))).toBeUndefined()
  })

  test('has the watermark that the run was rewound to', async () => {
    const on = shelf()
    const first = await configOf(on, { pages: [2] })
    await run(first)
    const { job } = await standing(first)
    const config = await configOf(on, { pages: [2, 1] })
    await run(config)
    await withState(config, (state) => rewindState(state, job?.id ?? ''))
    await piped(await configOf(on, { store: 'none', pages: [2, 1] }), config, (await exported(config)) ?? '')
    expect(on.published).toEqual([0, 1, 2, 2])
  })

  test('comes in the dialects of others, and is the same when it is read back', async () => {
    const config = await interrupted(shelf(), 2)
    const value = await exported(config)
    expect(await exported(config, 'singer')).toBe(value)
    const airbyte = (await exported(config, 'airbyte')) ?? ''
    expect(JSON.parse(airbyte)).toEqual([
      {
        type: 'STREAM',
        stream: { stream_descriptor: { name: 'numbers' }, stream_state: JSON.parse(value ?? '') },
      },
    ])
    expect(readStates(airbyte, 'it', 'numbers').map(writeState)).toEqual([value])
    // As a loader prints it.
    const [printed] = JSON.parse(airbyte)
    const message = JSON.stringify({ type: 'STATE', state: printed })
    expect(readStates(`${message}\n`, 'it', 'numbers').map(writeState)).toEqual([value])
    expect(() => readStates(airbyte, 'it', 'letters')).toThrow('it: holds no state of stream letters')
  })

  test('that would show a secret is not exported', async () => {
    const config = await interrupted(shelf(), 2)
    const secret = { ...config, secrets: ['"page":2'] }
    await expect(exported(secret)).rejects.toMatchObject({ code: 'state', message: expect.stringContaining('secret') })
  })
})

describe('an imported value', () => {
  test.each<[format: StateFormat]>([['bizon'], ['airbyte']])(
    '(%s) of an unfinished run is gone on with by another store, exactly',
    async (format) => {
      const on = shelf()
      const text = await exported(await interrupted(on, 2), format)
      const other = await configOf(on, { store: 'two' })
      expect(await importing(other, text ?? '')).toMatchObject({ unchanged: false, state: { page: 2 } })
      expect(await run(other)).toMatchObject({ status: 'complete', rows: 3, totalRows: 5 })
      expect(on.published).toEqual(upTo(5))
    },
  )

  test('of a published run, and of an unfinished one after it, too', async () => {
    const on = shelf()
    await run(await configOf(on, { pages: [2] }))
    const pages = [2, 1, 2]
    const text = (await exported(await interrupted(on, 1, { pages }))) ?? ''
    const other = await configOf(on, { store: 'two', pages })
    await importing(other, text)
    expect(await run(other)).toMatchObject({ status: 'complete', rows: 2, totalRows: 3 })
    const third = await configOf(on, { store: 'three', pages: [...pages, 1] })
    await importing(third, (await exported(other)) ?? '')
    await run(third)
    expect(on.published).toEqual(upTo(6))
  })

  test('that is there already changes nothing, whatever is expected', async () => {
    const on = shelf()
    const config = await interrupted(on, 2)
    const text = (await exported(config)) ?? ''
    expect(await importing(config, text)).toMatchObject({ unchanged: true })
    expect(await importing(config, text, 'x:1')).toMatchObject({ unchanged: true })
    await run(config)
    expect(await importing(config, (await exported(config)) ?? '')).toMatchObject({ unchanged: true })
  })

  test('that the destination is behind is fetched again from there', async () => {
    const on = shelf()
    const config = await interrupted(on, 2)
    const { job } = await standing(config)
    const other = await configOf(on, { store: 'two' })
    await importing(other, stateText({ run: job?.id ?? '', page: 3, rows: 4, position: { page: 3 } }))
    expect(await run(other)).toMatchObject({ status: 'complete', rows: 3 })
    expect(on.published).toEqual(upTo(5))
  })

  test('that the destination holds nothing of fails the next run, and nothing is lost', async () => {
    const on = shelf()
    const text = await exported(await interrupted(shelf(), 2))
    const other = await configOf(on, { store: 'two' })
    await importing(other, text ?? '')
    await expect(run(other)).rejects.toMatchObject({ code: 'edited' })
    expect(on.published).toEqual([])
  })

  describe('is refused, and nothing is changed,', () => {
    const RUN = 'a'.repeat(32)
    const PAST = new Date('2020-01-01T00:00:00Z')

    interface Refusal {
      readonly value: (at: { readonly run: string; readonly point: string }) => string
      readonly expect?: (point: string) => string | undefined
      readonly keys?: object
      readonly message: string
      /** What the pipeline has done. Default published. */
      readonly done?: 'published' | 'interrupted' | 'nothing'
    }
    const ended = { run: RUN, page: 3, rows: 5, position: null, end: true, watermark: 4 }
    const going = { run: RUN, page: 3, rows: 4, position: { page: 3 } }
    const same = (point: string): string => point

    test.each<[what: string, refusal: Refusal]>([
      ['where something is that was not expected', { value: () => stateText(ended), message: 'no --expect was given' }],
      [
        'where something else was expected',
        { value: () => stateText(ended), expect: () => 'b:2', message: '--expect says b:2' },
      ],
      [
        'where nothing is and something was expected',
        { value: () => stateText(ended), expect: () => 'b:2', done: 'nothing', message: 'has no state yet' },
      ],
      [
        'older than what was published',
        { value: () => stateText({ ...ended, at: PAST }), expect: same, message: 'rows would be loaded twice' },
      ],
      [
        'of the published run, before its end',
        { value: ({ run: id }) => stateText({ ...going, run: id }), expect: same, message: 'has been published here' },
      ],
      [
        'of the published run, with another watermark',
        {
          value: ({ run: id }) => stateText({ ...ended, run: id, watermark: 1 }),
          expect: same,
          message: 'has been published here',
        },
      ],
      [
        'behind the checkpoint of the same run',
        {
          value: ({ run: id }) => stateText({ ...going, run: id, page: 1 }),
          expect: same,
          done: 'interrupted',
          message: 'which page 1 of the value is not ahead of',
        },
      ],
      [
        'that adds to a run that is not known',
        {
          value: () => stateText({ ...going, previous: 'c'.repeat(32) }),
          expect: same,
          message: 'is not the last one published here',
        },
      ],
      [
        'before the first page',
        { value: () => stateText({ ...going, page: 0 }), done: 'nothing', message: 'before the first page' },
      ],
      [
        'of an ended run in a full refresh',
        {
          value: () => stateText(ended),
          keys: { sync_mode: 'full_refresh' },
          done: 'nothing',
          message: 'sync_mode is full_refresh',
        },
      ],
      [
        'that the next run starts over from',
        {
          value: () => stateText(going),
          keys: { ...INCREMENTAL, force_ignore_checkpoint: true },
          done: 'nothing',
          message: 'force_ignore_checkpoint is set',
        },
      ],
    ])('%s', async (_, { value, expect: expected, keys, message, done = 'published' }) => {
      const on = shelf()
      const config = await configOf(on, keys && { keys: { ...keys } })
      if (done === 'published') await run(config)
      if (done === 'interrupted') await interrupted(on, 2)
      const before = await everything(config)
      const { point = '', job } = await standing(config)
      const refusal = importing(config, value({ run: job?.id ?? '', point }), expected?.(point))
      await expect(refusal).rejects.toThrow(message)
      expect(await everything(config)).toEqual(before)
    })

    test('of a run that was given up', async () => {
      const on = shelf()
      const config = await interrupted(on, 2)
      const text = (await exported(config)) ?? ''
      await withState(config, (state) => clearState(state, { all: false, dry: false }))
      await expect(importing(config, text)).rejects.toThrow('was given up here')
    })

    test('while a reset is pending', async () => {
      const on = shelf()
      const config = await configOf(on, { store: 'two' })
      await withState(config, ({ store, identity }) => store.requestReset(identity))
      await expect(importing(config, stateText(ended))).rejects.toThrow('reset')
    })
  })

  test.each(['', 'no', '{"bizon":1}', '{"bookmarks":{}}', '[]', '{"bizon":'])('is no %j', (text) => {
    expect(() => readStates(text, 'it', 'numbers')).toThrow()
  })
})

describe('a rewind', () => {
  async function twice(on: Shelf): Promise<{ config: PipelineConfig; first: string; last: string }> {
    const before = await configOf(on, { pages: [2] })
    await run(before)
    const first = (await standing(before)).job?.id ?? ''
    const config = await configOf(on, { pages: [2, 1] })
    await run(config)
    return { config, first, last: (await standing(config)).job?.id ?? '' }
  }

  test('lets one run fetch again what came after an earlier one, and the next goes on behind that', async () => {
    const on = shelf()
    const { config, first } = await twice(on)
    expect(await withState(config, (state) => rewindState(state, first))).toMatchObject({ unchanged: false })
    expect(await withState(config, (state) => rewindState(state, first))).toMatchObject({ unchanged: true })
    expect((await standing(config)).next.reasons.at(-1)).toContain(`run ${first}, to which it was rewound`)
    await run(config)
    expect(on.published).toEqual([0, 1, 2, 2])
    await run(config)
    expect(on.published).toEqual([0, 1, 2, 2])
  })

  test('can be taken back', async () => {
    const on = shelf()
    const { config, first, last } = await twice(on)
    await withState(config, (state) => rewindState(state, first))
    await withState(config, (state) => rewindState(state, last))
    await run(config)
    expect(on.published).toEqual([0, 1, 2])
  })

  test('is refused where it would do nothing', async () => {
    const on = shelf()
    const { config, first } = await twice(on)
    const to = (id: string, given = config) => withState(given, (state) => rewindState(state, id))
    await expect(to('f'.repeat(32))).rejects.toThrow('is known')
    await expect(to(first, await configOf(on, { keys: { sync_mode: 'full_refresh' } }))).rejects.toMatchObject({
      code: 'usage',
    })
    await withState(config, ({ store, identity }) => store.requestReset(identity))
    await expect(to(first)).rejects.toThrow('a reset is pending')
    await withState(config, ({ store, identity }) => store.cancelResets(identity))
    await interrupted(on, 1, { pages: [2, 1, 1, 1] })
    await expect(to(first)).rejects.toThrow('is unfinished')
    expect((await standing(config)).published?.rewound).toBeUndefined()
  })
})

describe('clearing', () => {
  const clear = (config: PipelineConfig, all = false, dry = false) =>
    withState(config, (state) => clearState(state, { all, dry }))

  test('gives up what is unfinished, so that the next run begins where that one did', async () => {
    const on = shelf()
    await run(await configOf(on, { pages: [2] }))
    const config = await interrupted(on, 1, { pages: [2, 1, 1] })
    const { job } = await standing(config)
    expect(await clear(config, false, true)).toMatchObject({ cancelled: [{ id: job?.id }] })
    expect(await clear(config)).toMatchObject({ cancelled: [{ id: job?.id }], forgotten: undefined, reopened: 0 })
    expect((await standing(config)).job?.id).not.toBe(job?.id)
    await run(config)
    expect(on.published).toEqual(upTo(4))
  })

  test('does not forget that a reset was wanted', async () => {
    const on = shelf()
    const pages = [2, 1]
    await run(await configOf(on, { pages }))
    const config = await interrupted(on, 1, { pages, keys: { ...INCREMENTAL, reset: true } })
    expect(await clear(config)).toMatchObject({ reopened: 1 })
    const plain = await configOf(on, { pages })
    expect((await standing(plain)).next.asReset).toBe(true)
    await run(plain)
    expect(on.published).toEqual(upTo(3))
  })

  test('of all lets the next run fetch everything and replace', async () => {
    const on = shelf()
    const config = await configOf(on)
    await run(config)
    expect(await clear(config, true)).toMatchObject({ forgotten: {} })
    expect((await standing(config)).point).toBeUndefined()
    await run(config)
    expect(on.published).toEqual(upTo(5))
  })
})

test('nothing is changed while a run holds the lock, and looking does not need it', async () => {
  const on = shelf()
  const first = await configOf(on, { pages: [2] })
  await run(first)
  const id = (await standing(first)).job?.id ?? ''
  const config = await configOf(on)
  await run(config)
  const before = await everything(config)
  const text = (await exported(config)) ?? ''
  await withState(config, async ({ store, identity }) => {
    const lease = await store.acquire(identity, 'a run')
    const locked = { code: 'locked', message: expect.stringContaining('a run') }
    await expect(withState(config, (state) => rewindState(state, id))).rejects.toMatchObject(locked)
    const all = { all: true, dry: false }
    await expect(withState(config, (state) => clearState(state, all))).rejects.toMatchObject(locked)
    await expect(importing(config, text)).rejects.toMatchObject(locked)
    expect(await everything(config)).toEqual(before)
    await lease.release()
  })
})

test('a state in memory is refused', async () => {
  const config = await configOf(shelf())
  const { backend } = config.engine
  const inMemory = { ...config, engine: { ...config.engine, backend: { ...backend, type: 'sqlite_in_memory' } } }
  await expect(standing(inMemory)).rejects.toMatchObject({ code: 'usage' })
})

function stateText(fields: Partial<PipeState>): string {
  return writeState({ run: '', at: new Date(), page: 0, rows: 0, end: false, position: null, ...fields })
}

function everything(config: PipelineConfig): Promise<unknown> {
  return withState(config, async ({ store, identity }) => {
    const jobs = await store.jobs(identity)
    return [
      jobs,
      await Promise.all(jobs.map((job) => store.checkpoints(job))),
      await store.resets(
        identity,
        jobs.map(({ id }) => id),
      ),
    ]
  })
}
