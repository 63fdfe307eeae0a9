// `replace_scope` in PostgreSQL.

import { type Queries, quoteName, quoteText } from '../../postgres.ts'
import { namingOf } from '../naming.ts'
import { scopeConditions } from '../scope.ts'
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
    const from = `${staging} AS staged`
    for (const where of scopeConditions({ held, staged, from, same: 'IS NOT DISTINCT FROM' })) {
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
