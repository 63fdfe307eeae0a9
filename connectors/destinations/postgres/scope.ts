// Replacing by scope: the rows of the published table whose values in the fields of `replace_scope` occur among the staged
// rows go, and the staged rows come, in the transaction that publishes. Null is a scope of its own, and so is a field that is
// missing.

import { type Queries, quoteName, quoteText } from '../../postgres.ts'
import { namingOf } from '../naming.ts'
import type { PostgresOptions } from './config.ts'
import { undeleted } from './errors.ts'

export class Scope {
  readonly #options: PostgresOptions

  constructor(options: PostgresOptions) {
    this.#options = options
  }

  /** Removes the rows of `main` that are in a scope of `staging`. Rejects when one stays. */
  async clear(connection: Queries, main: string, staging: string, table: string): Promise<void> {
    const [held, staged] = [this.#fields('held'), this.#fields('staged')]
    const isNull = (fields: readonly string[]): string => fields.map((field) => `${field} IS NULL`).join(' OR ')
    // Scopes without nulls by equality, for which the server has good plans; the others, which are few, one by one.
    const among = `(${held.join(', ')}) IN (SELECT ${staged.join(', ')} FROM ${staging} AS staged)`
    const names = staged.map((field, at) => `${field} AS scope_${at}`).join(', ')
    const scopes = `SELECT DISTINCT ${names} FROM ${staging} AS staged WHERE ${isNull(staged)}`
    const same = held.map((field, at) => `${field} IS NOT DISTINCT FROM scope_${at}`).join(' AND ')
    const withNull = `(${isNull(held)}) AND EXISTS (SELECT FROM (${scopes}) AS scopes WHERE ${same})`
    for (const where of [among, withNull]) {
      await connection.query(`DELETE FROM ${main} AS held WHERE ${where}`)
      const { rows } = await connection.query(`SELECT count(*)::text AS count FROM ${main} AS held WHERE ${where}`)
      const left = Number(rows[0]?.count)
      if (left > 0) throw undeleted(table, left)
    }
  }

  /** Null, also that of JSON, is null. */
  #fields(of: string): string[] {
    const { replace_scope: names, unnest } = this.#options
    const { payload } = namingOf(this.#options)
    return names.map((name) =>
      unnest ? `${of}.${quoteName(name)}` : `nullif(${of}.${payload} -> ${quoteText(name)}, 'null')`,
    )
  }
}
