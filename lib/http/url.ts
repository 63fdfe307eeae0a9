// From what a source asks for to the URL that is sent, and to the URL that may be shown.

import { BizonError } from '../errors.ts'
import type { HttpRequest } from '../http.ts'

const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\//i

/** The absolute URL with its query. A relative one goes on where the base ends, whether or not it begins with `/`. */
export function urlOf({ url, query = {} }: Pick<HttpRequest, 'url' | 'query'>, baseUrl: string | undefined): URL {
  const parsed = parse(ABSOLUTE.test(url) || baseUrl === undefined ? url : join(baseUrl, url))
  for (const [name, values] of Object.entries(query)) {
    if (values === undefined) continue
    for (const value of Array.isArray(values) ? values : [values]) parsed.searchParams.append(name, String(value))
  }
  parsed.hash = ''
  return parsed
}

function join(base: string, path: string): string {
  if (path === '' || path.startsWith('?')) return `${base}${path}`
  return `${base.replace(/\/+$/, '')}/${path.replace(/^\/+/, '')}`
}

function parse(text: string): URL {
  const url = URL.parse?.(text) ?? tryParse(text)
  if (url && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new BizonError('source', `${JSON.stringify(hideSecrets(text))} is not an http:// or https:// URL`)
}

function tryParse(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}

/** Whether what identifies the caller at one may be sent to the other: the same server, or the same by TLS. */
export function sameServer(known: URL, other: URL): boolean {
  if (known.origin === other.origin) return true
  return (
    known.hostname === other.hostname &&
    known.protocol === 'http:' &&
    other.protocol === 'https:' &&
    known.port === '' &&
    other.port === ''
  )
}

/** Names whose value lets somebody in; a page's token does not. */
const SECRET_NAME =
  /(?<!(?:page|next|prev|previous|continuation|sync|cursor)[-_.]?)(?:token|secret|passw(?:or)?d|passphrase|signature|credentials?|authorization)$|^(?:key|pwd|pass|auth|sig|code|jwt|sid|session|session[-_.]?id)$|(?:api|access|private|client|app|auth|consumer|subscription)[-_.]?key$/i

/** Whether a header, parameter or field of that name holds a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name)
}

const LONGEST = 400

/** A URL as it may stand in a message: without user, password, and values of parameters that let somebody in. */
export function hideSecrets(url: string): string {
  const shown = url
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1***@')
    .replace(/([?&;])([^=&;#]+)=([^&#]*)/g, (whole, before: string, name: string) =>
      isSecretName(decoded(name)) ? `${before}${name}=***` : whole,
    )
  return shown.length > LONGEST ? `${shown.slice(0, LONGEST)}…` : shown
}

/** Without its escapes; as it is when they are none, as in the password `100%`. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
