// Where an incremental read of a table begins and ends. It takes the rows from the last watermark to a bound that is fixed
// when it begins. Rows with the bound's own value may come in later, so that the next read begins with that value again;
// those of it that were given are known by id. Of more rows than can be listed so, a source that knows when a row was
// written has a horizon: what is older was given, and only the ids of what is newer are listed.

import { BizonError } from '../../lib/errors.ts'
import { keyOf, MOST_IDS, refuseOther } from '../../lib/increment.ts'
import type { Json, JsonObject } from '../../lib/record.ts'
import type { Watermark } from '../../lib/source.ts'

/** What stays the same during a read, also when it is resumed. Values are text that the database reads exactly. */
export interface Span extends JsonObject {
  readonly field: string
  /** The watermark before; null: everything is read. */
  readonly from: string | null
  /** Rows with the value `from` that are older than this were given by the read before. */
  readonly fromHorizon: string | null
  /** Inclusive. */
  readonly until: string
  /** No newer row was visible to any read before. */
  readonly horizon: string | null
  /** `until` is the value `from`. */
  readonly still: boolean
}

/** The watermark, as the state store keeps it. */
export interface Mark extends JsonObject {
  readonly field: string
  /** Null: there were no rows. */
  readonly value: string | null
  readonly ids: readonly string[]
  readonly horizon: string | null
}

/** Of a read that found no rows. */
export function emptyMark(field: string): Mark {
  return { field, value: null, ids: [], horizon: null }
}

/** What the read before left; undefined: there was none. Throws when this one cannot go on from it. */
export function markOf(field: string, since: Watermark | undefined): Mark | undefined {
  refuseOther(field, since)
  if (!since) return undefined
  if (since.value !== undefined) return since.value as Mark
  throw new BizonError('config', `the last run left no ${field} to go on from, as it was not incremental`, {
    hint: 'Run once with --reset: it reads everything, replaces the target, and leaves one.',
  })
}

export interface Found {
  readonly id: string
  /** Its value is `from`. */
  readonly first: boolean
  /** Its value is `until`. */
  readonly last: boolean
  /** It is not older than `horizon`; undefined: nobody can tell. */
  readonly fresh?: boolean | undefined
}

export class Boundary {
  readonly span: Span
  readonly #known: Set<string>
  /** Rows with the value `until`, until they are too many. */
  readonly #seen: Set<string>
  readonly #fresh: Set<string>
  #many: boolean
  #forgotten: number

  constructor(span: Span, ids: readonly string[], state?: JsonObject) {
    this.span = span
    const saved = state as State | undefined
    this.#known = new Set(saved?.known ?? ids)
    // What the read before had by its horizon alone is in no list.
    this.#many = saved?.many ?? (span.still && span.fromHorizon !== null)
    const still = span.still && !this.#many ? ids : []
    this.#seen = new Set(saved?.seen ?? still)
    this.#fresh = new Set(saved?.fresh ?? still)
    this.#forgotten = saved?.forgotten ?? 0
  }

  /** Rows that the next read gives a second time, because they are too many to be told apart. */
  get forgotten(): number {
    return this.#many ? this.#forgotten : 0
  }

  /** Takes note of a row, in the order of the values. False: the read before has given it. */
  take({ id, first, last, fresh }: Found): boolean {
    if (!first && this.#known.size > 0) this.#known.clear()
    if (!first && !last) return true
    const key = keyOf(id)
    if (last) this.#remember(key, fresh ?? true)
    return !(first && this.#known.has(key))
  }

  #remember(key: string, fresh: boolean): void {
    if (fresh && this.#fresh.size < MOST_IDS) this.#fresh.add(key)
    else if (fresh) this.#forgotten += 1
    if (this.#many) return
    this.#seen.add(key)
    if (this.#seen.size <= MOST_IDS) return
    this.#seen.clear()
    this.#many = true
  }

  /** For the position of a page. */
  get state(): JsonObject {
    return {
      known: [...this.#known],
      seen: [...this.#seen],
      fresh: [...this.#fresh],
      many: this.#many,
      forgotten: this.#forgotten,
    } satisfies State
  }

  get mark(): Json {
    const { field, until: value, horizon } = this.span
    const ids = this.#many ? this.#fresh : this.#seen
    return { field, value, ids: [...ids], horizon: this.#many ? horizon : null } satisfies Mark
  }
}

interface State extends JsonObject {
  readonly known: readonly string[]
  readonly seen: readonly string[]
  readonly fresh: readonly string[]
  readonly many: boolean
  readonly forgotten: number
}
