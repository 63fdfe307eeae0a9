// What references stood for must not be shown: not in a log, not in an error, not in the state.

import type { Log } from './log.ts'

/** What stands where a secret stood. */
export const REDACTED = '***'

/** Replaces secrets by `***`, also where they stand in JSON text, in JSON text within JSON text, or in a URL. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const forms = secrets
    .filter(Boolean)
    .flatMap((secret) => [
      secret,
      quoted(secret),
      quoted(quoted(secret)),
      inQuery(secret),
      inQuery(secret).replaceAll('+', '%20'),
    ])
  if (forms.length === 0) return (text) => text
  // The longest first, so that a secret that contains another one is hidden whole.
  const longestFirst = [...new Set(forms)].sort((a, b) => b.length - a.length)
  const any = new RegExp(longestFirst.map(escapeRegExp).join('|'), 'g')
  return (text) => text.replace(any, REDACTED)
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

/** Takes them out of the error and of what caused it. */
export function redactError(error: unknown, secrets: readonly string[]): void {
  const redact = redactor(secrets)
  for (let each = error; each instanceof Error; each = each.cause) {
    const message = redact(each.message)
    if (message !== each.message) each.message = message
    if (each.stack !== undefined) each.stack = redact(each.stack)
  }
}

/** Shorter ones would be found in innocent words. */
const SECRET_CHARACTERS = 4

/** Each once, as far as it can be recognised in a text. */
export function recognisable(secrets: Iterable<string>): readonly string[] {
  return [...new Set(secrets)].filter((secret) => secret.length >= SECRET_CHARACTERS)
}

const quoted = (text: string): string => JSON.stringify(text).slice(1, -1)

/** As a form and a query of a URL have it; of a path, but for the blank. */
const inQuery = (text: string): string => new URLSearchParams([['', text]]).toString().slice(1)

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
