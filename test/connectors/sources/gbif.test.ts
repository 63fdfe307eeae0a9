import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import gbif from '../../../connectors/sources/gbif.ts'
import type { JsonObject } from '../../../lib/record.ts'
import type { Source } from '../../../lib/source.ts'
import { sourceContract } from '../../contract/source.ts'
import { FaultServer } from '../../support/fault-server.ts'
import { dataOf, idsOf, openSource, readPages, savedPosition } from '../../support/rest.ts'

const never = new AbortController().signal
const PATH = '/v1/occurrence/search'

/** As the public API answers: `count` in all, of which it gives the first 100,000. */
async function standIn(count: number): Promise<FaultServer> {
  const api = await FaultServer.start()
  return api.on(PATH, ({ query }) => {
    const [offset, limit] = [Number(query.offset), Number(query.limit)]
    if (offset + limit > 100_000) return { status: 400, body: 'Max offset of 100001 exceeded: 99900 + 300' }
    const length = Math.max(0, Math.min(limit, count - offset))
    const results = Array.from({ length }, (_, n) => ({ key: 4_937_287_306 + offset + n, country: 'CH' }))
    return { json: { offset, limit, endOfRecords: offset + limit >= count, count, results, facets: [] } }
  })
}

function open(api: FaultServer, keys: JsonObject = {}): Source {
  return openSource(gbif, { base_url: api.url, ...keys }, 'occurrence')
}

sourceContract('gbif', async () => {
  const api = await standIn(45)
  return {
    open: () => open(api, { page_limit: 20 }),
    openBroken: () => openSource(gbif, { base_url: api.url }, 'occurrence'),
    ids: Array.from({ length: 45 }, (_, n) => String(4_937_287_306 + n)),
    resumable: true,
    maxPageBytes: 20 * 40,
    dispose: () => api.close(),
  }
})

describe('gbif', () => {
  let api: FaultServer
  beforeEach(async () => {
    api = await standIn(3_900_000_000)
  })
  afterEach(() => api.close())
  const asked = () => api.requests.map(({ query }) => [Number(query.offset), Number(query.limit)])

  test('a cap that is no multiple of the page size: 300, 300, 300 and 100', async () => {
    const source = open(api, { max_records: 1000 })
    expect(await source.count?.(never)).toBe(1000)
    const pages = await readPages(source)
    expect(pages.map(({ records }) => records.length)).toEqual([300, 300, 300, 100])
    expect(asked()).toEqual([
      [0, 300],
      [300, 300],
      [600, 300],
      [900, 100],
    ])
  })

  test('the last page that the API gives, from 99,900 on, is its last', async () => {
    const position = { at: { offset: 99_900 }, pages: 333, received: 99_900 }
    const pages = await readPages(open(api), { position })
    expect(pages.map(({ records, next }) => [records.length, next])).toEqual([[100, null]])
    expect(asked()).toEqual([[99_900, 100]])
  })

  test('goes on at an offset after a kill between two pages', async () => {
    const keys = { max_records: 900 }
    const [first] = await readPages(open(api, keys), {}, 1)
    const rest = await readPages(open(api, keys), { position: savedPosition(first) })
    expect(idsOf(rest).flat()[0]).toBe(String(4_937_287_306 + 300))
    expect(asked()).toEqual([
      [0, 300],
      [300, 300],
      [600, 300],
    ])
  })

  test('a cap that was lowered below where it was ends the read without a request', async () => {
    const position = { at: { offset: 99_900 }, pages: 333, received: 99_900 }
    expect(await readPages(open(api, { max_records: 1000 }), { position })).toMatchObject([{ records: [], next: null }])
    expect(api.requests).toEqual([])
  })

  test('counts what there is when that is less than the cap', async () => {
    const small = await standIn(7)
    try {
      const source = open(small)
      expect(await source.count?.(never)).toBe(7)
      await source.close?.()
    } finally {
      await small.close()
    }
  })

  test.each<[string, JsonObject, number[]]>([
    ['endOfRecords before the cap', { endOfRecords: true, count: 9, results: [{ key: 1 }] }, [1]],
    ['endOfRecords missing', { count: 9, results: [{ key: 1 }] }, [1]],
    ['nothing found', { endOfRecords: false, count: 0, results: [] }, [0]],
  ])('ends with %s', async (_what, json, sizes) => {
    api.on(PATH, { json })
    const pages = await readPages(open(api))
    expect(pages.map(({ records }) => records.length)).toEqual(sizes)
    expect(api.requests).toHaveLength(1)
  })

  test('a page that is shorter than asked for loses nothing', async () => {
    api.on(
      PATH,
      { json: { endOfRecords: false, count: 5, results: [{ key: 1 }, { key: 2 }] } },
      { json: { endOfRecords: true, count: 5, results: [{ key: 3 }, { key: 4 }, { key: 5 }] } },
    )
    expect(idsOf(await readPages(open(api)))).toEqual([
      ['1', '2'],
      ['3', '4', '5'],
    ])
    expect(asked()).toEqual([
      [0, 300],
      [2, 300],
    ])
  })

  test('the id is key, else gbifID, else offset and index', async () => {
    const results = [{ key: 1, gbifID: '9' }, { gbifID: '4937287306' }, { key: null, country: 'CH' }]
    api.on(PATH, { json: { endOfRecords: true, count: 3, results } })
    const pages = await readPages(open(api), { position: { at: { offset: 600 }, pages: 2, received: 600 } })
    expect(idsOf(pages)).toEqual([['1', '4937287306', '600_2']])
    expect(dataOf(pages)).toEqual(results)
  })

  test('filters are parameters', async () => {
    await readPages(open(api, { max_records: 1, filters: { country: ['CH', 'FR'], hasCoordinate: true, year: 2024 } }))
    expect(api.requests[0]?.query).toEqual({
      country: ['CH', 'FR'],
      hasCoordinate: 'true',
      year: '2024',
      limit: '1',
      offset: '0',
    })
  })

  test('what the API says of a request that goes too deep is in the error', async () => {
    api.on(PATH, { status: 400, body: 'Max offset of 100001 exceeded: 99900 + 300' })
    await expect(readPages(open(api))).rejects.toThrow(/: 400 Bad Request: Max offset of 100001 exceeded: 99900 \+ 300/)
    expect(api.requests).toHaveLength(1)
  })

  test.each([
    { page_limit: 0 },
    { page_limit: -5 },
    { page_limit: 301 },
    { max_records: 0 },
    { max_records: 100_001 },
    { base_url: 'api.gbif.org' },
  ])('%j is refused', (keys) => {
    expect(gbif.config.safeParse(keys).success).toBe(false)
  })

  test('is the public API by default', () => {
    expect(gbif.config.parse({})).toMatchObject({
      base_url: 'https://api.gbif.org/v1',
      page_limit: 300,
      max_records: 100_000,
    })
  })
})
