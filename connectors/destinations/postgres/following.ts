// `unnest: columns`, for all tables of a run: each page's records are looked at before their rows are made, and what their
// tables lack goes into the batch before them.

import type { DestinationContext } from '../../../lib/destination.ts'
import type { SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import { kindsOfSchema } from '../columns/kinds.ts'
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

export interface Around {
  readonly state: TableState
  readonly batch: Batch
  /** A table without rows, that is replaced. */
  readonly mentioned: string | undefined
  /** The table of records that name none. */
  readonly usual: string
  readonly tableOf: (record: SourceRecord) => string
  readonly transact: (work: (transaction: Transaction) => Promise<void>) => Promise<void>
}

export class Following {
  /** Of every table, whatever its records. */
  readonly fixed: TableColumns
  readonly #site: Site
  readonly #context: Pick<DestinationContext, 'schema' | 'isTransformed' | 'log'>
  readonly #tables = new Map<string, FollowedTable>()

  constructor(site: Site, context: Pick<DestinationContext, 'schema' | 'isTransformed' | 'log'>) {
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
    const byTable = new Map<string, SourceRecord[]>()
    if (around.mentioned !== undefined) byTable.set(around.mentioned, [])
    for (const record of records) {
      const table = around.tableOf(record)
      const some = byTable.get(table)
      if (some) some.push(record)
      else byTable.set(table, [record])
    }
    let isChanged = false
    for (const [table, some] of byTable) {
      if (await this.#followTable(table, some, page, around)) isChanged = true
    }
    return { records, isChanged }
  }

  async #followTable(table: string, records: readonly SourceRecord[], page: Page, around: Around): Promise<boolean> {
    const { state, batch, usual, transact } = around
    const { schema, isTransformed, log } = this.#context
    const place = `${this.#site.options.schema}.${table}`
    if (!this.#tables.has(table)) await transact(() => batch.begin(table))
    const followed = this.#tables.get(table) as FollowedTable
    const before = followed.kinds
    const isOfRecords = this.#site.options.unnestDepth === undefined || table === usual
    const said = page.stream ? page.stream.schema : schema
    const step = followed.follow(records, isTransformed || !isOfRecords ? undefined : said)
    if (!step) return false
    if (step.leftOut.length > 0) {
      const names = step.leftOut.map((name) => JSON.stringify(name)).join(', ')
      log.warn(`${place}: fields without a column are left out, since on_schema_change is freeze: ${names}`)
    }
    if (step.retyped.size > 0) {
      // Their values are in the table once all rows are that came before.
      batch.gather()
      await transact(async (transaction) => {
        await batch.send(transaction, state)
        const into = qualified(this.#site.options.schema, stagingName(state, table) ?? table)
        await followed.settle(transaction, step, into, before)
      })
    }
    batch.change(table, step)
    return true
  }
}
