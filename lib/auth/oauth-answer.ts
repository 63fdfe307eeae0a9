// What a token endpoint answered: a token and how long it lasts, or why there is none. Never a word of it in an error
// but OAuth's own `error` and `error_description`, and the names of fields.

import type { OauthParams } from '../auth.ts'
import { valueAt } from '../config/zod.ts'
import type { HttpResponse } from '../http.ts'
import { isMapping } from '../references.ts'
import { parseTime } from '../time.ts'
import { parseDate } from './strptime.ts'

interface Granted {
  readonly token: string
  readonly refreshToken?: string
  /** Milliseconds that it lasts; absent: nobody said. */
  readonly life?: number
}

interface Refused {
  readonly refused: { readonly said: string; readonly hint: string | undefined }
}

/** `asked` is when the request was made, in milliseconds since 1970. */
export function readGrant(answer: HttpResponse, params: OauthParams, asked: number): Granted | Refused {
  const root = bodyOf(answer)
  if (answer.status >= 400) return refused(oauthError(root) ?? shortText(answer), hintFor(root))
  if (!isMapping(root)) return refused('its answer is not a JSON object', CHECK_ENDPOINT)
  const path = (params.response_field_path ?? '').split('/').filter(Boolean)
  const found = path.length === 0 ? root : valueAt(root, path)
  const token = valueAt(found, [params.access_token_name])
  if (typeof token !== 'string' || token === '') {
    const said = oauthError(root)
    if (said !== undefined) return refused(said, hintFor(root))
    const name = [...path, params.access_token_name].join('/')
    const names = Object.keys(isMapping(found) ? found : root).join(', ') || 'none'
    return refused(`its answer has no token at ${name}; fields there: ${names}`, FIELD_NAMES)
  }
  if (!/^[\x21-\x7e]+$/.test(token)) return refused('its token holds characters that no header can carry', undefined)
  const lasts = lifeOf(valueAt(found, [params.expires_in_name]), params.token_expiry_date_format, asked)
  if (lasts === 'unreadable') {
    const name = [...path, params.expires_in_name].join('/')
    return refused(`${name} of its answer is neither seconds nor a date that can be read`, EXPIRY_FORMAT)
  }
  const refreshToken = valueAt(found, ['refresh_token'])
  return {
    token,
    ...(typeof refreshToken === 'string' && refreshToken !== '' && { refreshToken }),
    ...(lasts !== undefined && { life: lasts }),
  }
}

const CHECK_ENDPOINT = 'check token_refresh_endpoint'
const FIELD_NAMES = 'set access_token_name and response_field_path to where the token is'
const EXPIRY_FORMAT = 'set token_expiry_date_format to the form of the date, or expires_in_name to another field'
const HINTS: Readonly<Record<string, string>> = {
  invalid_grant: 'the refresh token has ended, was taken back or replaced: get a new one and put it into the config',
  invalid_client: 'check client_id and client_secret',
  unauthorized_client: 'this client may not use this grant_type: check it at the provider',
  unsupported_grant_type: 'check grant_type',
  invalid_scope: 'check scopes, and scope_separator if there are several',
}

const refused = (said: string, hint: string | undefined): Refused => ({ refused: { said, hint } })

function bodyOf({ body, headers }: HttpResponse): unknown {
  const text = body.toString()
  if (headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
    return Object.fromEntries(new URLSearchParams(text))
  }
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** RFC 6749, section 5.2. */
function oauthError(root: unknown): string | undefined {
  const error = valueAt(root, ['error'])
  if (typeof error !== 'string') return undefined
  const description = valueAt(root, ['error_description'])
  return typeof description === 'string' && description !== '' ? `${error}: ${description}` : error
}

function hintFor(root: unknown): string | undefined {
  const error = valueAt(root, ['error'])
  return typeof error === 'string' && Object.hasOwn(HINTS, error) ? HINTS[error] : undefined
}

/** For a refusal in some form of its own. */
function shortText({ body }: HttpResponse): string {
  return body.toString('utf8', 0, 1024).replace(/\s+/g, ' ').trim() || 'an empty answer'
}

/** Milliseconds; undefined when nothing is said. */
function lifeOf(value: unknown, format: string | undefined, asked: number): number | 'unreadable' | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'number' && typeof value !== 'string') return 'unreadable'
  const end = format === undefined ? undefined : parseDate(String(value), format)
  if (end !== undefined) return Math.max(0, end - asked)
  const seconds = Number(value)
  if (Number.isFinite(seconds) && String(value).trim() !== '') return Math.max(0, seconds) * 1000
  const time = typeof value === 'string' ? parseTime(value.trim()) : undefined
  return time === undefined ? 'unreadable' : Math.max(0, Date.parse(`${time.day}T${time.clock}${time.zone}`) - asked)
}
