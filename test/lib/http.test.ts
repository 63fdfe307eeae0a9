// The client on a server that behaves: what goes out, what comes back, who is told who is asking, and how it ends.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RateLimits } from '../../lib/http/rate-limit.ts'
import { createHttp, type HttpClient, type HttpClientOptions, HttpError, type HttpParts } from '../../lib/http.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { type Answer, FaultServer } from '../support/fault-server.ts'

let api: FaultServer
let closing: (() => Promise<void>)[]
const signal = new AbortController().signal

beforeEach(async () => {
  closing = []
  api = await another()
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
})

async function another(): Promise<FaultServer> {
  const server = await FaultServer.start()
  closing.push(() => server.close())
  return server
}

function client(options: HttpClientOptions = {}, parts: Partial<HttpParts> = {}): HttpClient {
  const http = createHttp({ limits: new RateLimits(), clock: fakeClock(), ...parts })
  closing.push(() => http.close())
  return http({ baseUrl: api.url, ...options })
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => expect.fail('it resolved'),
    (reason: unknown) => reason as Error,
  )
}

const GOOD: Answer = { json: { ok: true } }

describe('what goes out', () => {
  it.each([
    ['', '/v1/items', '/v1/items'],
    ['/v1', 'items', '/v1/items'],
    ['/v1/', '/items', '/v1/items'],
    ['/v1', '', '/v1'],
    ['/v1', '?page=2', '/v1'],
  ])('a base that ends with %j and a URL %j', async (base, url, path) => {
    api.on(path, GOOD)
    await client({ baseUrl: `${api.url}${base}` }).request({ url }, signal)
    expect(api.requests.map((request) => request.path)).toEqual([path])
  })

  it('a query is added to the one of the URL: lists repeat the name, undefined is left out', async () => {
    api.on('/items', GOOD)
    const query = { page: 2, all: true, id: ['a', 'b&c'], none: undefined }
    await client().request({ url: '/items?sort=x%20y', query }, signal)
    expect(api.requests[0]?.query).toEqual({ sort: 'x y', page: '2', all: 'true', id: ['a', 'b&c'] })
  })

  it('JSON and forms are POST with their content type', async () => {
    api.on('/items', GOOD)
    const one = client()
    await one.request({ url: '/items', json: { name: 'é' } }, signal)
    await one.request({ url: '/items', form: { grant_type: 'x y', a: '&' } }, signal)
    expect(api.requests.map(({ method, headers, body }) => [method, headers['content-type'], body])).toEqual([
      ['POST', 'application/json', '{"name":"é"}'],
      ['POST', 'application/x-www-form-urlencoded', 'grant_type=x+y&a=%26'],
    ])
  })

  it("headers of the request win over the client's, whatever their case", async () => {
    api.on('/items', GOOD)
    const one = client({ headers: { 'X-Version': '1', Accept: 'text/csv' } })
    await one.request({ url: '/items', headers: { 'x-version': '2' } }, signal)
    expect(api.requests[0]?.headers).toMatchObject({ 'x-version': '2', accept: 'text/csv', 'user-agent': 'bizon' })
  })

  it('user and password of a URL become a header, and are not in the error', async () => {
    api.on('/items', { status: 404, json: { message: 'p%w is not here' } })
    const url = api.url.replace('//', '//user:p%25w@')
    const error = await failure(client({ baseUrl: url }).request({ url: '/items' }, signal))
    expect(api.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('user:p%w').toString('base64')}`)
    expect(error.message).toBe(`GET ${api.url}/items: 404 Not Found: *** is not here`)
  })

  it('a password with a % that escapes nothing is sent as it is', async () => {
    api.on('/items', GOOD)
    await client({ baseUrl: api.url.replace('//', '//user:100%@') }).request({ url: '/items' }, signal)
    expect(api.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('user:100%').toString('base64')}`)
  })

  it.each(['ftp://127.0.0.1/x', 'nothing', 'http://', 'file:///etc/passwd'])('%j is refused', async (url) => {
    const one = createHttp()({})
    await expect(one.request({ url }, signal)).rejects.toThrow(`"${url}" is not an http:// or https:// URL`)
  })
})

describe('what comes back', () => {
  it.each(['gzip', 'deflate', 'deflate-raw', 'br'] as const)('%s is undone', async (encoding) => {
    const json = { items: Array.from({ length: 50_000 }, (_, i) => i) }
    api.on('/items', { json, encoding })
    const { body, headers } = await client().request({ url: '/items' }, signal)
    expect(JSON.parse(body.toString())).toEqual(json)
    expect(headers).not.toHaveProperty('content-encoding')
    expect(headers).not.toHaveProperty('content-length')
    expect(api.requests[0]?.headers['accept-encoding']).toBe('gzip, deflate, br')
  })

  it('a compressed answer to HEAD, and a 204, have no body', async () => {
    api.on('/items', { json: {}, encoding: 'gzip' }).on('/none', { status: 204 })
    const one = client()
    const head = await one.request({ url: '/items', method: 'HEAD' }, signal)
    const none = await one.request({ url: '/none' }, signal)
    expect([head.body.length, none.status, none.body.length]).toEqual([0, 204, 0])
  })

  it('headers that come several times are one', async () => {
    api.on('/items', { ...GOOD, headers: { link: ['<a>; rel="next"', '<b>; rel="last"'], 'X-Case': 'Yes' } })
    const { headers } = await client().request({ url: '/items' }, signal)
    expect(headers).toMatchObject({ link: '<a>; rel="next", <b>; rel="last"', 'x-case': 'Yes' })
  })

  it('the URL of an answer has no secrets, and a page token is none', async () => {
    api.on('/items', GOOD)
    const { url } = await client({}, { secrets: ['p@ss wörd'] }).request(
      { url: '/items', query: { api_key: 'K', page_token: 'next', q: 'p@ss wörd' } },
      signal,
    )
    expect(url).toBe(`${api.url}/items?api_key=***&page_token=next&q=***`)
  })

  it('connections are used again', async () => {
    api.on('/items', GOOD)
    const one = client()
    for (let i = 0; i < 20; i++) await one.request({ url: '/items' }, signal)
    // Two: undici calls a connection free only after the answer's end was told, and by then the next request is there.
    expect(new Set(api.requests.map(({ connection }) => connection)).size).toBeLessThanOrEqual(2)
  })
})

describe('a body that is too large', () => {
  const api_config = { max_response_size: 1, retry_limit: 3 }

  it.each<[string, Answer]>([
    ['1 GB whose length is known', { bytes: 2 ** 30 }],
    ['1 GB whose length is not known', { bytes: 2 ** 30, lengthKnown: false }],
    ['200 MiB in 200 KB of gzip', { body: Buffer.alloc(200 << 20), encoding: 'gzip' }],
  ])('%s: fails at once, names the key, ends the connection', async (_, answer) => {
    api.on('/items', answer)
    const one = client({ api: api_config })
    await one.request({ url: '/items', method: 'HEAD' }, signal) // connects
    const error = await failure(one.request({ url: '/items' }, signal))
    expect(error).toBeInstanceOf(HttpError)
    expect(error).toMatchObject({
      message: `GET ${api.url}/items: the answer is larger than 1 MiB`,
      hint: 'Ask for smaller pages, or raise source.api_config.max_response_size.',
      retriable: false,
    })
    expect(api.requests).toHaveLength(2)
    expect(api.bytesSent).toBeLessThan(64 << 20)
    await expect.poll(() => api.connections).toBe(0)
  })

  it('than a part of a MiB: the bound is told as it was given', async () => {
    api.on('/items', { bytes: 2 ** 20 })
    const error = await failure(client({ api: { max_response_size: 0.5 } }).request({ url: '/items' }, signal))
    expect(error).toMatchObject({ message: `GET ${api.url}/items: the answer is larger than 0.5 MiB` })
  })

  it('one that just fits is read', async () => {
    api.on('/items', { bytes: 1 << 20 })
    const { body } = await client({ api: api_config }).request({ url: '/items' }, signal)
    expect(body.length).toBe(1 << 20)
  })
})

describe('redirects', () => {
  const to = (location: string, status = 302): Answer => ({ status, headers: { location } })

  it.each([301, 302, 303, 307, 308])('%i of a GET is followed', async (status) => {
    api.on('/old', to('/new?x=1', status)).on('/new', GOOD)
    const { body } = await client({ headers: { 'x-key': 'k' } }).request({ url: '/old' }, signal)
    expect(body.toString()).toBe('{"ok":true}')
    expect(api.requests[1]).toMatchObject({ path: '/new', query: { x: '1' }, headers: { 'x-key': 'k' } })
  })

  it('another server is not told who is asking', async () => {
    const other = await another()
    api.on('/old', to(`${other.url}/new`))
    other.on('/new', GOOD)
    const authentication = { type: 'bearer' as const, params: bearer('T0KEN') }
    const one = client({ headers: { 'x-key': 'k', cookie: 'c=1' }, authentication })
    await one.request({ url: '/old', headers: { 'x-more': 'm', accept: 'text/csv' } }, signal)
    expect(api.requests[0]?.headers).toMatchObject({ authorization: 'Bearer T0KEN', 'x-key': 'k' })
    const { headers } = other.requests[0] ?? { headers: {} }
    expect(headers).toMatchObject({ accept: 'text/csv' })
    for (const name of ['authorization', 'x-key', 'x-more', 'cookie']) expect(headers).not.toHaveProperty(name)
  })

  it.each<[string, string]>([
    ['/circle', 'the redirects go in a circle'],
    ['/long/0', 'more than 10 redirects'],
    ['/ftp', 'ftp: is not followed'],
  ])('%s ends with an error', async (url, problem) => {
    api.on('/circle', to('/circle2')).on('/circle2', to('/circle')).on('/ftp', to('ftp://x/'))
    for (let i = 0; i < 20; i++) api.on(`/long/${i}`, to(`/long/${i + 1}`))
    const error = await failure(client().request({ url }, signal))
    expect(error.message).toMatch(new RegExp(`^GET ${api.url}/.*: 302 Found: ${problem}$`))
    expect(api.requests.length).toBeLessThan(12)
  })

  it('a POST is not sent on', async () => {
    api.on('/old', to('/new', 307)).on('/new', GOOD)
    const error = await failure(client().request({ url: '/old', json: {} }, signal))
    expect(error.message).toBe(`POST ${api.url}/old: 307 Temporary Redirect: a POST is not sent on`)
    expect(api.requests).toHaveLength(1)
  })
})

const bearer = (token: string) => ({ token, auth_method: 'Bearer', auth_header: 'Authorization' })

describe('who is asking', () => {
  const oauth = (url: string) => ({
    type: 'oauth' as const,
    params: {
      token_refresh_endpoint: `${url}/token`,
      client_id: 'id',
      client_secret: 'C1ient-secret',
      scope_separator: ' ',
      access_token_name: 'access_token',
      expires_in_name: 'expires_in',
      refresh_request_body: {},
      grant_type: 'client_credentials',
      expiry_margin: 60,
    },
  })

  it('a token is fetched once, without the headers of the client', async () => {
    api.on('/token', { json: { access_token: 'A1-token', expires_in: 3600 } }).on('/items', GOOD)
    const one = client({ authentication: oauth(api.url), headers: { 'x-key': 'k' } })
    await Promise.all([one.request({ url: '/items' }, signal), one.request({ url: '/items' }, signal)])
    expect(api.asked('/token')).toHaveLength(1)
    expect(api.asked('/token')[0]?.headers).not.toHaveProperty('x-key')
    expect(api.asked('/items').map(({ headers }) => headers.authorization)).toEqual([
      'Bearer A1-token',
      'Bearer A1-token',
    ])
  })

  it('after a 401 the token is renewed once and the call repeated, a POST too', async () => {
    let issued = 0
    api.on('/token', () => ({ json: { access_token: `token-${++issued}`, expires_in: 3600 } }))
    api.on('/items', ({ headers }) => (headers.authorization === 'Bearer token-2' ? GOOD : { status: 401 }))
    await client({ authentication: oauth(api.url) }).request({ url: '/items', json: { a: 1 } }, signal)
    expect(api.asked('/items').map(({ body }) => body)).toEqual(['{"a":1}', '{"a":1}'])
    expect(api.asked('/token')).toHaveLength(2)
  })

  it('a 401 that stays is an error after one renewal, and shows no token', async () => {
    let issued = 0
    api.on('/token', () => ({ json: { access_token: `token-${++issued}`, expires_in: 3600 } }))
    api.on('/items', ({ headers }) => ({ status: 401, json: { message: `bad ${headers.authorization}` } }))
    const error = await failure(client({ authentication: oauth(api.url) }).request({ url: '/items' }, signal))
    expect(error.message).toBe(`GET ${api.url}/items: 401 Unauthorized: bad Bearer ***`)
    expect(api.asked('/items')).toHaveLength(2)
  })

  it('a token endpoint that fails in passing is asked again', async () => {
    api.on('/token', { status: 503 }, { fault: 'reset' }, { json: { access_token: 'A1-token' } }).on('/items', GOOD)
    await client({ authentication: oauth(api.url) }).request({ url: '/items' }, signal)
    expect(api.asked('/token')).toHaveLength(3)
  })

  it('a URL that leads away from the base is asked for without credentials', async () => {
    const other = await another()
    other.on('/items', GOOD)
    const authentication = { type: 'bearer' as const, params: bearer('T0KEN') }
    await client({ authentication, headers: { 'x-key': 'k' } }).request({ url: `${other.url}/items` }, signal)
    expect(other.requests[0]?.headers).not.toHaveProperty('authorization')
    expect(other.requests[0]?.headers).not.toHaveProperty('x-key')
  })
})

describe('turns', () => {
  it('requests_per_second spaces the requests of all clients of a host', async () => {
    api.on('/items', GOOD)
    const limits = new RateLimits()
    const clock = fakeClock()
    const clients = [1, 2, 3].map(() => client({ api: { requests_per_second: 4 } }, { limits, clock }))
    for (const one of [...clients, ...clients]) await one.request({ url: '/items' }, signal)
    expect(clock.slept).toEqual([0.25, 0.25, 0.25, 0.25, 0.25])
  })

  it('another host is not slowed down', async () => {
    const other = await another()
    api.on('/items', { ...GOOD, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '60' } })
    other.on('/items', GOOD)
    const clock = fakeClock()
    const one = client({}, { clock })
    await one.request({ url: '/items' }, signal)
    await one.request({ url: `${other.url}/items` }, signal)
    expect(clock.slept).toEqual([])
  })
})

describe('an abort', () => {
  const reason = new Error('enough')
  const waits: [string, Answer, HttpClientOptions][] = [
    ['for a retry', { status: 503 }, {}],
    ['for a rate limit', { status: 429, headers: { 'retry-after': '60' } }, {}],
    ['for the headers', { fault: 'stall-headers' }, {}],
    ['for the body', { ...GOOD, fault: 'stall-body' }, {}],
    ['for the rest of a compressed body', { ...GOOD, encoding: 'gzip', fault: 'stall-body' }, {}],
  ]
  it.each(waits)('ends a wait %s with its reason', async (_, answer, options) => {
    api.on('/items', answer)
    const http = createHttp({ limits: new RateLimits(), random: () => 1 })
    closing.push(() => http.close())
    const controller = new AbortController()
    const asked = http({ baseUrl: api.url, ...options }).request({ url: '/items' }, controller.signal)
    await expect.poll(() => api.requests.length).toBe(1)
    setTimeout(() => controller.abort(reason), 50)
    await expect(asked).rejects.toBe(reason)
    expect(api.requests).toHaveLength(1)
  })

  it('before the request: nothing is sent', async () => {
    api.on('/items', GOOD)
    await expect(client().request({ url: '/items' }, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(api.requests).toEqual([])
  })

  it('leaves no listener behind on a signal that many requests use', async () => {
    api.on('/items', GOOD)
    const one = client()
    const { signal: watched } = new AbortController()
    let listeners = 0
    const add = watched.addEventListener.bind(watched)
    const remove = watched.removeEventListener.bind(watched)
    watched.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++
      add(...args)
    }
    watched.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }
    for (let i = 0; i < 3; i++) await one.request({ url: '/items' }, watched)
    expect(listeners).toBe(0)
  })
})

describe('close', () => {
  it('ends the connections, is safe twice, and nothing can be asked for any more', async () => {
    api.on('/items', GOOD)
    const one = client()
    await one.request({ url: '/items' }, signal)
    await one.close()
    await one.close()
    await expect.poll(() => api.connections).toBe(0)
    await expect(one.request({ url: '/items' }, signal)).rejects.toThrow('the HTTP client is closed')
  })

  it('ends what is on its way', async () => {
    api.on('/items', { fault: 'stall-headers' })
    const one = client()
    const asked = failure(one.request({ url: '/items' }, signal))
    await expect.poll(() => api.requests.length).toBe(1)
    await one.close()
    expect((await asked).message).toBe('the HTTP client is closed')
  })

  it('of the maker closes all its clients; a client that was never used opens nothing', async () => {
    let opened = 0
    const http = createHttp({
      transport: () => {
        opened++
        throw new Error('not here')
      },
    })
    http({ baseUrl: api.url })
    await http.close()
    expect(opened).toBe(0)
  })
})
