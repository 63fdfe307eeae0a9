// The fault table: every way in which a server on loopback misbehaves, and what the client makes of it.

import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BizonError } from '../../../lib/errors.ts'
import { RateLimits } from '../../../lib/http/rate-limit.ts'
import { createHttp, type HttpClient, type HttpClientOptions, HttpError, type HttpParts } from '../../../lib/http.ts'
import type { Log } from '../../../lib/log.ts'
import { sleep } from '../../../lib/wait.ts'
import { type FakeClock, fakeClock } from '../../support/fake-clock.ts'
import { type Answer, FaultServer } from '../../support/fault-server.ts'

let api: FaultServer
let clock: FakeClock
let closing: (() => Promise<void>)[]
const signal = new AbortController().signal

beforeEach(async () => {
  api = await FaultServer.start()
  clock = fakeClock()
  closing = [() => api.close()]
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
})

/** Does not wait, but for what a test sets itself: the clock jumps. */
function client(options: HttpClientOptions = {}, parts: Partial<HttpParts> = {}): HttpClient {
  const http = createHttp({ limits: new RateLimits(), clock, random: () => 1, ...parts })
  closing.push(() => http.close())
  return http({ baseUrl: api.url, ...options })
}

async function failure(promise: Promise<unknown>): Promise<HttpError> {
  const error = await promise.then(
    () => expect.fail('it resolved'),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(HttpError)
  return error as HttpError
}

const GOOD: Answer = { json: { items: [1, 2, 3] } }

describe('the API asks to wait', () => {
  it('429 with Retry-After: 1, then 200: one retry, not earlier than a second, by the real clock', async () => {
    api.on('/items', { status: 429, headers: { 'retry-after': '1' } }, GOOD)
    const http = createHttp({ limits: new RateLimits() })
    closing.push(() => http.close())
    const { body } = await http({ baseUrl: api.url }).request({ url: '/items' }, signal)
    expect(JSON.parse(body.toString())).toEqual({ items: [1, 2, 3] })
    const [first, second, ...more] = api.asked('/items').map(({ at }) => at)
    expect(more).toEqual([])
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(999)
  })

  it('429 with Retry-After as a date: the same, by the clock of the server', async () => {
    const headers = { date: 'Thu, 01 Jan 2015 00:00:00 GMT', 'retry-after': 'Thu, 01 Jan 2015 00:00:20 GMT' }
    api.on('/items', { status: 429, headers }, GOOD)
    await client().request({ url: '/items' }, signal)
    expect(api.requests).toHaveLength(2)
    expect(clock.slept).toHaveLength(1)
    expect(clock.slept[0]).toBeGreaterThanOrEqual(20)
    expect(clock.slept[0]).toBeLessThanOrEqual(21)
  })

  it('503 with Retry-After: waits for that, too', async () => {
    api.on('/items', { status: 503, headers: { 'retry-after': '7' } }, GOOD)
    await client({}, { random: () => 0 }).request({ url: '/items' }, signal)
    expect(clock.slept).toEqual([7])
  })

  it('429 without a header: waits twice as long each time, with jitter below that', async () => {
    const bare: Answer = { status: 429 }
    api.on('/items', bare, bare, bare, GOOD)
    const jitter = [0.5, 1, 0.25]
    await client({}, { random: () => jitter.shift() ?? 0 }).request({ url: '/items' }, signal)
    expect(clock.slept).toEqual([0.25, 1, 0.5])
  })

  it('nothing remains in the limit: the next request of any client of that host waits for the reset', async () => {
    api.on('/items', { ...GOOD, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': '30' } }, GOOD)
    const limits = new RateLimits()
    await client({}, { limits }).request({ url: '/items' }, signal)
    expect(clock.slept).toEqual([])
    await client({}, { limits }).request({ url: '/items' }, signal)
    expect(clock.slept).toEqual([30])
  })

  it('nothing remains in the limit: a request that is made while the answer is looked at waits too', async () => {
    api.on('/items', { ...GOOD, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': '30' } }, GOOD)
    const one = client({}, { limits: new RateLimits() })
    let second: Promise<unknown> | undefined
    const validate = async (): Promise<void> => {
      second = one.request({ url: '/items' }, signal)
    }
    await one.request({ url: '/items', validate }, signal)
    await second
    expect(clock.slept).toEqual([30])
  })

  it('a 403 that says that nothing remains is a rate limit, as at GitHub', async () => {
    const reset = String(clock.now() / 1000 + 42)
    const headers = {
      date: new Date(clock.now()).toUTCString(),
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': reset,
    }
    api.on('/items', { status: 403, headers }, GOOD)
    await client({}, { random: () => 0 }).request({ url: '/items' }, signal)
    expect(clock.slept).toEqual([42])
  })

  it('a wait that is longer than the limit fails at once and says how long', async () => {
    api.on('/items', { status: 429, headers: { 'retry-after': '7200' }, json: { message: 'daily quota' } })
    const error = await failure(client().request({ url: '/items' }, signal))
    expect(error.message).toBe(`GET ${api.url}/items: 429 Too Many Requests; the API asks to wait 120 min: daily quota`)
    expect(error.hint).toContain('source.api_config.rate_limit_seconds')
    expect(error.status).toBe(429)
    expect(error.retriable).toBe(true)
    expect(clock.slept).toEqual([])
  })

  it('a POST that may not be repeated is sent again after 429: it was refused', async () => {
    api.on('/orders', { status: 429, headers: { 'retry-after': '2' } }, GOOD)
    await client().request({ url: '/orders', json: { a: 1 } }, signal)
    expect(api.requests.map(({ method, body }) => `${method} ${body}`)).toEqual(['POST {"a":1}', 'POST {"a":1}'])
  })

  it('is told in the log once, however many wait', async () => {
    api.on('/items', { status: 429, headers: { 'retry-after': '37' } }, GOOD)
    const lines: string[] = []
    const log = recording(lines)
    const one = client({}, { log, random: () => 0 })
    await Promise.all([1, 2, 3].map(() => one.request({ url: '/items' }, signal)))
    expect(lines.filter((line) => line.includes('waiting'))).toEqual([
      `info waiting 37 s: rate limit of ${new URL(api.url).host}`,
    ])
  })
})

describe('the server fails in passing', () => {
  it.each([408, 425, 500, 502, 503, 504])('%i twice, then 200: tried again', async (status) => {
    api.on('/items', { status }, { status }, GOOD)
    const { status: last } = await client().request({ url: '/items' }, signal)
    expect(last).toBe(200)
    expect(api.requests).toHaveLength(3)
    expect(clock.slept).toEqual([0.5, 1])
  })

  it.each([
    [undefined, 11],
    [{ retry_limit: 3 }, 4],
    [{ retry_limit: 0 }, 1],
  ])('503 for ever: gives up after the retry limit, with URL and status (%j)', async (api_config, tries) => {
    api.on('/items', { status: 503, json: { error: { message: 'upstream is down' } } })
    const error = await failure(client({ api: api_config }).request({ url: '/items', query: { page: 2 } }, signal))
    expect(api.requests).toHaveLength(tries)
    const effort = tries > 1 ? `, ${tries} tries in [0-9.]+ s` : ''
    expect(error.message).toMatch(
      new RegExp(`^GET ${api.url}/items\\?page=2: 503 Service Unavailable${effort}: upstream is down$`),
    )
    expect(error.hint).toContain('source.api_config.retry_limit')
    expect(error).toMatchObject({ code: 'source', status: 503, retriable: true })
  })

  it('gives up when the seconds are used up, before it would wait beyond them', async () => {
    api.on('/items', { status: 500 })
    const error = await failure(client({ api: { retry_seconds: 8 } }).request({ url: '/items' }, signal))
    expect(clock.slept).toEqual([0.5, 1, 2, 4])
    expect(error.message).toContain('5 tries in 7.5 s')
    expect(error.hint).toContain('source.api_config.retry_seconds')
  })

  it.each<[string, Answer]>([
    ['connection reset before the answer', { fault: 'reset' }],
    ['connection closed before the answer', { fault: 'close' }],
    ['connection reset in the middle of a body', { ...GOOD, fault: 'reset-body' }],
    ['body shorter than its Content-Length', { ...GOOD, fault: 'truncate' }],
    ['compressed body that is cut off', { ...GOOD, encoding: 'gzip', fault: 'cut' }],
    ['body that is not what its encoding says', { ...GOOD, headers: { 'content-encoding': 'gzip' } }],
  ])('%s: tried again', async (_, answer) => {
    api.on('/items', answer, answer, GOOD)
    const { body } = await client().request({ url: '/items' }, signal)
    expect(body.toString()).toBe('{"items":[1,2,3]}')
    expect(api.requests).toHaveLength(3)
  })

  it('connection reset for ever: says so, and how often it was tried', async () => {
    api.on('/items', { ...GOOD, fault: 'reset-body' })
    const error = await failure(client({ api: { retry_limit: 2 } }).request({ url: '/items' }, signal))
    expect(error.message).toMatch(/^GET \S+\/items: connection (reset|closed) \(.*\), 3 tries in /)
    expect(error.status).toBeUndefined()
  })

  it('nobody listens: tried again, then connection refused', async () => {
    const url = await unused()
    const error = await failure(client({ baseUrl: url, api: { retry_limit: 2 } }).request({ url: '/items' }, signal))
    expect(error.message).toMatch(/^GET http:\S+\/items: connection refused \(.*\), 3 tries in 1.5 s$/)
    expect(error.retriable).toBe(true)
  })

  it('a host that there is not: at once, since waiting mends no typing error', async () => {
    const error = await failure(client({ baseUrl: 'http://api.invalid' }).request({ url: '/items' }, signal))
    expect(error.message).toMatch(/^GET http:\/\/api.invalid\/items: (no such host|the name could not be looked up)/)
  })
})

describe('an answer that the source cannot read', () => {
  const validate = ({ body }: { body: Buffer }): void => {
    try {
      JSON.parse(body.toString())
    } catch (cause) {
      throw new BizonError('source', 'the answer is not JSON: it ends after 12 bytes', { cause })
    }
  }

  it('200 with truncated JSON whose length looks right: tried again', async () => {
    api.on('/items', { body: '{"items":[1,' }, { ...GOOD, fault: 'cut' }, GOOD)
    const { body } = await client().request({ url: '/items', validate }, signal)
    expect(body.toString()).toBe('{"items":[1,2,3]}')
    expect(api.requests).toHaveLength(3)
  })

  it('for ever: the error says what was wrong, where, and how often', async () => {
    api.on('/items', { body: '{"items":[1,' })
    const error = await failure(client({ api: { retry_limit: 1 } }).request({ url: '/items', validate }, signal))
    expect(error.message).toMatch(/^GET \S+\/items: the answer is not JSON: it ends after 12 bytes, 2 tries in 0.5 s$/)
    expect(error.status).toBe(200)
  })
})

describe('a server that is slow', () => {
  const real = { clock: { now: () => performance.now(), sleep }, random: () => 0 }

  it('no answer within response_timeout, then one: tried again', async () => {
    api.on('/items', { fault: 'stall-headers' }, GOOD)
    await client({ api: { response_timeout: 1 } }, real).request({ url: '/items' }, signal)
    expect(api.requests).toHaveLength(2)
  })

  it('a body that stalls for body_timeout, then one: tried again', async () => {
    api.on('/items', { ...GOOD, fault: 'stall-body' }, GOOD)
    await client({ api: { body_timeout: 1 } }, real).request({ url: '/items' }, signal)
    expect(api.requests).toHaveLength(2)
  })

  it.each<[string, Answer, object, string]>([
    ['response_timeout', { fault: 'stall-headers' }, { response_timeout: 0.1 }, 'no answer within 0.1 s'],
    ['body_timeout', { ...GOOD, fault: 'stall-body' }, { body_timeout: 0.1 }, 'the answer stalled for 0.1 s'],
  ])('for ever: the error names %s', async (key, answer, timeouts, message) => {
    api.on('/items', answer)
    const error = await failure(
      client({ api: { retry_limit: 0, ...timeouts } }, real).request({ url: '/items' }, signal),
    )
    expect(error.message).toBe(`GET ${api.url}/items: ${message}`)
    expect(error.hint).toContain(`source.api_config.${key}`)
  })

  it('a peer that accepts but never speaks TLS: connect_timeout', async () => {
    const silent = createServer((socket) => socket.on('error', () => {}))
    await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening))
    closing.push(async () => void silent.close())
    const { port } = silent.address() as AddressInfo
    const slow = client({ baseUrl: `https://127.0.0.1:${port}`, api: { connect_timeout: 0.1, retry_limit: 0 } }, real)
    const error = await failure(slow.request({ url: '/items' }, signal))
    expect(error.message).toMatch(/\/items: no connection within 0.1 s$/)
    expect(error.hint).toContain('source.api_config.connect_timeout')
  })

  it('a body that drips, but never pauses so long, is read to its end', async () => {
    const json = { items: Array.from({ length: 40 }, (_, i) => i) }
    api.on('/items', { json, drip: { bytes: 10, seconds: 0.1 } })
    const { body } = await client({ api: { body_timeout: 1 } }, real).request({ url: '/items' }, signal)
    expect(JSON.parse(body.toString())).toEqual(json)
  })
})

describe('the request is wrong', () => {
  it.each<[number, Answer, string]>([
    [400, { json: { message: 'page must be a number' } }, '400 Bad Request: page must be a number'],
    [401, { json: { error: { message: 'Bad credentials' } } }, '401 Unauthorized: Bad credentials'],
    [403, { json: { errors: [{ message: 'no access' }] } }, '403 Forbidden: no access'],
    [404, { json: { detail: 'no such thing' } }, '404 Not Found: no such thing'],
    [422, { json: { error: 'invalid_scope', error_description: 'ask less' } }, '422 Unprocessable Entity: ask less'],
  ])('%i: not tried again; the error has status and what the API says', async (status, answer, said) => {
    api.on('/items', { ...answer, status })
    const error = await failure(client().request({ url: '/items' }, signal))
    expect(api.requests).toHaveLength(1)
    expect(error.message).toBe(`GET ${api.url}/items: ${said}`)
    expect(error).toMatchObject({ code: 'source', status, retriable: false })
  })

  it('401 and 403 point to the authentication, 404 to the URL', async () => {
    api.on('/401', { status: 401 }).on('/403', { status: 403 }).on('/404', { status: 404 })
    const one = client()
    for (const [path, hint] of [
      ['/401', 'source.authentication'],
      ['/403', 'source.authentication'],
      ['/404', 'URL'],
    ] as const) {
      expect((await failure(one.request({ url: path }, signal))).hint).toContain(hint)
    }
  })

  it.each<[string, Answer, string]>([
    [
      'a page of HTML',
      {
        body: '<html><head><title>x</title><style>p{}</style></head><body><h1>Bad &amp; gone</h1>\n<p>nginx</p></body></html>',
      },
      ': Bad & gone nginx',
    ],
    ['nothing', {}, ''],
    ['JSON that is cut off', { body: '{"message":"no' }, ': {"message":"no'],
    ['bytes that a terminal would obey', { body: 'a\u001b[31mred\u0007\u202e' }, ': a [31mred'],
  ])('an error whose body is %s', async (_, answer, said) => {
    api.on('/items', { ...answer, status: 500 })
    const error = await failure(client({ api: { retry_limit: 0 } }).request({ url: '/items' }, signal))
    expect(error.message).toBe(`GET ${api.url}/items: 500 Internal Server Error${said}`)
  })

  it('a long body is cut off, and of a huge one only the beginning is read', async () => {
    api.on('/long', { status: 400, body: 'x'.repeat(5000) }).on('/huge', { status: 400, bytes: 1 << 30 })
    const one = client()
    for (const path of ['/long', '/huge']) {
      const error = await failure(one.request({ url: path }, signal))
      expect(error.message).toBe(`GET ${api.url}${path}: 400 Bad Request: ${'x'.repeat(300)}…`)
    }
    expect(api.bytesSent).toBeLessThan(64 << 20)
  })

  it('an error whose body stalls is still that error', async () => {
    api.on('/items', { status: 404, body: 'no such thing', fault: 'stall-body' })
    const error = await failure(client({ api: { body_timeout: 0.1 } }).request({ url: '/items' }, signal))
    expect(error.message).toContain('/items: 404 Not Found: no suc')
  })

  it('a status that the caller accepts is an answer', async () => {
    api.on('/items', { status: 404, json: { message: 'gone' } })
    const { status, body } = await client().request({ url: '/items', accept: [404] }, signal)
    expect([status, body.toString()]).toEqual([404, '{"message":"gone"}'])
  })
})

describe('a POST that may have done its work', () => {
  it.each<[string, Answer, string]>([
    ['500', { status: 500 }, '500 Internal Server Error'],
    ['reset', { fault: 'reset' }, 'connection'],
    ['reset in the body', { ...GOOD, fault: 'reset-body' }, 'connection'],
  ])('is not sent again after %s', async (_, answer, message) => {
    api.on('/orders', answer)
    const error = await failure(client().request({ url: '/orders', json: { secretBody: 1 } }, signal))
    expect(api.requests).toHaveLength(1)
    expect(error.message).toMatch(new RegExp(`^POST \\S+/orders: ${message}`))
    expect(error.message).toContain('; a POST may have done its work, so that it is not sent again')
    expect(error.message).not.toContain('secretBody')
  })

  it('is sent again when the source says that it may be', async () => {
    api.on('/search', { status: 500 }, { fault: 'reset' }, GOOD)
    await client().request({ url: '/search', json: { q: 1 }, repeatable: true }, signal)
    expect(api.requests.map(({ body }) => body)).toEqual(['{"q":1}', '{"q":1}', '{"q":1}'])
  })

  it('is sent again when there was no connection', async () => {
    const one = client({ baseUrl: await unused(), api: { retry_limit: 2 } })
    const error = await failure(one.request({ url: '/orders', json: {} }, signal))
    expect(error.message).toContain('3 tries')
  })
})

function recording(lines: string[]): Log {
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`)
  return { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** A URL at which nobody listens. */
async function unused(): Promise<string> {
  const gone = await FaultServer.start()
  await gone.close()
  return gone.url
}
