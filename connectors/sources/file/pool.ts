// The buffers that records refer to, used again once the last page that refers to them is written. Without it they
// are garbage that the collector lets grow to a hundred megabytes before it looks.

export class Pool {
  readonly #size: number
  readonly #free: Buffer[] = []
  /** What the page in the making refers to. */
  #lent: Buffer[] = []

  /** `size`: of the buffers that are kept. */
  constructor(size: number) {
    this.#size = size
  }

  /** A buffer of at least so many bytes, filled with anything. One of quite another size is not worth keeping. */
  take(length: number): Buffer {
    if (length > this.#size || length * 2 < this.#size) return Buffer.allocUnsafeSlow(length)
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size)
    this.#lent.push(buffer)
    return buffer
  }

  /** Takes back one that no record of the page in the making refers to. */
  giveBack(block: Buffer): void {
    const at = this.#lent.findIndex(({ buffer }) => buffer === block.buffer)
    if (at >= 0) this.#free.push(...this.#lent.splice(at, 1))
  }

  /** All that was taken since the last call makes one page; the result gives it back. */
  seal(): () => void {
    const lent = this.#lent
    this.#lent = []
    return () => void this.#free.push(...lent.splice(0))
  }
}
