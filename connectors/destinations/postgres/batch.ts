// The rows since the last checkpoint. They gather in memory, go to the server in one transaction as segments of some
// megabytes, and are kept until its COMMIT, so that the transaction can be done again; a batch that is too large for
// that is sent all the same, and can then be done once only.

import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { memorySizes } from '../../../lib/memory.ts'
import type { Step } from '../columns/table.ts'
import { isDirect } from '../recovery.ts'
import type { Column, Rows, TableColumns } from './columns.ts'
import type { Segment } from './copy.ts'
import { recordError, swallowed } from './errors.ts'
import { carryOut } from './follow.ts'
import { derivedName, qualified } from './names.ts'
import { othersIn, type Site } from './publish.ts'
import type { Transaction } from './session.ts'
import { stagingName } from './staging.ts'
import type { StagedTable, TableState } from './state.ts'
import { createTable, listOf } from './tables.ts'

const NOTHING: Segment = { chunks: [], ids: [], bytes: 0, options: '' }

/** What is sent first after a checkpoint is so many times less than what is sent at most. */
const FIRST_PART = 8

interface Sent {
  readonly table: string
  readonly segment: Segment
  /** Those that the rows of the segment have. */
  readonly columns: readonly Column[]
  /** What the table is given before further rows come, instead of rows. */
  readonly step?: Step
}

export class Batch {
  readonly #site: Site
  readonly #waiting = new Map<string, { readonly rows: Rows; readonly columns: readonly Column[] }>()
  /** In the order in which they were sent. */
  #segments: Sent[] = []
  #bytes = 0
  /** Bytes that were gathered since the last checkpoint, in memory or not. */
  #total = 0
  #rows = new Map<string, number>()
  /** The transaction that has the segments, and how many of them. */
  #sent: { readonly transaction: Transaction; count: number; readonly into: Map<string, string> } | undefined
  #canRepeat = true

  /** Tables that were made ready by this process, in a transaction of their own. */
  readonly #begun = new Set<string>()
  readonly #begin: (table: string) => Promise<void>

  constructor(site: Site, begin: (table: string) => Promise<void>) {
    this.#site = site
    this.#begin = begin
  }

  /** `columns`: the table's, as they are now. */
  rowsOf(table: string, columns: TableColumns): Rows {
    let waiting = this.#waiting.get(table)
    if (!waiting) {
      waiting = { rows: columns.newRows(), columns: columns.all }
      this.#waiting.set(table, waiting)
    }
    return waiting.rows
  }

  /**
   * Whether so much waits that it should be sent. Behind a checkpoint that is soon, because the server has nothing to do; then
   * more and more, which takes fewer statements.
   */
  get isRipe(): boolean {
    let bytes = 0
    for (const { rows } of this.#waiting.values()) bytes += rows.bytes
    const most = memorySizes().gathered / 2
    return bytes >= Math.min(most, Math.max(most / FIRST_PART, this.#total))
  }

  /** The table is replaced also when no row comes for it. */
  mention(table: string): void {
    if (this.#rows.has(table)) return
    this.#rows.set(table, 0)
    this.#segments.push({ table, segment: NOTHING, columns: this.#site.columnsOf(table) })
  }

  /** What gathers from here on needs the columns that rows have now; what waits has those before. */
  change(table: string, step: Step): void {
    this.gather()
    this.#segments.push({ table, segment: NOTHING, columns: this.#site.columnsOf(table), step })
  }

  /** What waits becomes segments. */
  gather(): void {
    for (const [table, { rows, columns }] of this.#waiting) {
      const segment = rows.take()
      this.#segments.push({ table, segment, columns })
      this.#bytes += segment.bytes
      this.#total += segment.bytes
      this.#rows.set(table, (this.#rows.get(table) ?? 0) + segment.ids.length)
    }
    this.#waiting.clear()
  }

  /**
   * Brings every segment into the transaction; those that are there already are not sent again. `begun` is called when rows
   * are on their way.
   */
  async send(transaction: Transaction, state: TableState, begun?: () => void): Promise<void> {
    if (this.#sent?.transaction !== transaction) {
      if (this.#sent && !this.#canRepeat) throw new TooLarge()
      this.#sent = { transaction, count: 0, into: new Map() }
    }
    const sent = this.#sent
    for (; sent.count < this.#segments.length; sent.count++) {
      const { table, segment, columns, step } = this.#segments[sent.count] as Sent
      if (step) {
        await this.begin(table)
        const into = sent.into.get(table) ?? this.#lasting(state, table)
        await carryOut(transaction, this.#site, { table, into, state, columns, step })
        continue
      }
      const into = sent.into.get(table) ?? (await this.#tableFor(transaction, state, table, columns))
      sent.into.set(table, into)
      if (segment.chunks.length === 0) continue
      try {
        const count = await transaction.copy(
          `COPY ${into} (${listOf(columns)}) FROM STDIN${segment.options}`,
          segment.chunks,
          begun,
        )
        if (count !== segment.ids.length) throw swallowed(table, count, segment.ids.length)
      } catch (error) {
        throw recordError(error, segment.ids, table) ?? error
      }
      faultPoint('stage.mid')
    }
    // What is kept for a second time, at most.
    if (this.#bytes > 2 * memorySizes().gathered) this.#forget()
  }

  /** What the state says of tables once this batch is committed. */
  tables(state: TableState): TableState['tables'] {
    const tables: Record<string, StagedTable> = { ...state.tables }
    for (const [table, rows] of this.#rows) {
      const before = tables[table]
      tables[table] = {
        staging: before?.staging ?? stagingName(state, table),
        rows: (before?.rows ?? 0) + rows,
        ...this.#site.writtenTo(table),
      }
    }
    return tables
  }

  /** Rows that were put into a temporary table rather than a staging table, for the merge. */
  async merge(transaction: Transaction, state: TableState): Promise<void> {
    const { key, lists, options } = this.#site
    if (!key || !isDirect(state)) return
    const { schema } = options
    const sent = [...(this.#sent?.into ?? [])]
    const namesOf = (table: string) => this.#site.columnsOf(table).map(({ name }) => name)
    if (sent.length > 0) await lists?.begin(transaction)
    for (const [table, into] of lists?.recordsFirst(sent, ([table]) => namesOf(table)) ?? sent) {
      const columns = this.#site.columnsOf(table)
      if (lists?.isIn(new Set(namesOf(table)))) await lists.add(transaction, schema, table, into, listOf(columns))
      else {
        await key.deduplicate(transaction, into)
        await key.merge(transaction, schema, table, into, columns)
      }
    }
    if (sent.length > 0)
      await lists?.clearOthers(transaction, schema, othersIn(state.published, Object.fromEntries(sent)))
  }

  /** Its transaction is committed. */
  done(): void {
    this.#segments = []
    this.#bytes = 0
    this.#total = 0
    this.#rows.clear()
    this.#sent = undefined
    this.#canRepeat = true
  }

  #forget(): void {
    this.#canRepeat = false
    this.#segments = this.#segments.map((sent) => ({ ...sent, segment: NOTHING }))
    this.#bytes = 0
  }

  /** Makes a table ready, once. */
  async begin(table: string): Promise<void> {
    if (this.#begun.has(table)) return
    await this.#begin(table)
    this.#begun.add(table)
  }

  /** The table that takes the rows and outlasts the transaction; undefined: there is none, rows are merged. */
  #lasting(state: TableState, table: string): string | undefined {
    const { options, key } = this.#site
    const staging = stagingName(state, table)
    if (staging !== null) return qualified(options.schema, staging)
    return key ? undefined : qualified(options.schema, table)
  }

  /** The table that takes the rows: a staging table; where they are to be seen at once the published one, or one to merge from. */
  async #tableFor(
    transaction: Transaction,
    state: TableState,
    table: string,
    columns: readonly Column[],
  ): Promise<string> {
    const { options, key } = this.#site
    await this.begin(table)
    const lasting = this.#lasting(state, table)
    if (lasting !== undefined || !key) return lasting ?? qualified(options.schema, table)
    const temporary = qualified('pg_temp', derivedName(table, 'batch', state.run))
    await createTable(transaction, temporary, columns, 'ON COMMIT DROP')
    if (key.isIn(new Set(columns.map(({ name }) => name)))) await key.prepare(transaction, temporary)
    return temporary
  }
}

/** The connection was lost, and the batch is not in memory any more. */
export class TooLarge extends Error {}

export function lostBatch(place: string): BizonError {
  return new BizonError(
    'destination',
    `a large batch for ${place} could not be finished: the connection was lost, or the server undid the transaction`,
    {
      hint: 'Run again: the run goes on from its last checkpoint. A smaller buffer_size makes batches that are sent again.',
      retriable: true,
    },
  )
}
