// What the rest source asks for, what it makes of answers, and which answers it refuses.

import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { headerLink } from '../../../connectors/sources/rest/links.ts'
import rest from '../../../connectors/sources/rest.ts'
import { loadConfig } from '../../../lib/config.ts'
import { type JsonObject, textOf } from '../../../lib/record.ts'
import type { Source } from '../../../lib/source.ts'
import { never } from '../../../lib/wait.ts'
import { type Answer, FaultServer } from '../../support/fault-server.ts'
import {
  type ItemsOptions,
  idsOf,
  itemsOf,
  listeningLog,
  openSource,
  readPages,
  savedPosition,
} from '../../support/rest.ts'

let api: FaultServer
beforeEach(async () => {
  api = await FaultServer.start()
})
afterEach(() => api.close())

const PATH = '/v1/items'
const items = (...[endpoint, keys, given]: ItemsOptions) => itemsOf(api.url, endpoint, keys, given)

describe('a request', () => {
  test('has the path after base_url, parameters, headers and who is asking', async () => {
    api.on(PATH, { json: [] })
    const keys = { headers: { 'x-tenant': 'acme' }, authentication: { type: 'bearer', params: { token: 'secret' } } }
    await readPages(items({ params: { state: ['open', 'closed'], all: true }, headers: { accept: 'text/json' } }, keys))
    expect(api.requests).toMatchObject([
      {
        method: 'GET',
        query: { state: ['open', 'closed'], all: 'true' },
        headers: { 'x-tenant': 'acme', accept: 'text/json', authorization: 'Bearer secret' },
      },
    ])
  })

  test('is a POST with a JSON body, which is sent again after a failure unless that is not wanted', async () => {
    api.on(PATH, { status: 503 }, { json: [] })
    await readPages(items({ json: { query: '{ a { b } }' } }))
    expect(api.requests.map(({ method, body }) => [method, body])).toEqual([
      ['POST', '{"query":"{ a { b } }"}'],
      ['POST', '{"query":"{ a { b } }"}'],
    ])
    api.on(PATH, { status: 503 }, { json: [] })
    await expect(readPages(items({ json: {}, repeatable: false }))).rejects.toThrow('503')
  })

  test('for the first page is made once by check, count and read', async () => {
    api.on(PATH, ({ query }) => ({ json: { rows: [{ id: Number(query.offset) }], total: 3 } }))
    const source = items({ records: 'rows', pagination: { type: 'offset', total: 'total' } })
    await source.check?.(never)
    expect(await source.count?.(never)).toBe(3)
    expect(api.requests).toHaveLength(1)
    expect(idsOf(await readPages(source))).toEqual([['0'], ['1'], ['2']])
    expect(api.requests).toHaveLength(3)
  })
})

describe('records', () => {
  test('are the bytes that came, numbers and all', async () => {
    const text = '{"id": 90071992547409931, "price":1.10,"zero":-0, "text":"\\u00e9"}'
    api.on(PATH, { body: `{"data":{"rows":[ ${text} ]}}` })
    const [page] = await readPages(items({ records: 'data.rows' }))
    expect(page?.records.map(({ id, data }) => [id, textOf(data)])).toEqual([['90071992547409931', text]])
    expect(page?.bytes).toBe(text.length)
  })

  test.each<[unknown, unknown]>([
    ['2024-05-01T10:00:00.123456+02:00', '2024-05-01T10:00:00.123456+02:00'],
    ['2024-05-01 10:00:00', '2024-05-01T10:00:00Z'],
    ['2024-05-01', '2024-05-01T00:00:00Z'],
    ['2024-05-01T10:00:00+0200', '2024-05-01T10:00:00+02:00'],
    ['2024-05-01 10:00:00.123456+00', '2024-05-01 10:00:00.123456+00:00'],
    [1714557600, new Date('2024-05-01T10:00:00Z')],
    [null, undefined],
  ])('have the time %j as %j', async (at, expected) => {
    api.on(PATH, { json: [{ id: 1, at }] })
    const [page] = await readPages(items({ timestamp: 'at' }))
    expect(page?.records[0]?.timestamp).toEqual(expected)
  })

  test('have the first id that they have; without one they are known by their place', async () => {
    api.on(PATH, { json: [{ key: 'a', id: 1 }, { id: 2 }] })
    expect(idsOf(await readPages(items({ id: ['key', 'id'] })))).toEqual([['a', '2']])
    const source = openSource(rest, { base_url: `${api.url}/v1`, endpoints: { items: { path: '/items' } } }, 'items')
    expect(idsOf(await readPages(source))).toEqual([['0_0', '0_1']])
  })

  test('may be one object instead of a list', async () => {
    api.on(PATH, { json: { data: { id: 'only' } } })
    expect(idsOf(await readPages(items({ records: 'data', single: true })))).toEqual([['only']])
  })
})

describe('an answer is refused', () => {
  const where = 'http://127.0.0.1:\\d+/v1/items'
  test.each<[string, Answer, JsonObject, RegExp]>([
    [
      'no list there',
      { json: { error: 'no such account' } },
      { records: 'data.rows' },
      RegExp(`${where}: there is no list at data.rows; the answer begins \\{"error":"no such account"\\}`),
    ],
    [
      'no list but an object',
      { json: { data: { a: 1 } } },
      { records: 'data' },
      /at data is no list; the answer begins/,
    ],
    ['a list of numbers', { json: [{ id: 1 }, 7] }, {}, /record 2 is no JSON object: 7/],
    ['no id', { json: [{ name: 'x' }] }, {}, /record 1 has no id: \{"name":"x"\}/],
    ['an id that is none', { json: [{ id: 1.5 }] }, {}, /record 1 has an id that is neither string nor integer/],
    ['a time that is none', { json: [{ id: 1, at: 'soon' }] }, { timestamp: 'at' }, /record 1 has no time at at/],
    [
      'a page of HTML',
      { body: '<html>Please log in</html>' },
      {},
      /no JSON, from byte 1 on; the answer begins <html>Please log in/,
    ],
    ['not UTF-8', { body: Buffer.from('[{"id":"\xff"}]', 'latin1') }, {}, /not UTF-8/],
    [
      'a total that is none',
      { json: { rows: [{ id: 1 }], n: 'many' } },
      { records: 'rows', pagination: { type: 'offset', total: 'n' } },
      /total is no whole number: many/,
    ],
  ])('%s', async (_what, answer, endpoint, message) => {
    api.on(PATH, answer)
    await expect(readPages(items(endpoint))).rejects.toThrow(message)
    expect(api.requests).toHaveLength(1)
    const source = items(endpoint)
    await expect(source.check?.(never)).rejects.toThrow(message)
    await source.close?.()
  })

  test('when it is cut off it is asked for again, and in the end it fails', async () => {
    api.on(PATH, { body: '[{"id":1},{"id"' }, { body: '' }, { json: [{ id: 1 }] })
    expect(idsOf(await readPages(items()))).toEqual([['1']])
    expect(api.requests).toHaveLength(3)
    api.on(PATH, { body: '[{"id":1},{"id"' })
    await expect(readPages(items({}, { api_config: { retry_limit: 1 } }))).rejects.toThrow(
      /cut off after 15 bytes, 2 tries/,
    )
  })
})

describe('paging', () => {
  const cursor = { type: 'cursor', cursor: 'next' }

  test('fails when the same token comes twice, or tokens go round in a circle', async () => {
    api.on(PATH, { json: { rows: [{ id: 1 }], next: 'a' } })
    await expect(readPages(items({ records: 'rows', pagination: cursor }))).rejects.toThrow(/goes round in a circle/)
    expect(api.requests).toHaveLength(2)
    const after: Readonly<Record<string, string>> = { '': 'a', a: 'b', b: 'c', c: 'd', d: 'b' }
    api.on(PATH, ({ query }) => ({ json: { rows: [], next: after[String(query.cursor ?? '')] } }))
    await expect(readPages(items({ records: 'rows', pagination: cursor }))).rejects.toThrow(/goes round in a circle/)
  })

  test('fails when the API does not know the parameter and gives the same page again', async () => {
    api.on(PATH, { json: [{ id: 1 }, { id: 2 }] })
    const source = items({ pagination: { type: 'page_number', param: 'p' } })
    await expect(readPages(source)).rejects.toMatchObject({ hint: expect.stringContaining('parameter, p') })
  })

  test.each([true, false])('asks for the next page while a page is written, if it may (%s)', async (readAhead) => {
    api.on(PATH, { json: { rows: [{ id: 1 }], next: 'a' } }, { json: { rows: [{ id: 2 }] } })
    const source = items({ records: 'rows', pagination: cursor }, {}, { readAhead })
    const reading = source.read({}, never)
    await reading.next()
    await setTimeout(50)
    expect(api.requests).toHaveLength(readAhead ? 2 : 1)
    await reading.return()
    await source.close?.()
  })

  test('reads one page ahead, not more', async () => {
    api.on(PATH, ({ query }) => ({ json: { rows: [{ id: 1 }], next: Number(query.cursor ?? 0) + 1 } }))
    const source = items({ records: 'rows', pagination: cursor })
    const reading = source.read({}, never)
    await reading.next()
    await reading.next()
    await setTimeout(50)
    expect(api.requests).toHaveLength(3)
    await reading.return()
    await source.close?.()
  })

  test('asks for the next page before it looks at the records', async () => {
    // What is wrong with them is found out while the next page is on its way.
    api.on(PATH, { body: '{"rows":[{"id":1},,],"next":"a"}' }, { after: 60, json: {} })
    await expect(readPages(items({ records: 'rows', pagination: cursor }))).rejects.toThrow('no JSON, from byte 19 on')
    await vi.waitFor(() => expect(api.requests.map(({ query }) => query.cursor)).toEqual([undefined, 'a']), 60_000)
  })

  test('drops a page that it was wrong to ask for', async () => {
    const first = { body: '{"next":"wrong","rows":[{"id":1}],"next":"b","tags":[1]}' }
    const wrong = { after: 60, json: {} }
    api.on(PATH, ({ query }) =>
      query.cursor === 'wrong' ? wrong : query.cursor === 'b' ? { json: { rows: [{ id: 2 }] } } : first,
    )
    const pages = await readPages(items({ records: 'rows', pagination: cursor }))
    expect(idsOf(pages)).toEqual([['1'], ['2']])
    expect(pages[0]?.next).toEqual({ at: { cursor: 'b' }, pages: 1, received: 1 })
    expect(api.requests.map(({ query }) => query.cursor)).toEqual([undefined, 'wrong', 'b'])
  })

  test('goes on after an empty page that has a next one', async () => {
    api.on(PATH, { json: { rows: [], next: 'a' } }, { json: { rows: [{ id: 1 }], next: '' } })
    expect(idsOf(await readPages(items({ records: 'rows', pagination: cursor })))).toEqual([[], ['1']])
  })

  test.each<[string, JsonObject]>([
    ['has_more', { type: 'page_number', has_more: 'more' }],
    ['is_last', { type: 'page_number', is_last: 'last' }],
    ['total_pages', { type: 'page_number', total_pages: 'n' }],
  ])('by number goes on after an empty page when %s says that more follows', async (_what, pagination) => {
    api.on(PATH, ({ query }) => {
      const page = Number(query.page)
      return { json: { rows: page === 2 ? [] : [{ id: page }], more: page < 3, last: page === 3, n: 3 } }
    })
    expect(idsOf(await readPages(items({ records: 'rows', pagination })))).toEqual([['1'], [], ['3']])
  })

  test('by number gives up when page after page is empty, although each says that more follows', async () => {
    api.on(PATH, { json: { rows: [], more: true } })
    const source = items({ records: 'rows', pagination: { type: 'page_number', has_more: 'more' } })
    await expect(readPages(source)).rejects.toThrow('more than 1000 pages without a record')
  })

  test.each<[string, JsonObject]>([
    ['an offset', { type: 'offset', has_more: 'more' }],
    ['the last record', { type: 'cursor', last_record: 'id', has_more: 'more' }],
  ])('by %s fails when an empty page says that more follows, which nothing can ask for', async (_what, pagination) => {
    api.on(PATH, { json: { rows: [{ id: 1 }], more: true } }, { json: { rows: [], more: true } })
    await expect(readPages(items({ records: 'rows', pagination }))).rejects.toThrow(
      'the page is empty, and yet says that more follows',
    )
  })

  test.each<[string, JsonObject]>([
    ['a token', { type: 'cursor', cursor: 'next', has_more: 'more' }],
    ['a link', { type: 'next_link', next: 'next', has_more: 'more' }],
    ['a Link header', { type: 'link_header', has_more: 'more' }],
  ])('by %s fails when an answer says that more follows, and not where', async (_what, pagination) => {
    api.on(PATH, { json: { rows: [{ id: 1 }], more: true, next: null } })
    await expect(readPages(items({ records: 'rows', pagination }))).rejects.toThrow(
      'it says that more follows, but not',
    )
  })

  test('takes no relation from inside the title of a link', () => {
    expect(headerLink('</a>; title="x; rel=next"; rel=prev, </b>; rel="last next"', 'next')).toBe('/b')
  })

  test('keeps no key in a position, and none in the error, though the API repeats it in its links', async () => {
    const key = 'top secret+value'
    api.on(PATH, ({ query }) => {
      const next = new URLSearchParams({ page: String(Number(query.page ?? 0) + 1), api_key: String(query.api_key) })
      return { json: { rows: [{ id: Number(query.page ?? 0) }], next: query.page === '2' ? null : `?${next}` } }
    })
    const endpoint = { records: 'rows', params: { api_key: key }, pagination: { type: 'next_link' } }
    const [first] = await readPages(items(endpoint), {}, 1)
    expect(first?.next).toMatchObject({ at: { url: `${api.url}${PATH}?page=1&api_key=***` } })
    expect(idsOf(await readPages(items(endpoint), { position: savedPosition(first) }))).toEqual([['1'], ['2']])
    expect(new Set(api.requests.map(({ query }) => query.api_key))).toEqual(new Set([key]))

    api.on(PATH, { json: { rows: [], next: `?api_key=another` } })
    const failure = await readPages(items(endpoint)).catch(String)
    expect(failure).toContain('goes round in a circle')
    expect(failure).not.toContain('another')
  })

  test.each<[string, JsonObject]>([
    ['cursor', { type: 'cursor', cursor: 'meta.nxt' }],
    ['has_more', { type: 'cursor', last_record: 'id', has_more: 'meta.moar' }],
    ['next', { type: 'next_link', next: 'meta.nxt' }],
    ['rel', { type: 'link_header', rel: 'nxt' }],
  ])('says that a first answer has nothing at the path of %s, which may be misspelt', async (key, pagination) => {
    api.on(PATH, {
      headers: { link: '</a>; rel="last"' },
      json: { rows: [{ id: 1 }], meta: { next: 'x', more: true } },
    })
    const { log, warnings } = listeningLog()
    const source = items({ records: 'rows', pagination }, {}, { log })
    await source.check?.(never)
    expect(idsOf(await readPages(source))).toEqual([['1']])
    const path = pagination[key]
    expect(warnings).toEqual([
      `stream items: the first answer has nothing at ${path}, so that it counts as the only page; if more follow, pagination.${key} is wrong`,
    ])
  })

  test('says nothing when the answer says itself that it is the only page, or is empty', async () => {
    const { log, warnings } = listeningLog()
    for (const json of [{ rows: [{ id: 1 }], next: null }, { rows: [] }]) {
      api.on(PATH, { json })
      await readPages(items({ records: 'rows', pagination: { type: 'next_link', next: 'next' } }, {}, { log }))
    }
    expect(warnings).toEqual([])
  })

  test('an answer of 204 is a page without records, not one that was cut off', async () => {
    api.on(PATH, { status: 204 })
    expect(idsOf(await readPages(items({ records: 'rows', pagination: cursor })))).toEqual([[]])
    expect(api.requests).toHaveLength(1)
  })

  test.each<[string, JsonObject, Answer[], string[][]]>([
    [
      'has_more is false',
      { ...cursor, has_more: 'more' },
      [{ json: { rows: [{ id: 1 }], next: 'a', more: false } }],
      [['1']],
    ],
    ['has_more is missing', { ...cursor, has_more: 'more' }, [{ json: { rows: [{ id: 1 }], next: 'a' } }], [['1']]],
    [
      'is_last is true',
      { ...cursor, is_last: 'last' },
      [{ json: { rows: [{ id: 1 }], next: 'a', last: true } }],
      [['1']],
    ],
    [
      'the last of total_pages',
      { type: 'page_number', total_pages: 'n', first: 0 },
      [{ json: { rows: [{ id: 1 }], n: 2 } }, { json: { rows: [{ id: 2 }], n: 2 } }],
      [['1'], ['2']],
    ],
    [
      'total is reached',
      { type: 'page_number', total: 'n' },
      [{ json: { rows: [{ id: 1 }], n: 2 } }, { json: { rows: [{ id: 2 }], n: 2 } }],
      [['1'], ['2']],
    ],
    ['a page is empty', { type: 'offset' }, [{ json: { rows: [{ id: 1 }] } }, { json: { rows: [] } }], [['1'], []]],
  ])('ends when %s', async (_what, pagination, answers, expected) => {
    api.on(PATH, ...(answers as [Answer, ...Answer[]]))
    expect(idsOf(await readPages(items({ records: 'rows', pagination })))).toEqual(expected)
    expect(api.requests).toHaveLength(expected.length)
  })

  test.each<[string, JsonObject, number[]]>([
    ['max_pages', { max_pages: 2 }, [3, 3]],
    ['max_records', { max_records: 7 }, [3, 3, 1]],
    ['stop_when', { stop_when: { path: 'state', equals: 'old' } }, [3, 3, 3]],
  ])('ends by %s', async (_what, stop, sizes) => {
    api.on(PATH, ({ query }) => {
      const start = Number(query.offset)
      return { json: { rows: [0, 1, 2].map((n) => ({ id: start + n })), state: start >= 6 ? 'old' : 'new' } }
    })
    const pages = await readPages(items({ records: 'rows', pagination: { type: 'offset' }, ...stop }))
    expect(pages.map(({ records }) => records.length)).toEqual(sizes)
    expect(pages.at(-1)?.next).toBeNull()
  })

  test('an offset goes on after what came, not after what was asked for', async () => {
    api.on(PATH, { json: [{ id: 1 }] }, { json: [{ id: 2 }, { id: 3 }] }, { json: [] })
    await readPages(items({ pagination: { type: 'offset', page_size: 10 } }))
    expect(api.requests.map(({ query }) => query)).toEqual([
      { limit: '10', offset: '0' },
      { limit: '10', offset: '1' },
      { limit: '10', offset: '3' },
    ])
  })

  test.each([
    [
      'another host',
      'http://evil.test/x',
      /next page is http:\/\/evil\.test\/x, on another host, evil\.test; not followed/,
    ],
    ['another port', 'http://127.0.0.1:1/x', /on another host, 127\.0\.0\.1:1; not followed/],
    ['another scheme', 'file:///etc/passwd', /not followed/],
    ['a user', 'http://a:b@127.0.0.1/x', /\*\*\*@127\.0\.0\.1\/x, which names a user/],
  ])('does not follow a link to %s', async (_what, next, message) => {
    api.on(PATH, { json: { rows: [], next } })
    await expect(readPages(items({ records: 'rows', pagination: { type: 'next_link' } }))).rejects.toThrow(message)
    expect(api.requests).toHaveLength(1)
  })

  test('follows a link to a host in allow_hosts, without saying there who is asking', async () => {
    const other = await FaultServer.start()
    try {
      other.on('/more', { json: { rows: [{ id: 2 }] } })
      api.on(PATH, { json: { rows: [{ id: 1 }], next: `${other.url}/more` } })
      const keys = {
        allow_hosts: [new URL(other.url).host],
        authentication: { type: 'bearer', params: { token: 'secret' } },
      }
      const pages = await readPages(items({ records: 'rows', pagination: { type: 'next_link' } }, keys))
      expect(idsOf(pages)).toEqual([['1'], ['2']])
      expect(other.requests[0]?.headers.authorization).toBeUndefined()
    } finally {
      await other.close()
    }
  })

  test('an expired token fails, and says how to start over', async () => {
    api.on(PATH, ({ query }) =>
      query.cursor === undefined
        ? { json: { rows: [{ id: 1 }], next: 'a' } }
        : { status: 410, json: { message: 'cursor expired' } },
    )
    const source = (): Source => items({ records: 'rows', pagination: cursor })
    const [first] = await readPages(source(), {}, 1)
    await expect(readPages(source(), { position: savedPosition(first) })).rejects.toMatchObject({
      message: expect.stringContaining('cursor expired'),
      hint: expect.stringContaining('force_ignore_checkpoint'),
    })
  })
})

describe('the config', () => {
  test('declares its streams', () => {
    const config = rest.config.parse({
      base_url: api.url,
      endpoints: {
        a: {
          path: 'a',
          id: 'id',
          primary_key: 'id',
          schema: { type: 'object' },
          incremental: { cursor_field: 'at', param: 'since' },
        },
        b: { path: 'b', pagination: { type: 'offset' } },
        c: { path: 'c/{x}', parent: { stream: 'b', fields: { x: 'id' } } },
        d: { path: 'd', pagination: { type: 'page_number' }, resumable: true },
      },
    })
    expect(rest.streams(config)).toEqual([
      { name: 'a', incremental: true, resumable: true, primaryKey: ['id'], schema: { type: 'object' } },
      { name: 'b', incremental: false, resumable: false },
      { name: 'c', incremental: false, resumable: false },
      { name: 'd', incremental: false, resumable: true },
    ])
  })

  test('says what was meant by a key that it does not know, at any depth', async () => {
    const endpoints = { a: { path: 'a', pagination: { type: 'offset', page_siez: 3 }, recods: 'data' } }
    const source = { name: 'rest', stream: 'a', base_url: api.url, endpoints }
    const failure = await loadConfig({ name: 'p', source }, ['source']).catch(String)
    expect(failure).toContain('source.endpoints.a.pagination.page_siez: unknown key; did you mean "page_size"?')
    expect(failure).toContain('source.endpoints.a.recods: unknown key; did you mean "records"?')
  })

  test.each<[string, JsonObject, string]>([
    [
      'a parent that is not there',
      { a: { path: '{x}', parent: { stream: 'bb', fields: { x: 'id' } } }, b: { path: 'b' } },
      'unknown stream "bb"; did you mean "b"?',
    ],
    [
      'parents in a circle',
      { a: { path: '{x}', parent: { stream: 'a', fields: { x: 'id' } } } },
      'each other’s parents',
    ],
    ['a placeholder without value', { a: { path: 'a/{x}' } }, 'nothing gives {x} a value'],
    [
      'a field that is not used',
      { a: { path: 'a', parent: { stream: 'b', fields: { x: 'id' } } }, b: { path: 'b' } },
      'does not use {x}',
    ],
    [
      'an include that is not there',
      { a: { path: '{x}', parent: { stream: 'b', fields: { x: 'id' }, include: ['y'] } }, b: { path: 'b' } },
      'has no "y"',
    ],
    ['incremental without id', { a: { path: 'a', incremental: { cursor_field: 'at', param: 's' } } }, 'needs id'],
    [
      'incremental without parameter',
      { a: { path: 'a', id: 'id', incremental: { cursor_field: 'at' } } },
      'needs param',
    ],
    [
      '{since} without a first value',
      { a: { path: 'a', id: 'id', params: { q: '{since}' }, incremental: { cursor_field: 'at' } } },
      'needs start_value',
    ],
    ['a cursor from nowhere', { a: { path: 'a', pagination: { type: 'cursor' } } }, 'either cursor or last_record'],
    ['a body that is none', { a: { path: 'a', pagination: { type: 'offset', in: 'json' } } }, 'must be a mapping'],
    ['one object with pages', { a: { path: 'a', single: true, pagination: { type: 'offset' } } }, 'no next page'],
    ['no endpoint', {}, 'must not be empty'],
  ])('refuses %s', (_what, endpoints, message) => {
    const { error } = rest.config.safeParse({ base_url: api.url, endpoints })
    expect(error?.issues.map((issue) => issue.message).join('\n')).toContain(message)
  })
})
