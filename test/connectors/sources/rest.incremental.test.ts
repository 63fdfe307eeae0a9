// Only what is new: where the rest source begins, and what it leaves for the next run.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { never } from '../../../lib/wait.ts'
import { FaultServer } from '../../support/fault-server.ts'
import { type ItemsOptions, idsOf, itemsOf, listeningLog, readPages, savedPosition } from '../../support/rest.ts'

let api: FaultServer
beforeEach(async () => {
  api = await FaultServer.start()
})
afterEach(() => api.close())

const PATH = '/v1/items'
const items = (...[endpoint, keys, given]: ItemsOptions) => itemsOf(api.url, endpoint, keys, given)

describe('incremental', () => {
  const incremental = { cursor_field: 'at', param: 'since', start_value: '2024-01-01T00:00:00Z' }
  const time = new Date('2024-03-01T00:00:00Z')
  const mode = 'incremental'

  test('begins at the start value, then at the greatest value that came, and leaves out what it had', async () => {
    api.on(PATH, {
      json: [
        { id: 1, at: '2024-02-01T00:00:00Z' },
        { id: 2, at: '2024-02-01T01:00:00+01:00' },
      ],
    })
    const first = await readPages(items({ incremental }, {}, { mode }))
    expect(first.at(-1)?.watermark).toEqual({
      field: 'at',
      value: '2024-02-01T00:00:00Z',
      ids: ['1', ['2', '2024-02-01T01:00:00+01:00']],
    })
    api.on(PATH, { json: [1, 2, 3].map((id) => ({ id, at: '2024-02-01T00:00:00Z' })) })
    const since = { time, value: first.at(-1)?.watermark ?? null }
    const second = await readPages(items({ incremental }, {}, { mode }), { since })
    expect(idsOf(second)).toEqual([['3']])
    expect(api.requests.map(({ query }) => query.since)).toEqual(['2024-01-01T00:00:00Z', '2024-02-01T00:00:00Z'])
  })

  test('keeps its bounds over a resume, with an upper one, in the path, the query or the body', async () => {
    api.on(PATH, ({ query }) => ({
      json: [{ id: Number(query.offset), at: 1714557600 + Number(query.offset) }].slice(
        0,
        Number(query.offset) < 2 ? 1 : 0,
      ),
    }))
    const endpoint = {
      pagination: { type: 'offset' },
      params: { filter: 'from {since} to {until}' },
      incremental: { cursor_field: 'at', start_value: 1700000000, format: 'epoch_seconds', end_param: 'until' },
    }
    const [page] = await readPages(items(endpoint, {}, { mode }), {}, 1)
    const rest = await readPages(items(endpoint, {}, { mode }), { position: savedPosition(page) })
    expect(idsOf(rest)).toEqual([['1'], []])
    const asked = api.requests.map(({ query }) => [query.filter, query.until])
    expect(new Set(asked.map(String)).size).toBe(1)
    expect(asked[0]).toEqual([expect.stringMatching(/^from 1700000000 to \d{10}$/), expect.stringMatching(/^\d{10}$/)])
    expect(rest.at(-1)?.watermark).toEqual({ field: 'at', value: '1714557601', ids: ['1'] })
  })

  test('tells when the API does not know the parameter', async () => {
    const json = [1, 2, 3].map((id) => ({ id, at: `2024-01-0${id}T00:00:00Z` }))
    api.on(PATH, { json })
    const since = { time, value: { field: 'at', value: '2024-01-03T00:00:00Z', ids: ['3'] } }
    const { log, warnings } = listeningLog()
    await readPages(items({ incremental }, {}, { mode, log }), { since })
    expect(warnings).toEqual([
      'stream items: 2 records are older than what was asked for (since=2024-01-03T00:00:00Z), and are added again by each run: the API seems not to know that parameter',
    ])
  })

  test('does not go on from the watermark of another field', async () => {
    const since = { time, value: { field: 'created', value: '2024-02-01T00:00:00Z', ids: [] } }
    await expect(readPages(items({ incremental }, {}, { mode }), { since })).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('cursor_field is "at" now, and the last run went by "created"'),
      hint: expect.stringContaining('--reset'),
    })
    expect(api.requests).toEqual([])
  })

  test.each(['max_pages', 'max_records'])('refuses %s, behind which newer records may hide older ones', (key) => {
    expect(() => items({ incremental, [key]: 1 }, {}, { mode })).toThrow(
      `source.endpoints.items.${key} cannot stand beside sync_mode: incremental`,
    )
    expect(() => items({ incremental, [key]: 1 })).not.toThrow()
  })

  test('says how many records had no cursor value', async () => {
    api.on(PATH, { json: [{ id: 1, at: null }, { id: 2 }, { id: 3, at: '2024-02-01' }] })
    const { log, warnings } = listeningLog()
    await readPages(items({ incremental }, {}, { mode, log }))
    expect(warnings).toEqual(['stream items: 2 records have no at; each run that is given them adds them again'])
  })

  test('of children warns when their values are no times', async () => {
    api.on('/v1/shops', { json: [{ id: 1 }] })
    api.on('/v1/shops/1', { json: [{ id: 1, seq: 7 }] })
    const endpoints = {
      shops: { path: 'shops', id: 'id' },
      items: {
        path: 'shops/{shop}',
        id: 'id',
        parent: { stream: 'shops', fields: { shop: 'id' } },
        incremental: { cursor_field: 'seq', param: 'since' },
      },
    }
    const { log, warnings } = listeningLog()
    await readPages(items({}, { endpoints }, { mode, log }))
    expect(warnings).toEqual([expect.stringContaining('stream items: seq is no time')])
  })

  test('of children tells those of two parents apart that have the same id and value', async () => {
    const at = '2024-02-01T00:00:00Z'
    const endpoints = {
      shops: { path: 'shops', id: 'id' },
      items: {
        path: 'shops/{shop}',
        id: 'id',
        parent: { stream: 'shops', fields: { shop: 'id' } },
        incremental: { cursor_field: 'at', param: 'since' },
      },
    }
    api.on('/v1/shops', { json: [{ id: 'a' }, { id: 'b' }] })
    api.on('/v1/shops/a', { json: [{ id: 1, at }] })
    api.on('/v1/shops/b', { json: [] })
    const first = await readPages(items({}, { endpoints }, { mode }))
    api.on('/v1/shops/b', { json: [{ id: 1, at }] })
    const since = { time, value: first.at(-1)?.watermark ?? null }
    expect(idsOf(await readPages(items({}, { endpoints }, { mode }), { since }))).toEqual([[], ['1']])
  })

  test('reads parents from their start value, in their format', async () => {
    api.on('/v1/shops', { json: [] })
    const endpoints = {
      shops: {
        path: 'shops',
        id: 'id',
        incremental: { cursor_field: 'at', param: 'since', start_value: '2024-01-01', format: 'epoch_seconds' },
      },
      items: { path: 'shops/{shop}', id: 'id', parent: { stream: 'shops', fields: { shop: 'id' } } },
    }
    await readPages(items({}, { endpoints }))
    expect(api.requests[0]?.query).toEqual({ since: '1704067200' })
  })

  test('asks anew after the check, so that nothing that came in between is older than the read', async () => {
    const row = (id: number, at: string) => ({ id, at })
    api.on(PATH, { json: [row(2, '2024-02-02')] }, { json: [row(1, '2024-02-01'), row(2, '2024-02-02')] })
    const withoutStart = { cursor_field: 'at', param: 'since' }
    const source = items({ incremental: withoutStart }, {}, { mode })
    await source.check?.(never)
    expect(idsOf(await readPages(source))).toEqual([['1', '2']])
  })

  test('is not led astray by a value that is no time', async () => {
    api.on(PATH, { json: ['2024-02-01 10:00:00', '0000-00-00 00:00:00'].map((at, id) => ({ id, at })) })
    const [page] = await readPages(items({ incremental }, {}, { mode }))
    expect(page?.watermark).toMatchObject({ value: '2024-02-01 10:00:00' })
  })

  test('of a full refresh begins at the start value too, and leaves no watermark', async () => {
    api.on(PATH, { json: [{ id: 1, at: '2024-02-01' }] })
    const pages = await readPages(items({ incremental }))
    expect(pages.at(-1)).not.toHaveProperty('watermark')
    expect(api.requests[0]?.query.since).toBe('2024-01-01T00:00:00Z')
  })
})
