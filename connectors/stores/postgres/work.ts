// Work done by PostgreSQL: each statement is sent, and its answer waited for.

import type { Queries } from '../../postgres.ts'
import type { Answer, Statement, Work } from '../work.ts'

/** Rows that come at a time where there may be many. */
const BATCH = 1000

export async function perform<Result>(queries: Queries, work: Work<Result>): Promise<Result> {
  let step = work.next()
  while (!step.done) step = work.next(await answerTo(queries, step.value))
  return step.value
}

async function answerTo(queries: Queries, { sql, values, each }: Statement): Promise<Answer> {
  const text = numbered(sql)
  if (each) {
    await queries.query(`DECLARE bizon_rows NO SCROLL CURSOR FOR ${asJson(text)}`, values)
    for (let more = true; more; ) {
      const { rows } = await queries.query(`FETCH ${BATCH} FROM bizon_rows`)
      more = rows.every(({ row }) => each(row)) && rows.length === BATCH
    }
    await queries.query('CLOSE bizon_rows')
    return { rows: [], changes: 0 }
  }
  const isSelect = text.startsWith('SELECT')
  const { rows, count } = await queries.query(isSelect ? asJson(text) : text, values)
  return { rows: rows.map(({ row }) => row), changes: isSelect ? 0 : count }
}

function numbered(sql: string): string {
  let n = 0
  return sql.replaceAll('?', () => `$${++n}`)
}

/** Times and whole numbers come as SQLite has them: the client would make dates in a time zone of its own of the ones. */
function asJson(select: string): string {
  return `SELECT row_to_json(found) AS row FROM (${select}) AS found`
}
