// Lines of which, as a rule, only the newest counts, to a reader that may be slow: nobody has to wait for it.

import { orAborted, sleep } from '../wait.ts'
import { type ByteOut, PipeClosed } from './out.ts'

/** How long a reader may take before it counts as slow. */
const PATIENCE_SECONDS = 1

export class NewestLine {
  readonly #out: ByteOut
  #next: string | undefined
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #slow = false
  #closed = false

  constructor(out: ByteOut) {
    this.#out = out
  }

  /** Whether there is a reader no more; what is said then is dropped. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Resolves when the line is written, or the reader is slow; then it may be left out for a newer one. Rejects when a
   * line could not be written.
   */
  async say(line: string): Promise<void> {
    this.#check()
    if (this.#closed) return
    this.#next = line
    this.#writing ??= this.#write()
    if (this.#slow) return
    const written = new AbortController()
    const writing = this.#writing.finally(() => written.abort())
    await Promise.race([writing, sleep(PATIENCE_SECONDS, written.signal)])
    this.#slow = this.#writing !== undefined
    this.#check()
  }

  /** A line that no later one stands for: resolves when it is written, however slow the reader is. */
  async sayAlways(line: string): Promise<void> {
    while (this.#writing) await this.#writing
    this.#check()
    if (this.#closed) return
    this.#next = line
    this.#writing = this.#write()
    await this.#writing
    this.#check()
  }

  /** Resolves when the newest line is written, or the signal aborts. */
  async settled(signal: AbortSignal): Promise<void> {
    await orAborted(this.#writing ?? Promise.resolve(), signal)
    this.#check()
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    try {
      for (let line = this.#next; line !== undefined; line = this.#next) {
        this.#next = undefined
        await this.#out.write(Buffer.from(`${line}\n`))
      }
    } catch (error) {
      if (error instanceof PipeClosed) this.#closed = true
      else this.#failure = { error }
    }
    this.#writing = undefined
    this.#slow = false
  }
}
