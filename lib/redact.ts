// What references stood for must not be shown: not in a log, not in an error, not in the state.

import type { Log } from './log.ts'

/** What stands where a secret stood. */
export const REDACTED = '***'

/** How an excerpt ends. */
const CUT = '…'

/** Replaces secrets by `***`, also where they stand in JSON text, or in JSON text within JSON text, or in a URL. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const forms = secrets
    .filter(Boolean)
    .flatMap((secret) => [secret, quoted(secret), quoted(quoted(secret)), ...inUrl(secret)])
  if (forms.length === 0) return (text) => text
  const longestFirst = inOrder(forms)
  const any = anyOf(forms)
  return (text) => withoutStumps(text.replace(any, REDACTED), longestFirst)
}

/** An excerpt may have been cut in the middle of a secret: what is left of it before a `…` goes too. */
function withoutStumps(text: string, secrets: readonly string[]): string {
  if (!text.includes(CUT)) return text
  const parts = text.split(CUT)
  const last = parts.pop() ?? ''
  return [...parts.map((part) => withoutStump(part, secrets)), last].join(CUT)
}

function withoutStump(part: string, secrets: readonly string[]): string {
  for (const secret of secrets) {
    for (let length = Math.min(secret.length - 1, part.length); length >= SECRET_CHARACTERS; length--) {
      if (part.endsWith(secret.slice(0, length))) return part.slice(0, -length) + REDACTED
    }
  }
  return part
}

/** The log without them. */
export function redactLog(log: Log, secrets: readonly string[]): Log {
  if (secrets.length === 0) return log
  const redact = redactor(secrets)
  return {
    trace: (message) => log.trace(redact(message)),
    debug: (message) => log.debug(redact(message)),
    info: (message) => log.info(redact(message)),
    warn: (message) => log.warn(redact(message)),
    error: (message) => log.error(redact(message)),
  }
}

/** Takes them out of the error, of what it says beside its message, and of what caused it. */
export function redactError(error: unknown, secrets: readonly string[]): void {
  const redact = redactor(secrets)
  for (const each of errorsIn(error)) {
    for (const key of ['message', 'stack', ...Object.keys(each)]) {
      const value: unknown = Reflect.get(each, key)
      if (typeof value !== 'string') continue
      const shown = redact(value)
      if (shown !== value) Reflect.set(each, key, shown)
    }
  }
}

/** The error and all that are in it, each once. */
function errorsIn(error: unknown, found = new Set<Error>()): Set<Error> {
  if (!(error instanceof Error) || found.has(error)) return found
  found.add(error)
  errorsIn(error.cause, found)
  if (error instanceof AggregateError) for (const each of error.errors) errorsIn(each, found)
  return found
}

/** Shorter ones would be found in innocent words. */
const SECRET_CHARACTERS = 4

/** Each once, as far as it can be recognised in a text. */
export function recognisable(secrets: Iterable<string>): readonly string[] {
  return [...new Set(secrets)].filter((secret) => secret.length >= SECRET_CHARACTERS)
}

/** As part of a path, as a form or a query has it, and as it is shown by who decodes one as the other. */
function inUrl(text: string): string[] {
  // Half a surrogate pair has no such form, and would throw.
  const sound = Buffer.from(text).toString()
  const halfDecoded = [sound.replaceAll(' ', '+'), sound.replaceAll('+', ' ')]
  return [URL_FORMS.path(sound), URL_FORMS.form(sound), ...halfDecoded]
}

const quoted = (text: string): string => JSON.stringify(text).slice(1, -1)

/** How text is written as part of a path, and in a form or a query. */
export const URL_FORMS = {
  path: encodeURIComponent,
  form: (text: string): string => new URLSearchParams([['', text]]).toString().slice(1),
} as const

/** Finds each of the texts: of two that begin alike the longer one, so that what contains another is found whole. */
export const anyOf = (texts: Iterable<string>): RegExp => new RegExp(inOrder(texts).map(escapeRegExp).join('|'), 'g')

/** Each once, the longest first. */
const inOrder = (texts: Iterable<string>): string[] => [...new Set(texts)].sort((a, b) => b.length - a.length)

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
