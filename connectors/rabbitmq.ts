// The only file that imports amqplib: a connection to RabbitMQ, its channels, and its errors in our words. It is an
// optional peer, loaded when a config names RabbitMQ.

import { isIP } from 'node:net'
import type { ChannelModel } from 'amqplib'
import { BizonError, type ErrorCode, messageOf, systemCode } from '../lib/errors.ts'
import { cuttable } from '../lib/fault.ts'
import { calledOff, orAborted } from '../lib/wait.ts'
import { RabbitChannel } from './rabbitmq/channel.ts'
import { readTls } from './tls.ts'

export type { ConfirmChannel, Message } from 'amqplib'

export interface Address {
  readonly host: string
  readonly port: number
  readonly virtualHost: string
  readonly username: string
  readonly password: string
  /** Paths of PEM files. Undefined: no TLS. */
  readonly tls?:
    | { readonly ca?: string | undefined; readonly cert?: string | undefined; readonly key?: string | undefined }
    | undefined
}

export interface Watch {
  /** The broker takes no messages for now, for this reason: its memory or its disk is full. What is sent waits. */
  blocked?(reason: string): void
  unblocked?(): void
}

const CONNECT_SECONDS = 10
const GOODBYE_SECONDS = 5
/** Either side asks after half of it; whoever is silent for twice as long is taken for gone. */
const HEARTBEAT_SECONDS = 20
const FRAME_BYTES = 128 << 10

/** Rejects with a BizonError of the code, which never shows the password. `role` is for the broker's own list of connections. */
export async function connect(
  address: Address,
  role: string,
  signal: AbortSignal,
  code: ErrorCode,
  watch: Watch = {},
): Promise<RabbitConnection> {
  signal.throwIfAborted()
  const amqp = await load(code)
  const { host, port, virtualHost, username, password, tls } = address
  const attempt = amqp.connect(
    {
      protocol: tls ? 'amqps' : 'amqp',
      hostname: host,
      port,
      username,
      password,
      vhost: encodeURIComponent(virtualHost),
      heartbeat: HEARTBEAT_SECONDS,
      frameMax: FRAME_BYTES,
    },
    {
      timeout: CONNECT_SECONDS * 1000,
      noDelay: true,
      keepAlive: true,
      clientProperties: { connection_name: `bizon (${role})` },
      ...(tls && tlsOptions(host, tls, code)),
    },
  )
  try {
    const model = await orAborted(attempt, signal)
    if (model) return new RabbitConnection(model, address, code, watch)
  } catch (error) {
    throw connectError(error, address, code)
  }
  // Whoever gave up does not come back to close it.
  attempt.then((late) => late.close()).catch(() => {})
  signal.throwIfAborted()
  throw new BizonError('internal', 'neither connected nor aborted')
}

/** After any failure that is not of one channel it is of no use any more, and `ended`. */
export class RabbitConnection {
  /** Aborts when the connection is lost or closed; its reason is a BizonError. */
  readonly ended: AbortSignal
  readonly address: Address
  readonly code: ErrorCode
  readonly #model: ChannelModel
  readonly #end = new AbortController()
  readonly #forget: () => void
  #closing: Promise<void> | undefined

  constructor(model: ChannelModel, address: Address, code: ErrorCode, watch: Watch) {
    this.#model = model
    this.address = address
    this.code = code
    this.ended = this.#end.signal
    model.on('error', (error) => this.#lose(error))
    model.on('close', (error) => this.#lose(error))
    model.on('blocked', (reason) => watch.blocked?.(reason))
    model.on('unblocked', () => watch.unblocked?.())
    this.#forget = cuttable(() => this.#destroy())
  }

  async channel(): Promise<RabbitChannel> {
    try {
      return new RabbitChannel(await this.#model.createConfirmChannel(), this)
    } catch (error) {
      throw this.ended.aborted ? this.ended.reason : this.error('it opens no channel', error, true)
    }
  }

  /** Waits; an abort cuts the connection and rejects with its reason. */
  interruptible<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
    return calledOff(work, signal, () => this.cut())
  }

  /** Without a word to the broker, which gives what was not acknowledged to others. */
  cut(reason: unknown = new Error('it was cut')): void {
    this.#lose(reason)
    this.#destroy()
  }

  /** Never rejects; safe twice. What was sent before is done. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  error(what: string, cause: unknown, retriable = false): BizonError {
    const { host, port } = this.address
    return new BizonError(this.code, `RabbitMQ at ${host}:${port}: ${what}: ${said(cause)}`, { cause, retriable })
  }

  async #close(): Promise<void> {
    if (this.ended.aborted) return this.cut()
    // A broker that does not answer any more must not keep the program from ending.
    const timer = setTimeout(() => this.cut(), GOODBYE_SECONDS * 1000)
    await orAborted(
      this.#model.close().catch(() => {}),
      this.ended,
    )
    clearTimeout(timer)
    this.cut()
  }

  /** Without an error the client would not see that its socket has gone, and leave everybody waiting. */
  #destroy(): void {
    socketOf(this.#model).destroy(new Error('it was cut'))
  }

  #lose(error?: unknown): void {
    this.#forget()
    if (this.ended.aborted) return
    const reason = error instanceof BizonError ? error : this.error('the connection was lost', error ?? 'closed', true)
    this.#end.abort(reason)
  }
}

/** The socket below a connection: the types leave it out. */
function socketOf(model: ChannelModel): { destroy(error: Error): void } {
  return (model.connection as unknown as { stream: { destroy(error: Error): void } }).stream
}

/** The number by which the protocol names an error; undefined when it is not the broker's. */
export function replyCode(error: unknown): number | undefined {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  if (typeof code === 'number') return code
  return error instanceof BizonError ? replyCode(error.cause) : undefined
}

/** The broker's own words, without the names of frames around them. */
export function said(error: unknown): string {
  const text = error instanceof AggregateError ? messageOf(error.errors[0]) : messageOf(error)
  return /with message "(?:[A-Z_]+ - )?(.*)"/s.exec(text)?.[1] ?? text
}

const GONE = /^(?:ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|EAI_AGAIN)/

function connectError(error: unknown, { host, port, virtualHost, username, tls }: Address, code: ErrorCode): unknown {
  if (error instanceof BizonError) return error
  const failed = (reason: string, hint: string, retriable = false): BizonError =>
    new BizonError(code, `RabbitMQ at ${host}:${port}: ${reason}`, { hint, retriable, cause: error })
  const text = said(error)
  const system = systemCode(error instanceof AggregateError ? error.errors[0] : error) ?? ''
  if (/ACCESS.REFUSED/.test(messageOf(error))) {
    return failed(`user ${username} was refused: wrong password, or no such user`, 'Check username and password.')
  }
  if (/Expected ConnectionOpenOk/.test(text)) {
    const hint = `rabbitmqctl add_vhost, then set_permissions; or change virtual_host.`
    // A node that starts takes connections before its virtual hosts are up.
    return failed(`user ${username} may not use virtual host ${virtualHost}, or there is none`, hint, true)
  }
  if (/certificate|self.signed|altnames|CERT_|UNABLE_TO_/i.test(`${system} ${text}`)) {
    return failed(`its certificate is not trusted: ${text}`, 'Set ssl_ca to the certificate of its authority.')
  }
  if (/wrong version number|packet length too long|EPROTO/i.test(`${system} ${text}`)) {
    return failed('it does not speak TLS at this port', 'Set ssl to false, or port to that of TLS: 5671 as a rule.')
  }
  if (!tls && /abruptly/.test(text)) {
    const hint = 'See whether this port is of AMQP; where it is of TLS, set ssl to true.'
    return failed('it closes the connection at once', hint, true)
  }
  const gone = GONE.test(system) || /ETIMEDOUT|abruptly|Unexpected close/.test(text)
  return failed(`cannot connect: ${text}`, 'See whether the broker runs and can be reached.', gone)
}

function tlsOptions(host: string, { ca, cert, key }: NonNullable<Address['tls']>, code: ErrorCode): object {
  return {
    ...readTls({ ca, cert, key }, code),
    ...(isIP(host) === 0 && { servername: host }),
  }
}

async function load(code: ErrorCode): Promise<typeof import('amqplib')> {
  try {
    return (await import('amqplib')).default
  } catch (error) {
    if (systemCode(error) !== 'ERR_MODULE_NOT_FOUND' && systemCode(error) !== 'MODULE_NOT_FOUND') throw error
    throw new BizonError(code, 'RabbitMQ needs the package amqplib, which is not installed', {
      hint: 'npm install amqplib',
    })
  }
}
