// The way to a broker: its socket, TLS, and who signs in.

import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { createOauth } from '../../lib/auth/oauth.ts'
import type { ConfigPath } from '../../lib/config/problems.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import { createHttp, type Http } from '../../lib/http.ts'
import type { Log } from '../../lib/log.ts'
import { never } from '../../lib/wait.ts'
import { readTls, requirePem } from '../tls.ts'
import type { KafkaConfig, KafkaConnection, Sasl, TlsFiles } from './config.ts'
import type { Side } from './properties.ts'

/** Of silence, after which the system asks whether the other side is still there. */
const KEEP_ALIVE_SECONDS = 15

export interface AskedSocket {
  readonly host: string
  readonly port: number
  readonly ssl?: ConnectionOptions
  readonly onConnect: () => void
}

/** All that were opened, so that they can be closed when the client does not get to it. */
export class Sockets {
  readonly #open = new Set<Socket>()
  readonly #failed: (error: Error) => void
  #isClosed = false

  /** `failed`: told why one could not be opened, or was lost, until they are closed. */
  constructor(failed: (error: Error) => void = () => {}) {
    this.#failed = failed
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  connect({ host, port, ssl, onConnect }: AskedSocket): Socket {
    const place = { host, port, noDelay: true }
    const name = isIP(host) ? {} : { servername: host }
    const socket = ssl ? connectTls({ ...place, ...name, ...ssl }, onConnect) : connectTcp(place, onConnect)
    socket.setKeepAlive(true, KEEP_ALIVE_SECONDS * 1000)
    // What the client writes before it is connected waits with a listener each.
    socket.setMaxListeners(0)
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    socket.on('error', (error) => this.#isClosed || this.#failed(error))
    // What was called off goes on in the client for a while.
    if (this.#isClosed) socket.destroy(new Error('closed'))
    return socket
  }

  /** Without a word to the brokers. The client hears of it by the error alone. */
  cut(why: string): void {
    for (const socket of this.#open) socket.destroy(new Error(why))
  }

  /** The same, also of what is opened from now on. */
  close(): void {
    this.#isClosed = true
    this.cut('closed')
  }
}

/** Throws an InvalidKey where a file of certificates cannot be read, before anything is connected. */
export function requireTlsFiles(
  { tls }: Pick<KafkaConnection, 'tls'>,
  config: KafkaConfig,
  at: ConfigPath,
  side: Side = 'consumer_config',
): void {
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = tls?.[name]
    const key = config.tls?.[name] === undefined ? [side, PROPERTY_OF[name]] : ['tls', name]
    if (path !== undefined) requirePem(path, [...at, ...key])
  }
}

const PROPERTY_OF = { ca: 'ssl.ca.location', cert: 'ssl.certificate.location', key: 'ssl.key.location' }

/** Throws a BizonError of the code when a file cannot be read. */
export function tlsOptions(
  { ca, cert, key, passphrase, verify, checkHost }: TlsFiles,
  code: ErrorCode,
): ConnectionOptions {
  return {
    ...readTls({ ca, cert, key }, code),
    ...(passphrase !== undefined && { passphrase }),
    rejectUnauthorized: verify,
    ...(!checkHost && { checkServerIdentity: () => undefined }),
  }
}

/** Made anew each time: the client keeps in the object what it made of it. */
export function saslOptions(sasl: Sasl, tokens: Tokens): object {
  if (sasl.mechanism === 'OAUTHBEARER') {
    return { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: await tokens.of(sasl) }) }
  }
  const { username, password } = sasl
  return { mechanism: sasl.mechanism.toLowerCase(), username, password }
}

/** Of OAUTHBEARER: as given, or fetched, and fetched again before they end. */
export class Tokens {
  readonly #log: Log
  #http: Http | undefined
  #fetched: ReturnType<typeof createOauth> | undefined

  constructor(log: Log) {
    this.#log = log
  }

  async of(sasl: Extract<Sasl, { mechanism: 'OAUTHBEARER' }>): Promise<string> {
    if ('token' in sasl) return sasl.token
    this.#fetched ??= this.#fetching(sasl)
    const { authorization = '' } = await this.#fetched.headers(never)
    return authorization.replace(/^Bearer /, '')
  }

  async close(): Promise<void> {
    await this.#http?.close()
  }

  #fetching(sasl: Extract<Sasl, { url: string }>): ReturnType<typeof createOauth> {
    this.#http ??= createHttp({ log: this.#log, hasty: true })
    const http = this.#http()
    const params = {
      token_refresh_endpoint: sasl.url,
      client_id: sasl.clientId,
      client_secret: sasl.clientSecret,
      scopes: sasl.scope?.split(/\s+/),
      scope_separator: ' ',
      access_token_name: 'access_token',
      expires_in_name: 'expires_in',
      refresh_request_body: {},
      grant_type: 'client_credentials',
      expiry_margin: 60,
    }
    return createOauth(params, { send: (request, signal) => http.request(request, signal), log: this.#log })
  }
}
