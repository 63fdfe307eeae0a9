// Merging by key: which of two rows with one key stays. In one staging table the newer one, and of two that are equally
// new the later one; against the published table the same, so that an older row that comes late changes nothing.

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import { type Queries, quoteName, quoteText } from '../../postgres.ts'
import { namingOf, uniqueOf } from '../naming.ts'
import { keyFields } from '../schemas.ts'
import type { Column } from './columns.ts'
import type { PostgresOptions } from './config.ts'
import { swallowed } from './errors.ts'
import type { Lists } from './lists.ts'
import { qualified } from './names.ts'
import { TableIndex } from './table-index.ts'
import { countRows, listOf } from './tables.ts'

/** Names of the constraints by which a staging table refuses a row without a key, or with a cursor of another type. */
export const NO_NULL = '_bizon_key_is_not_null'
export const CURSOR = '_bizon_cursor_has_its_type'
export const ARRIVAL = '_bizon_arrival'

const CURSOR_TYPES = { timestamp: 'timestamptz', number: 'numeric' } as const

export class Key {
  readonly #options: PostgresOptions
  readonly #lists: Lists | undefined
  /** Column of the payload, where it is whole. */
  readonly #payload: string
  /** By which the database itself refuses a second row, and finds the first. */
  readonly index: TableIndex

  constructor(options: PostgresOptions, lists: Lists | undefined) {
    this.#options = options
    this.#lists = lists
    this.#payload = namingOf(options).payload
    this.index = new TableIndex('key', uniqueOf(options), this.#keys(), true)
  }

  /**
   * What a staging table has until its rows are merged: checks, at which COPY stops, since a row without a key cannot
   * be merged; and the order of arrival, which the place of a row in a table does not tell.
   */
  async prepare(connection: Queries, staging: string): Promise<void> {
    const fields = this.#options.primary_key.map((name) => `${this.#field(name)} IS NOT NULL`)
    const version = this.#version()
    await connection.query(
      `ALTER TABLE ${staging} ADD CONSTRAINT ${NO_NULL} CHECK (${fields.join(' AND ')}),
         ${version === undefined ? '' : `ADD CONSTRAINT ${CURSOR} CHECK (${version} IS NULL OR ${version} IS NOT NULL),`}
         ADD COLUMN ${ARRIVAL} bigint GENERATED ALWAYS AS IDENTITY`,
    )
  }

  /** Whether a table with such columns can have it. */
  isIn(columns: { has(name: string): boolean }): boolean {
    if (this.#options.unnest !== 'columns') return true
    return !this.#lists?.isIn(columns) && keyFields(this.#options).every((name) => columns.has(name))
  }

  /** Leaves one row for each key, and nothing that is only for staging. */
  async deduplicate(connection: Queries, staging: string): Promise<void> {
    const newest = this.#version(quoteName('staged'))
    const order = [...(newest === undefined ? [] : [`${newest} DESC NULLS LAST`]), `${ARRIVAL} DESC`]
    const keys = this.#options.primary_key.map((name) => this.#field(name)).join(', ')
    const removal = `DELETE FROM ${staging} AS double USING
         (SELECT ctid AS at, row_number() OVER (PARTITION BY ${keys} ORDER BY ${order.join(', ')}) AS place
          FROM ${staging} AS staged) AS ranked
       WHERE double.ctid = ranked.at AND ranked.place > 1`
    if (this.#lists) await this.#lists.leave(connection, removal, 'double')
    else await connection.query(removal)
    await connection.query(
      `ALTER TABLE ${staging} DROP CONSTRAINT ${NO_NULL}, DROP CONSTRAINT IF EXISTS ${CURSOR}, DROP COLUMN ${ARRIVAL}`,
    )
  }

  /** `staging` has one row for each key. */
  async merge(
    connection: Queries,
    schema: string,
    table: string,
    staging: string,
    columns: readonly Column[],
  ): Promise<void> {
    const list = listOf(columns)
    const set = columns.map(({ name }) => `${quoteName(name)} = EXCLUDED.${quoteName(name)}`).join(', ')
    const [is, was] = [this.#version('EXCLUDED'), this.#version('held')]
    const guard = is === undefined ? '' : ` WHERE ${was} IS NULL OR ${is} >= ${was}`
    await this.#takeLists(connection, qualified(schema, table), staging)
    const { count } = await connection.query(
      `INSERT INTO ${qualified(schema, table)} AS held (${list}) SELECT ${list} FROM ${staging}
       ON CONFLICT (${this.#keys()}) DO UPDATE SET ${set}${guard}`,
    )
    // With a guard those that are older are not counted either, unless they have left before with their lists.
    if (guard !== '' && !this.#lists) return
    const sent = await countRows(connection, staging)
    if (count !== sent) throw swallowed(table, count, sent)
  }

  /** Their rows go with those that are replaced, and do not come with those that are older. */
  async #takeLists(connection: Queries, main: string, staging: string): Promise<void> {
    if (!this.#lists) return
    const names = this.#options.primary_key
    const same = names.map((name) => `${this.#field(name, 'held')} = ${this.#field(name, 'staged')}`).join(' AND ')
    const [is, was] = [this.#version('staged'), this.#version('held')]
    if (is !== undefined) {
      const older = `(${was} IS NULL OR ${is} >= ${was}) IS NOT TRUE`
      const removal = `DELETE FROM ${staging} AS staged USING ${main} AS held WHERE ${same} AND ${older}`
      await this.#lists.leave(connection, removal, 'staged')
    }
    await this.#lists.replace(connection, `FROM ${main} AS held JOIN ${staging} AS staged ON ${same}`)
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
    return this.#options.unnest ? `${from}${quoteName(name)}` : `${from}${this.#payload} -> ${quoteText(name)}`
  }

  /** Undefined: nothing but the order of arrival says which is newer. */
  #version(of?: string): string | undefined {
    const { cursor_field: field, cursor_type: type, unnest } = this.#options
    if (field === undefined) return undefined
    if (type === 'value') return this.#field(field, of)
    const text = unnest
      ? `${this.#plain(field, of)}::text`
      : this.#plain(field, of).replace(`${this.#payload} -> `, `${this.#payload} ->> `)
    return `(${text})::${CURSOR_TYPES[type]}`
  }
}

/** Undefined: rows are only added. */
export function keyOf(options: PostgresOptions, lists: Lists | undefined): Key | undefined {
  const { primary_key: key, cursor_field: cursor, cursor_type: type } = options
  if (cursor === undefined && type !== 'value') {
    throw new InvalidKey(inDestination('cursor_type'), 'is given, and no cursor_field', {
      hint: 'Name the field in cursor_field.',
    })
  }
  return key.length === 0 ? undefined : new Key(options, lists)
}
