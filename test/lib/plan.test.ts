import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Adds } from '../../lib/destination.ts'
import { planOf, textsWay } from '../../lib/plan.ts'
import { type TestConfig, testConfig } from '../support/engine.ts'
import { scriptedSource, shelf, shelfDestination } from '../support/shelf.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-plan-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const source = scriptedSource({ pages: [1] })
const destination = shelfDestination(shelf())
const planned = async (parts: Partial<TestConfig> = {}) =>
  planOf(await testConfig({ folder, source, destination, ...parts }))

test('names every step in order, with nothing that parses', async () => {
  const plan = await planned({ checkpointPages: 10 })
  expect(plan).toEqual([
    { kind: 'source', does: 'scripted, stream numbers, full_refresh' },
    { kind: 'checkpoint', does: 'after 10 pages, 50 MiB or 600 s, whichever comes first' },
    { kind: 'destination', does: 'shelf, replaces what was published, once all is there' },
  ])
  expect(textsWay(plan)).toContain('stay JSON text from end to end')
})

test('says which steps parse, as their definitions declare', async () => {
  const transforms = [{ label: 'a', python: 'x' }]
  const looking = { ...destination, parses: () => 'it merges on a key' }
  const plan = await planned({ transforms, destination: looking })
  expect(plan.map(({ parses }) => parses)).toEqual([
    undefined,
    'the script sees each record as a dict',
    undefined,
    'it merges on a key',
  ])
  expect(textsWay(plan)).toBe('Records are JSON text, which is parsed for steps 2 and 4 alone.')
  const made = await planned({ source: { ...source, parses: (_config, stream) => `${stream} are objects` } })
  expect(made[0]?.parses).toBe('numbers are objects')
  expect(textsWay(made)).toContain('objects from the start')
})

test.each<[string, Partial<TestConfig>]>([
  ['stream mode', { sourceKeys: { sync_mode: 'stream' } }],
  ['the runner stream', { runner: 'stream' }],
])('%s makes every page durable', async (_title, parts) => {
  expect((await planned(parts)).find(({ kind }) => kind === 'checkpoint')?.does).toBe('after every page')
})

test.each<[Adds | undefined, string, string, ('run' | 'batch')?]>([
  [undefined, 'incremental', 'adds to what was published, once'],
  ['merge', 'incremental', 'merges into what was published, by key, each batch at once', 'batch'],
  ['merge', 'incremental', 'merges into what was published, by key, once', 'run'],
  ['replace_scope', 'incremental', 'takes the place of what was published in the same scopes, once'],
  ['merge', 'stream', 'is merged by key, each batch at once'],
  [undefined, 'stream', 'is written directly'],
])('a destination that adds as %s, %s: %s', async (adds, sync_mode, said, visibility) => {
  const adding = { ...destination, adds: () => adds, shows: () => visibility }
  const plan = await planned({ destination: adding, sourceKeys: { sync_mode } })
  expect(plan.at(-1)?.does).toMatch(new RegExp(`^shelf, ${said}`))
})
