import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { type Connection, forgetHalves, letRest, type RequestQueue } from '../../../connectors/kafka/mend.ts'

interface ClientQueue extends RequestQueue {
  readonly throttleCheckTimeoutId: unknown
  pending: unknown[]
  throttledUntil: number
  checkPendingRequests(): void
  destroy(): void
}

const inside = (path: string): string => `kafkajs/src/${path}.js`

/** Of the client itself; not the class that everybody else in this process is given. */
async function queueOf(): Promise<ClientQueue> {
  const { default: Given } = (await import(inside('network/requestQueue/index'))) as {
    default: new (options: object) => ClientQueue
  }
  class Queue extends (Given as new (options: object) => object) {}
  letRest(Queue.prototype as RequestQueue)
  letRest(Queue.prototype as RequestQueue)
  const logger = { debug: () => {} }
  return new Queue({
    maxInFlightRequests: 1,
    requestTimeout: 1000,
    enforceRequestTimeout: false,
    logger,
  }) as ClientQueue
}

test('an idle connection has no timer that looks whether it may send something', async () => {
  const queue = await queueOf()
  queue.checkPendingRequests()
  expect(queue.throttleCheckTimeoutId).toBeNull()
})

test('what has to wait, because the broker asks for it, is looked at again', async () => {
  const queue = await queueOf()
  queue.throttledUntil = Date.now() + 60_000
  queue.pending = [{}]
  queue.checkPendingRequests()
  expect(queue.throttleCheckTimeoutId).not.toBeNull()
  queue.destroy()
})

interface ClientConnection extends Connection {
  send(protocol: object): Promise<unknown>
  disconnect(): Promise<void>
}

test('what a connection that was lost had of an answer is not taken for the beginning of the next', async () => {
  const [{ default: Given }, { default: Encoder }] = (await Promise.all(
    ['network/connection', 'protocol/encoder'].map((path) => import(inside(path))),
  )) as [{ default: new (options: object) => object }, { default: new () => object }]
  class Client extends Given {}
  forgetHalves(Client.prototype as Connection)
  forgetHalves(Client.prototype as Connection)
  let isFirst = true
  const server = createServer((socket: Socket) => {
    socket.on('data', (request: Buffer) => {
      // Behind its length stand the kind and version of a request, and its number, with which an answer begins.
      const answer = Buffer.concat([Buffer.of(0, 0, 0, 8), request.subarray(8, 12), Buffer.from('four')])
      if (isFirst) socket.write(answer.subarray(0, 10), () => socket.destroy())
      else socket.write(answer)
      isFirst = false
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const silent = { debug: () => {}, error: () => {}, warn: () => {} }
  const connection = new Client({
    host: '127.0.0.1',
    port,
    clientId: 'test',
    connectionTimeout: 5000,
    requestTimeout: 1000,
    logger: { namespace: () => ({ ...silent, namespace: () => silent }) },
    socketFactory: ({ onConnect }: { onConnect: () => void }) => connect(port, '127.0.0.1', onConnect),
  }) as ClientConnection
  const ask = (): Promise<unknown> =>
    connection.send({
      request: { apiKey: 18, apiVersion: 0, apiName: 'Test', encode: async () => new Encoder() },
      response: { decode: async (payload: Buffer) => payload, parse: async (payload: Buffer) => String(payload) },
    })
  try {
    await connection.connect()
    await expect(ask()).rejects.toThrow('Closed connection')
    await connection.connect()
    expect(await ask()).toBe('four')
  } finally {
    await connection.disconnect()
    server.close()
  }
})

test('a connection whose sockets are closed is not tried again', async () => {
  class Client {
    readonly socketFactory = { isClosed: true }
    isConnected(): boolean {
      return false
    }
    async connect(): Promise<void> {}
  }
  forgetHalves(Client.prototype as unknown as Connection)
  await expect(new Client().connect()).rejects.toMatchObject({ message: 'closed', retriable: false })
})
