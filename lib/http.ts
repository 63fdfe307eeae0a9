// A source's way to the network: one client per source, which authenticates, waits its turn, tries again what failed
// in passing, and says clearly what failed for good.
//
//   request → authenticate → rate limit → transport (the wire, or a cassette) → retry or answer

import type { Authentication } from './auth.ts'
import type { ApiConfig } from './http-config.ts'
import type { Json } from './record.ts'

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
  /** Where relative URLs begin. */
  readonly baseUrl?: string
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  readonly authentication?: Authentication | undefined
  readonly api?: ApiConfig | undefined
}

/** Makes a source's client; does no I/O. */
export type CreateHttp = (options?: HttpClientOptions) => HttpClient

/** One attempt as it goes out. */
export interface WireRequest {
  readonly method: string
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Buffer
}

/** One answer as it comes in: its body not read yet. */
export interface WireResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: AsyncIterable<Buffer>
}

/** Sends one attempt: over the network, or from a cassette. Rejects when there is no answer. */
export interface Transport {
  send(request: WireRequest, signal: AbortSignal): Promise<WireResponse>
  /** Whether waiting between attempts makes sense: not when nothing goes over a network. */
  readonly waits: boolean
  close(): Promise<void>
}

export function createHttp(): CreateHttp {
  return () => {
    throw new TypeError('the HTTP client comes with the next commit')
  }
}
