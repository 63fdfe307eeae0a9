// T8: a clock that jumps, between runs and within them, changes nothing of what is loaded.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openReader } from '../../lib/audit/reader.ts'
import { loadConfig, type PipelineConfig } from '../../lib/config.ts'
import { runPipeline } from '../../lib/index.ts'
import { never } from '../../lib/wait.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** How far off the clock is when a run begins, and from its second page on; the last across a change to summer time. */
const RUNS: readonly (readonly [before: number, after: number])[] = [
  [0, 0],
  [-DAY, -DAY + HOUR],
  [-DAY, -DAY - HOUR],
  [DAY, DAY - HOUR],
  [-HOUR, -HOUR],
  [0, HOUR],
]
const NOW = Date.parse('2026-03-29T00:30:00Z')
const ROWS_OF_A_RUN = 20

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-clock-'))
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(async () => {
  vi.useRealTimers()
  await rm(folder, { recursive: true })
})

const DESTINATIONS = {
  ndjson: () => ({ name: 'file', config: { destination_id: join(folder, 'out/rows') } }),
  csv: () => ({ name: 'file', config: { format: 'csv', destination_id: join(folder, 'out/rows') } }),
  parquet: () => ({ name: 'file', config: { format: 'parquet', destination_id: join(folder, 'out/rows') } }),
  sqlite: () => ({ name: 'sqlite', config: { path: join(folder, 'data.sqlite3') } }),
} as const

async function configOf(name: keyof typeof DESTINATIONS): Promise<PipelineConfig> {
  const { name: kind, config } = DESTINATIONS[name]()
  const path = join(folder, 'rows.ndjson')
  return (await loadConfig(
    {
      name: 'clock',
      source: { name: 'file', stream: 'rows', sync_mode: 'incremental', path, id_field: 'id', page_bytes: 100 },
      destination: { name: kind, config: { buffer_size: 0, ...config } },
      engine: { backend: { type: 'sqlite', config: { database: join(folder, 'state'), syncCursorInDBEvery: 1 } } },
    },
    ['source', 'destination'],
  )) as PipelineConfig
}

async function idsIn(config: PipelineConfig): Promise<number[]> {
  const reader = openReader(config)
  const { destinationId } = config.destination.options
  const ids: number[] = []
  for await (const rows of reader.read(destinationId.replace('{stream}', 'rows'), never)) {
    ids.push(...rows.map(({ data }) => JSON.parse(`${data}`).id))
  }
  await reader.close()
  return ids.sort((one, other) => one - other)
}

test.each(Object.keys(DESTINATIONS) as (keyof typeof DESTINATIONS)[])(
  '%s: what each run adds is there once, however far the clock has gone back or ahead',
  async (name) => {
    for (const [at, [before, after]] of RUNS.entries()) {
      vi.setSystemTime(NOW + before)
      const ids = Array.from({ length: (at + 1) * ROWS_OF_A_RUN }, (_, id) => id)
      await writeFile(join(folder, 'rows.ndjson'), ids.map((id) => `{"id":${id}}\n`).join(''))
      const config = await configOf(name)
      let pages = 0
      const { status, rows } = await runPipeline(config, {
        observe: ({ type }) => {
          if (type === 'page' && ++pages === 2) vi.setSystemTime(NOW + after)
        },
      })
      expect({ run: at + 1, status, rows, pages: pages > 1 }).toEqual({
        ...{ run: at + 1, status: 'complete', rows: ROWS_OF_A_RUN, pages: true },
      })
      expect(await idsIn(config)).toEqual(ids)
    }
  },
)
