// What is printed of the STATE lines that came: once everything before them is durable, in the order in which they came.

import type { Checkpoint } from '../checkpoint.ts'
import type { Json, RawJson } from '../record.ts'
import { isMapping } from '../references.ts'
import type { Position } from '../source.ts'

/** Where STATE values are told. */
export type Tell = (value: RawJson) => void | Promise<void>

/** What is to be told at the end of a run, kept with its last page: whoever publishes it may not be who has read it. */
export const toTell = (values: Iterable<RawJson>): { watermark?: Json } => {
  const told = [...values].map(String)
  return told.length === 0 ? {} : { watermark: { told } }
}

export function toldIn({ watermark }: Checkpoint): readonly string[] {
  const told = isMapping(watermark) ? watermark.told : undefined
  return Array.isArray(told) ? told.filter((one) => typeof one === 'string') : []
}

/** STATE values whose records are on their way. */
export class Echoes {
  readonly #tell: Tell
  readonly #each: boolean
  readonly #places = new WeakMap<Position, number>()
  #waiting: RawJson[] = []
  /** How many are no longer waiting. */
  #told = 0

  /** `each`: none is left out. Else only the newest is told: it says all that those before it said. */
  constructor(tell: Tell, { each }: { readonly each: boolean }) {
    this.#tell = tell
    this.#each = each
  }

  /** The value that came behind a page. `position`: where that page ends; null: at the end of the run. */
  add(value: RawJson, position: Position | null): void {
    this.#waiting.push(value)
    if (position) this.#places.set(position, this.#told + this.#waiting.length)
  }

  /** Everything up to this position is durable. */
  async durable(position: Position): Promise<void> {
    const place = this.#places.get(position)
    if (place !== undefined) await this.#first(place - this.#told)
  }

  /** Everything is. */
  async all(): Promise<void> {
    await this.#first(this.#waiting.length)
  }

  async #first(count: number): Promise<void> {
    if (count <= 0) return
    const due = this.#waiting.splice(0, count)
    this.#told += due.length
    for (const value of this.#each ? due : due.slice(-1)) await this.#tell(value)
  }
}
