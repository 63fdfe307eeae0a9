// A run over HTTP, killed: the API's records, those of children and those that came since the last run are in the
// file once, in order, byte for byte, wherever the kill fell.

import { afterAll, describe, expect, test } from 'vitest'
import { type Asked, FaultServer } from '../support/fault-server.ts'
import { crash, finish, prepare } from './kill.ts'
import { occurrences, passesOf } from './points.ts'
import { line, type Scenario } from './scenario.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const ROWS = 60
const EARLIER = 31
const PAGE = 8
const SHOPS = 7
const SHOPS_A_PAGE = 3

/** Ten records of each value, so that pages and runs end among equals. */
const record = (n: number): string => `{"seq":${Math.floor(n / 10)},${line(n).slice(1)}`
const records = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, at) => record(from + at))
const linesOf = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('')
const childrenOf = (shop: number): string[] => records(shop * 6, shop * 6 + (shop === 4 ? 0 : 6))

const api = await FaultServer.start()
let visible = ROWS
api.on('/records', ({ query }) => {
  const since = query.since === undefined ? 0 : Number(query.since) * 10
  const start = Math.max(since, Number(query.cursor ?? 0))
  const end = Math.min(start + PAGE, visible)
  return { body: `{"records":[${records(start, end).join(',')}],"next":${end < visible ? `"${end}"` : null}}` }
})
api.on('/shops', ({ query }: Asked) => {
  const start = Number(query.cursor ?? 0)
  const end = Math.min(start + SHOPS_A_PAGE, SHOPS)
  const shops = Array.from({ length: end - start }, (_, at) => ({ shop: start + at }))
  return { json: { shops, next: end < SHOPS ? end : null } }
})
for (let shop = 0; shop < SHOPS; shop++) {
  api.on(`/shops/${shop}/records`, ({ query }) => {
    const all = childrenOf(shop)
    const start = Number(query.cursor ?? 0)
    return { body: `{"records":[${all.slice(start, start + 4)}],"next":${start + 4 < all.length ? start + 4 : null}}` }
  })
}

const pipelineFile = (stream: string, mode: string): string =>
  JSON.stringify({
    name: 'crash',
    source: {
      name: 'rest',
      stream,
      sync_mode: mode,
      base_url: api.url,
      endpoints: {
        records: {
          path: 'records',
          records: 'records',
          id: 'id',
          pagination: { type: 'cursor', cursor: 'next' },
          incremental: { cursor_field: 'seq', param: 'since' },
        },
        shops: { path: 'shops', records: 'shops', id: 'shop', pagination: { type: 'cursor', cursor: 'next' } },
        children: {
          path: 'shops/{shop}/records',
          records: 'records',
          id: 'id',
          pagination: { type: 'cursor', cursor: 'next' },
          parent: { stream: 'shops', fields: { shop: 'shop' } },
        },
      },
    },
    destination: { name: 'file', config: { destination_id: 'out/records', buffer_size: 0, metadata: 'none' } },
    engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
  })

const target = { path: 'out/records.json', holds: 'bytes' } as const
const sidecar = 'out/.records.state.json'
const all = linesOf(records(0, ROWS))
const scenarios: readonly Scenario[] = [
  {
    title: 'full refresh',
    files: { 'pipeline.yml': pipelineFile('records', 'full_refresh') },
    targets: [{ ...target, after: all }],
    sidecar,
  },
  {
    title: 'children of each record of another stream',
    files: { 'pipeline.yml': pipelineFile('children', 'full_refresh') },
    targets: [{ ...target, after: linesOf(Array.from({ length: SHOPS }, (_, shop) => childrenOf(shop)).flat()) }],
    sidecar,
  },
  {
    title: 'incremental',
    earlier: { 'pipeline.yml': pipelineFile('records', 'incremental') },
    files: {},
    targets: [{ ...target, before: linesOf(records(0, EARLIER)), after: all }],
    meanwhile: 'part of what was added',
    sidecar,
  },
]

/** What the source passes, and what keeps and hands on its position; nightly every point there is. */
const POINTS = NIGHTLY ? /./ : /^(?:fetch|cursor|status)\.after$/

const prepared = new Map<Scenario, { place: Workspace; passes: Map<string, number> }>()
for (const scenario of scenarios) {
  visible = EARLIER
  const place = await prepare(scenario)
  visible = ROWS
  prepared.set(scenario, { place, passes: await passesOf(place, (copy, how) => finish(copy, scenario, how)) })
}

afterAll(async () => {
  for (const { place } of prepared.values()) await place.remove()
  await api.close()
})

describe.each(scenarios)('rest, $title', (scenario) => {
  const { place, passes } = prepared.get(scenario) as { place: Workspace; passes: Map<string, number> }
  const points = [...passes].filter(([name]) => POINTS.test(name))

  test(
    'killed once it is resumed to the exact content',
    async () => {
      expect(points.length).toBeGreaterThanOrEqual(3)
      const kills = points.flatMap(([name, times]) => occurrences(times, true).map((at) => `${name}@${at}`))
      expect(await eachOf(kills, (kill) => crash(place, scenario, [kill]))).toEqual([])
    },
    TEST_LIMIT_MS,
  )

  // By day in one of them: what goes on is one way in all.
  if (!NIGHTLY && scenario !== scenarios[0]) return
  test(
    'killed again and again while it goes on, it is resumed to the exact content',
    async () => {
      const kills = ['fetch.after@2', 'fetch.after@1', 'cursor.after@2', 'fetch.after@2', 'cursor.before@1']
      expect(await crash(place, scenario, kills)).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})
