// What was read and is not written yet. The source is asked for its next page when that is little: each stage between
// holds a page, which is much when a page is one large record.

import { bytesOf } from './checkpoint.ts'
import { checkRecordSize, memorySizes, relieveMemory } from './memory.ts'
import { sizeOf } from './record.ts'
import type { Page } from './source.ts'
import { Signpost } from './wait.ts'

export class InFlight {
  readonly #sizes: number[] = []
  readonly #changed = new Signpost()
  #bytes = 0

  /** The pages as they come, each counted until `written`. */
  async *reading(pages: AsyncGenerator<Page, void, void>, signal: AbortSignal): AsyncGenerator<Page, void, void> {
    const { readAhead, record: most } = memorySizes()
    try {
      for (;;) {
        while (this.#bytes >= readAhead) await this.#changed.wait(signal)
        relieveMemory()
        const next = await pages.next()
        if (next.done) return
        const size = bytesOf(next.value)
        if (size > most) {
          for (const { id, data } of next.value.records) checkRecordSize(sizeOf(data), `record ${JSON.stringify(id)}`)
        }
        this.#sizes.push(size)
        this.#bytes += size
        yield next.value
      }
    } finally {
      await pages.return()
    }
  }

  /** Pages are written in the order in which they were read, and each becomes one page, whatever is done to its records. */
  written(): void {
    this.#bytes -= this.#sizes.shift() ?? 0
    this.#changed.change()
  }
}
