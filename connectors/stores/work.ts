// What is asked of a database, told apart from how: statements are yielded, and their answers come back. So that one
// text serves a database that answers at once, inside a transaction that must not wait, and one at the other end of a
// network. The SQL is what SQLite and PostgreSQL both know: `?` for values, `now()` in UTC, `rowid` for the order of
// insertion.

export type Value = string | number | null

export interface Statement {
  readonly sql: string
  readonly values: readonly Value[]
  /** Gets the rows one at a time, for there may be many; false: no more of them. */
  readonly each?: (row: unknown) => boolean
}

export interface Answer {
  readonly rows: readonly unknown[]
  /** How many rows it changed. */
  readonly changes: number
}

export type Work<Result> = Generator<Statement, Result, Answer>

export function* rowsOf<Row>(sql: string, values: readonly Value[]): Work<readonly Row[]> {
  return (yield { sql, values }).rows as readonly Row[]
}

export function* rowOf<Row>(sql: string, values: readonly Value[]): Work<Row | undefined> {
  return (yield* rowsOf<Row>(sql, values))[0]
}

export function* eachRow<Row>(sql: string, values: readonly Value[], each: (row: Row) => boolean): Work<void> {
  yield { sql, values, each: each as (row: unknown) => boolean }
}

/** Resolves to how many rows were changed. */
export function* change(sql: string, values: readonly Value[]): Work<number> {
  return (yield { sql, values }).changes
}
