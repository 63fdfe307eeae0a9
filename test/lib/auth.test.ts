import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { type Authentication, authenticationOf, authenticationSchema, createAuthenticator } from '../../lib/auth.ts'
import { Problems } from '../../lib/config/problems.ts'
import { checkKeys, validate } from '../../lib/config/validate.ts'
import { leavesAt } from '../../lib/config/zod.ts'
import { silentLog } from '../../lib/log.ts'

function outcome(schema: z.ZodType, input: unknown): { value: unknown; said: string[] } {
  const problems = new Problems('c', () => undefined)
  const copy: unknown = structuredClone(input)
  checkKeys([schema], copy, [], problems)
  const value = validate(schema, copy, [], problems)
  try {
    problems.throwIfAny()
  } catch (error) {
    return { value, said: (error as Error).message.split('\n') }
  }
  return { value, said: [] }
}

const never = new AbortController().signal
const unused = {
  send: () => Promise.reject(new Error('nothing is to be sent')),
  log: silentLog,
}

const OAUTH = { token_refresh_endpoint: 'https://a.example/token', client_id: 'me', client_secret: 'hush' }
const OAUTH_DEFAULTS = {
  ...OAUTH,
  scope_separator: ' ',
  access_token_name: 'access_token',
  expires_in_name: 'expires_in',
  refresh_request_body: {},
  grant_type: 'refresh_token',
  expiry_margin: 60,
}

describe('type chooses the shape', () => {
  test.each<[string, unknown, unknown]>([
    ['api_key', { token: 't' }, { token: 't', auth_method: 'Bearer', auth_header: 'Authorization' }],
    ['bearer', { token: 't' }, { token: 't', auth_method: 'Bearer', auth_header: 'Authorization' }],
    [
      'bearer',
      { token: 't', auth_method: '', auth_header: 'X-Key' },
      { token: 't', auth_method: '', auth_header: 'X-Key' },
    ],
    ['basic', { username: 'u' }, { username: 'u', password: '', auth_method: 'Basic', auth_header: 'Authorization' }],
    ['cookies', { cookies: { a: 'b' } }, { cookies: { a: 'b' }, headers: {} }],
    ['oauth', OAUTH, OAUTH_DEFAULTS],
    ['oauth', { ...OAUTH, refresh_token: null, token_expiry_date_format: null }, OAUTH_DEFAULTS],
    [
      'oauth',
      {
        ...OAUTH,
        refresh_token: 'r',
        scopes: ['a', 'b'],
        scope_separator: ',',
        token_expiry_date: '2024-01-01T00:00:00Z',
        token_expiry_date_format: '%Y-%m-%d',
        access_token_name: 'token',
        expires_in_name: 'until',
        refresh_request_body: { audience: 'x', version: 2 },
        grant_type: 'client_credentials',
        response_field_path: 'data/auth',
        expiry_margin: '5',
      },
      {
        ...OAUTH,
        refresh_token: 'r',
        scopes: ['a', 'b'],
        scope_separator: ',',
        token_expiry_date: '2024-01-01T00:00:00Z',
        token_expiry_date_format: '%Y-%m-%d',
        access_token_name: 'token',
        expires_in_name: 'until',
        refresh_request_body: { audience: 'x', version: 2 },
        grant_type: 'client_credentials',
        response_field_path: 'data/auth',
        expiry_margin: 5,
      },
    ],
  ])('%s takes %j', (type, params, expected) => {
    expect(outcome(authenticationSchema, { type, params })).toEqual({ value: { type, params: expected }, said: [] })
  })

  test.each<[string, unknown, string[]]>([
    ['bearer', { username: 'u' }, ['c params: type bearer needs token; these are the params of type basic']],
    ['oauth', { token: 't' }, ['needs token_refresh_endpoint; these are the params of type api_key or bearer']],
    ['basic', { token: 't', auth_method: 'X' }, ['type basic needs username; these are the params of type api_key or']],
    ['basic', OAUTH, ['type basic needs username; these are the params of type oauth']],
    ['api_key', { cookies: {} }, ['type api_key needs token; these are the params of type cookies']],
    ['api_key', { token: 't', username: 'u' }, ['c params.username: unknown key']],
    ['bearer', {}, ['c params.token: is required']],
    ['bearer', undefined, ['c params: is required']],
    ['bearer', { token: '' }, ['c params.token: must not be empty']],
    ['bearer', { token: 'a\n' }, ['c params.token: holds a line break or another character that no header can carry']],
    ['bearer', { token: 't', auth_header: 'X Key' }, ['c params.auth_header: is not the name of a header']],
    ['cookies', { cookies: { a: 'b; c=d' } }, ['c params.cookies.a: cannot be the value of a cookie']],
    ['oauth', { ...OAUTH, token_refresh_endpoint: 'token' }, ['c params.token_refresh_endpoint: expected a valid url']],
    ['oauth', { ...OAUTH, scopes: 'a b' }, ['c params.scopes: expected a list, got "a b"']],
    ['oauth', { ...OAUTH, expiry_margin: -1 }, ['c params.expiry_margin: expected a number of 0 or more, got -1']],
    ['oauth', { ...OAUTH, token_expiry_date_format: '%Q' }, ['c params.token_expiry_date_format: "%Q" is not underst']],
    ['oauth', { ...OAUTH, refresh_request_body: { a: [] } }, ['c params.refresh_request_body.a: expected a string or']],
    ['oauth', { ...OAUTH, scope: 'a' }, ['c params.scope: unknown key; did you mean "scopes"?']],
    [
      'oauth',
      {},
      [
        'c params.token_refresh_endpoint: is required',
        'c params.client_id: is required',
        'c params.client_secret: is required',
      ],
    ],
    ['token', { token: 't' }, ['c type: expected one of api_key, bearer, basic, cookies, oauth, got "token"']],
  ])('%s does not take %j', (type, params, expected) => {
    const { said } = outcome(authenticationSchema, { type, ...(params !== undefined && { params }) })
    for (const line of expected) expect(said.join('\n')).toContain(line)
  })

  test('a source may accept some types only', () => {
    const schema = authenticationOf('api_key', 'oauth')
    expect(outcome(schema, { type: 'oauth', params: OAUTH })).toMatchObject({ said: [] })
    expect(outcome(schema, { type: 'basic', params: { username: 'u' } }).said).toContain(
      'c type: expected one of api_key, oauth, got "basic"',
    )
  })

  test('the JSON Schema for editors has a branch for each type, and a description for each key', () => {
    const { anyOf, oneOf } = z.toJSONSchema(authenticationSchema, { io: 'input', unrepresentable: 'any' })
    expect(anyOf ?? oneOf).toHaveLength(5)
    for (const type of ['api_key', 'bearer', 'basic', 'cookies', 'oauth']) {
      const [params] = leavesAt([authenticationSchema], ['params'], { type })
      for (const [key, schema] of Object.entries((params as z.ZodObject).shape)) {
        expect((schema as z.ZodType).description, `${type}.${key}`).toMatch(/\.$/)
      }
    }
  })
})

describe('what is put on a request', () => {
  const base64 = (text: string) => Buffer.from(text).toString('base64')

  test.each<[unknown, Record<string, string>, string[]]>([
    [{ type: 'api_key', params: { token: 'secret' } }, { authorization: 'Bearer secret' }, ['secret']],
    [
      { type: 'bearer', params: { token: 'secret', auth_method: 'Token', auth_header: 'X-Auth' } },
      { 'x-auth': 'Token secret' },
      ['secret'],
    ],
    [
      { type: 'api_key', params: { token: 'secret', auth_method: '', auth_header: 'X-Key' } },
      { 'x-key': 'secret' },
      ['secret'],
    ],
    [
      { type: 'basic', params: { username: 'zoë', password: 'pass:wörd' } },
      { authorization: `Basic ${base64('zoë:pass:wörd')}` },
      ['pass:wörd', base64('zoë:pass:wörd')],
    ],
    [{ type: 'basic', params: { username: 'u' } }, { authorization: `Basic ${base64('u:')}` }, [base64('u:')]],
    [
      { type: 'cookies', params: { cookies: { session: 'abcdef', lang: 'en' }, headers: { 'X-CSRF': '12345' } } },
      { cookie: 'session=abcdef; lang=en', 'x-csrf': '12345' },
      ['abcdef', '12345'],
    ],
  ])('of %j', async (given, headers, secrets) => {
    const authenticator = createAuthenticator(authenticationSchema.parse(given) as Authentication, unused)
    expect(await authenticator.headers(never)).toEqual(headers)
    expect(authenticator.secrets()).toEqual(secrets)
    expect(authenticator.renew()).toBe(false)
  })
})
