// Where the values of a page's records are, noted when their fields were looked at, so that a record is gone through once.

import type { RawJson } from '../../../lib/record.ts'

/** Field, start and end of a value. */
const NUMBERS = 3
/** What is kept for the next page. */
const MOST_KEPT = 1 << 16

export class SeenValues {
  #numbers = new Int32Array(1 << 10)
  #used = 0
  #records: RawJson[] = []
  /** Of each record, where its numbers end. */
  #ends: number[] = []
  #next = 0
  /** Where the numbers of the next record begin. */
  #from = 0

  add(field: number, start: number, end: number): void {
    if (this.#used + NUMBERS > this.#numbers.length) {
      const more = new Int32Array(2 * this.#numbers.length)
      more.set(this.#numbers)
      this.#numbers = more
    }
    this.#numbers[this.#used++] = field
    this.#numbers[this.#used++] = start
    this.#numbers[this.#used++] = end
  }

  /** All values of the record were added. */
  end(raw: RawJson): void {
    this.#records.push(raw)
    this.#ends.push(this.#used)
  }

  /**
   * Start and end of each value of the next record, for columns: `columns` says which one a field has, -1 for none. Of
   * several values for one the last counts. False when it is not this record; then nothing more is known of any.
   */
  take(raw: RawJson, columns: Int32Array, into: Int32Array): boolean {
    if (this.#records[this.#next] !== raw) {
      this.clear()
      return false
    }
    const end = this.#ends[this.#next] as number
    for (let at = this.#from; at < end; at += NUMBERS) {
      const column = columns[this.#numbers[at] as number] as number
      if (column < 0) continue
      into[2 * column] = this.#numbers[at + 1] as number
      into[2 * column + 1] = this.#numbers[at + 2] as number
    }
    this.#from = end
    this.#next += 1
    // Nothing of the page is held back.
    if (this.#next === this.#records.length) this.clear()
    return true
  }

  clear(): void {
    this.#records = []
    this.#ends = []
    this.#next = 0
    this.#from = 0
    this.#used = 0
    if (this.#numbers.length > MOST_KEPT) this.#numbers = new Int32Array(MOST_KEPT)
  }
}
