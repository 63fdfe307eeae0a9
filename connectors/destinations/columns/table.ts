// The columns of one table that follow its records: `unnest: columns`. Page by page it is found out what the table lacks;
// the destination carries that out, in the transaction of the rows that need it, before they are written.

import type { JsonObject, SourceRecord } from '../../../lib/record.ts'
import { rawOf } from '../record.ts'
import { type Changes, changesFor, isMisfit, type Kinds, misfitError, type Policy } from './evolve.ts'
import { fits, type Kind, kindsOfSchema } from './kinds.ts'
import { Fields, otherKind } from './observe.ts'

export interface FollowOptions {
  /** As errors name it. */
  readonly table: string
  readonly policy: Policy
  /** What the source says of the records. */
  readonly schema: JsonObject | undefined
  /** The table's columns as they are; none: it is made for these records, whatever the policy. */
  readonly columns: Kinds
}

export class FollowedColumns {
  readonly #options: FollowOptions
  readonly #declared: ReadonlyMap<string, Kind>
  readonly #kinds: Map<string, Kind | undefined>
  /** Columns of somebody else's that records have a value for. */
  readonly #used = new Set<string>()
  readonly #leftOut = new Set<string>()
  #isNew: boolean

  constructor(options: FollowOptions) {
    this.#options = options
    this.#declared = options.schema ? kindsOfSchema(options.schema) : new Map()
    this.#kinds = new Map(options.columns)
    this.#isNew = this.#kinds.size === 0
  }

  /** The columns that rows are written with, in order: the others keep their defaults. */
  get written(): Kinds {
    return new Map([...this.#kinds].filter(([name, kind]) => kind !== undefined || this.#used.has(name)))
  }

  /** Fields that `freeze` has left out so far. */
  get leftOut(): ReadonlySet<string> {
    return this.#leftOut
  }

  /**
   * What must be done before these records can be written, which from here on counts as done; undefined: nothing, and they
   * are written as those before. Rejects with the first record that no change makes room for.
   */
  follow(records: readonly SourceRecord[]): Pick<Changes, 'added' | 'widened'> | undefined {
    const fields = new Fields()
    for (const { data } of records) fields.observe(rawOf(data))
    const seen = this.#withDeclared(fields.seen())
    const { table, policy } = this.#options
    const changes = changesFor(this.#kinds, seen, this.#isNew ? 'evolve' : policy)
    if (isMisfit(changes)) {
      const { name, column } = changes
      const takes = (kind: Kind): boolean => column !== undefined && fits(kind, column)
      for (const { id, data } of records) {
        const value = otherKind(rawOf(data), name, takes)
        if (value !== undefined) throw misfitError({ name, value, column }, { record: id, table })
      }
      throw misfitError(changes, { record: '', table })
    }
    const { added, widened, leftOut } = changes
    for (const name of leftOut) this.#leftOut.add(name)
    if (records.length > 0) this.#isNew = false
    const used = [...seen.keys()].filter((name) => this.#isOthers(name) && !this.#used.has(name))
    if (added.size === 0 && widened.size === 0 && used.length === 0) return undefined
    for (const name of used) this.#used.add(name)
    for (const [name, kind] of [...added, ...widened]) this.#kinds.set(name, kind)
    return { added, widened }
  }

  #isOthers(name: string): boolean {
    return this.#kinds.has(name) && this.#kinds.get(name) === undefined
  }

  /** For a field that is new, the kind that the source says, if it takes what is there; all of them for a new table. */
  #withDeclared(seen: Map<string, Kind>): Map<string, Kind> {
    const kinds = this.#isNew ? new Map([...this.#declared, ...seen]) : seen
    for (const [name, kind] of seen) {
      const declared = this.#declared.get(name)
      if (declared !== undefined && !this.#kinds.has(name) && fits(kind, declared)) kinds.set(name, declared)
    }
    return kinds
  }
}
