// Which numbers of a run's rows were met: where no digests are known, one row that is missing and another one that is there
// twice would else be the right count. A bit a row, as far as rows are there.

import type { Difference } from './compare.ts'
import type { Part } from './expected.ts'

const PAGE_ROWS = 1 << 16
const MOST_NAMED = 20

export class Seen {
  /** How many numbers were met more than once, counted each time but the first. */
  repeated = 0
  readonly #pages = new Map<number, Uint8Array>()
  readonly #twice = new Map<number, string | undefined>()
  #distinct = 0

  add(number: number, record: string | undefined): void {
    const at = Math.floor(number / PAGE_ROWS)
    let page = this.#pages.get(at)
    if (!page) {
      page = new Uint8Array(PAGE_ROWS / 8)
      this.#pages.set(at, page)
    }
    const [byte, bit] = [(number % PAGE_ROWS) >> 3, 1 << (number % 8)]
    if (((page[byte] as number) & bit) === 0) {
      page[byte] = (page[byte] as number) | bit
      this.#distinct += 1
      return
    }
    this.repeated += 1
    if (this.#twice.size < MOST_NAMED) this.#twice.set(number, record)
  }

  /** `part` has no digests. */
  differences(part: Part, place: string): Difference[] {
    const about = { place, run: part.run.id }
    const differences: Difference[] = []
    if (this.repeated > 0) {
      const records = [...this.#twice.values()].filter((record) => record !== undefined)
      const rows = [...this.#twice.keys()].map((number) => number + 1)
      differences.push({
        ...about,
        kind: 'doubled',
        count: this.repeated,
        rows,
        ...(records.length > 0 && { records }),
      })
    }
    const missing = part.rows - this.#distinct
    if (missing !== 0) {
      const rows = this.#missingFrom(part, missing)
      const where = rows ? { rows } : { range: [part.from + 1, part.to] as const }
      differences.push({ ...about, kind: missing > 0 ? 'missing' : 'surplus', count: Math.abs(missing), ...where })
    }
    return differences
  }

  /** Undefined: too many, or it is not known which rows belong here. */
  #missingFrom({ from, to, rows }: Part, missing: number): number[] | undefined {
    if (missing > MOST_NAMED || rows !== to - from) return undefined
    const found: number[] = []
    for (let number = from; number < to && found.length < missing; number++) {
      const byte = this.#pages.get(Math.floor(number / PAGE_ROWS))?.[(number % PAGE_ROWS) >> 3] ?? 0
      if ((byte & (1 << (number % 8))) === 0) found.push(number + 1)
    }
    return found
  }
}
