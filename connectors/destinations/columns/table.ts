// The columns of one table that follow its records: `unnest: columns`. Page by page it is found out what the table lacks;
// the destination carries that out, in the transaction of the rows that need it, before they are written.

import type { JsonObject, RawJson, SourceRecord } from '../../../lib/record.ts'
import { rawOf } from '../record.ts'
import { type Changes, changesFor, isMisfit, type Kinds, misfitError, type Policy } from './evolve.ts'
import { fits, type Kind, kindsOfSchema } from './kinds.ts'
import { Fields, otherKind } from './observe.ts'
import type { SeenValues } from './seen.ts'

export interface FollowOptions {
  /** As errors name it. */
  readonly table: string
  readonly policy: Policy
  /** The table's columns as they are; none: it is made for these records, whatever the policy. */
  readonly columns: Kinds
  /** Those that rows are written with from the beginning: the others keep their defaults until a record has a value. */
  readonly written: Iterable<string>
  /** Whether the rows of this run take the place of all others: see `changesFor`. */
  readonly isReplaced: boolean
  /** See `misfitError`. */
  readonly remedy: string
  /** Told where the values of records are; whoever gives one takes them from it. */
  readonly seen?: SeenValues
}

/** The first of the records that has a value there. */
export function recordWith(records: readonly SourceRecord[], name: string): SourceRecord | undefined {
  return records.find(({ data }) => otherKind(rawOf(data), name, () => false) !== undefined)
}

/** What must be done before some records can be written. */
export interface Step extends Changes {
  /** Columns that were there, and that rows are written with from here on. */
  readonly used: ReadonlySet<string>
}

export class FollowedColumns {
  readonly #options: FollowOptions
  readonly #kinds: Map<string, Kind | undefined>
  readonly #written: Set<string>
  readonly #leftOut = new Set<string>()
  readonly #fields: Fields
  #declared: { readonly schema: JsonObject | undefined; readonly kinds: ReadonlyMap<string, Kind> } = {
    schema: undefined,
    kinds: new Map(),
  }

  constructor(options: FollowOptions) {
    this.#options = options
    this.#fields = new Fields(options.table, options.seen)
    this.#kinds = new Map(options.columns)
    this.#written = new Set([...options.written].filter((name) => this.#kinds.has(name)))
  }

  /** The columns that rows are written with, in order. */
  get written(): Kinds {
    return new Map([...this.#kinds].filter(([name]) => this.#written.has(name)))
  }

  /**
   * What must be done before these records can be written, which from here on counts as done; undefined: nothing, and they
   * are written as those before. `schema`: what the source says of them. Throws at the first record that no change makes
   * room for.
   */
  follow(records: readonly SourceRecord[], schema?: JsonObject): Step | undefined {
    this.#options.seen?.clear()
    for (const { id, data } of records) this.#fields.observe(rawOf(data), id)
    const isNew = this.#kinds.size === 0
    const changed = this.#fields.changed()
    if (changed.size === 0 && !isNew) return undefined
    const seen = this.#withDeclared(changed, schema, isNew)
    const { policy, isReplaced } = this.#options
    const changes = changesFor(this.#kinds, seen, isNew ? 'evolve' : policy, isReplaced)
    if (isMisfit(changes)) throw this.refusal(records, changes.name, changes.value)
    const { added, widened, retyped } = changes
    const leftOut = changes.leftOut.filter((name) => !this.#leftOut.has(name))
    for (const name of leftOut) this.#leftOut.add(name)
    const used = new Set([...seen.keys()].filter((name) => this.#kinds.has(name) && !this.#written.has(name)))
    if (added.size + widened.size + retyped.size + used.size + leftOut.length === 0) return undefined
    for (const [name, kind] of [...added, ...widened, ...retyped]) this.#kinds.set(name, kind)
    for (const name of [...added.keys(), ...used]) this.#written.add(name)
    return { added, widened, retyped, leftOut, used }
  }

  /** Reads the values of these columns from `seen`, as far as they are there. */
  valuesFor(names: readonly string[]): (raw: RawJson, into: Int32Array) => boolean {
    const { seen } = this.#options
    const index = new Map(names.map((name, at) => [name, at]))
    let columns = new Int32Array()
    return (raw, into) => {
      if (!seen) return false
      if (columns.length !== this.#fields.count)
        columns = Int32Array.from(this.#fields.names, (name) => index.get(name) ?? -1)
      return seen.take(raw, columns, into)
    }
  }

  /** What a column that had to become another is now. */
  become(name: string, kind: Kind): void {
    this.#kinds.set(name, kind)
  }

  /** Why the field has no column that takes it: names the first of the records that says so. */
  refusal(records: readonly SourceRecord[], name: string, value: Kind): Error {
    const column = this.#kinds.get(name)
    const takes = (kind: Kind): boolean => column !== undefined && fits(kind, column)
    const { table, remedy } = this.#options
    for (const { id, data } of records) {
      const other = otherKind(rawOf(data), name, takes)
      if (other !== undefined) return misfitError({ name, value: other, column }, { record: id, table, remedy })
    }
    return misfitError({ name, value, column }, { record: '', table, remedy })
  }

  /** For a field that is new, the kind that the source says, if it takes what is there; all of them for a new table. */
  #withDeclared(seen: Map<string, Kind>, schema: JsonObject | undefined, isNew: boolean): Map<string, Kind> {
    if (schema !== this.#declared.schema) this.#declared = { schema, kinds: schema ? kindsOfSchema(schema) : new Map() }
    const { kinds: declared } = this.#declared
    const kinds = isNew ? new Map([...declared, ...seen]) : seen
    for (const [name, kind] of seen) {
      const said = declared.get(name)
      if (said !== undefined && !this.#kinds.has(name) && fits(kind, said)) kinds.set(name, said)
    }
    return kinds
  }
}
