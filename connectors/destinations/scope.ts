// Replacing by scope: the rows of the published table whose values in the fields of `replace_scope` occur among the staged
// rows go, and the staged rows come, in the transaction that publishes. Null is a scope of its own, and so is a field that is
// missing.

export interface Scopes {
  /** The fields, of a published row and of a staged one. */
  readonly held: readonly string[]
  readonly staged: readonly string[]
  /** The staged rows, as the fields call them. */
  readonly from: string
  /** What holds between two values that are equal, or both null. */
  readonly same: 'IS' | 'IS NOT DISTINCT FROM'
}

/**
 * Which published rows are in a scope of the staged ones, as two conditions: scopes without nulls by equality, for which
 * databases have good plans; the others, which are few, one by one.
 */
export function scopeConditions({ held, staged, from, same }: Scopes): readonly [string, string] {
  const isNull = (fields: readonly string[]): string => fields.map((field) => `${field} IS NULL`).join(' OR ')
  const among = `(${held.join(', ')}) IN (SELECT ${staged.join(', ')} FROM ${from})`
  const names = staged.map((field, at) => `${field} AS scope_${at}`).join(', ')
  const scopes = `SELECT DISTINCT ${names} FROM ${from} WHERE ${isNull(staged)}`
  const equal = held.map((field, at) => `${field} ${same} scope_${at}`).join(' AND ')
  return [among, `(${isNull(held)}) AND EXISTS (SELECT 1 FROM (${scopes}) AS scopes WHERE ${equal})`]
}
