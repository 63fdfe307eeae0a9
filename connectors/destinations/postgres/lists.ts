// `unnest: tables` where records are merged. Rows of lists have no key: they go with the row of their record. Where that is
// replaced, so are they; where it is the older one itself, they do not come.

import { type Queries, quoteName } from '../../postgres.ts'
import { linksOf, recordsFirst } from '../child-tables.ts'
import { namingOf } from '../naming.ts'
import type { PostgresOptions } from './config.ts'
import { swallowed, undeleted } from './errors.ts'
import { qualified } from './names.ts'
import { TableIndex } from './table-index.ts'
import { countRows, findTable } from './tables.ts'

/** Ids of records' rows that are gone, until the transaction ends: published ones, and staged ones that never will be. */
const GONE = 'pg_temp._bizon_gone'

export class Lists {
  /** By which the rows of a record are found. */
  readonly index: TableIndex
  /** Column of rows of lists with the id of the record's row. */
  readonly #root: string
  /** Column of the record's row with that id; quoted. */
  readonly #rowId: string

  constructor(options: PostgresOptions) {
    this.#root = linksOf(options).root
    this.#rowId = quoteName(String(namingOf(options).rowId))
    this.index = new TableIndex('root', this.#root, quoteName(this.#root), false)
  }

  /** Whether a table with such columns has rows of lists. */
  isIn(columns: { has(name: string): boolean }): boolean {
    return columns.has(this.#root)
  }

  recordsFirst<Table>(tables: Iterable<Table>, columnsOf: (table: Table) => Iterable<string>): Table[] {
    return recordsFirst(tables, (table) => this.isIn(new Set(columnsOf(table))))
  }

  /** Once in a transaction, before anything else. */
  async begin(transaction: Queries): Promise<void> {
    await transaction.query(`CREATE TEMP TABLE _bizon_gone (id text, published boolean NOT NULL) ON COMMIT DROP`)
  }

  /** `removal`: a DELETE of staged rows that give way, without its end; `of`: how it calls their table. */
  async leave(transaction: Queries, removal: string, of: string): Promise<void> {
    await transaction.query(
      `WITH gone AS (${removal} RETURNING ${of}.${this.#rowId} AS id) INSERT INTO ${GONE} SELECT id, false FROM gone`,
    )
  }

  /** `from`: the published rows that are about to be replaced, from FROM on, called `held`. */
  async replace(transaction: Queries, from: string): Promise<void> {
    await transaction.query(`INSERT INTO ${GONE} SELECT held.${this.#rowId}, true ${from}`)
  }

  /** Removes the rows of staged records that gave way from what is staged. */
  async clearStaged(transaction: Queries, staging: string, table: string): Promise<void> {
    await this.#clear(transaction, staging, table, 'NOT gone.published')
  }

  /** Removes the rows of records that are replaced from what is published. */
  async clearPublished(transaction: Queries, main: string, table: string): Promise<void> {
    await this.#clear(transaction, main, table, 'gone.published')
  }

  /** The staged rows become published ones. `columns`: of both, as a list. */
  async add(transaction: Queries, schema: string, table: string, staging: string, columns: string): Promise<void> {
    const main = qualified(schema, table)
    await this.clearStaged(transaction, staging, table)
    await this.clearPublished(transaction, main, table)
    const sent = await countRows(transaction, staging)
    const { count } = await transaction.query(`INSERT INTO ${main} (${columns}) SELECT ${columns} FROM ${staging}`)
    if (count !== sent) throw swallowed(table, count, sent)
  }

  /** The same in tables that no row comes for. */
  async clearOthers(
    transaction: Queries,
    schema: string,
    tables: Iterable<readonly [table: string, columns: readonly string[]]>,
  ): Promise<void> {
    for (const [table, columns] of tables) {
      if (!this.isIn(new Set(columns)) || !(await findTable(transaction, schema, table))) continue
      const main = qualified(schema, table)
      await transaction.query(`LOCK TABLE ${main} IN SHARE ROW EXCLUSIVE MODE`)
      await this.clearPublished(transaction, main, table)
    }
  }

  /** Rejects when a row stays. */
  async #clear(transaction: Queries, name: string, table: string, which: string): Promise<void> {
    const where = `${GONE} AS gone WHERE ${which} AND item.${quoteName(this.#root)} = gone.id`
    await transaction.query(`DELETE FROM ${name} AS item USING ${where}`)
    const { rows } = await transaction.query(`SELECT count(*)::text AS count FROM ${name} AS item, ${where}`)
    const left = Number(rows[0]?.count)
    if (left > 0) throw undeleted(table, left)
  }
}

/** Undefined: there are no lists, or their rows are only added or all replaced. */
export function listsOf(options: PostgresOptions): Lists | undefined {
  return options.unnestDepth === undefined || options.primary_key.length === 0 ? undefined : new Lists(options)
}
