// A source's way to the network: one client per source, which authenticates, waits its turn, tries again what failed
// in passing, and says clearly what failed for good.
//
//   request → authenticate → rate limit → transport (the wire, or a cassette) → retry or answer

import type { Authentication } from './auth.ts'
import { Client } from './http/client.ts'
import type { ApiConfig } from './http/config.ts'
import { type Clock, processLimits, type RateLimits, systemClock } from './http/rate-limit.ts'
import type { Hidden, OpenTransport } from './http/transport.ts'
import { type Log, silentLog } from './log.ts'
import type { Json } from './record.ts'

export { HttpError } from './http/error.ts'
export type { Transport, WireRequest, WireResponse } from './http/transport.ts'

export interface HttpRequest {
  /** Absolute, or relative to the client's `baseUrl`. */
  readonly url: string
  /** Default GET, or POST when there is a body. */
  readonly method?: string
  /** Added to the URL; undefined values are left out, lists repeat the name. */
  readonly query?: Readonly<Record<string, QueryValue | readonly QueryValue[] | undefined>>
  readonly headers?: Readonly<Record<string, string>>
  /** The body: JSON, or a form; not both. */
  readonly json?: Json
  readonly form?: Readonly<Record<string, string>>
  /** Whether it may be sent again although its method is not idempotent (a POST that only searches). */
  readonly repeatable?: boolean
  /** Statuses of 400 and more that the caller handles itself: they are answers, not errors. */
  readonly accept?: readonly number[]
  /**
   * Throws when the answer is not what the source can read, such as JSON that is cut off: the request is then tried
   * again like one that got no answer, and what was thrown last is the error. May take its time.
   */
  readonly validate?: (response: HttpResponse) => void | Promise<void>
  /** What no message and no cassette may show of this exchange, beside what the client knows itself. */
  readonly hidden?: Hidden
}

export type QueryValue = string | number | boolean

export interface HttpResponse {
  readonly status: number
  /** Names in lower case; what came several times is joined with `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** All of it, decompressed, within the client's bound. */
  readonly body: Buffer
  /** As asked for, without secrets: for messages. */
  readonly url: string
}

export interface HttpClient {
  /**
   * Resolves with the whole answer. Rejects with a BizonError of code `source` that says method, URL without secrets,
   * status, and what the API said: for a status of 400 and more, when the retries are used up, when the body is larger
   * than allowed. Rejects with the signal's reason when that aborts.
   */
  request(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>
  /** Safe twice. */
  close(): Promise<void>
}

export interface HttpClientOptions {
  /**
   * Where relative URLs begin. What identifies the caller, `headers` included, then goes to this server only, even if
   * a URL is asked for that leads elsewhere.
   */
  readonly baseUrl?: string
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  readonly authentication?: Authentication | undefined
  readonly api?: Partial<ApiConfig> | undefined
}

/** Makes a source's client; does no I/O. */
export type CreateHttp = (options?: HttpClientOptions) => HttpClient

export interface HttpParts {
  readonly log: Log
  /** What no message may show, beside what the client knows itself. */
  readonly secrets?: readonly string[]
  /** The way out, opened once for each client with its first request. Default: the network. */
  readonly transport?: OpenTransport
  /** Default: those that all clients of the process share. */
  readonly limits?: RateLimits
  readonly clock?: Clock
  /** Somebody waits for an answer: a request gives up after seconds, whatever `api_config` says. Default false. */
  readonly hasty?: boolean
  readonly random?: () => number
}

/** Makes clients, and closes those that it made. */
export interface Http extends CreateHttp {
  /** How many requests were sent again so far. */
  retries(): number
  /** Safe twice. */
  close(): Promise<void>
}

/** How the sources of a run make their clients. Does no I/O. */
export function createHttp({
  log = silentLog,
  secrets = [],
  transport = network,
  limits = processLimits,
  clock = systemClock,
  hasty = false,
  random = Math.random,
}: Partial<HttpParts> = {}): Http {
  const clients: Client[] = []
  const create = (options: HttpClientOptions = {}): HttpClient => {
    const client = new Client(options, { log, secrets, transport, limits, clock, hasty, random })
    clients.push(client)
    return client
  }
  return Object.assign(create, {
    retries: (): number => clients.reduce((sum, { retries }) => sum + retries, 0),
    close: async (): Promise<void> => {
      await Promise.all(clients.map((client) => client.close()))
    },
  })
}

/** undici is loaded with the first request: commands that make none start without it. */
export const network: OpenTransport = async (settings) => (await import('./http/wire.ts')).openWire(settings)
