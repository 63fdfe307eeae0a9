// Work done by SQLite: each statement is answered at once.

import type { Database } from '../../sqlite.ts'
import { formatTime } from '../rows.ts'
import type { Answer, Statement, Work } from '../work.ts'

/** Gives its SQL the words that PostgreSQL has and SQLite has not. */
export function addFunctions(database: Database): void {
  database.function('now', { deterministic: false }, () => formatTime(new Date()))
}

export function perform<Result>(database: Database, work: Work<Result>): Result {
  let step = work.next()
  while (!step.done) step = work.next(answerTo(database, step.value))
  return step.value
}

function answerTo(database: Database, { sql, values, each }: Statement): Answer {
  const statement = database.prepare<unknown[]>(sql)
  if (!statement.reader) return { rows: [], changes: statement.run(...values).changes }
  if (!each) return { rows: statement.all(...values), changes: 0 }
  for (const row of statement.iterate(...values)) if (!each(row)) break
  return { rows: [], changes: 0 }
}
