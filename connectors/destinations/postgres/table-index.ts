// An index of ours on a published table, by name: whoever looks for it needs to know no other.

import { BizonError } from '../../../lib/errors.ts'
import { type Queries, quoteName } from '../../postgres.ts'
import { derivedName, qualified } from './names.ts'
import { tableOfIndex } from './tables.ts'

export class TableIndex {
  readonly #purpose: string
  readonly #unique: string
  /** As they stand in `CREATE INDEX`. */
  readonly #columns: string
  readonly #isUnique: boolean

  /** `unique`: what tells it from another of that purpose on the same table. */
  constructor(purpose: string, unique: string, columns: string, isUnique: boolean) {
    this.#purpose = purpose
    this.#unique = unique
    this.#columns = columns
    this.#isUnique = isUnique
  }

  nameOn(table: string): string {
    return derivedName(table, this.#purpose, this.#unique)
  }

  /** Of the table, made on it or on what takes its place. Needs no lock when it is there. */
  async ensure(connection: Queries, schema: string, table: string, on = table): Promise<void> {
    if (await this.isThere(connection, schema, table)) return
    await connection.query(
      `CREATE ${this.#isUnique ? 'UNIQUE ' : ''}INDEX ${quoteName(this.nameOn(table))} ON ${qualified(schema, on)} (${this.#columns})`,
    )
  }

  /** Rejects when another table has an index of that name: one that was renamed takes its indexes along. */
  async isThere(connection: Queries, schema: string, table: string): Promise<boolean> {
    const name = this.nameOn(table)
    const holder = await tableOfIndex(connection, schema, name)
    if (holder === undefined || holder === table) return holder !== undefined
    throw new BizonError(
      'destination',
      `${schema}.${table} needs an index ${name}, and one of ${schema}.${holder} has that name`,
      { hint: `DROP INDEX ${qualified(schema, name)}. Or rename it.` },
    )
  }
}
