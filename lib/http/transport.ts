// One attempt at a request: what goes out, what comes in, and why nothing came. The client retries above it; below it
// is the network, or a cassette.

/** One attempt as it goes out. */
export interface WireRequest {
  readonly method: string
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** For whoever keeps what goes over the wire. */
  readonly hidden?: Hidden
}

/** What must not be written down of a request and its answer. */
export interface Hidden {
  readonly secrets: readonly string[]
  /** Fields of the answer, by name, whose values are secrets. */
  readonly fields: readonly string[]
}

/** One answer as it comes in: its body not read yet. */
export interface WireResponse {
  readonly status: number
  /** Names in lower case; what came several times is joined with `, `. Without `content-encoding` once it is undone. */
  readonly headers: Readonly<Record<string, string>>
  /** Decompressed. Whoever does not read it to its end must call `return`: that closes the connection. */
  readonly body: AsyncIterable<Buffer>
}

/** Sends one attempt: over the network, or from a cassette. */
export interface Transport {
  /**
   * Rejects with a TransportError when there is no answer, as does the body when it breaks off; with the signal's
   * reason when that aborts. Any other error is final: it is thrown as it is and nothing is tried again.
   */
  send(request: WireRequest, signal: AbortSignal): Promise<WireResponse>
  /** Whether waiting between attempts makes sense: not when nothing goes over a network. */
  readonly waits: boolean
  /** Ends its connections at once. Safe twice. */
  close(): Promise<void>
}

export interface TransportSettings {
  /** In seconds each. */
  readonly connectTimeout: number
  readonly responseTimeout: number
  readonly bodyTimeout: number
}

export type OpenTransport = (settings: TransportSettings) => Transport | Promise<Transport>

export type TransportReason =
  | 'unknown_host' // no such name
  | 'connection' // refused, reset, unreachable, closed
  | 'timeout'
  | 'truncated' // a body that ended before its end
  | 'tls' // a certificate that is not trusted, no common protocol
  | 'proxy' // the proxy refused
  | 'protocol' // not HTTP

/** Why there is no answer, or no whole one. The message fits behind a colon and contains no secret. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly reason: TransportReason
  /** Whether the request may have reached the server. */
  readonly sent: boolean
  /** The key of `api_config` whose limit was reached. */
  readonly limit: string | undefined

  constructor(
    reason: TransportReason,
    message: string,
    { sent, limit, cause }: { sent: boolean; limit?: string; cause?: unknown },
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.reason = reason
    this.sent = sent
    this.limit = limit
  }
}
