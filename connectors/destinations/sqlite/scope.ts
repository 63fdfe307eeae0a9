// `replace_scope` in SQLite.

import { namingOf } from '../naming.ts'
import { scopeConditions } from '../scope.ts'
import type { SqliteOptions } from './config.ts'
import { keyOf } from './merge.ts'
import { quoteName } from './names.ts'
import type { Session } from './session.ts'
import { undeleted } from './tables.ts'

export class Scope {
  readonly #options: SqliteOptions

  constructor(options: SqliteOptions) {
    this.#options = options
  }

  /** Removes the rows of `main` that are in a scope of `staging`. Rejects when one stays. */
  async clear(session: Session, main: string, staging: string): Promise<void> {
    const [held, staged] = [this.#fields(main), this.#fields(staging)]
    for (const where of scopeConditions({ held, staged, from: quoteName(staging), same: 'IS' })) {
      await session.change(`DELETE FROM ${quoteName(main)} WHERE ${where}`)
      const [row] = await session.read(`SELECT count(*) AS count FROM ${quoteName(main)} WHERE ${where}`)
      const left = Number(row?.count)
      if (left > 0) throw undeleted(main, left)
    }
  }

  #fields(table: string): string[] {
    const { replace_scope: names, unnest } = this.#options
    const of = quoteName(table)
    const payload = `${of}.${namingOf(this.#options).payload}`
    return names.map((name) => (unnest ? `${of}.${quoteName(name)}` : `nullif(${keyOf(payload, name)}, 'null')`))
  }
}
