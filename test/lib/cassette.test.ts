import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { authenticationSchema } from '../../lib/auth.ts'
import { type Cassette, openCassette } from '../../lib/cassette.ts'
import { BizonError } from '../../lib/errors.ts'
import { type Clock, RateLimits } from '../../lib/http/rate-limit.ts'
import { createHttp, type HttpClientOptions, type HttpRequest, network } from '../../lib/http.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { FaultServer } from '../support/fault-server.ts'
import { inFolder } from '../support/yaml-config.ts'

const signal = new AbortController().signal
/** Whoever waits makes the time go by. */
let time = 0
const impatient: Clock = {
  now: () => time,
  sleep: async (seconds) => {
    time += seconds * 1000
  },
}

let api: FaultServer
beforeEach(async () => {
  api = await FaultServer.start()
})
afterEach(() => api.close())

interface Ask extends HttpRequest {
  /** What the answer must say; absent: the answer's text is returned. */
  readonly url: string
}

interface Given {
  readonly mode: 'record' | 'replay'
  readonly path: string
  readonly secrets?: readonly string[]
  readonly options?: HttpClientOptions
}

interface Result {
  /** The bodies, or what the errors said. */
  readonly said: readonly string[]
  readonly log: readonly string[]
}

/** One process's requests, one after another, through a client and a cassette. */
async function play({ mode, path, secrets = [], options }: Given, requests: readonly Ask[]): Promise<Result> {
  const lines: string[] = []
  const log: Log = {
    ...silentLog,
    info: (message) => void lines.push(message),
    warn: (message) => void lines.push(message),
  }
  const cassette: Cassette = await openCassette({ mode, path }, { source: 'shop', wire: network, log })
  const http = createHttp({ transport: cassette.transport, clock: impatient, limits: new RateLimits(), secrets })
  const said: string[] = []
  try {
    const client = http({ baseUrl: api.url, ...options })
    for (const request of requests) {
      const answer = await client.request(request, signal).catch((error: unknown) => error)
      said.push(
        answer instanceof Error ? `Error: ${answer.message}` : (answer as { body: Buffer }).body.toString('latin1'),
      )
    }
  } finally {
    await http.close()
    await cassette.close()
    await cassette.close()
  }
  return { said, log: lines }
}

/** Both ways: what was recorded, and the same without a server. */
async function both(path: string, requests: readonly Ask[], given: Omit<Given, 'mode' | 'path'> = {}) {
  const recorded = await play({ mode: 'record', path, ...given }, requests)
  const asked = api.requests.length
  await api.close()
  const replayed = await play({ mode: 'replay', path, ...given }, requests)
  expect(api.requests).toHaveLength(asked)
  const tape = await readFile(path, 'utf8')
  return { recorded, replayed, tape }
}

const folder = <T>(work: (path: string) => Promise<T>): Promise<T> => inFolder((dir) => work(join(dir, 'run.cassette')))

describe('what is replayed is what was recorded', () => {
  const binary = Buffer.from([0xff, 0xfe, 0x00, 0x0a, 0x80, 0x22])
  test.each<[string, string | Buffer]>([
    ['JSON with its blanks and numbers', '{ "a" : 1.10,\n\t"b": 12345678901234567890, "c": -0, "d": "\\u00e9 é" }\r\n'],
    ['nothing', ''],
    ['text that is no JSON', '<h1>Hi</h1>\u2028 \u0000 "quoted" \\'],
    ['a byte order mark', '\ufeff{}'],
    ['bytes that are no text', binary],
    ['a long text', JSON.stringify({ long: 'x"y'.repeat(400_000) })],
  ])('%s', async (_title, body) => {
    await folder(async (path) => {
      api.on('/a', { body, headers: { 'content-type': 'application/json', 'x-more': 'kept' } })
      const { recorded, replayed, tape } = await both(path, [{ url: '/a' }])
      expect(replayed.said[0] === Buffer.from(body).toString('latin1')).toBe(true)
      expect(recorded.said[0] === replayed.said[0]).toBe(true)
      expect(tape).toContain('"x-more":"kept"')
      expect(tape.split('\n')).toHaveLength(4)
    })
  })

  test.each(['gzip', 'deflate', 'br'] as const)('a body in %s is kept as text', async (encoding) => {
    await folder(async (path) => {
      api.on('/a', { body: '{"a":1}', encoding })
      const { replayed, tape } = await both(path, [{ url: '/a' }])
      expect(replayed.said).toEqual(['{"a":1}'])
      expect(tape).toContain('"body":"{\\"a\\":1}"')
    })
  })

  test('the same request is answered in the order of the recording', async () => {
    await folder(async (path) => {
      api.on('/a', { body: '1' }, { body: '2' }, { body: '3' })
      const { replayed } = await both(path, [{ url: '/a' }, { url: '/a' }, { url: '/a' }])
      expect(replayed).toEqual({ said: ['1', '2', '3'], log: [`replayed all 3 HTTP requests of ${path}`] })
    })
  })

  test('requests are told apart by method, query and body', async () => {
    await folder(async (path) => {
      api.on('/a', ({ method, query, body }) => ({ body: `${method} ${query.q ?? ''} ${body}` }))
      const requests: Ask[] = [
        { url: '/a', query: { q: 1 } },
        { url: '/a', query: { q: 2 } },
        { url: '/a', json: { a: 1 } },
        { url: '/a', json: { a: 2 } },
        { url: '/a', form: { a: '1' } },
      ]
      await play({ mode: 'record', path }, requests)
      const backwards = await play({ mode: 'replay', path }, requests.toReversed())
      expect(backwards.said).toEqual(['POST  a=1', 'POST  {"a":2}', 'POST  {"a":1}', 'GET 2 ', 'GET 1 '])
    })
  })

  test.each<[string, Parameters<FaultServer['on']>[1][], number]>([
    ['503 and 429', [{ status: 503 }, { status: 429, headers: { 'retry-after': '30' } }, { body: 'ok' }] as never, 3],
    ['a reset before the answer', [{ fault: 'reset' }, { body: 'ok' }] as never, 2],
    ['a reset within the answer', [{ fault: 'reset-body', body: 'halfhalf' }, { body: 'ok' }] as never, 2],
    ['a body that is cut off', [{ fault: 'truncate', body: 'halfhalf' }, { body: 'ok' }] as never, 2],
    ['a redirect', [{ status: 302, headers: { location: '/a?again=1' } }, { body: 'ok' }] as never, 2],
  ])('with its retries: %s', async (_title, answers, exchanges) => {
    await folder(async (path) => {
      api.on('/a', ...(answers as unknown as [{ body: string }]))
      const { recorded, replayed, tape } = await both(path, [{ url: '/a' }])
      expect(recorded.said).toEqual(['ok'])
      expect(replayed).toEqual({ said: ['ok'], log: [`replayed all ${exchanges} HTTP requests of ${path}`] })
      expect(tape.split('\n')).toHaveLength(2 + 2 * exchanges)
    })
  })

  test('with an error that stays one', async () => {
    await folder(async (path) => {
      api.on('/a', { status: 404, json: { message: 'no such shop' } }).on('/b', { fault: 'close' })
      const { recorded, replayed } = await both(path, [{ url: '/a' }, { url: '/b' }], {
        options: { api: { retry_limit: 1 } },
      })
      expect(recorded.said[0]).toContain('404 Not Found: no such shop')
      expect(recorded.said[1]).toContain('2 tries')
      const timeless = (said: readonly string[]) => said.map((line) => line.replace(/ in [\d.]+ s/, ''))
      expect(timeless(replayed.said)).toEqual(timeless(recorded.said))
    })
  })

  test('with an answer that was too large to be read', async () => {
    await folder(async (path) => {
      api.on('/a', { bytes: 3 << 20 }).on('/b', { bytes: 3 << 20, lengthKnown: false })
      const { recorded, replayed, tape } = await both(path, [{ url: '/a' }, { url: '/b' }], {
        options: { api: { max_response_size: 1 } },
      })
      for (const said of recorded.said) expect(said).toContain('1 MiB')
      expect(replayed.said).toEqual(recorded.said)
      expect(tape.match(/"cut":true/g)).toHaveLength(2)
    })
  })

  test('and does not wait', async () => {
    await folder(async (path) => {
      api.on('/a', { status: 429, headers: { 'retry-after': '3000' } }, { body: 'ok' })
      await play({ mode: 'record', path }, [{ url: '/a' }])
      const cassette = await openCassette({ mode: 'replay', path }, { source: 'shop', wire: network, log: silentLog })
      const slow: Clock = { now: Date.now, sleep: () => Promise.reject(new Error('it waits')) }
      const http = createHttp({ transport: cassette.transport, clock: slow, limits: new RateLimits() })
      const answer = await http({ baseUrl: api.url }).request({ url: '/a' }, signal)
      expect(answer.body.toString()).toBe('ok')
      await http.close()
      await cassette.close()
    })
  })
})

describe('a tape without secrets', () => {
  const secret = 'S3cr+t/né w'
  const encodings = [
    secret,
    encodeURIComponent(secret),
    new URLSearchParams({ v: secret }).toString().slice(2),
    Buffer.from(secret).toString('base64'),
    JSON.stringify(JSON.stringify(secret)).slice(3, -3),
  ]

  test('none of a known secret in URL, headers, body and answer, in any spelling', async () => {
    await folder(async (path) => {
      api.on('/a', ({ query, headers, body }) => ({
        headers: { 'set-cookie': ['session=cookie-1234'], 'x-echo': encodeURIComponent(secret) },
        json: { query, headers, body, nested: JSON.stringify({ secret }), next: `/a?q=${encodeURIComponent(secret)}` },
      }))
      const requests: Ask[] = [
        { url: `/a?q=${encodeURIComponent(secret)}`, headers: { 'x-note': encodeURIComponent(secret) } },
        { url: '/a', query: { q: secret }, json: { deep: [secret] } },
        { url: '/a', form: { q: secret } },
      ]
      const { replayed, tape } = await both(path, requests, { secrets: [secret] })
      for (const spelling of encodings) expect(tape).not.toContain(spelling)
      expect(tape).not.toContain('cookie-1234')
      expect(replayed.log).toEqual([`replayed all 3 HTTP requests of ${path}`])
      for (const said of replayed.said) expect(JSON.parse(said)).toMatchObject({ next: '/a?q=***' })
    })
  })

  test.each([
    ['?api_key=hidden-1', '?api_key=***'],
    ['?q=1&access_token=hidden-1&x=2', '?q=1&access_token=***&x=2'],
    ['?sig=hidden-1', '?sig=***'],
    ['?page_token=kept-1', '?page_token=kept-1'],
  ])('what looks like a secret in a URL: %s', async (query, shown) => {
    await folder(async (path) => {
      api.on('/a', { body: 'ok' })
      const { replayed, tape } = await both(path, [{ url: `/a${query}` }])
      expect(tape).toContain(`/a${shown}"`)
      expect(tape).not.toContain('hidden-1')
      expect(replayed.said).toEqual(['ok'])
    })
  })

  test.each<[string, unknown, string]>([
    ['api_key', { token: 'hidden-token', auth_header: 'X-Shop', auth_method: '' }, '"x-shop":"***"'],
    ['bearer', { token: 'hidden-token' }, '"authorization":"***"'],
    ['basic', { username: 'me', password: 'hidden-token' }, '"authorization":"***"'],
    ['cookies', { cookies: { sid: 'hidden-token' }, headers: { 'X-CSRF': 'hidden-csrf' } }, '"cookie":"***"'],
  ])('of authentication %s', async (type, params, shown) => {
    await folder(async (path) => {
      api.on('/a', ({ headers }) => ({ json: { saw: headers } }))
      const authentication = authenticationSchema.parse({ type, params })
      const { replayed, tape } = await both(path, [{ url: '/a' }], { options: { authentication } })
      expect(tape).toContain(shown)
      expect(tape).not.toMatch(/hidden/)
      expect(tape).not.toContain(Buffer.from('me:hidden-token').toString('base64'))
      expect(JSON.parse(replayed.said[0] ?? '')).toHaveProperty('saw')
    })
  })

  test('of OAuth, whatever the fields of the answer are called; it replays with other secrets', async () => {
    await folder(async (path) => {
      let count = 0
      api.on('/token', () => ({
        json: { data: { key: `hidden-access-${++count}`, refresh_token: `hidden-refresh-${count}`, expires_in: 3600 } },
      }))
      api.on('/a', ({ headers }) => {
        if (headers.authorization === 'Bearer hidden-access-1') return { status: 401 }
        return { json: { next: `/b?access_token=hidden-access-${count}`, text: `hidden-access-${count}`, id: 1.0 } }
      })
      const options = (known: string): HttpClientOptions => ({
        authentication: authenticationSchema.parse({
          type: 'oauth',
          params: {
            token_refresh_endpoint: `${api.url}/token`,
            client_id: 'me',
            client_secret: `${known}-client`,
            refresh_token: `${known}-refresh-0`,
            access_token_name: 'key',
            response_field_path: 'data',
          },
        }),
      })
      const requests: Ask[] = [{ url: '/a' }, { url: '/a' }]
      await play({ mode: 'record', path, options: options('hidden') }, requests)
      await api.close()
      const tape = await readFile(path, 'utf8')
      expect(tape).not.toMatch(/hidden/)
      expect(tape.match(/client_secret=\*\*\*&refresh_token=\*\*\*/g)).toHaveLength(2)
      const replayed = await play({ mode: 'replay', path, options: options('dummy') }, requests)
      const answer = '{"next":"/b?access_token=***","text":"***","id":1}'
      expect(replayed).toEqual({ said: [answer, answer], log: [`replayed all 5 HTTP requests of ${path}`] })
    })
  })

  test('a number stays a number, so that the answer stays JSON', async () => {
    await folder(async (path) => {
      api.on('/a', { body: '{"pin":12345,"text":"12345"}' })
      const { replayed, tape } = await both(path, [{ url: '/a' }], { secrets: ['12345'] })
      expect(tape).not.toContain('12345')
      expect(replayed.said).toEqual(['{"pin":99999,"text":"99999"}'])
    })
  })
})

describe('a request that is not on the tape', () => {
  async function said(request: Ask, more: readonly Ask[] = []): Promise<string | undefined> {
    return folder(async (path) => {
      api.on('/items', { body: 'ok' })
      await play({ mode: 'record', path }, [
        { url: '/items?page=1' },
        { url: '/items?page=2' },
        { url: '/items', json: 1 },
      ])
      const { said } = await play({ mode: 'replay', path }, [...more, request])
      return said.at(-1)?.replaceAll(path, 'TAPE').replaceAll(api.url, '')
    })
  }

  test('is named, with the nearest one and its line', async () => {
    expect(await said({ url: '/items?page=3' })).toMatch(
      /^Error: GET \/items\?page=3 is not on the cassette TAPE; nearest is line \d: GET \/items\?page=[12]$/,
    )
  })

  test('may only have another body', async () => {
    expect(await said({ url: '/items', json: 2 })).toBe(
      'Error: POST /items is not on the cassette TAPE; line 6 has it with another body',
    )
  })

  test('may have been answered already', async () => {
    expect(await said({ url: '/items?page=1' }, [{ url: '/items?page=1' }])).toBe(
      'Error: GET /items?page=1 is on the cassette TAPE once, last answered in line 3, and is asked for once more',
    )
  })

  test('is not tried again', async () => {
    await folder(async (path) => {
      api.on('/a', { body: 'ok' })
      await play({ mode: 'record', path }, [{ url: '/a' }])
      const cassette = await openCassette({ mode: 'replay', path }, { source: 'shop', wire: network, log: silentLog })
      let sent = 0
      const http = createHttp({
        transport: async (settings) => {
          const inner = await cassette.transport(settings)
          return {
            ...inner,
            send: (request, given) => {
              sent++
              return inner.send(request, given)
            },
          }
        },
      })
      const error = await http({ baseUrl: api.url })
        .request({ url: '/b' }, signal)
        .catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(BizonError)
      expect((error as BizonError).hint).toContain('record a new one')
      expect(sent).toBe(1)
      await http.close()
      await cassette.close()
    })
  })
})

describe('the end of a tape', () => {
  test('what was not asked for is counted', async () => {
    await folder(async (path) => {
      api.on('/a', { body: 'ok' })
      await play({ mode: 'record', path }, [{ url: '/a?1' }, { url: '/a?2' }])
      const { log } = await play({ mode: 'replay', path }, [{ url: '/a?2' }])
      expect(log).toEqual([`replayed 1 of the 2 HTTP requests of ${path}`])
    })
  })

  test('a source without HTTP is told, and leaves no file', async () => {
    await folder(async (path) => {
      expect((await play({ mode: 'record', path }, [])).log).toEqual([
        `source shop sent no HTTP request, so ${path} was not written`,
      ])
      await expect(readFile(path)).rejects.toThrow('ENOENT')
      api.on('/a', { body: 'ok' })
      await play({ mode: 'record', path }, [{ url: '/a' }])
      expect((await play({ mode: 'replay', path }, [])).log).toEqual([
        `source shop sent no HTTP request, so nothing of ${path} was replayed`,
      ])
    })
  })

  test('a tape is not written over', async () => {
    await folder(async (path) => {
      await writeFile(path, 'precious')
      const error = await play({ mode: 'record', path }, []).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'usage', message: `the cassette ${path} is there already` })
      expect(await readFile(path, 'utf8')).toBe('precious')
    })
  })

  test('a folder that does not exist is told before anything is asked for', async () => {
    await folder(async (path) => {
      await expect(play({ mode: 'record', path: join(path, 'x', 'y') }, [{ url: '/a' }])).rejects.toThrow(
        'its folder does not exist',
      )
      expect(api.requests).toEqual([])
    })
  })

  test('two clients at work at once each find their answers', async () => {
    await folder(async (path) => {
      api.on('/a', ({ query }) => ({ body: `a${query.n}` })).on('/b', ({ query }) => ({ body: `b${query.n}` }))
      const all = async (mode: 'record' | 'replay'): Promise<string[]> => {
        const cassette = await openCassette({ mode, path }, { source: 'shop', wire: network, log: silentLog })
        const http = createHttp({ transport: cassette.transport })
        const clients = [http({ baseUrl: `${api.url}/a` }), http({ baseUrl: `${api.url}/b` })]
        const answers = Array.from({ length: 30 }, (_, n) =>
          clients[n % 2]?.request({ url: '', query: { n } }, new AbortController().signal),
        )
        const bodies = (await Promise.all(answers)).map((answer) => String(answer?.body))
        await http.close()
        await cassette.close()
        return bodies
      }
      expect(await all('replay').catch(() => 'nothing yet')).toBe('nothing yet')
      const recorded = await all('record')
      expect(recorded.slice(0, 3)).toEqual(['a0', 'b1', 'a2'])
      expect(await all('replay')).toEqual(recorded)
    })
  })
})

describe('a tape that is not whole', () => {
  const header = '{"cassette":1,"bizon":"0.1.0"}'
  const one = '{"request":{"method":"GET","url":"http://x.invalid/a","headers":{}}}'
  const answer = '{"answer":{"status":200,"headers":{},"body":"ok"}}'

  const replay = (tape: string, urls: readonly string[] = ['http://x.invalid/a']) =>
    folder(async (path) => {
      await writeFile(path, tape)
      const { said, log } = await play(
        { mode: 'replay', path, options: {} },
        urls.map((url) => ({ url })),
      )
      const short = (text: string) => text.replaceAll(path, 'TAPE')
      return { said: said.map(short), log: log.map(short) }
    }).catch((error: unknown) => ({
      code: (error as BizonError).code,
      message: (error as Error).message.replace(/\S+run\.cassette/, 'TAPE'),
    }))

  test.each([
    ['in a request', `${header}\n${one}\n${answer}\n${one.slice(0, 30)}`, 'line 4'],
    ['in an answer', `${header}\n${one}\n${answer}\n${one}\n${answer.slice(0, 20)}`, 'line 5'],
  ])('is read up to where it is cut off %s', async (_title, tape, where) => {
    expect(await replay(tape)).toEqual({
      said: ['ok'],
      log: [
        `TAPE is cut off in ${where}: the exchange that it belongs to is left out`,
        'replayed all 1 HTTP requests of TAPE',
      ],
    })
  })

  test('is read up to a request without an answer', async () => {
    expect(await replay(`${header}\n${one}\n${answer}\n${one}\n`)).toMatchObject({
      said: ['ok'],
      log: ['TAPE ends with a request in line 4 that has no answer: it is left out', expect.anything()],
    })
  })

  test('may have empty lines', async () => {
    expect(await replay(`${header}\n\n${one}\n${answer}\n\n`)).toMatchObject({ said: ['ok'] })
  })

  test.each([
    ['', 'TAPE is not a cassette'],
    ['hello\n', 'TAPE is not a cassette'],
    [`${one}\n${answer}\n`, 'TAPE is not a cassette'],
    ['{"cassette":2}\n', 'TAPE is a cassette of format 2; this version reads 1'],
    [`${header}\n${one}\n${one}\n`, 'TAPE:3: not a line of a cassette (an answer is expected here)'],
    [`${header}\n${answer}\n`, 'TAPE:2: not a line of a cassette (a request is expected here)'],
    [`${header}\n{"request":{}}\n${answer}\n`, 'TAPE:2: not a line of a cassette'],
    [`${header}\n{"request":{]\n${answer}\n`, 'TAPE:2: not a line of a cassette ('],
  ])('%j is refused', async (tape, message) => {
    expect(await replay(tape)).toMatchObject({ code: 'config', message: expect.stringContaining(message) })
  })

  test('an answer that is none is found when it is asked for', async () => {
    const { said } = (await replay(`${header}\n${one}\n{"answer":{}}\n`)) as { said: string[] }
    expect(said).toEqual(['Error: TAPE:3: not a line of a cassette'])
  })
})
