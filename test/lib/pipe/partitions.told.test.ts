// What is told of a stream in partitions: by `bizon state`, `bizon plan`, `bizon verify` and the report of a loader.

import { beforeEach, expect, test } from 'vitest'
import { planText } from '../../../bin/commands/plan/text.ts'
import { show, showJson } from '../../../bin/commands/state/show.ts'
import { verify } from '../../../lib/audit/verify.ts'
import { checkPipeline } from '../../../lib/commands.ts'
import type { PipelineConfig } from '../../../lib/config.ts'
import { Meter } from '../../../lib/meter.ts'
import { planRun } from '../../../lib/plan/run.ts'
import { reportOf } from '../../../lib/report.ts'
import { withState } from '../../../lib/state/standing.ts'
import { Parts } from '../../support/part-ground.ts'
import { freshDatabase, psql } from '../../support/services/postgres.ts'

let url = ''
beforeEach(async () => {
  url = (await freshDatabase()).url
})

/** As the file says it that names the broker. */
async function configOf(parts: Parts): Promise<PipelineConfig> {
  return parts.config({}, { type: 'kafka', config: {} })
}

const shown = (config: PipelineConfig, as = show): Promise<string> => withState(config, as)

test('before, within and after a run: where each partition stands', async () => {
  const parts = new Parts({ url, mode: 'full_refresh', pages: [6, 5], verify: true })
  const config = await configOf(parts)
  expect(await shown(config)).toMatch(
    /^Run +none yet\nPartitions +1: nothing yet\n +2: nothing yet\n +3: nothing yet\n/m,
  )
  const before = await planRun(config)
  expect(planText(config, before)).toMatch(/^Queue +a queue in memory: nothing waits$/m)
  expect(before).toMatchObject({
    decision: { action: 'start' },
    changes: [{ target: 'public.main', action: 'create' }],
  })

  await parts.extract()
  // Without the messages of the last one nothing can be published.
  const [, , last] = parts.broker.partitions
  const held = last?.messages.splice(0) ?? []
  const stop = new AbortController()
  const meter = new Meter()
  const first = parts.load({
    meter,
    stop: stop.signal,
    observe: ({ type }) => type === 'checkpoint' && stop.abort(new Error('enough')),
  })
  await first.catch(() => {})
  const state = JSON.parse(await shown(config, showJson))
  expect(state.partitions).toHaveLength(3)
  expect(state.partitions[0]).toMatchObject({
    partition: 1,
    of: 3,
    end: expect.any(Boolean),
    epoch: expect.any(Number),
  })
  await expect(verify(config)).rejects.toThrow(/cannot verify: run \w+ has not ended/)
  const within = await planRun(config)
  expect(within.partitions?.map(({ checkpoint }) => checkpoint?.rows ?? 0)).toEqual(
    state.partitions.map(({ rows }: { rows: number }) => rows),
  )

  for (const one of held) last?.add([one])
  const outcome = await parts.load({ meter })
  expect(outcome.status).toBe('complete')
  const told = await shown(config)
  expect(told).toMatch(/^Run +[0-9a-f]{28}0000\nPartitions +1: page 2, the end, \d+ rows, epoch \d+, succeeded\n/m)
  expect(told.match(/the end, \d+ rows, epoch \d+, succeeded/g)).toHaveLength(3)
  const after = await planRun(config)
  expect(after.partitions?.reduce((sum, { checkpoint }) => sum + (checkpoint?.rows ?? 0), 0)).toBe(11)
  expect(after.changes).toEqual([expect.objectContaining({ target: 'public.main', action: 'replace' })])

  const report = reportOf({
    ...{ command: 'load', version: '1', startedAt: new Date(), configs: [config], meter },
    ...{ outcome: 'succeeded', exitCode: 0, outputs: outcome.outputs },
  })
  for (const number of [1, 2, 3]) {
    const own = report.streams.filter(({ partition }) => partition?.number === number)
    expect(own).toContainEqual(expect.objectContaining({ durable: expect.objectContaining({ page: 2, end: true }) }))
  }
})

test('what is new is told as the destination takes it, and what the extract refuses for its state is refused by plan', async () => {
  const pages = [6]
  const parts = new Parts({ url, mode: 'incremental', pages, keys: { primary_key: ['n'], visibility: 'batch' } })
  const config = await configOf(parts)
  await parts.extract()
  await parts.load()
  expect((await planRun(config)).reasons).toContainEqual(
    expect.stringMatching(/^fetches what is newer than .* and merges it by primary_key$/),
  )
  // Published in one partition, and begun in none of the others.
  pages.push(5)
  await parts.extract()
  parts.hold(0, [1, 2])
  const succeeded = (): Promise<string> => psql(url, "SELECT count(*) FROM stream_jobs WHERE status = 'succeeded'")
  await parts.loadUntil(async () => Number(await succeeded()) === 4)
  const edited = parts.config({}, { type: 'kafka', config: {} }, { cursor_field: 'n' })
  await expect(planRun(await edited)).rejects.toThrow(
    /is published in some partitions, and cannot be gone on with: its conf/,
  )
})

test('verify knows that rows of one partition replace those of all, whatever on_empty says', async () => {
  const given = { url, mode: 'full_refresh', keys: { on_empty: 'keep' } }
  const before = new Parts({ ...given, pages: [9] })
  await before.extract()
  await before.load()
  const parts = new Parts({ ...given, pages: [1] })
  await parts.extract()
  await parts.load()
  expect(await verify(await configOf(parts))).toMatchObject({ rows: 1, differences: [] })
})

test('what the extract refuses is refused by plan and check', async () => {
  const config = await configOf(new Parts({ url, mode: 'full_refresh', keys: { unnest: 'columns' } }))
  const why = 'partitions: is above 1, and unnest: columns finds columns in one loader'
  await expect(planRun(config)).rejects.toThrow(why)
  await expect(checkPipeline(config)).rejects.toThrow(why)
})

test('verify adds up what all partitions have recorded, and finds what is missing, doubled or changed in one', async () => {
  const parts = new Parts({ url, mode: 'stream', pages: [40, 30], verify: true })
  await parts.extract()
  const load = (options: object) => parts.load(options)
  await parts.drain(load, load)
  const config = await configOf(parts)
  expect(await verify(config)).toMatchObject({ rows: 70, differences: [], compared: 'records', partitions: 3 })
  const found = async (sql: string) => {
    await psql(url, sql)
    return (await verify(config)).differences.map(({ kind, records }) => `${kind} ${records ?? ''}`.trim())
  }
  const one = "bizon_id = (SELECT min(bizon_id) FROM main WHERE source_data->>'n' = '33')"
  expect(await found(`UPDATE main SET source_data = '{"n":34}' WHERE ${one}`)).toEqual([
    expect.stringMatching(/^changed /),
  ])
  expect(await found(`INSERT INTO main SELECT * FROM main WHERE source_data->>'n' = '5'`)).toContainEqual(
    expect.stringMatching(/^doubled /),
  )
  expect(await found(`DELETE FROM main WHERE source_data->>'n' IN ('60')`)).toContainEqual(
    expect.stringMatching(/^missing/),
  )
})
