// One request on the wire, as undici tells of it: a promise of the answer, and the answer's body as it comes in. Below
// undici's streams, which cost more than the request on a short way.

import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { TransportError, type TransportSettings, type WireResponse } from './transport.ts'
import { transportError } from './wire-error.ts'

/** Bytes that nobody has taken yet, after which the socket is not read on. */
const MOST_WAITING = 512 * 1024

export class Exchange implements Dispatcher.DispatchHandler, AsyncIterableIterator<Buffer> {
  /** Settles once the headers are there. */
  readonly response: Promise<WireResponse>
  readonly #signal: AbortSignal
  readonly #settings: TransportSettings
  #resolve: (response: WireResponse) => void = () => {}
  #reject: (error: unknown) => void = () => {}
  #controller: Dispatcher.DispatchController | undefined
  #chunks: Buffer[] = []
  #waiting = 0
  #ended = false
  #error: unknown
  #wake: (() => void) | undefined

  constructor(signal: AbortSignal, settings: TransportSettings) {
    this.#signal = signal
    this.#settings = settings
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    signal.addEventListener('abort', this.#abort)
  }

  // For undici.

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#ended) controller.abort(asError(this.#error))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status >= 200) this.#resolve({ status, headers: joined(headers), body: this })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return
    this.#chunks.push(chunk)
    this.#waiting += chunk.length
    if (this.#waiting > MOST_WAITING) controller.pause()
    this.#wake?.()
  }

  onResponseEnd(): void {
    this.#end(undefined)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end(transportError(error, this.#controller !== undefined, this.#settings))
  }

  // For whoever reads the body.

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk) {
        this.#waiting -= chunk.length
        if (this.#waiting <= MOST_WAITING && this.#controller?.paused) this.#controller.resume()
        return { value: chunk, done: false }
      }
      if (this.#error !== undefined) throw this.#error
      if (this.#ended) return { value: undefined, done: true }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async return(): Promise<IteratorResult<Buffer, undefined>> {
    if (!this.#ended) this.#stop(new TransportError('connection', 'the answer was not read to its end', { sent: true }))
    this.#chunks = []
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  readonly #abort = (): void => this.#stop(this.#signal.reason)

  #stop(reason: unknown): void {
    this.#end(reason)
    this.#controller?.abort(asError(reason))
  }

  #end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    this.#signal.removeEventListener('abort', this.#abort)
    if (error !== undefined) this.#reject(error)
    this.#wake?.()
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))

function joined(headers: IncomingHttpHeaders): Record<string, string> {
  const plain: Record<string, string> = {}
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (value !== undefined) plain[name] = typeof value === 'string' ? value : value.join(', ')
  }
  return plain
}
