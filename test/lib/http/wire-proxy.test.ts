// Proxies from the environment, through a real one on loopback.

import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RateLimits } from '../../../lib/http/rate-limit.ts'
import { openWire } from '../../../lib/http/wire.ts'
import { proxiesOf } from '../../../lib/http/wire-proxy.ts'
import { createHttp, type HttpClient, HttpError } from '../../../lib/http.ts'
import { FaultServer } from '../../support/fault-server.ts'
import { ProxyServer } from '../../support/proxy-server.ts'

let api: FaultServer
let proxy: ProxyServer
let closing: (() => Promise<void>)[]
const signal = new AbortController().signal

beforeEach(async () => {
  api = (await FaultServer.start()).on('/items', { json: { ok: true } })
  proxy = await ProxyServer.start('user:p%40ss')
  closing = [() => api.close(), () => proxy.close()]
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
})

function client(environment: NodeJS.ProcessEnv): HttpClient {
  const http = createHttp({
    limits: new RateLimits(),
    transport: (settings) => openWire(settings, environment),
    random: () => 0,
  })
  closing.push(() => http.close())
  return http({ api: { retry_limit: 2 } })
}

async function failure(promise: Promise<unknown>): Promise<HttpError> {
  const error = await promise.catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(HttpError)
  return error as HttpError
}

describe('a proxy in the environment', () => {
  it.each(['HTTP_PROXY', 'http_proxy'])('%s is asked for http://, with user and password', async (name) => {
    const { body } = await client({ [name]: proxy.url }).request({ url: `${api.url}/items` }, signal)
    expect(body.toString()).toBe('{"ok":true}')
    expect(proxy.asked).toEqual([`GET ${api.url}/items`])
    expect(api.requests[0]?.headers).not.toHaveProperty('proxy-authorization')
  })

  it.each(['HTTPS_PROXY', 'https_proxy'])('%s makes a tunnel for https://', async (name) => {
    const { host, close } = await untrusted()
    closing.push(close)
    const error = await failure(client({ [name]: proxy.url }).request({ url: `https://${host}/items` }, signal))
    // The tunnel stands: whoever speaks at its end has no certificate.
    expect(proxy.asked[0]).toBe(`CONNECT ${host}`)
    expect(error.message).toContain(`GET https://${host}/items: `)
  })

  it.each(['127.0.0.1', '*', 'example.com, 127.0.0.1'])('NO_PROXY %j goes straight', async (none) => {
    await client({ HTTP_PROXY: proxy.url, NO_PROXY: none }).request({ url: `${api.url}/items` }, signal)
    expect([proxy.asked, api.requests.length]).toEqual([[], 1])
  })

  it('an empty http_proxy wins over HTTP_PROXY: none', async () => {
    await client({ HTTP_PROXY: proxy.url, http_proxy: '' }).request({ url: `${api.url}/items` }, signal)
    expect(proxy.asked).toEqual([])
  })

  it('that refuses is an error at once, which says so and shows no password', async () => {
    const wrong = proxy.url.replace('p%40ss', 'wr0ng-word')
    for (const url of [`${api.url}/items`, 'https://127.0.0.1:1/items']) {
      const error = await failure(client({ HTTP_PROXY: wrong, HTTPS_PROXY: wrong }).request({ url }, signal))
      expect(error.message).toBe(`GET ${url}: the proxy answered 407 Proxy Authentication Required`)
      expect(error.hint).toContain('HTTPS_PROXY')
      expect(`${error.stack} ${(error.cause as Error).stack}`).not.toContain('wr0ng-word')
    }
    expect(proxy.asked).toHaveLength(2)
  })

  it('that is not there: connection refused, tried again', async () => {
    await proxy.close()
    const error = await failure(client({ HTTP_PROXY: proxy.url }).request({ url: `${api.url}/items` }, signal))
    expect(error.message).toMatch(/: connection refused \(.*\), 3 tries in /)
    expect(error.message).not.toContain('p%40ss')
  })
})

describe('what the environment names', () => {
  it('needs no scheme, and is nothing when it is empty', () => {
    expect(proxiesOf({ HTTPS_PROXY: 'proxy.example.com:3128', no_proxy: 'a' })).toEqual({
      httpProxy: '',
      httpsProxy: 'http://proxy.example.com:3128',
      noProxy: 'a',
    })
    expect(proxiesOf({ HTTP_PROXY: '', https_proxy: ' ' })).toBeUndefined()
  })

  it.each(['ftp://user:s3cret@x', 'http://user:s3cret@:0:0'])('%s is refused without showing it', (value) => {
    expect(() => proxiesOf({ http_proxy: value })).toThrow(
      /^the environment variable http_proxy is not the URL of a proxy$/,
    )
  })
})

/** A TLS server that has no certificate: it ends every handshake. */
async function untrusted(): Promise<{ host: string; close: () => Promise<void> }> {
  const server = createServer()
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  server.on('tlsClientError', () => {})
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => void server.close(),
  }
}
