// The buffers that records refer to, used again once the last page that refers to them is written. Without it they
// are garbage that the collector lets grow to a hundred megabytes before it looks.

interface Lent {
  readonly buffer: Buffer
  /** How many pages refer to it, the one in the making included. */
  pages: number
}

export class Pool {
  readonly #size: number
  readonly #free: Buffer[] = []
  /** What the page in the making refers to. */
  #lent: Lent[] = []

  /** `size`: of the buffers that are kept. */
  constructor(size: number) {
    this.#size = size
  }

  /** A buffer of at least so many bytes, filled with anything. One of quite another size is not worth keeping. */
  take(length: number): Buffer {
    if (length > this.#size || length * 2 < this.#size) return Buffer.allocUnsafeSlow(length)
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size)
    this.#lent.push({ buffer, pages: 1 })
    return buffer
  }

  /** Takes back one that no record of the page in the making refers to. */
  giveBack(block: Buffer): void {
    const at = this.#lent.findIndex((lent) => isPartOf(block, lent))
    if (at >= 0) this.#leave(this.#lent.splice(at, 1))
  }

  /**
   * All that was taken since the last call makes one page; the result gives it back, as far as no other page refers
   * to it. `rest`: the block that is not read to its end yet, which belongs to the next page too.
   */
  seal(rest?: Buffer): () => void {
    const lent = this.#lent
    this.#lent = rest === undefined ? [] : lent.filter((each) => isPartOf(rest, each))
    for (const shared of this.#lent) shared.pages += 1
    return () => this.#leave(lent.splice(0))
  }

  #leave(left: readonly Lent[]): void {
    for (const lent of left) {
      lent.pages -= 1
      if (lent.pages === 0) this.#free.push(lent.buffer)
    }
  }
}

function isPartOf(block: Buffer, { buffer }: Lent): boolean {
  return block.buffer === buffer.buffer
}
