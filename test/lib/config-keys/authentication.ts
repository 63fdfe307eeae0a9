// Cases of the keys of `source.authentication`: section 4 of the specification.

import { authenticationSchema } from '../../../lib/auth.ts'
import type { KeyCase, KeyGroup } from '../../support/key-cases.ts'

const group = (
  type: string,
  params: Readonly<Record<string, unknown>>,
  keys: Readonly<Record<string, KeyCase>>,
): KeyGroup => ({
  title: `source.authentication, ${type}`,
  base: {
    name: 'tiny',
    source: { name: 'file', stream: 'pets', path: 'pets.ndjson', authentication: { type, params } },
    destination: { name: 'logger', config: {} },
  },
  at: 'source.authentication',
  schema: authenticationSchema,
  keys: {
    type: [
      type,
      'apikey',
      'expected one of api_key, bearer, basic, cookies, oauth, got "apikey"; did you mean "api_key"?',
    ],
    params: [params, 'secret', 'expected a mapping, got "secret"'],
    ...Object.fromEntries(Object.entries(keys).map(([key, one]) => [`params.${key}`, one])),
  },
})

const inHeader: Readonly<Record<string, KeyCase>> = {
  auth_method: ['', 'two\nlines', 'holds a line break or another character that no header can carry'],
  auth_header: ['x-api-key', 'two words', 'is not the name of a header'],
}

export const authentication: readonly KeyGroup[] = [
  group(
    'api_key',
    { token: 'abc' },
    { token: ['abc', 5, 'expected a string, got a number; write it in quotes'], ...inHeader },
  ),
  group('bearer', { token: 'abc' }, { token: ['abc', '', 'must not be empty'], ...inHeader }),
  group(
    'basic',
    { username: 'u' },
    {
      username: ['u', 5, 'expected a string, got 5; write it in quotes'],
      password: ['', 5, 'expected a string, got a number; write it in quotes'],
      ...inHeader,
    },
  ),
  group(
    'cookies',
    { cookies: { session: 'abc' } },
    {
      cookies: [{ a: 'b', c: 'd' }, { a: 1 }, '.a: expected a string, got 1; write it in quotes'],
      headers: [{ 'x-team': 'shop' }, { 'x-team': 1 }, '.x-team: expected a string, got 1; write it in quotes'],
    },
  ),
  group(
    'oauth',
    { token_refresh_endpoint: 'https://api.example/token', client_id: 'id', client_secret: 'abc' },
    {
      token_refresh_endpoint: ['http://localhost/token', 'api.example', 'expected a valid url, got "api.example"'],
      client_id: ['id', 5, 'expected a string, got 5; write it in quotes'],
      client_secret: ['abc', '', 'must not be empty'],
      refresh_token: [null, 5, 'expected a string, got a number; write it in quotes'],
      scopes: [['read', 'write'], 'read', 'expected a list, got "read"'],
      scope_separator: [',', '', 'must not be empty'],
      token_expiry_date: ['2026-01-01T00:00:00Z', [], 'expected a string or a number or a date, got a list'],
      token_expiry_date_format: [
        '%Y-%m-%d',
        '%Q',
        '"%Q" is not understood; known: %Y %y %m %d %H %I %M %S %f %p %b %B %a %A %z %Z %s',
      ],
      access_token_name: ['accessToken', 5, 'expected a string, got 5; write it in quotes'],
      expires_in_name: ['expiresIn', '', 'must not be empty'],
      refresh_request_body: [{ audience: 'api' }, 'audience', 'expected a mapping, got "audience"'],
      grant_type: ['client_credentials', '', 'must not be empty'],
      response_field_path: ['data/token', 5, 'expected a string, got 5; write it in quotes'],
      expiry_margin: [0, -1, 'expected a number of 0 or more, got -1'],
    },
  ),
]
