// What a cassette must not hold. Secrets that are known are replaced wherever they stand; what looks like one by its
// name is replaced, too. The same is done to a request before it is looked up, so that it is found again.

import { isUtf8 } from 'node:buffer'
import type { Hidden, WireRequest } from '../http/transport.ts'
import { isSecretName } from '../http/url.ts'
import { anyOf, REDACTED, recognisable } from '../redact.ts'

/** Headers that identify somebody, of requests and answers. */
const IDENTITY = /^(?:proxy-)?authorization$|^(?:set-)?cookie2?$/
/** Request headers are not looked up by, so it does no harm to hide one too many. */
const SUSPICIOUS = /auth|token|key|secret|cookie|session|password|signature|csrf|xsrf|credential/
/** Fields of a request that isSecretName does not know. */
const SECRET_FIELD = /assertion$|^code_verifier$/i
/** Links in an answer: only what is certain, since a cursor must survive. */
const SECRET_LINK = /([?&](?:[\w.-]*(?:access[-_]?token|api[-_]?key|secret|password|signature)|sig)=)([^&"'\s\\<>]+)/gi
const TOKEN_FIELDS = ['access_token', 'refresh_token', 'id_token', 'client_secret']

/** Knows all secrets that it was ever told. */
export class Concealer {
  readonly #secrets = new Set<string>()
  #replace: (text: string, digits: boolean) => string = (text) => text

  learn({ secrets }: Hidden): void {
    const before = this.#secrets.size
    for (const secret of recognisable(secrets)) this.#secrets.add(secret)
    if (this.#secrets.size > before) this.#replace = replacer([...this.#secrets])
  }

  text(text: string): string {
    return this.#replace(text, false)
  }

  url(url: string): string {
    const shown = url.replace(/([?&;])([^=&;#]+)=([^&;#]*)/g, (whole, before: string, name: string, value: string) =>
      value !== '' && isSecretField(decoded(name)) ? `${before}${name}=${REDACTED}` : whole,
    )
    return this.text(shown)
  }

  requestHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
    return this.#headers(headers, (name) => IDENTITY.test(name) || SUSPICIOUS.test(name))
  }

  answerHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
    return this.#headers(headers, (name) => IDENTITY.test(name) || isSecretName(name))
  }

  requestBody({ body, headers }: WireRequest): Buffer {
    if (body === undefined || body.length === 0) return EMPTY
    return changed(body, (text) => {
      if (!headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
        return this.text(fieldsHidden(text, isSecretField))
      }
      const pairs = text.split('&').map((pair) => {
        const [name = ''] = pair.split('=', 1)
        return isSecretField(decoded(name)) ? `${name}=${REDACTED}` : pair
      })
      return this.text(pairs.join('&'))
    })
  }

  /** Stays JSON if it is JSON. */
  answerBody(body: Buffer, fields: readonly string[]): Buffer {
    if (body.length === 0) return body
    const names = new Set([...TOKEN_FIELDS, ...fields])
    return changed(body, (text) => {
      const form = text.startsWith('{') ? text : formHidden(text, names)
      const may = [...names].some((name) => form.includes(`"${name}"`))
      const shown = may ? fieldsHidden(form, (name) => names.has(name)) : form
      return this.#replace(shown.replace(SECRET_LINK, `$1${REDACTED}`), true)
    })
  }

  #headers(headers: Readonly<Record<string, string>>, hides: (name: string) => boolean): Record<string, string> {
    const shown = Object.entries(headers).map(([name, value]) => [name, hides(name) ? REDACTED : this.#linked(value)])
    return Object.fromEntries(shown) as Record<string, string>
  }

  #linked(value: string): string {
    return this.text(value.replace(SECRET_LINK, `$1${REDACTED}`))
  }
}

const EMPTY = Buffer.alloc(0)

const isSecretField = (name: string): boolean => isSecretName(name) || SECRET_FIELD.test(name)

/** Bytes that are no text are looked at as Latin-1, which changes none of the others. */
function changed(body: Buffer, change: (text: string) => string): Buffer {
  const encoding = isUtf8(body) ? 'utf8' : 'latin1'
  const text = body.toString(encoding)
  const shown = change(text)
  return shown === text ? body : Buffer.from(shown, encoding)
}

const FIELD = /"((?:[^"\\\n]|\\.){1,64})"\s*:\s*"/g

/** JSON text without the texts of these fields, at any depth. Values are skipped by hand: they may be megabytes. */
function fieldsHidden(text: string, hides: (name: string) => boolean): string {
  let shown = ''
  let kept = 0
  FIELD.lastIndex = 0
  for (let found = FIELD.exec(text); found !== null; found = FIELD.exec(text)) {
    if (!hides(found[1] ?? '')) continue
    const start = FIELD.lastIndex
    const end = endOfText(text, start)
    if (end === start) continue
    shown += text.slice(kept, start) + REDACTED
    kept = end
    FIELD.lastIndex = end
  }
  return shown + text.slice(kept)
}

/** The index of the quote that ends the JSON string; of the end of what was cut off. */
function endOfText(text: string, start: number): number {
  let at = start
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return Math.min(at, text.length)
}

/** A form, as some token endpoints answer. */
function formHidden(text: string, names: ReadonlySet<string>): string {
  return text.replace(/(^|&)([\w.-]+)=([^&\s]+)/g, (whole, before: string, name: string) =>
    names.has(name) ? `${before}${name}=${REDACTED}` : whole,
  )
}

/** `digits`: a number stays a number, since the text may be JSON. */
function replacer(secrets: readonly string[]): (text: string, digits: boolean) => string {
  const any = anyOf(secrets.flatMap(formsOf))
  return (text, digits) =>
    text.replace(any, (found) => (digits && /^[\d.+eE-]+$/.test(found) ? found.replace(/\d/g, '9') : REDACTED))
}

/** How a secret may be written in a URL, in a form, in JSON, in JSON within JSON. */
function formsOf(secret: string): string[] {
  const quoted = JSON.stringify(secret).slice(1, -1)
  const escaped = encodeURIComponent(secret)
  const lower = escaped.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())
  const form = new URLSearchParams({ v: secret }).toString().slice(2)
  const base64 = Buffer.from(secret).toString('base64')
  return [secret, quoted, JSON.stringify(quoted).slice(1, -1), escaped, lower, form, encodeURI(secret), base64]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
