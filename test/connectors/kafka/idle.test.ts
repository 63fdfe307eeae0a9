import { expect, test } from 'vitest'
import { letRest, type RequestQueue } from '../../../connectors/kafka/idle.ts'

interface ClientQueue extends RequestQueue {
  readonly throttleCheckTimeoutId: unknown
  pending: unknown[]
  throttledUntil: number
  checkPendingRequests(): void
  destroy(): void
}

/** Of the client itself; not the class that everybody else in this process is given. */
async function queueOf(): Promise<ClientQueue> {
  const path = 'kafkajs/src/network/requestQueue/index.js'
  const { default: Given } = (await import(path)) as { default: new (options: object) => ClientQueue }
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
