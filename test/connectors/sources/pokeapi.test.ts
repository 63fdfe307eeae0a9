import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import pokeapi from '../../../connectors/sources/pokeapi.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { JsonObject } from '../../../lib/record.ts'
import type { Source } from '../../../lib/source.ts'
import { sourceContract } from '../../contract/source.ts'
import { BIZON, Workspace } from '../../crash/workspace.ts'
import { FaultServer } from '../../support/fault-server.ts'
import { dataOf, idsOf, openSource, readPages, savedPosition } from '../../support/rest.ts'

const never = new AbortController().signal
const names = Array.from({ length: 45 }, (_, n) => `poke-${n + 1}`)

/** As the public API answers, to the names of its keys. */
async function standIn(): Promise<FaultServer> {
  const api = await FaultServer.start()
  api.on('/api/v2/pokemon', ({ query }) => {
    const [offset, limit] = [Number(query.offset ?? 0), Number(query.limit ?? 20)]
    const link = (at: number): string => `${api.url}/api/v2/pokemon?offset=${at}&limit=${limit}`
    const next = offset + limit < names.length ? link(offset + limit) : null
    const previous = offset > 0 ? link(offset - limit) : null
    const url = (name: string): string => `${api.url}/api/v2/pokemon/${name.slice(5)}/`
    const results = names.slice(offset, offset + limit).map((name) => ({ name, url: url(name) }))
    return { json: { count: names.length, next, previous, results } }
  })
  for (const [n, name] of names.entries()) {
    api.on(`/api/v2/pokemon/${n + 1}/`, { body: `{"id":${n + 1}, "name":"${name}","weight":1.0}` })
  }
  return api
}

function open(api: FaultServer, keys: JsonObject = {}, stream = 'pokemon'): Source {
  return openSource(pokeapi, { base_url: api.url, page_size: 20, ...keys }, stream)
}

for (const details of [false, true]) {
  sourceContract(`pokeapi: details ${details}`, async () => {
    const api = await standIn()
    return {
      open: () => open(api, { details }),
      openBroken: () => open(api, { details }, 'berry'),
      ids: names,
      resumable: true,
      maxPageBytes: 20 * 100,
      dispose: () => api.close(),
    }
  })
}

describe('pokeapi', () => {
  let api: FaultServer
  beforeEach(async () => {
    api = await standIn()
  })
  afterEach(() => api.close())

  test('45 items at page size 20 are pages of 20, 20 and 5, asked for from offset 0, and the count is 45', async () => {
    const source = open(api)
    expect(await source.count?.(never)).toBe(45)
    const pages = await readPages(source)
    expect(pages.map(({ records }) => records.length)).toEqual([20, 20, 5])
    expect(api.requests.map(({ query }) => query)).toEqual([
      { offset: '0', limit: '20' },
      { offset: '20', limit: '20' },
      { offset: '40', limit: '20' },
    ])
    expect(dataOf(pages)[0]).toEqual({ name: 'poke-1', url: `${api.url}/api/v2/pokemon/1/` })
  })

  test('goes on at the second next after a kill between two pages', async () => {
    const pages = await readPages(open(api), {}, 2)
    api.requests.length = 0
    expect(idsOf(await readPages(open(api), { position: savedPosition(pages[1]) }))).toEqual([names.slice(40)])
    expect(api.requests).toHaveLength(1)
  })

  test('asks for 100 at once by default, for 20 with details', async () => {
    for (const details of [false, true]) {
      const keys = { base_url: api.url, details }
      await readPages(openSource(pokeapi, keys, 'pokemon', { readAhead: false }), {}, 1)
    }
    expect(api.asked('/api/v2/pokemon').map(({ query }) => query.limit)).toEqual(['100', '20'])
  })

  test('with details gives what each entry links to, byte for byte and in order, a few at a time', async () => {
    let [asking, most] = [0, 0]
    const body = (n: number): string => `{"id":${n}, "name":"poke-${n}","weight":1.0}`
    for (const n of names.keys()) {
      api.on(`/api/v2/pokemon/${n + 1}/`, async () => {
        most = Math.max(most, ++asking)
        await setTimeout((n * 7) % 5) // so that answers come in another order
        asking -= 1
        return { body: body(n + 1) }
      })
    }
    const [page] = await readPages(open(api, { details: true }), {}, 1)
    expect(page?.records.map(({ data }) => String(data))).toEqual(names.slice(0, 20).map((_, n) => body(n + 1)))
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(5)
  })

  test('with details does not follow an entry to another host', async () => {
    api.on('/api/v2/berry', { json: { count: 1, next: null, results: [{ name: 'x', url: 'http://evil.test/1' }] } })
    await expect(readPages(open(api, { details: true }, 'berry'))).rejects.toThrow('on another host, evil.test')
  })

  test('does not follow a next page to another host', async () => {
    api.on('/api/v2/berry', { json: { count: 9, next: 'http://evil.test/api/v2/berry?offset=1', results: [] } })
    await expect(readPages(open(api, {}, 'berry'))).rejects.toThrow('on another host, evil.test')
  })

  test('its check fails with the status and what the API says, which is no JSON', async () => {
    api.on('/api/v2/item', { status: 404, body: 'Not Found' })
    const source = open(api, {}, 'item')
    const failure = await source.check?.(never).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(BizonError)
    expect(String(failure)).toMatch(/GET http:\/\/127\.0\.0\.1:\d+\/api\/v2\/item\?offset=0&limit=20: 404 Not Found/)
    await source.close?.()
  })

  test.each([
    ['429 with Retry-After', { status: 429, headers: { 'retry-after': '1' } }],
    ['503', { status: 503, body: '<html>' }],
    ['JSON that is cut off', { body: '{"count":45,"results":[{"na' }],
    ['a connection that is reset', { fault: 'reset' as const }],
  ])('survives %s', async (_what, answer) => {
    api.on('/api/v2/berry', answer, { json: { count: 1, next: null, results: [{ name: 'x', url: '' }] } })
    expect(idsOf(await readPages(open(api, {}, 'berry')))).toEqual([['x']])
    expect(api.requests).toHaveLength(2)
  })

  test('the smallest pipeline of the Python program runs, to the log', async () => {
    api.on('/api/v2/berry', { json: { count: 1, next: null, results: [{ name: 'cheri', url: '' }] } })
    const smallest = `name: tiny
source:
  name: pokeapi
  stream: berry
  base_url: ${api.url}
destination:
  name: logger
  config: {}
`
    const place = await Workspace.create({ 'pipeline.yml': smallest })
    try {
      const { code, stderr } = await place.execute([process.execPath, BIZON, 'run', 'pipeline.yml'])
      expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('cheri') })
    } finally {
      await place.remove()
    }
  })

  test('has the streams of the Python program, and is the public API by default', () => {
    expect(pokeapi.streams().map(({ name }) => name)).toEqual(['pokemon', 'berry', 'item'])
    expect(pokeapi.config.parse({})).toMatchObject({ base_url: 'https://pokeapi.co' })
  })
})
