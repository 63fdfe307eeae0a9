// The client itself: attempts of one call until there is an answer, or none is to be had.

import type { Authenticator } from '../auth.ts'
import { BizonError } from '../errors.ts'
import type { HttpClient, HttpClientOptions, HttpRequest, HttpResponse } from '../http.ts'
import type { Log } from '../log.ts'
import { memorySizes } from '../memory.ts'
import { redactor } from '../redact.ts'
import { readAll, readBeginning, TooLarge } from './body.ts'
import { type Call, prepare, redirected } from './call.ts'
import { type ApiConfig, apiConfigSchema } from './config.ts'
import {
  duration,
  type GaveUp,
  invalidError,
  redirectError,
  type Subject,
  statusError,
  tooLargeError,
  transportHttpError,
} from './error.ts'
import type { Clock, RateLimits } from './rate-limit.ts'
import { exhaustedSeconds } from './rate-limit-headers.ts'
import { isTransient, mayRepeat, Patience, type Trouble } from './retry.ts'
import { type OpenTransport, type Transport, TransportError } from './transport.ts'

const MIB = 1024 * 1024

export interface ClientParts {
  readonly log: Log
  readonly secrets: readonly string[]
  readonly transport: OpenTransport
  readonly limits: RateLimits
  readonly clock: Clock
  readonly hasty: boolean
  readonly random: () => number
}

/** A subject with the secrets that are hidden in it. */
type Guarded = Subject & { readonly secrets: readonly string[] }

/** What one attempt came to. */
type Outcome =
  | { readonly kind: 'answer'; readonly response: HttpResponse }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  | {
      readonly kind: 'status'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: Buffer
    }
  | { readonly kind: 'failure'; readonly error: TransportError }
  | { readonly kind: 'invalid'; readonly status: number; readonly error: Error }

const MOST_REDIRECTS = 10
const ERROR_BYTES = 64 * 1024
/** A wait of so many seconds is told, so that nobody takes it for a standstill. */
const TOLD_SECONDS = 5

export class Client implements HttpClient {
  readonly #options: HttpClientOptions
  readonly #api: ApiConfig
  readonly #parts: ClientParts
  readonly #known = new Set<string>()
  #transport: Promise<Transport> | undefined
  #authenticator: Promise<Authenticator> | undefined
  #redactor: { readonly key: string; readonly redact: (text: string) => string } | undefined
  #closed = false
  /** Requests that were sent again because of a failure in passing. */
  retries = 0

  constructor(options: HttpClientOptions, parts: ClientParts) {
    this.#options = options
    const api = apiConfigSchema.parse(options.api ?? {})
    this.#api = parts.hasty ? hurried(api) : api
    this.#parts = parts
  }

  async request(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { authentication } = this.#options
    const call = prepare(request, this.#options)
    if (authentication === undefined || !call.trusted) return this.#perform(call, request, undefined, signal)
    this.#authenticator ??= this.#authenticate(authentication)
    return this.#perform(call, request, await this.#authenticator, signal)
  }

  async close(): Promise<void> {
    this.#closed = true
    const opened = this.#transport
    const transport = await opened?.catch(() => undefined)
    await transport?.close()
  }

  async #authenticate(authentication: NonNullable<HttpClientOptions['authentication']>): Promise<Authenticator> {
    const { createAuthenticator } = await import('../auth.ts')
    return createAuthenticator(authentication, {
      log: this.#parts.log,
      // Without the client's own headers too: the token endpoint may be another party's.
      send: (request, signal) => this.#perform(prepare(request, {}), request, undefined, signal),
    })
  }

  /** Attempts until there is an answer. */
  async #perform(
    first: Call,
    request: HttpRequest,
    authenticator: Authenticator | undefined,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const { clock, log, random, limits } = this.#parts
    const patience = new Patience(this.#api, clock.now(), random)
    let call = first
    let renewed = false
    const visited = new Set<string>()
    for (;;) {
      const transport = await this.#open()
      signal.throwIfAborted()
      const turns = limits.of(call.url.host)
      if (transport.waits) {
        const tell = (seconds: number): void => {
          if (seconds >= TOLD_SECONDS) log.info(`waiting ${duration(seconds)}: rate limit of ${call.url.host}`)
        }
        patience.waited(await turns.take(this.#api.requests_per_second, clock, signal, tell))
      }
      const identity = call.trusted ? await authenticator?.headers(signal) : undefined
      patience.tries++
      const subject = this.#subject(call, request, authenticator)
      const outcome = await this.#attempt(transport, call, subject, identity, request, signal)

      if (outcome.kind === 'answer') {
        this.#known.add(call.url.host)
        return outcome.response
      }
      if (outcome.kind === 'redirect') {
        visited.add(call.url.href)
        call = this.#follow(call, outcome, subject, visited)
        patience.tries--
        continue
      }
      if (
        outcome.kind === 'status' &&
        outcome.status === 401 &&
        identity &&
        !renewed &&
        authenticator?.renew(identity)
      ) {
        renewed = true
        patience.tries--
        log.debug(`${call.method} ${subject.shown}: 401, once more with a new token`)
        continue
      }

      const trouble = troubleOf(outcome, this.#known.has(call.url.host))
      if (outcome.kind !== 'failure') this.#known.add(call.url.host)
      const now = clock.now()
      const fail = (gaveUp: GaveUp): Error => errorOf(outcome, subject, { patience, now, gaveUp })
      if (this.#closed) throw closedError()
      if (!isTransient(trouble)) throw fail(undefined)
      if (!mayRepeat(call.method, request.repeatable, trouble)) throw fail('not repeatable')
      const decision = patience.decide(trouble, now)
      if ('over' in decision) throw fail(decision)
      this.retries++
      if (!transport.waits) continue
      if (decision.asked) {
        turns.pause(now + decision.wait * 1000)
        continue
      }
      const told = `${fail(undefined).message}; trying again in ${duration(decision.wait)}`
      if (decision.wait >= TOLD_SECONDS) log.warn(told)
      else log.debug(told)
      await clock.sleep(decision.wait, signal)
      signal.throwIfAborted()
    }
  }

  /** One attempt. What is wrong with it comes back as an outcome; only what is final for good is thrown. */
  async #attempt(
    transport: Transport,
    { method, url, headers, body }: Call,
    subject: Guarded,
    identity: Readonly<Record<string, string>> | undefined,
    { accept, validate, hidden }: HttpRequest,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const asked = this.#api.max_response_size * MIB
    const most = Math.min(asked, memorySizes().answer)
    try {
      const wire = await transport.send(
        {
          method,
          url: url.href,
          headers: { 'accept-encoding': 'gzip, deflate, br', ...headers, ...identity },
          ...(body && { body }),
          hidden: { secrets: subject.secrets, fields: hidden?.fields ?? [] },
        },
        signal,
      )
      const { status } = wire
      const { location } = wire.headers
      if (status >= 300 && status < 400 && status !== 304 && location !== undefined) {
        await readBeginning(wire.body, ERROR_BYTES)
        return { kind: 'redirect', status, location }
      }
      if (status >= 400 && !accept?.includes(status)) {
        return { kind: 'status', status, headers: wire.headers, body: await readBeginning(wire.body, ERROR_BYTES) }
      }
      const whole = await readAll(wire.body, wire.headers, most).catch((error: unknown) => {
        throw error instanceof TooLarge ? tooLargeError(subject, status, most / MIB, most < asked) : error
      })
      const response: HttpResponse = { status, headers: wire.headers, body: whole, url: subject.shown }
      // Before anybody sees the answer, who might ask for more at once.
      if (transport.waits) this.#heed(wire.headers, url.host)
      return await checked(response, validate)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof TransportError) return { kind: 'failure', error }
      throw error
    }
  }

  /** Waits, with whatever is asked next, for as long as the answer says that no more requests are allowed. */
  #heed(headers: Readonly<Record<string, string>>, host: string): void {
    const { clock, limits } = this.#parts
    const seconds = exhaustedSeconds(headers, clock.now())
    if (seconds === undefined || seconds > this.#api.rate_limit_seconds) return
    limits.of(host).pause(clock.now() + seconds * 1000)
  }

  #follow(
    call: Call,
    { status, location }: Extract<Outcome, { kind: 'redirect' }>,
    subject: Subject,
    visited: Set<string>,
  ) {
    if (call.method !== 'GET' && call.method !== 'HEAD') {
      throw redirectError(subject, status, `a ${call.method} is not sent on`)
    }
    if (!URL.canParse(location, call.url.href)) throw redirectError(subject, status, 'its location is not a URL')
    const next = redirected(call, location)
    if (next.url.protocol !== 'http:' && next.url.protocol !== 'https:') {
      throw redirectError(subject, status, `${next.url.protocol} is not followed`)
    }
    if (visited.has(next.url.href)) throw redirectError(subject, status, 'the redirects go in a circle')
    if (visited.size >= MOST_REDIRECTS) throw redirectError(subject, status, `more than ${MOST_REDIRECTS} redirects`)
    return next
  }

  #subject(
    { method, shown, secrets }: Call,
    { hidden }: HttpRequest,
    authenticator: Authenticator | undefined,
  ): Guarded {
    const more = [...(hidden?.secrets ?? []), ...(authenticator?.secrets() ?? [])]
    const known = [...this.#parts.secrets, ...secrets, ...more]
    // Making one takes longer than using it, and what is known seldom changes.
    const key = known.join('\0')
    if (this.#redactor?.key !== key) this.#redactor = { key, redact: redactor(known) }
    const { redact } = this.#redactor
    return { method, shown: redact(shown), redact, secrets: known }
  }

  async #open(): Promise<Transport> {
    if (this.#closed) throw closedError()
    const { connect_timeout, response_timeout, body_timeout } = this.#api
    this.#transport ??= Promise.resolve(
      this.#parts.transport({
        connectTimeout: connect_timeout,
        responseTimeout: response_timeout,
        bodyTimeout: body_timeout,
      }),
    )
    return this.#transport
  }
}

async function checked(response: HttpResponse, validate: HttpRequest['validate']): Promise<Outcome> {
  try {
    await validate?.(response)
    return { kind: 'answer', response }
  } catch (error) {
    return {
      kind: 'invalid',
      status: response.status,
      error: error instanceof Error ? error : new Error(String(error)),
    }
  }
}

type Failed = Exclude<Outcome, { kind: 'answer' | 'redirect' }>

function troubleOf(outcome: Failed, known: boolean): Trouble {
  if (outcome.kind === 'status') return outcome
  if (outcome.kind === 'invalid') return { kind: 'failure', reason: 'invalid', sent: true, known }
  return { kind: 'failure', reason: outcome.error.reason, sent: outcome.error.sent, known }
}

function errorOf(outcome: Failed, subject: Subject, effort: Parameters<typeof statusError>[3]): Error {
  if (outcome.kind === 'status') return statusError(subject, outcome.status, outcome.body, effort)
  if (outcome.kind === 'invalid') return invalidError(subject, outcome.status, outcome.error, effort)
  return transportHttpError(subject, outcome.error, effort)
}

function closedError(): BizonError {
  return new BizonError('internal', 'the HTTP client is closed')
}

function hurried(api: ApiConfig): ApiConfig {
  return {
    ...api,
    retry_limit: Math.min(api.retry_limit, 3),
    retry_seconds: Math.min(api.retry_seconds, 15),
    rate_limit_seconds: Math.min(api.rate_limit_seconds, 15),
  }
}
