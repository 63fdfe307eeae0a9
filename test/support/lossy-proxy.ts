// A way to a server that breaks where a test says: before a request reaches the server, or with its answer.

import { createServer, connect as dial, type Server, type Socket } from 'node:net'

export class LossyProxy {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** From the server's side to the client's. */
  readonly #ways = new Map<Socket, Socket>()
  /** Server sides whose client is gone without their knowing. */
  readonly #deaf = new Set<Socket>()
  /** Breaks at the first request that holds the text: before it is passed on, or once the server has answered it. */
  breakAt: { readonly text: string; readonly when: 'request' | 'answer' } | undefined
  /** A broken way is forgotten by the client's side alone: the server goes on waiting for it, and for all beside it. */
  halfOpen = false
  breaks = 0

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async create(target: number): Promise<LossyProxy> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (typeof address !== 'object' || address === null) throw new Error('no address')
    const proxy = new LossyProxy(server, address.port)
    server.on('connection', (client) => proxy.#join(client, dial(target, '127.0.0.1')))
    return proxy
  }

  async close(): Promise<void> {
    for (const socket of [...this.#sockets, ...this.#deaf]) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(client: Socket, server: Socket): void {
    let awaited = false
    const cut = (): void => {
      if (client.destroyed) return
      this.breaks += 1
      if (this.halfOpen) {
        this.#deaf.add(server)
        for (const other of this.#ways.keys()) this.#deaf.add(other)
        for (const other of this.#ways.values()) other.destroy()
      }
      client.destroy()
      if (!this.halfOpen) server.destroy()
    }
    this.#ways.set(server, client)
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        this.#ways.delete(server)
        client.destroy()
        if (!this.#deaf.has(server)) server.destroy()
      })
    }
    client.on('data', (bytes) => {
      const at = this.breakAt
      if (at && bytes.includes(at.text)) {
        this.breakAt = undefined
        if (at.when === 'request') return cut()
        awaited = true
      }
      server.write(bytes)
      return undefined
    })
    server.on('data', (bytes) => {
      if (awaited) cut()
      else client.write(bytes)
    })
  }
}
