// From what a source asks for to what goes out: URL, method, headers, and the body as bytes.

import { BizonError } from '../errors.ts'
import type { HttpClientOptions, HttpRequest } from '../http.ts'
import { decoded, hideSecrets, sameServer, urlOf } from './url.ts'

/** A request made ready; a redirect makes a new one of it. */
export interface Call {
  readonly method: string
  readonly url: URL
  /** The URL as messages may show it. */
  readonly shown: string
  /** Names in lower case; what identifies the caller is added before each attempt. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
  /** Whether what identifies the caller may go to this server. */
  readonly trusted: boolean
  /** User, password: what the URL held that must not be shown. */
  readonly secrets: readonly string[]
}

const DEFAULT_HEADERS = { accept: 'application/json, */*;q=0.5', 'user-agent': 'bizon' }
/** What may go to another server than it was meant for. */
const HARMLESS = new Set(['accept', 'accept-language', 'user-agent'])

export function prepare(
  request: HttpRequest,
  { baseUrl, headers = {} }: Pick<HttpClientOptions, 'baseUrl' | 'headers'>,
): Call {
  const url = urlOf(request, baseUrl)
  const trusted = baseUrl === undefined || sameServer(urlOf({ url: baseUrl }, undefined), url)
  const { username, password } = url
  url.username = ''
  url.password = ''
  const { body, type } = bodyOf(request)
  const method = (request.method ?? (body ? 'POST' : 'GET')).toUpperCase()
  return {
    method,
    url,
    shown: hideSecrets(url.href),
    headers: {
      ...DEFAULT_HEADERS,
      ...(type !== undefined && { 'content-type': type }),
      ...(username !== '' && { authorization: basic(username, password) }),
      ...lowerCase(trusted ? headers : harmless(headers)),
      ...lowerCase(request.headers ?? {}),
    },
    body,
    trusted,
    secrets: password === '' ? [] : [password, decoded(password)],
  }
}

/** The same call at another place. Another server is not told who is asking. */
export function redirected(call: Call, location: string): Call {
  const url = new URL(location, call.url)
  const same = sameServer(call.url, url)
  url.username = ''
  url.password = ''
  url.hash = ''
  return {
    ...call,
    url,
    shown: hideSecrets(url.href),
    headers: same ? call.headers : harmless(call.headers),
    trusted: call.trusted && same,
  }
}

function bodyOf({ json, form }: HttpRequest): { body?: Buffer; type?: string } {
  if (json !== undefined && form !== undefined) {
    throw new BizonError('internal', 'a request has one body: json or form')
  }
  if (json !== undefined) return { body: Buffer.from(JSON.stringify(json)), type: 'application/json' }
  if (form === undefined) return {}
  return { body: Buffer.from(new URLSearchParams(form).toString()), type: 'application/x-www-form-urlencoded' }
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function harmless(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => HARMLESS.has(name.toLowerCase())))
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`
}
