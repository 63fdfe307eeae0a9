// A proxy on loopback: forwards http://, tunnels the rest, wants a password if told so, and records what it was asked.

import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export class ProxyServer {
  /** With its user and password, if it has them. */
  readonly url: string
  /** `GET http://host/path` or `CONNECT host:port`. */
  readonly asked: string[] = []
  readonly #server: Server
  readonly #sockets = new Set<Duplex>()
  readonly #expected: string | undefined

  private constructor(server: Server, credentials: string | undefined) {
    this.#server = server
    const { port } = server.address() as AddressInfo
    this.url = `http://${credentials === undefined ? '' : `${credentials}@`}127.0.0.1:${port}`
    this.#expected = credentials && `Basic ${Buffer.from(decodeURIComponent(credentials)).toString('base64')}`
    server.on('connection', (socket: Socket) => void this.#keep(socket))
    server.on('request', (from, to) => this.#forward(from, to))
    server.on('connect', (from: IncomingMessage, socket: Duplex) => this.#tunnel(from, socket))
  }

  /** `credentials` as they stand in a URL: `user:password`. */
  static async start(credentials?: string): Promise<ProxyServer> {
    const server = createServer()
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    return new ProxyServer(server, credentials)
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #forward(from: IncomingMessage, to: ServerResponse): void {
    this.asked.push(`${from.method} ${from.url}`)
    if (!this.#knows(from)) return void to.writeHead(407).end()
    const { 'proxy-authorization': _, ...headers } = from.headers
    const onward = request(from.url ?? '', { method: from.method, headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(to)
    })
    onward.on('error', () => to.writeHead(502).end())
    from.pipe(onward)
  }

  #tunnel(from: IncomingMessage, socket: Duplex): void {
    this.asked.push(`CONNECT ${from.url}`)
    if (!this.#knows(from)) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    const [host = '', port] = (from.url ?? '').split(':')
    const onward = this.#keep(connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n')))
    socket.pipe(onward).pipe(socket)
  }

  #knows({ headers }: IncomingMessage): boolean {
    return this.#expected === undefined || headers['proxy-authorization'] === this.#expected
  }

  #keep<Kept extends Duplex>(socket: Kept): Kept {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket)).on('error', () => socket.destroy())
    return socket
  }
}
