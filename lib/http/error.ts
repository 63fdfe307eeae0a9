// What a user reads when a request has failed for good: method, URL, what happened, after how many tries, and what to
// do. Never the body that was sent.

import { STATUS_CODES } from 'node:http'
import { BizonError, type BizonErrorOptions } from '../errors.ts'
import { apiMessage } from './api-message.ts'
import type { Decision, Patience } from './retry.ts'
import type { TransportError } from './transport.ts'

/** A request that failed for good, of code `source`. */
export class HttpError extends BizonError {
  /** Of the answer; undefined when there was none. */
  readonly status: number | undefined

  constructor(message: string, options: BizonErrorOptions & { readonly status?: number | undefined } = {}) {
    super('source', message, options)
    this.status = options.status
  }
}

/** What the messages name: the method and the URL without secrets, and a way to hide the secrets that are known. */
export interface Subject {
  readonly method: string
  readonly shown: string
  readonly redact: (text: string) => string
}

/** Why it is not tried again, where it could have been. */
export type GaveUp = Extract<Decision, { over: unknown }> | 'not repeatable' | undefined

export interface Effort {
  readonly patience: Patience
  /** Milliseconds. */
  readonly now: number
  readonly gaveUp: GaveUp
}

export function statusError(subject: Subject, status: number, body: Buffer, effort: Effort): HttpError {
  const message = apiMessage(body)
  const name = STATUS_CODES[status]
  return error(subject, `${status}${name ? ` ${name}` : ''}`, message, effort, {
    status,
    hint: budgetHint(effort.gaveUp) ?? statusHint(status),
    retriable: effort.gaveUp !== undefined,
  })
}

export function transportHttpError(subject: Subject, failure: TransportError, effort: Effort): HttpError {
  return error(subject, failure.message, undefined, effort, {
    hint: failureHint(failure) ?? budgetHint(effort.gaveUp),
    retriable: effort.gaveUp !== undefined,
    cause: failure,
  })
}

/** The answer's body is not what the source can read. */
export function invalidError(subject: Subject, status: number, problem: Error, effort: Effort): HttpError {
  return error(subject, problem.message, undefined, effort, {
    status,
    hint: problem instanceof BizonError ? problem.hint : undefined,
    retriable: effort.gaveUp !== undefined,
    cause: problem,
  })
}

/** `limited`: it is `--max-memory` that has no more room. */
export function tooLargeError(
  { method, shown, redact }: Subject,
  status: number,
  mebibytes: number,
  limited: boolean,
): HttpError {
  return new HttpError(
    redact(`${method} ${shown}: the answer is larger than ${limited ? Math.floor(mebibytes) : mebibytes} MiB`),
    {
      status,
      hint: `Ask for smaller pages, or raise ${limited ? '--max-memory' : 'source.api_config.max_response_size'}.`,
    },
  )
}

export function redirectError({ method, shown, redact }: Subject, status: number, problem: string): HttpError {
  return new HttpError(redact(`${method} ${shown}: ${status} ${STATUS_CODES[status] ?? 'redirect'}: ${problem}`), {
    status,
    hint: 'Use the URL that the API documents now.',
  })
}

function error(
  { method, shown, redact }: Subject,
  what: string,
  said: string | undefined,
  { patience, now, gaveUp }: Effort,
  options: BizonErrorOptions & { readonly status?: number },
): HttpError {
  const tries = patience.tries > 1 ? `, ${patience.tries} tries in ${duration(patience.seconds(now))}` : ''
  const why =
    gaveUp === 'not repeatable'
      ? `; a ${method} may have done its work, so that it is not sent again`
      : gaveUp?.asked !== undefined
        ? `; the API asks to wait ${duration(gaveUp.asked)}`
        : ''
  return new HttpError(
    redact(`${method} ${shown}: ${what}${tries}${why}${said === undefined ? '' : `: ${said}`}`),
    options,
  )
}

export function duration(seconds: number): string {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`
  if (seconds < 600) return `${Math.round(seconds)} s`
  return `${Math.round(seconds / 60)} min`
}

function budgetHint(gaveUp: GaveUp): string | undefined {
  if (gaveUp === undefined || gaveUp === 'not repeatable') return undefined
  if (gaveUp.over === 'rate_limit_seconds') {
    return 'Set source.api_config.requests_per_second, run later, or raise source.api_config.rate_limit_seconds.'
  }
  return `Run again later; source.api_config.${gaveUp.over} says how long to go on trying.`
}

function statusHint(status: number): string | undefined {
  switch (status) {
    case 401:
      return 'Check source.authentication: the API does not accept who is asking.'
    case 403:
      return 'Check source.authentication: whoever it identifies may not read this.'
    case 404:
    case 410:
      return 'Check the URL, and what the config puts into it.'
    case 407:
      return 'Check user and password in HTTP_PROXY and HTTPS_PROXY.'
    case 429:
      return 'Set source.api_config.requests_per_second.'
    default:
      return undefined
  }
}

function failureHint({ reason, limit }: TransportError): string | undefined {
  if (limit !== undefined) return `Run again later, or raise source.api_config.${limit}.`
  if (reason === 'unknown_host') return 'Check the host in the URL; behind a proxy set HTTPS_PROXY.'
  if (reason === 'tls') {
    return 'Check the URL; NODE_EXTRA_CA_CERTS names a file with certificates to trust, as of a company proxy.'
  }
  if (reason === 'proxy') return 'Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY, with user and password in the URL.'
  if (reason === 'protocol') return 'Check scheme and port of the URL.'
  return undefined
}
