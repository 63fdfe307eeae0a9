// `source.authentication`: the shapes a user may write, chosen by `type`, and what they put on a request.

import * as z from 'zod'
import { createOauth } from './auth/oauth.ts'
import { dateFormatProblem } from './auth/strptime.ts'
import type { HttpRequest, HttpResponse } from './http.ts'
import type { Log } from './log.ts'
import { recognisable } from './redact.ts'
import { isMapping } from './references.ts'

const text = (what: string) => z.string().min(1).describe(what)
const named = (fallback: string, what: string) => z.string().min(1).default(fallback).describe(what)
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const HEADER_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/
const isHeaderText = (value: string) => HEADER_TEXT.test(value)
const UNSENDABLE = 'holds a line break or another character that no header can carry'

const authHeader = z
  .string()
  .regex(HEADER_NAME, 'is not the name of a header')
  .default('Authorization')
  .describe('Header that carries it. Default Authorization.')
const authMethod = (fallback: string) =>
  z
    .string()
    .refine(isHeaderText, UNSENDABLE)
    .default(fallback)
    .describe(`Word before it in the header; empty: none. Default ${fallback}.`)
const headerMap = z.record(z.string().regex(HEADER_NAME), z.string().refine(isHeaderText, UNSENDABLE))

const tokenParams = z.object({
  token: z
    .string()
    .min(1)
    .refine(isHeaderText, UNSENDABLE)
    .describe('The key or token; better as a reference, `env://NAME`.'),
  auth_method: authMethod('Bearer'),
  auth_header: authHeader,
})

const basicParams = z.object({
  username: z.string().describe('User name.'),
  password: z.string().default('').describe('Password; better as a reference, `env://NAME`. Default: empty.'),
  auth_method: authMethod('Basic'),
  auth_header: authHeader,
})

const cookiesParams = z.object({
  cookies: z
    .record(
      z.string().regex(HEADER_NAME),
      z.string().refine((value) => isHeaderText(value) && !value.includes(';'), 'cannot be the value of a cookie'),
    )
    .describe('Cookies sent with every request: name and value.'),
  headers: headerMap.default({}).describe('Headers sent beside them. Default: none.'),
})

const oauthParams = z.object({
  token_refresh_endpoint: z
    .url({ protocol: /^https?$/ })
    .describe('URL that gives access tokens; a form is posted to it.'),
  client_id: text('Client id.'),
  client_secret: text('Client secret; better as a reference, `env://NAME`.'),
  refresh_token: z.string().min(1).optional().describe('Refresh token. Default: none is sent.'),
  scopes: z.array(z.string().min(1)).optional().describe('Scopes to ask for. Default: none are sent.'),
  scope_separator: z
    .string()
    .min(1)
    .default(' ')
    .describe('What stands between scopes; `,` as the Python bizon did. Default: a blank.'),
  token_expiry_date: z
    .union([z.string(), z.number(), z.date()])
    .optional()
    .describe('Accepted, without effect: no token is known before the first one is fetched.'),
  token_expiry_date_format: z
    .string()
    .superRefine((format, context) => {
      const message = dateFormatProblem(format)
      if (message !== undefined) context.addIssue({ code: 'custom', message })
    })
    .optional()
    .describe(
      'Form of the expiry, where the answer holds a date instead of seconds: `%Y-%m-%dT%H:%M:%S%z`, `%s` for seconds ' +
        'since 1970. Default: seconds that it lasts, or an RFC 3339 date.',
    ),
  access_token_name: named('access_token', 'Field of the answer that holds the token. Default access_token.'),
  expires_in_name: named('expires_in', 'Field of the answer that says how long it lasts. Default expires_in.'),
  refresh_request_body: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe('More fields of the form; they replace none of the others. Default: none.'),
  grant_type: named('refresh_token', 'Grant type. Default refresh_token.'),
  response_field_path: z
    .string()
    .optional()
    .describe('Where in the answer the object with the token is: keys with `/` between. Default: the answer itself.'),
  expiry_margin: z
    .number()
    .min(0)
    .default(60)
    .describe('Seconds before its end at which a token is replaced, but never before half its life. Default 60.'),
})

const SHAPES = {
  api_key: z.object({
    type: z.literal('api_key').describe('A key in a header.'),
    params: tokenParams.describe('What it needs.'),
  }),
  bearer: z.object({
    type: z.literal('bearer').describe('A token in a header.'),
    params: tokenParams.describe('What it needs.'),
  }),
  basic: z.object({
    type: z.literal('basic').describe('User name and password.'),
    params: basicParams.describe('What it needs.'),
  }),
  cookies: z.object({
    type: z.literal('cookies').describe('Cookies of a session.'),
    params: cookiesParams.describe('What it needs.'),
  }),
  oauth: z.object({
    type: z.literal('oauth').describe('OAuth 2: tokens are fetched.'),
    params: oauthParams.describe('What it needs.'),
  }),
}

type Shapes = typeof SHAPES
export type AuthenticationType = keyof Shapes
export type AuthenticationOf<Type extends AuthenticationType> = z.output<Shapes[Type]>
export type Authentication = AuthenticationOf<AuthenticationType>
export type OauthParams = z.output<typeof oauthParams>

/** `authentication` of a source that accepts only these types. */
export function authenticationOf<Type extends AuthenticationType>(
  ...types: readonly [Type, ...Type[]]
): z.ZodType<AuthenticationOf<Type>> {
  const [first, ...rest] = types.map((type): Shapes[AuthenticationType] => SHAPES[type])
  const union = z.discriminatedUnion('type', [first as Shapes[AuthenticationType], ...rest])
  const checked = z.preprocess((value, context) => {
    const message = mismatch(value, types)
    if (message !== undefined) context.addIssue({ code: 'custom', message, path: ['params'] })
    return value
  }, union)
  return checked as unknown as z.ZodType<AuthenticationOf<Type>>
}

/** All types; `type` chooses the shape of `params`. */
export const authenticationSchema: z.ZodType<Authentication> = authenticationOf(
  'api_key',
  'bearer',
  'basic',
  'cookies',
  'oauth',
)

/** Without these keys a shape is not meant. */
const NEEDED: Record<AuthenticationType, readonly string[]> = {
  api_key: ['token'],
  bearer: ['token'],
  basic: ['username'],
  cookies: ['cookies'],
  oauth: ['token_refresh_endpoint'],
}

/** Why `params` are not those of `type`, when they are plainly those of another one. */
function mismatch(value: unknown, types: readonly AuthenticationType[]): string | undefined {
  if (!isMapping(value) || !isMapping(value.params)) return undefined
  const { type, params } = value
  const fits = (one: AuthenticationType) => NEEDED[one].every((key) => Object.hasOwn(params, key))
  if (typeof type !== 'string' || !isType(type) || !types.includes(type) || fits(type)) return undefined
  const fitting = types.filter(fits)
  if (fitting.length === 0) return undefined
  return `type ${type} needs ${NEEDED[type].join(', ')}; these are the params of type ${fitting.join(' or ')}`
}

const isType = (type: string): type is AuthenticationType => Object.hasOwn(SHAPES, type)

/** Made once for a client; called before each attempt. */
export interface Authenticator {
  /**
   * The headers that identify the caller, names in lower case. Fetches a token first where that is needed; concurrent
   * calls share one fetch. Rejects when there is none to be had, or with the signal's reason.
   */
  headers(signal: AbortSignal): Promise<Readonly<Record<string, string>>>
  /**
   * After a 401: drops what was used, which is told so that of many calls that fail together only the first one
   * drops something. Whether to try once more with what `headers` gives then.
   */
  renew(used?: Readonly<Record<string, string>>): boolean
  /** What must not be shown in an error or a log: tokens, passwords. Grows as tokens are fetched. */
  secrets(): readonly string[]
}

export interface AuthenticatorParts {
  /** The same client without authentication. */
  readonly send: (request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse>
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

/** Does no I/O. */
export function createAuthenticator(authentication: Authentication, parts: AuthenticatorParts): Authenticator {
  const { type, params } = authentication
  switch (type) {
    case 'api_key':
    case 'bearer':
      return fixed({ [params.auth_header]: joined(params.auth_method, params.token) }, [params.token])
    case 'basic': {
      const { username, password, auth_method, auth_header } = params
      const credentials = Buffer.from(`${username}:${password}`).toString('base64')
      return fixed({ [auth_header]: joined(auth_method, credentials) }, [password, credentials])
    }
    case 'cookies': {
      const { cookies, headers } = params
      const pairs = Object.entries(cookies).map(([name, value]) => `${name}=${value}`)
      return fixed({ Cookie: pairs.join('; '), ...headers }, [...Object.values(cookies), ...Object.values(headers)])
    }
    case 'oauth':
      return createOauth(params, parts)
    default:
      return type satisfies never
  }
}

function fixed(headers: Readonly<Record<string, string>>, secrets: readonly string[]): Authenticator {
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  const hidden = recognisable(secrets)
  return {
    headers: async () => lower,
    renew: () => false,
    secrets: () => hidden,
  }
}

const joined = (method: string, credentials: string) => (method === '' ? credentials : `${method} ${credentials}`)
