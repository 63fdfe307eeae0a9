// Merging by key: which of two rows with one key stays. In one staging table the newer one, and of two that are equally
// new the later one; against the published table the same, so that an older row that comes late changes nothing.

import { quoteName, quoteText } from '../../postgres.ts'
import type { Column } from './columns.ts'
import type { PostgresOptions } from './config.ts'
import { derivedName, qualified } from './names.ts'
import type { Transaction } from './session.ts'
import { listOf } from './tables.ts'

/** Name of the constraint by which a staging table refuses a row without a key. */
export const NO_NULL = '_bizon_key_is_not_null'
const ARRIVAL = '_bizon_arrival'

export class Key {
  readonly #options: PostgresOptions

  constructor(options: PostgresOptions) {
    this.#options = options
  }

  /**
   * What a staging table has until its rows are merged: a check, at which COPY stops, since a row without a key cannot
   * be merged; and the order of arrival, which the place of a row in a table does not tell.
   */
  async prepare(transaction: Transaction, staging: string): Promise<void> {
    const fields = this.#options.primary_key.map((name) => `${this.#field(name)} IS NOT NULL`)
    await transaction.query(
      `ALTER TABLE ${staging} ADD CONSTRAINT ${NO_NULL} CHECK (${fields.join(' AND ')}),
         ADD COLUMN ${ARRIVAL} bigint GENERATED ALWAYS AS IDENTITY`,
    )
  }

  /** Leaves one row for each key, and nothing that is only for staging. */
  async deduplicate(transaction: Transaction, staging: string): Promise<void> {
    const newest = this.#version(quoteName('staged'))
    const order = [...(newest === undefined ? [] : [`${newest} DESC NULLS LAST`]), `${ARRIVAL} DESC`]
    const keys = this.#options.primary_key.map((name) => this.#field(name)).join(', ')
    await transaction.query(
      `DELETE FROM ${staging} USING
         (SELECT ctid AS at, row_number() OVER (PARTITION BY ${keys} ORDER BY ${order.join(', ')}) AS place
          FROM ${staging} AS staged) AS ranked
       WHERE ${staging}.ctid = ranked.at AND ranked.place > 1;
       ALTER TABLE ${staging} DROP CONSTRAINT ${NO_NULL}, DROP COLUMN ${ARRIVAL}`,
    )
  }

  /** By which the database itself refuses a second row, and finds the first. Needs no lock when it is there. */
  async ensureIndex(transaction: Transaction, schema: string, table: string): Promise<void> {
    const name = derivedName(table, 'key', JSON.stringify([this.#options.unnest, this.#options.primary_key]))
    const { rows } = await transaction.query('SELECT to_regclass($1) IS NOT NULL AS found', [qualified(schema, name)])
    if (rows[0]?.found === true) return
    await transaction.query(`CREATE UNIQUE INDEX ${quoteName(name)} ON ${qualified(schema, table)} (${this.#keys()})`)
  }

  /** `staging` has one row for each key. */
  async merge(transaction: Transaction, main: string, staging: string, columns: readonly Column[]): Promise<void> {
    const list = listOf(columns)
    const set = columns.map(({ name }) => `${quoteName(name)} = EXCLUDED.${quoteName(name)}`).join(', ')
    const [is, was] = [this.#version('EXCLUDED'), this.#version('held')]
    const guard = is === undefined ? '' : ` WHERE ${was} IS NULL OR ${is} >= ${was}`
    await transaction.query(
      `INSERT INTO ${main} AS held (${list}) SELECT ${list} FROM ${staging}
       ON CONFLICT (${this.#keys()}) DO UPDATE SET ${set}${guard}`,
    )
  }

  #keys(): string {
    return this.#options.primary_key
      .map((name) => (this.#options.unnest ? this.#field(name) : `(${this.#plain(name)})`))
      .join(', ')
  }

  /** Null, also that of JSON, is null. */
  #field(name: string, of?: string): string {
    const plain = this.#plain(name, of)
    return this.#options.unnest ? plain : `nullif(${plain}, 'null')`
  }

  #plain(name: string, of?: string): string {
    const from = of === undefined ? '' : `${of}.`
    return this.#options.unnest ? `${from}${quoteName(name)}` : `${from}source_data -> ${quoteText(name)}`
  }

  /** Undefined: nothing says which is newer. */
  #version(of: string): string | undefined {
    const { cursor_field: field, metadata } = this.#options
    if (field !== undefined) return this.#field(field, of)
    return metadata === 'bizon' ? `${of}.source_timestamp` : undefined
  }
}

/** Undefined: rows are only added. */
export function keyOf(options: PostgresOptions): Key | undefined {
  return options.primary_key.length === 0 ? undefined : new Key(options)
}
