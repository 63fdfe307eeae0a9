// `unnest: columns`, for all tables of a run: each page's records are looked at before their rows are made, and what their
// tables lack goes into the batch before them.

import type { SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import { kindsOfSchema } from '../columns/kinds.ts'
import { type Context, recordsByTable, schemaOf, type Tables, warnLeftOut } from '../columns/page.ts'
import type { Batch } from './batch.ts'
import { TableColumns } from './columns.ts'
import { Watch } from './copy.ts'
import { columnsOfKinds, FollowedTable } from './follow.ts'
import { qualified } from './names.ts'
import type { Site } from './publish.ts'
import type { Transaction } from './session.ts'
import { stagingName } from './staging.ts'
import type { TableState } from './state.ts'

export interface Followed {
  /** With the text that is written. */
  readonly records: readonly SourceRecord[]
  /** Whether the batch has something that should not wait. */
  readonly isChanged: boolean
}

export interface Around extends Tables {
  readonly state: TableState
  readonly batch: Batch
  readonly transact: (work: (transaction: Transaction) => Promise<void>) => Promise<void>
}

export class Following {
  /** Of every table, whatever its records. */
  readonly fixed: TableColumns
  readonly #site: Site
  readonly #context: Context
  readonly #tables = new Map<string, FollowedTable>()

  constructor(site: Site, context: Context) {
    this.#site = site
    this.#context = context
    this.fixed = new TableColumns(site.options, site.target)
  }

  /** Of a table that no record came for: what the source says. */
  columnsOf(table: string): TableColumns {
    const followed = this.#tables.get(table)
    if (followed) return followed.columns
    const { schema = {}, isTransformed } = this.#context
    return new TableColumns(this.#site.options, table, isTransformed ? [] : columnsOfKinds(kindsOfSchema(schema)))
  }

  fieldsOf(table: string): readonly string[] {
    return this.#tables.get(table)?.fields ?? []
  }

  /** The table was made ready. */
  async begin(transaction: Transaction, state: TableState, table: string): Promise<void> {
    this.#tables.set(table, await FollowedTable.find(transaction, this.#site, state, table))
  }

  async follow(page: Page, around: Around): Promise<Followed> {
    const watch = new Watch()
    const records = page.records.map((record) => this.fixed.textOf(record, watch))
    let isChanged = false
    for (const [table, some] of recordsByTable(records, around)) {
      if (await this.#followTable(table, some, page, around)) isChanged = true
    }
    return { records, isChanged }
  }

  async #followTable(table: string, records: readonly SourceRecord[], page: Page, around: Around): Promise<boolean> {
    const { state, batch, usual, transact } = around
    const { options } = this.#site
    if (!this.#tables.has(table)) await transact(() => batch.begin(table))
    const followed = this.#tables.get(table) as FollowedTable
    const before = followed.kinds
    const step = followed.follow(records, schemaOf(page, this.#context, options, { table, usual }))
    if (!step) return false
    warnLeftOut(this.#context, `${options.schema}.${table}`, step)
    if (step.retyped.size > 0) {
      // Their values are in the table once all rows are that came before.
      batch.gather()
      await transact(async (transaction) => {
        await batch.send(transaction, state)
        const into = qualified(options.schema, stagingName(state, table) ?? table)
        await followed.settle(transaction, step, into, before)
      })
    }
    batch.change(table, step)
    return true
  }
}
