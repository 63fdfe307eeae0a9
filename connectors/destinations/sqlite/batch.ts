// The rows since the last checkpoint. They gather in memory and go into the transaction in segments of about a
// megabyte: one is on its way while the next one gathers.

import { faultPoint } from '../../../lib/fault.ts'
import { isDirect } from '../recovery.ts'
import { Cells, insertOf, type Segment, Spare } from './cells.ts'
import { dropKeys } from './merge.ts'
import { derivedName } from './names.ts'
import { checkMain, checkRows, type Site } from './recover.ts'
import type { StagedTable, TableState } from './state.ts'
import { creationOf, findTable, prepareTable, swallowed } from './tables.ts'

const SEGMENT_BYTES = 1 << 20

interface Gathered {
  readonly table: string
  /** Undefined: the table is only named. */
  readonly segment: Segment | undefined
}

export class Batch {
  readonly #site: Site
  readonly #waiting = new Map<string, Cells>()
  readonly #spare = new Spare()
  #mentioned: string[] = []
  #rows = new Map<string, number>()
  /** INSERT into the table that takes the rows, which is there, in the transaction that is open. */
  #inserts = new Map<string, string>()

  constructor(site: Site) {
    this.#site = site
  }

  cellsOf(table: string): Cells {
    let cells = this.#waiting.get(table)
    if (!cells) {
      cells = new Cells(this.#site.columnsOf(table).all.length, this.#spare)
      this.#waiting.set(table, cells)
    }
    return cells
  }

  /** Whether so much waits that it should be sent. */
  get isRipe(): boolean {
    let bytes = 0
    for (const cells of this.#waiting.values()) bytes += cells.bytes
    return bytes >= SEGMENT_BYTES
  }

  /** The table is replaced also when no row comes for it. */
  mention(table: string): void {
    if (!this.#rows.has(table)) this.#mentioned.push(table)
  }

  /** Takes what waits, and brings it into the transaction. */
  send(state: TableState, signal?: AbortSignal): Promise<void> {
    const gathered: Gathered[] = this.#mentioned.map((table) => ({ table, segment: undefined }))
    this.#mentioned = []
    for (const [table, cells] of this.#waiting) {
      if (cells.rows === 0) this.#waiting.delete(table)
      else gathered.push({ table, segment: cells.take() })
    }
    for (const { table, segment } of gathered)
      this.#rows.set(table, (this.#rows.get(table) ?? 0) + (segment?.rows ?? 0))
    return this.#insert(gathered, state, signal)
  }

  /** The table has other columns from here on. What waits must have been sent. */
  change(table: string): void {
    this.#waiting.delete(table)
    this.#inserts.delete(table)
  }

  /** What the state says of tables once this batch is committed. */
  tables(state: TableState): TableState['tables'] {
    const tables: Record<string, StagedTable> = { ...state.tables }
    for (const [table, rows] of this.#rows) {
      const before = tables[table]
      tables[table] = {
        staging: before?.staging ?? stagingOf(state, table),
        rows: (before?.rows ?? 0) + rows,
        ...this.#site.writtenTo(table),
      }
    }
    return tables
  }

  /** Its transaction is committed. */
  done(): void {
    this.#rows = new Map()
    this.#inserts = new Map()
  }

  async #insert(gathered: readonly Gathered[], state: TableState, signal?: AbortSignal): Promise<void> {
    const { session, key } = this.#site
    if (gathered.length > 0) await session.begin(signal)
    for (const { table, segment } of gathered) {
      const insert = this.#inserts.get(table) ?? (await this.#tableFor(state, table))
      this.#inserts.set(table, insert)
      if (!segment) continue
      const count = await session.insert(insert, segment)
      if (count !== segment.rows && !(key && isDirect(state) && this.#site.options.cursor_field !== undefined)) {
        throw swallowed(table, count, segment.rows)
      }
      faultPoint('stage.mid')
    }
  }

  /** Makes the table that takes the rows: a staging table, new with the first of them; where they are to be seen at once the published one. */
  async #tableFor(state: TableState, table: string): Promise<string> {
    const { session, key, followed } = this.#site
    if (followed) {
      const { into, columns } = await followed(state, table)
      const names = columns.all.map(({ name }) => name)
      const isMerged = key !== undefined && isDirect(state)
      return insertOf(into, names, true, isMerged ? `WHERE true ${key.conflict(table, columns.all)}` : undefined)
    }
    const { all, nullable } = this.#site.columnsOf(table)
    const names = all.map(({ name }) => name)
    if (!(table in state.tables)) await checkMain(this.#site, state, table)
    if (isDirect(state)) {
      const found = await findTable(session, table)
      if (found) checkRows(this.#site.options, found, table)
      await prepareTable(session, table, all)
      if (key) await key.ensureIndex(session, table)
      else await dropKeys(session, table)
      return insertOf(table, names, nullable, key && `WHERE true ${key.conflict(table, all)}`)
    }
    const staging = state.tables[table]?.staging ?? derivedName(table, 'staging', state.run)
    if (table in state.tables) await prepareTable(session, staging, all)
    else await session.change(creationOf(staging, all))
    return insertOf(staging, names, nullable)
  }
}

function stagingOf(state: TableState, table: string): string | null {
  return isDirect(state) ? null : derivedName(table, 'staging', state.run)
}
