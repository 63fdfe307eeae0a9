import { afterEach, describe, expect, test } from 'vitest'
import { type Authenticator, authenticationOf, createAuthenticator } from '../../../lib/auth.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { Clock } from '../../../lib/http/rate-limit.ts'
import { createHttp } from '../../../lib/http.ts'
import { type Log, silentLog } from '../../../lib/log.ts'
import { type Answer, FaultServer } from '../../support/fault-server.ts'

/** Lets a test and its server wait for each other. */
function latch(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((release) => {
    resolve = release
  })
  return { promise, resolve }
}

const never = new AbortController().signal
const ownSignal = () => new AbortController().signal
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A token endpoint on loopback. */
interface TokenServer {
  readonly url: string
  /** What was sent, one entry a request. */
  readonly forms: Record<string, string>[]
  close(): Promise<void>
}

async function tokenServer(answer: (count: number) => Answer | Promise<Answer>): Promise<TokenServer> {
  const api = await FaultServer.start()
  closers.push(() => api.close())
  const forms: Record<string, string>[] = []
  api.on('/token', ({ body }) => answer(forms.push(Object.fromEntries(new URLSearchParams(body))) - 1))
  return { url: `${api.url}/token`, forms, close: () => api.close() }
}

interface Given {
  readonly params?: Record<string, unknown>
  readonly now?: () => number
  readonly log?: Partial<Log>
}

async function oauth(
  answer: Answer | ((count: number) => Answer | Promise<Answer>),
  { params = {}, now, log }: Given = {},
): Promise<{ server: TokenServer; authenticator: Authenticator }> {
  const server = await tokenServer(typeof answer === 'function' ? answer : () => answer)
  const http = createHttp()
  closers.push(() => http.close())
  const client = http({ api: { retry_limit: 0 } })
  const authentication = authenticationOf('oauth').parse({
    type: 'oauth',
    params: {
      token_refresh_endpoint: server.url,
      client_id: 'me',
      client_secret: 'hush-hush',
      refresh_token: 'refresh-1',
      ...params,
    },
  })
  const authenticator = createAuthenticator(authentication, {
    send: (request, signal) => client.request(request, signal),
    log: { ...silentLog, ...log },
    ...(now && { now }),
  })
  return { server, authenticator }
}

const token = (count: number, more: object = {}): Answer => ({ json: { access_token: `access-${count}`, ...more } })

describe('the form', () => {
  test.each<[string, Record<string, unknown>, Record<string, string>]>([
    ['has what the standard asks for', {}, {}],
    ['joins scopes by blanks', { scopes: ['a', 'b'] }, { scope: 'a b' }],
    ['joins them by commas when told to', { scopes: ['a', 'b'], scope_separator: ',' }, { scope: 'a,b' }],
    ['has no scope for an empty list', { scopes: [] }, {}],
    [
      'has more fields',
      { refresh_request_body: { audience: 'x', v: 2, b: true } },
      { audience: 'x', v: '2', b: 'true' },
    ],
    ['keeps its own fields', { refresh_request_body: { client_id: 'you', grant_type: 'x' } }, {}],
    ['has another grant type', { grant_type: 'client_credentials' }, { grant_type: 'client_credentials' }],
  ])('%s', async (_title, params, expected) => {
    const { server, authenticator } = await oauth(token, { params })
    expect(await authenticator.headers(never)).toEqual({ authorization: 'Bearer access-0' })
    expect(server.forms).toEqual([
      {
        grant_type: 'refresh_token',
        client_id: 'me',
        client_secret: 'hush-hush',
        refresh_token: 'refresh-1',
        ...expected,
      },
    ])
  })

  test('has no refresh token when there is none, or the one of the further fields', async () => {
    const none = await oauth(token, { params: { refresh_token: undefined } })
    await none.authenticator.headers(never)
    expect(none.server.forms[0]).not.toHaveProperty('refresh_token')
    const other = await oauth(token, {
      params: { refresh_token: undefined, refresh_request_body: { refresh_token: 'other' } },
    })
    await other.authenticator.headers(never)
    expect(other.server.forms[0]).toHaveProperty('refresh_token', 'other')
  })

  test('nothing is asked for before the first request', async () => {
    const { server } = await oauth(token)
    expect(server.forms).toEqual([])
  })
})

describe('the answer', () => {
  test.each<[string, Record<string, unknown>, Answer]>([
    ['names of its own', { access_token_name: 'key' }, { json: { key: 'T' } }],
    ['a path', { response_field_path: 'data/auth' }, { json: { data: { auth: { access_token: 'T' } } } }],
    ['a path with a slash before it', { response_field_path: '/data' }, { json: { data: { access_token: 'T' } } }],
    ['a path through a list', { response_field_path: 'all/0' }, { json: { all: [{ access_token: 'T' }] } }],
    [
      'a form',
      {},
      { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'access_token=T&expires_in=60' },
    ],
  ])('may have %s', async (_title, params, answer) => {
    const { authenticator } = await oauth(answer, { params })
    expect(await authenticator.headers(never)).toEqual({ authorization: 'Bearer T' })
  })

  const at = Date.parse('2024-12-05T12:00:00Z')
  test.each<[string, unknown, Record<string, unknown>, number | undefined]>([
    ['seconds', 3600, {}, 3540],
    ['seconds as text', '3600', {}, 3540],
    ['seconds and no margin', 3600, { expiry_margin: 0 }, 3600],
    ['seconds and a larger margin', 3600, { expiry_margin: 600 }, 3000],
    ['half of a life that is shorter than the margin', 100, {}, 50],
    ['a date in RFC 3339', '2024-12-05T13:00:00Z', {}, 3540],
    ['a date with an offset', '2024-12-05T14:00:00+01:00', {}, 3540],
    ['a date in a form of its own', '05.12.2024 13:00', { token_expiry_date_format: '%d.%m.%Y %H:%M' }, 3540],
    ['seconds since 1970', at / 1000 + 3600, { token_expiry_date_format: '%s' }, 3540],
    ['seconds although a form is given', 3600, { token_expiry_date_format: '%Y-%m-%d' }, 3540],
    ['another field', undefined, { expires_in_name: 'ttl' }, 140],
    ['nothing', undefined, {}, undefined],
    ['null', null, {}, undefined],
    ['an end in the past', '2024-12-05T11:00:00Z', {}, 0],
  ])('a lifetime of %s', async (_title, value, params, seconds) => {
    let time = at
    const more = { ...(value !== undefined && { expires_in: value }), ttl: 200 }
    const { server, authenticator } = await oauth((count) => token(count, more), { params, now: () => time })
    await authenticator.headers(never)
    if (seconds === undefined) {
      time += 1e12
      await authenticator.headers(never)
      expect(server.forms).toHaveLength(1)
      return
    }
    time = at + seconds * 1000 - 1
    if (seconds > 0) expect(await authenticator.headers(never)).toEqual({ authorization: 'Bearer access-0' })
    time = at + seconds * 1000
    expect(await authenticator.headers(never)).toEqual({ authorization: 'Bearer access-1' })
    expect(server.forms).toHaveLength(2)
  })

  test('the time that the answer is on its way is part of its life', async () => {
    let time = at
    const answer = (count: number): Answer => {
      time += 30_000
      return token(count, { expires_in: 100 })
    }
    const { server, authenticator } = await oauth(answer, { params: { expiry_margin: 0 }, now: () => time })
    await authenticator.headers(never)
    time = at + 100_000
    await authenticator.headers(never)
    expect(server.forms).toHaveLength(2)
  })
})

describe('one fetch for all', () => {
  test('20 requests at once share the first token', async () => {
    const { server, authenticator } = await oauth(token)
    const all = await Promise.all(Array.from({ length: 20 }, () => authenticator.headers(ownSignal())))
    expect(new Set(all.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer access-0']))
    expect(server.forms).toHaveLength(1)
  })

  test('20 requests that were refused together renew it once', async () => {
    const { server, authenticator } = await oauth(token)
    const used = await authenticator.headers(never)
    const again = Array.from({ length: 20 }, async () => {
      expect(authenticator.renew(used)).toBe(true)
      return authenticator.headers(ownSignal())
    })
    expect((await Promise.all(again)).map(({ authorization }) => authorization)).toEqual(
      Array.from({ length: 20 }, () => 'Bearer access-1'),
    )
    authenticator.renew(used)
    expect(await authenticator.headers(never)).toEqual({ authorization: 'Bearer access-1' })
    expect(server.forms).toHaveLength(2)
  })

  test('a failed fetch fails all that wait for it, and the next one starts anew', async () => {
    const { server, authenticator } = await oauth((count) => (count === 0 ? { status: 400, json: {} } : token(count)))
    const all = await Promise.allSettled(Array.from({ length: 5 }, () => authenticator.headers(never)))
    expect(all.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => 'rejected'))
    expect(await authenticator.headers(never)).toEqual({ authorization: 'Bearer access-1' })
    expect(server.forms).toHaveLength(2)
  })

  test('who gives up does not take the token from the others', async () => {
    const arrived = latch()
    const go = latch()
    const { server, authenticator } = await oauth(async (count) => {
      arrived.resolve()
      await go.promise
      return token(count)
    })
    const impatient = new AbortController()
    const gone = authenticator.headers(impatient.signal)
    const patient = authenticator.headers(never)
    await arrived.promise
    impatient.abort(new Error('enough'))
    await expect(gone).rejects.toThrow('enough')
    go.resolve()
    expect(await patient).toEqual({ authorization: 'Bearer access-0' })
    expect(server.forms).toHaveLength(1)
  })

  test('the fetch ends when nobody waits any more; whoever comes then starts another', async () => {
    const arrived = latch()
    const { server, authenticator } = await oauth(async (count) => {
      if (count > 0) return token(count)
      arrived.resolve()
      return new Promise<Answer>(() => {})
    })
    const impatient = new AbortController()
    const gone = authenticator.headers(impatient.signal)
    await arrived.promise
    impatient.abort(new Error('enough'))
    await expect(gone).rejects.toThrow('enough')
    expect(await authenticator.headers(never)).toEqual({ authorization: 'Bearer access-1' })
    expect(server.forms).toHaveLength(2)
  })
})

describe('a refresh token that is replaced', () => {
  test('is kept for the process, and told once', async () => {
    const warnings: string[] = []
    const { server, authenticator } = await oauth(
      (count) => token(count, { refresh_token: `refresh-${count + 2}`, expires_in: 0 }),
      { log: { warn: (message) => warnings.push(message) } },
    )
    for (let i = 0; i < 3; i++) await authenticator.headers(never)
    expect(server.forms.map(({ refresh_token }) => refresh_token)).toEqual(['refresh-1', 'refresh-2', 'refresh-3'])
    expect(warnings).toEqual([
      `${server.url} gave a new refresh token. It is used until this process ends and stored nowhere: ` +
        'if the old one no longer works, put a new refresh token into the config before the next run, ' +
        'or ask the provider for a client whose refresh tokens stay',
    ])
  })

  test('is not told when it is the same one', async () => {
    const warnings: string[] = []
    const { authenticator } = await oauth((count) => token(count, { refresh_token: 'refresh-1' }), {
      log: { warn: (message) => warnings.push(message) },
    })
    await authenticator.headers(never)
    expect(warnings).toEqual([])
  })
})

describe('no token', () => {
  test.each<[string, Record<string, unknown>, Answer, string, string | undefined]>([
    [
      'the error of the standard',
      {},
      { status: 400, json: { error: 'invalid_grant', error_description: 'Token was revoked.' } },
      'answered 400: invalid_grant: Token was revoked.',
      'the refresh token has ended, was taken back or replaced: get a new one and put it into the config',
    ],
    [
      'an error alone',
      {},
      { status: 401, json: { error: 'invalid_client' } },
      'answered 401: invalid_client',
      'check c',
    ],
    ['an error with status 200', {}, { json: { error: 'bad_code' } }, 'answered 200: bad_code', undefined],
    ['a page', {}, { status: 404, body: '<h1>Not\n here</h1>' }, 'answered 404: <h1>Not here</h1>', undefined],
    ['nothing', {}, { status: 403, body: '' }, 'answered 403: an empty answer', undefined],
    ['a long text', {}, { status: 403, body: 'x'.repeat(5000) }, `answered 403: ${'x'.repeat(200)}…`, undefined],
    ['no JSON', {}, { body: 'hello' }, 'answered 200: its answer is not a JSON object', 'check token_refresh'],
    ['a list', {}, { json: [] }, 'answered 200: its answer is not a JSON object', 'check token_refresh'],
    [
      'another field',
      {},
      { json: { token: 'very-secret', expires_in: 5 } },
      'answered 200: its answer has no token at access_token; fields there: token, expires_in',
      'set access_token_name and response_field_path',
    ],
    [
      'another path',
      { response_field_path: 'data/auth' },
      { json: { data: { access_token: 'very-secret' } } },
      'its answer has no token at data/auth/access_token; fields there: data',
      'set access_token_name',
    ],
    [
      'a token that is none',
      {},
      { json: { access_token: null } },
      'has no token at access_token',
      'set access_token_name',
    ],
    ['a broken token', {}, { json: { access_token: 'very-secret\n' } }, 'holds characters that no header', undefined],
    [
      'a lifetime that cannot be read',
      {},
      { json: { access_token: 'very-secret', expires_in: 'soon' } },
      'expires_in of its answer is neither seconds nor a date that can be read',
      'set token_expiry_date_format',
    ],
    [
      'a message that repeats the secret',
      {},
      { status: 400, json: { error: 'bad', error_description: 'hush-hush is wrong, so is refresh-1' } },
      'answered 400: bad: *** is wrong, so is ***',
      undefined,
    ],
    [
      'a status that the client does not try again',
      {},
      { status: 503, body: '' },
      '503 Service Unavailable',
      'Run again later',
    ],
  ])('because of %s', async (_title, params, answer, said, hint) => {
    const { server, authenticator } = await oauth(answer, { params })
    const error: unknown = await authenticator.headers(never).catch((thrown: unknown) => thrown)
    if (!(error instanceof BizonError)) throw error
    expect(error.message).toContain(`no access token: POST ${server.url}`)
    expect(error.message).toContain(said)
    expect(error.code).toBe('source')
    if (hint === undefined) expect(error.hint).toBeUndefined()
    else expect(error.hint).toContain(hint)
    expect(`${error.stack} ${error.hint}`).not.toMatch(/hush-hush|refresh-1|very-secret/)
  })

  test('because nobody listens', async () => {
    const { server, authenticator } = await oauth(token)
    await server.close()
    const error: unknown = await authenticator.headers(never).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(BizonError)
    expect((error as BizonError).message).toContain(`no access token: POST ${server.url}: `)
  })

  test('never makes a header without one', async () => {
    const { authenticator } = await oauth(
      { json: {} },
      { params: { token_expiry_date: '2999-01-01T00:00:00Z' }, now: () => 0 },
    )
    await expect(authenticator.headers(never)).rejects.toThrow('no access token')
  })
})

test('its secrets are those of the config and all that were fetched', async () => {
  const { authenticator } = await oauth((count) => token(count, { refresh_token: `refresh-${count + 2}` }), {
    params: { refresh_request_body: { api_key: 'key-1234', audience: 'public' } },
  })
  expect(authenticator.secrets()).toEqual(['hush-hush', 'refresh-1', 'key-1234'])
  authenticator.renew(await authenticator.headers(never))
  await authenticator.headers(never)
  expect(authenticator.secrets()).toEqual([
    'hush-hush',
    'refresh-1',
    'key-1234',
    'access-0',
    'refresh-2',
    'access-1',
    'refresh-3',
  ])
})

describe('with the client', () => {
  const authentication = (endpoint: string) =>
    authenticationOf('oauth').parse({
      type: 'oauth',
      params: { token_refresh_endpoint: endpoint, client_id: 'me', client_secret: 'hush-hush' },
    })

  async function setUp(): Promise<{ api: FaultServer; request: () => Promise<string> }> {
    const api = await FaultServer.start()
    const http = createHttp({ clock: impatient })
    closers.push(
      () => api.close(),
      () => http.close(),
    )
    const client = http({ baseUrl: api.url, authentication: authentication(`${api.url}/token`) })
    const request = async () => (await client.request({ url: '/items' }, ownSignal())).body.toString()
    return { api, request }
  }

  /** Waits for nothing. */
  const impatient: Clock = { now: Date.now, sleep: async () => {} }
  let given = 0
  const fresh = (): Answer => ({ json: { access_token: `access-${given++}` } })

  test('20 requests at once fetch one token, and one more when all are refused', async () => {
    const { api, request } = await setUp()
    const valid = new Set<unknown>()
    api.on('/token', () => {
      const answer = fresh()
      valid.add(`Bearer ${(answer.json as { access_token: string }).access_token}`)
      return answer
    })
    api.on('/items', ({ headers }) => (valid.has(headers.authorization) ? { body: 'ok' } : { status: 401 }))
    const all = () => Promise.all(Array.from({ length: 20 }, request))
    expect(new Set(await all())).toEqual(new Set(['ok']))
    expect(api.asked('/token')).toHaveLength(1)
    valid.clear()
    expect(new Set(await all())).toEqual(new Set(['ok']))
    expect(api.asked('/token')).toHaveLength(2)
    expect(api.asked('/items').length).toBeLessThanOrEqual(60)
  })

  test('a second 401 is the error', async () => {
    const { api, request } = await setUp()
    api.on('/token', fresh)
    api.on('/items', { status: 401, json: { message: 'not for you' } })
    await expect(request()).rejects.toThrow(/\/items: 401 Unauthorized: not for you/)
    expect(api.asked('/items')).toHaveLength(2)
    expect(api.asked('/token')).toHaveLength(2)
  })

  test('a token endpoint that fails in passing is asked again', async () => {
    const { api, request } = await setUp()
    api.on('/token', { fault: 'reset' }, { status: 503 }, { status: 429 }, { json: { access_token: 'T' } })
    api.on('/items', ({ headers }) => ({ body: String(headers.authorization) }))
    expect(await request()).toBe('Bearer T')
    expect(api.asked('/token')).toHaveLength(4)
  })

  test('one that does not listen is named, and nothing of the secret', async () => {
    const { api, request } = await setUp()
    await api.close()
    const error = await request().catch((thrown: unknown) => thrown)
    expect((error as Error).message).toMatch(/^no access token: POST http:\S+\/token: connection refused .*11 tries/)
    expect(`${(error as Error).stack} ${String((error as Error).cause)}`).not.toContain('hush-hush')
  })
})
