// An API on loopback that misbehaves as told: each route has a script of answers, and what was asked is recorded.
//
//   const api = await FaultServer.start()
//   api.on('/items', { status: 503 }, { json: { items: [] } })     // the last answer repeats
//   api.on('/search', (request) => ({ json: find(request.query.q) }))
//   … api.requests, api.asked('/items') …
//   await api.close()

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'

export interface Answer {
  /** Default 200. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** The body, as it is or as JSON. */
  readonly body?: string | Buffer
  readonly json?: unknown
  /** Compresses the body and says so. */
  readonly encoding?: 'gzip' | 'deflate' | 'deflate-raw' | 'br'
  /** Seconds before anything is sent. */
  readonly after?: number
  /**
   * stall-headers: nothing is ever sent. stall-body: half of the body, then nothing.
   * reset: the connection is reset before an answer. reset-body: after half of the body.
   * close: the connection is closed before an answer. truncate: it is closed, in good order, after half of the body.
   * cut: as truncate, and the length is not said, so that it looks whole.
   * garbage: what is sent is not HTTP.
   */
  readonly fault?: 'stall-headers' | 'stall-body' | 'reset' | 'reset-body' | 'close' | 'truncate' | 'cut' | 'garbage'
  /** Sends the body in pieces of so many bytes with so many seconds between. */
  readonly drip?: { readonly bytes: number; readonly seconds: number }
  /** Instead of a body: so many bytes, as fast as they are taken. */
  readonly bytes?: number
  /** With `bytes`: whether Content-Length tells. Default true. */
  readonly lengthKnown?: boolean
}

export interface Asked {
  readonly method: string
  readonly path: string
  /** What came several times is a list. */
  readonly query: Readonly<Record<string, string | string[]>>
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
  /** Milliseconds of `performance.now()`. */
  readonly at: number
  /** Number of the connection that it came on, from 1. */
  readonly connection: number
}

export type Script = (asked: Asked) => Answer | Promise<Answer>

export class FaultServer {
  readonly url: string
  readonly requests: Asked[] = []
  /** Bytes of `bytes` answers that were handed to the system. */
  bytesSent = 0
  readonly #server: Server
  readonly #sockets: Map<Socket, number>
  readonly #scripts = new Map<string, Script>()

  private constructor(server: Server, sockets: Map<Socket, number>) {
    this.#server = server
    this.#sockets = sockets
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async start(): Promise<FaultServer> {
    const server = createServer({ keepAliveTimeout: 30_000 })
    const sockets = new Map<Socket, number>()
    let connections = 0
    server.on('connection', (socket: Socket) => {
      sockets.set(socket, ++connections)
      socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    return new FaultServer(server, sockets)
  }

  /** What a path answers: one after another, the last one ever after; or what the function says. */
  on(path: string, ...answers: readonly [Script] | readonly [Answer, ...Answer[]]): this {
    let next = 0
    const script: Script = (asked) => {
      const answer = answers[Math.min(next++, answers.length - 1)]
      return typeof answer === 'function' ? answer(asked) : (answer ?? {})
    }
    this.#scripts.set(path, script)
    return this
  }

  /** The requests for a path. */
  asked(path: string): Asked[] {
    return this.requests.filter((request) => request.path === path)
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done))
    for (const socket of this.#sockets.keys()) socket.destroy()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {})
    const asked = await record(request, this.#sockets.get(request.socket) ?? 0).catch(() => undefined)
    if (!asked) return
    this.requests.push(asked)
    const script = this.#scripts.get(asked.path)
    const answer = script ? await script(asked) : { status: 404, json: { message: `no route ${asked.path}` } }
    if (answer.after) await delay(answer.after * 1000)
    await this.#send(answer, request, response)
  }

  async #send(answer: Answer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request
    const { fault, drip } = answer
    if (fault === 'stall-headers') return
    if (fault === 'reset') return void socket.resetAndDestroy()
    if (fault === 'close') return void socket.destroy()
    if (fault === 'garbage') return void socket.end('SSH-2.0-OpenSSH_9.6\r\n')

    const body = encode(bodyOf(answer), answer.encoding)
    response.statusCode = answer.status ?? 200
    if (answer.json !== undefined) response.setHeader('content-type', 'application/json')
    if (answer.encoding) response.setHeader('content-encoding', answer.encoding.replace('-raw', ''))
    for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value)
    if (answer.bytes !== undefined) return this.#flood(answer.bytes, answer.lengthKnown ?? true, response)
    if (fault === 'cut') response.setHeader('connection', 'close')
    else if (!response.hasHeader('content-length')) response.setHeader('content-length', body.length)
    if (fault !== undefined) {
      if (fault === 'cut') response.useChunkedEncodingByDefault = false
      response.write(body.subarray(0, Math.max(1, body.length >> 1)))
      if (fault === 'stall-body') return
      // Not before the half has arrived.
      await delay(20)
      if (fault === 'reset-body') socket.resetAndDestroy()
      else socket.end()
      return
    }
    if (drip) {
      for (let at = 0; at < body.length && !response.destroyed; at += drip.bytes) {
        response.write(body.subarray(at, at + drip.bytes))
        await delay(drip.seconds * 1000)
      }
      response.end()
      return
    }
    response.end(body)
  }

  async #flood(bytes: number, lengthKnown: boolean, response: ServerResponse): Promise<void> {
    if (lengthKnown) response.setHeader('content-length', bytes)
    if (response.req.method === 'HEAD') return void response.end()
    const piece = Buffer.alloc(1 << 20, 'x')
    for (let sent = 0; sent < bytes && !response.destroyed; sent += piece.length) {
      const more = response.write(piece.subarray(0, Math.min(piece.length, bytes - sent)))
      this.bytesSent += piece.length
      if (!more) {
        await new Promise<void>((resume) => {
          response.once('drain', resume).once('close', resume)
        })
      }
    }
    response.end()
  }
}

async function record(request: IncomingMessage, connection: number): Promise<Asked> {
  const at = performance.now()
  const url = new URL(request.url ?? '/', 'http://x')
  const query: Record<string, string | string[]> = {}
  for (const name of new Set(url.searchParams.keys())) {
    const [first = '', ...more] = url.searchParams.getAll(name)
    query[name] = more.length === 0 ? first : [first, ...more]
  }
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return {
    method: request.method ?? '',
    path: url.pathname,
    query,
    headers: request.headers,
    body: Buffer.concat(chunks).toString(),
    at,
    connection,
  }
}

function bodyOf({ body, json }: Answer): Buffer {
  if (body !== undefined) return Buffer.from(body)
  return Buffer.from(json === undefined ? '' : JSON.stringify(json))
}

function encode(body: Buffer, encoding: Answer['encoding']): Buffer {
  switch (encoding) {
    case 'gzip':
      return gzipSync(body)
    case 'deflate':
      return deflateSync(body)
    case 'deflate-raw':
      return deflateRawSync(body)
    case 'br':
      return brotliCompressSync(body)
    default:
      return body
  }
}
