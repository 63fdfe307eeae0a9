// Where the values of a record's fields are, for the columns of a table.

import { isKey, members, stringAt } from '../../../lib/json.ts'
import type { RawJson } from '../../../lib/record.ts'

export class FieldValues {
  readonly #names: readonly string[]
  readonly #index: ReadonlyMap<string, number>
  /** The names as JSON writes them. */
  readonly #spellings: readonly Buffer[]
  readonly #unknown: ((id: string, name: string) => Error) | undefined
  readonly #seen: ((raw: RawJson, into: Int32Array) => boolean) | undefined
  readonly #values: Int32Array

  /**
   * `unknown`: what a field without a column fails with; absent: it is passed over. `seen`: writes the values of a record
   * that was gone through before; false: this one was not.
   */
  constructor(
    names: readonly string[],
    unknown?: (id: string, name: string) => Error,
    seen?: (raw: RawJson, into: Int32Array) => boolean,
  ) {
    this.#names = names
    this.#seen = seen
    this.#unknown = unknown
    this.#index = new Map(names.map((name, at) => [name, at]))
    this.#spellings = names.map((name) => Buffer.from(JSON.stringify(name)))
    this.#values = new Int32Array(2 * names.length)
  }

  /** Start and end of each column's value in the record's buffer; -1 when it has none. Good until the next call. */
  of(raw: RawJson, id: string): Int32Array {
    const { buffer, start, end } = raw
    const values = this.#values.fill(-1)
    if (this.#seen?.(raw, values)) return values
    // Records mostly have their fields in the order of the columns.
    let next = 0
    members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
      const at = this.#isNamed(next, buffer, keyStart, keyEnd) ? next : this.#find(buffer, keyStart, keyEnd, id)
      if (at === undefined) return
      next = at + 1
      values[2 * at] = valueStart
      values[2 * at + 1] = valueEnd
    })
    return values
  }

  #isNamed(at: number, buffer: Buffer, start: number, end: number): boolean {
    const spelling = this.#spellings[at]
    return spelling !== undefined && isKey(buffer, start, end, spelling, this.#names[at] as string)
  }

  #find(buffer: Buffer, start: number, end: number, id: string): number | undefined {
    const name = stringAt(buffer, start, end)
    const at = this.#index.get(name)
    if (at === undefined && this.#unknown) throw this.#unknown(id, name)
    return at
  }
}
