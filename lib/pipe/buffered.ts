// Many small pieces to few large writes. One buffer is filled while the other is on its way, so that a reader at work
// and a writer at work do not wait for each other.

import type { ByteOut } from './out.ts'

const BUFFER_BYTES = 1 << 18
const ZERO = 0x30
const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
const TILDE = 0x7e

/**
 * Every call returns a promise only when it has to be waited for: most pieces fit, and awaiting each would take longer
 * than copying it. One call at a time.
 */
export class BufferedOut {
  readonly #out: ByteOut
  readonly #failed: (error: unknown) => void
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #other = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #used = 0
  /** What was handed on is being taken. Never rejects. */
  #taking: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined

  /** `failed` is told as soon as a write has failed, whether or not somebody waits for it. */
  constructor(out: ByteOut, failed: (error: unknown) => void = () => {}) {
    this.#out = out
    this.#failed = failed
  }

  text(text: string): Promise<void> | undefined {
    const most = text.length * 3
    if (most > BUFFER_BYTES) return this.#large(Buffer.from(text))
    if (most > BUFFER_BYTES - this.#used) return this.push().then(() => this.text(text))
    this.#used += this.#buffer.write(text, this.#used)
    return undefined
  }

  bytes(bytes: Buffer, start = 0, end = bytes.length): Promise<void> | undefined {
    if (end - start > BUFFER_BYTES) return this.#large(bytes.subarray(start, end))
    if (end - start > BUFFER_BYTES - this.#used) return this.push().then(() => this.bytes(bytes, start, end))
    this.#used += bytes.copy(this.#buffer, this.#used, start, end)
    return undefined
  }

  /**
   * `before`, the number in digits, `between`, and `text` as it is: false, and nothing is done, if the text would not
   * be the same within JSON quotes, or there is no room.
   */
  quick(before: Buffer, number: number, between: Buffer, text: string, after: Buffer): boolean {
    const buffer = this.#buffer
    let at = this.#used
    if (at + before.length + 16 + between.length + text.length + after.length > BUFFER_BYTES) return false
    buffer.set(before, at)
    at = digits(buffer, at + before.length, number)
    for (let i = 0; i < between.length; i++) buffer[at++] = between[i] as number
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i)
      if (c < SPACE || c > TILDE || c === QUOTE || c === BACKSLASH) return false
      buffer[at++] = c
    }
    for (let i = 0; i < after.length; i++) buffer[at++] = after[i] as number
    this.#used = at
    return true
  }

  /** Hands on what there is. Resolves when what was handed on before is taken. */
  async push(): Promise<void> {
    await this.#taken()
    if (this.#used === 0) return
    const full = this.#buffer.subarray(0, this.#used)
    this.#buffer = this.#other
    this.#other = Buffer.from(full.buffer)
    this.#used = 0
    this.#taking = this.#out.write(full).catch((error: unknown) => {
      this.#failure = { error }
      this.#failed(error)
    })
  }

  /** Hands on what there is. Resolves when all of it is taken. */
  async settle(): Promise<void> {
    await this.push()
    await this.#taken()
  }

  async #taken(): Promise<void> {
    await this.#taking
    if (this.#failure) throw this.#failure.error
  }

  async #large(bytes: Buffer): Promise<void> {
    await this.settle()
    await this.#out.write(bytes)
  }
}

function digits(buffer: Buffer, start: number, number: number): number {
  let end = start + 1
  for (let most = 10; number >= most; most *= 10) end++
  for (let at = end - 1, rest = number; at >= start; at--) {
    const shorter = Math.floor(rest / 10)
    buffer[at] = ZERO + rest - shorter * 10
    rest = shorter
  }
  return end
}
