// The queue of one process: `python_queue` in YAML. Bounded by bytes; full means that `put` waits.

import { bytesOf, type Item } from '../../lib/checkpoint.ts'
import { BizonError } from '../../lib/errors.ts'
import type { Delivery, Queue, QueueDefinition, QueueOptions } from '../../lib/queue.ts'
import { Signpost } from '../../lib/wait.ts'

class MemoryQueue implements Queue {
  readonly #options: QueueOptions
  readonly #items: Item[] = []
  readonly #changed = new Signpost()
  #bytes = 0
  #finished = false
  #closed = false

  constructor(options: QueueOptions) {
    this.#options = options
  }

  async open(): Promise<void> {}

  async put(item: Item, signal: AbortSignal): Promise<void> {
    const size = bytesOf(item)
    this.#checkOpen()
    while (!this.#hasRoomFor(size)) {
      await this.#changed.wait(signal)
      this.#checkOpen()
    }
    this.#items.push(item)
    this.#bytes += size
    this.#changed.change()
  }

  async finish(): Promise<void> {
    this.#finished = true
    this.#changed.change()
  }

  async *take(signal: AbortSignal): AsyncGenerator<Delivery, void, void> {
    for (;;) {
      const item = this.#items[0]
      if (item === undefined) {
        if (this.#finished) return
        await this.#changed.wait(signal)
        this.#checkOpen()
        continue
      }
      // It keeps its room until the next one is asked for: what the loader works on is in memory too.
      yield { item, ack: async () => {} }
      this.#items.shift()
      this.#bytes -= bytesOf(item)
      this.#changed.change()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#changed.change()
  }

  #hasRoomFor(size: number): boolean {
    const { maxBytes, maxItems } = this.#options
    return this.#items.length === 0 || (this.#items.length < maxItems && this.#bytes + size <= maxBytes)
  }

  #checkOpen(): void {
    if (this.#closed) throw new BizonError('interrupted', 'the queue was closed')
  }
}

const definition: QueueDefinition = {
  summary: 'In the memory of one process, bounded by bytes.',
  create: (options) => new MemoryQueue(options),
}
export default definition
