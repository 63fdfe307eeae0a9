// A full refresh that lost most of its rows on the way replaces nothing, when the pipeline says how many may go.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ConfigInput, extract, load, pipeline } from '../../lib/index.ts'
import { checkShrink } from '../../lib/shrink.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-shrink-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Loads so many rows. */
async function run(rows: number, destination: object = {}, source: object = {}): Promise<void> {
  const lines = Array.from({ length: rows }, (_, n) => `{"n":${n}}\n`).join('')
  await writeFile(join(folder, 'source.ndjson'), lines)
  const config: ConfigInput = {
    name: 'shrink',
    source: { name: 'file', stream: 'rows', path: join(folder, 'source.ndjson'), sync_mode: 'full_refresh', ...source },
    destination: {
      name: 'file',
      config: { destination_id: join(folder, 'out'), metadata: 'none', ...destination },
    },
    engine: { backend: { type: 'sqlite', config: { database: join(folder, 'state'), schema: '' } } },
  }
  await pipeline(extract(config), load(config))
}

async function published(): Promise<number> {
  return (await readFile(join(folder, 'out.json'), 'utf8')).split('\n').length - 1
}

test('a run with fewer rows than may be is told, publishes nothing, and is published once the limit is raised', async () => {
  await run(10, { max_shrink_pct: 20 })
  await expect(run(5, { max_shrink_pct: 20 })).rejects.toMatchObject({
    code: 'destination',
    message:
      'not published: the run has 5 rows, 50 % fewer than the 10 that it would replace, and max_shrink_pct is 20',
    hint: expect.stringContaining('raise destination.config.max_shrink_pct'),
  })
  expect(await published()).toBe(10)
  // What it has read is gone on with, unless it is told to read again.
  await expect(run(10, { max_shrink_pct: 20 })).rejects.toThrow('the run has 5 rows')
  const again = { force_ignore_checkpoint: true }
  await expect(run(0, { max_shrink_pct: 99 }, again)).rejects.toThrow('the run has 0 rows, 100 % fewer')
  expect(await published()).toBe(10)
  await expect(run(5, { max_shrink_pct: 49 }, again)).rejects.toThrow('50 % fewer')
  await run(5, { max_shrink_pct: 50 })
  expect(await published()).toBe(5)
  // From here on that is what is replaced.
  await run(5, { max_shrink_pct: 0 })
  await run(7, { max_shrink_pct: 0 })
  expect(await published()).toBe(7)
})

test('without the key any number of rows is published', async () => {
  await run(10)
  await run(0)
  expect(await published()).toBe(0)
})

test('what an incremental run adds is not compared', async () => {
  const incremental = { sync_mode: 'incremental' }
  await run(10, { max_shrink_pct: 10 }, incremental)
  await run(11, { max_shrink_pct: 10 }, incremental)
  expect(await published()).toBe(11)
})

test.each([
  [100, 90, 10, true],
  [100, 89, 10, false],
  [3, 3, 0, true],
  [3, 2, 33, false],
  [3, 2, 33.4, true],
  [0, 0, 0, true],
  [5, 0, 100, true],
])('of %i rows %i are left, and %d %% may go: passes %j', (before, rows, maxShrinkPct, passes) => {
  const check = () => checkShrink({ rows, before, maxShrinkPct })
  if (passes) expect(check).not.toThrow()
  else expect(check).toThrow('not published')
})
