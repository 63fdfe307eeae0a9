// Replacing by scope: the rows of the published table whose values in the fields of `replace_scope` occur among the staged
// rows go, and the staged rows come, in the transaction that publishes. Null is a scope of its own, and so is a field that is
// missing.

import { namingOf } from '../naming.ts'
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
    const [ours, theirs] = [this.#fields(main), this.#fields(staging)]
    const isNull = (fields: readonly string[]): string => fields.map((field) => `${field} IS NULL`).join(' OR ')
    const among = `(${ours.join(', ')}) IN (SELECT ${theirs.join(', ')} FROM ${quoteName(staging)})`
    const names = theirs.map((field, at) => `${field} AS scope_${at}`).join(', ')
    const same = ours.map((field, at) => `${field} IS scope_${at}`).join(' AND ')
    const scopes = `SELECT DISTINCT ${names} FROM ${quoteName(staging)} WHERE ${isNull(theirs)}`
    for (const where of [among, `(${isNull(ours)}) AND EXISTS (SELECT 1 FROM (${scopes}) WHERE ${same})`]) {
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
