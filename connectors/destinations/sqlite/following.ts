// `unnest: columns`, for all tables of a run: each page's records are looked at before their rows are made, and what their
// tables lack is done in the transaction, behind the rows that came before.

import type { Page } from '../../../lib/source.ts'
import { kindsOfSchema } from '../columns/kinds.ts'
import { type Context, recordsByTable, schemaOf, type Tables, warnLeftOut } from '../columns/page.ts'
import type { Step } from '../columns/table.ts'
import type { Batch } from './batch.ts'
import { type Column, TableColumns } from './columns.ts'
import { columnsOfKinds, FollowedTable } from './follow.ts'
import { quoteName } from './names.ts'
import type { Site } from './recover.ts'
import type { Kinds, TableState } from './state.ts'

export interface Around extends Tables {
  readonly state: TableState
  readonly batch: Batch
  /** Brings what waits on its way. */
  send(): Promise<void>
  /** Resolves once nothing is on its way any more. */
  sent(): Promise<void>
}

export class Following {
  /** Of every table, whatever its records. */
  readonly fixed: readonly Column[]
  readonly #site: Site
  readonly #context: Context
  /** Those that this process has written to. */
  readonly #tables = new Map<string, FollowedTable>()

  constructor(site: Site, context: Context) {
    this.#site = site
    this.#context = context
    this.fixed = new TableColumns(site.options, site.target).all
  }

  /** Of a table that no record came for: what the source says. */
  columnsOf(table: string): TableColumns {
    const followed = this.#tables.get(table)
    if (followed) return followed.columns
    const { schema = {}, isTransformed } = this.#context
    return new TableColumns(this.#site.options, table, isTransformed ? [] : columnsOfKinds(kindsOfSchema(schema)))
  }

  kindsOf(table: string): Kinds {
    return this.#tables.get(table)?.kinds ?? {}
  }

  /** The table, made ready for its rows when it is first asked for. */
  async tableOf(state: TableState, table: string): Promise<FollowedTable> {
    const followed = this.#tables.get(table) ?? (await FollowedTable.begin(this.#site, state, table))
    this.#tables.set(table, followed)
    return followed
  }

  /** Gives each table of the page the columns that its records need, before any of their rows. */
  async follow(page: Page, around: Around, signal: AbortSignal): Promise<void> {
    const { state, batch, usual, send, sent } = around
    for (const [table, records] of recordsByTable(page.records, around)) {
      if (!this.#tables.has(table)) await sent()
      const followed = await this.tableOf(state, table)
      const step = followed.follow(records, schemaOf(page, this.#context, this.#site.options, { table, usual }))
      if (!step) continue
      warnLeftOut(this.#context, table, step)
      // Rows that wait have the columns as they were.
      await send()
      await sent()
      await this.#site.session.begin(signal)
      await followed.carryOut(step, state)
      batch.change(table)
      this.#warnWidened(table, step)
    }
  }

  #warnWidened(table: string, { widened }: Step): void {
    for (const name of widened.keys()) {
      const cast = `CAST(${quoteName(name)} AS REAL)`
      this.#context.log?.warn(
        `${table}: column ${JSON.stringify(name)} becomes TEXT, which keeps every digit of numbers that are not whole; queries that compare or order it need ${cast}`,
      )
    }
  }
}
