// Tables in a SQLite file, exactly once: rows and the checkpoint they reach to are committed by one transaction.
//
//   write   → rows gather in segments (sqlite/cells.ts), and go to a staging table (sqlite/batch.ts)
//   flush   → the rest, then the state row (sqlite/state.ts), then COMMIT
//   publish → replace, append or merge, and the mark of it, in one transaction (sqlite/publish.ts)
//   open    → lock, then put right what a dead process left (sqlite/recover.ts)

import type { Checkpoint, Receipt } from '../../lib/checkpoint.ts'
import {
  type Destination,
  type DestinationContext,
  type DestinationPlan,
  defineDestination,
  type Run,
} from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'
import { faultPoint } from '../../lib/fault.ts'
import { idPrefixOf, idSuffixOf } from '../../lib/row-id.ts'
import type { Page } from '../../lib/source.ts'
import { linksOf, refusesChildTables } from './child-tables.ts'
import { policyOf } from './columns/config.ts'
import { shortest } from './file/paths.ts'
import { namingOf, type PageFacts } from './naming.ts'
import { addsOf } from './plan.ts'
import { timestampOf } from './record.ts'
import { isDirect, namesEmpty } from './recovery.ts'
import { checkKeyColumns, checkScope } from './schemas.ts'
import { Batch } from './sqlite/batch.ts'
import { checkTarget } from './sqlite/check.ts'
import { TableColumns } from './sqlite/columns.ts'
import { config, type SqliteOptions, tuning } from './sqlite/config.ts'
import { Following } from './sqlite/following.ts'
import { listsOf } from './sqlite/lists.ts'
import { keyOfOptions } from './sqlite/merge.ts'
import { checkedTable, foldName, isSameName, STATE_TABLE } from './sqlite/names.ts'
import { planTables } from './sqlite/plan.ts'
import { kindsAfter, publish } from './sqlite/publish.ts'
import { SqliteReader, scratchFile } from './sqlite/reader.ts'
import { recover, type Site } from './sqlite/recover.ts'
import { Scope } from './sqlite/scope.ts'
import { type Seams, Session } from './sqlite/session.ts'
import { StateRow, type TableState } from './sqlite/state.ts'

export type { SqliteOptions } from './sqlite/config.ts'

export default defineDestination({
  summary: 'Tables in a SQLite file, appended to, merged or replaced exactly once.',
  config,
  tuning,
  childTables: { foldName, refuses: refusesChildTables, links: linksOf },
  findsColumns: true,
  parses({ unnest, primary_key: key }) {
    if (unnest) return 'unnest looks for the fields of each record'
    return key.length > 0 ? 'primary_key looks for its fields in each record' : undefined
  },
  adds: addsOf,
  shows: ({ visibility }) => visibility,
  create: (options, context) => new SqliteDestination(options, context),
  reader: (options) => new SqliteReader(options),
  scratch: scratchFile,
})

type Context = Pick<DestinationContext, 'stream' | 'mode' | 'schema' | 'isTransformed'> &
  Partial<Pick<DestinationContext, 'log'>>

export class SqliteDestination implements Destination {
  readonly #context: Context
  readonly #site: Site
  readonly #columns = new Map<string, TableColumns>()
  readonly #following: Following | undefined
  /** The spelling of a table that is used, by destination id: `Events` is `events`. */
  readonly #tables = new Map<string, string>()
  readonly #batch: Batch
  #sending: Promise<void> = Promise.resolve()
  #state: TableState | undefined
  #keepsOthers = false
  /** The id of the next row: half of it is the run's, half is its number. */
  #ids = { prefix: '', next: 0 }
  #failure: { readonly error: unknown } | undefined

  /** `seams` are for tests. */
  constructor(options: SqliteOptions, context: Context, seams?: Seams) {
    this.#context = context
    checkScope(options, context.mode)
    const { path, durability, lock_timeout: lockTimeoutSeconds } = options
    const target = this.#tableOf(options.destinationId.replaceAll('{stream}', context.stream))
    const session = new Session({ path, target, durability, lockTimeoutSeconds }, seams)
    const row = new StateRow(session, target)
    policyOf(options)
    const follows = options.unnest === 'columns'
    const lists = listsOf(options, context.mode)
    this.#site = {
      options,
      session,
      row,
      target,
      key: keyOfOptions(options, lists),
      lists,
      scope: options.replace_scope.length === 0 ? undefined : new Scope(options),
      naming: namingOf(options),
      columnsOf: (table) => this.#columnsOf(table),
      fixedOf: (table) => this.#following?.fixed ?? this.#columnsOf(table).all,
      writtenTo: (table) => (this.#following ? { kinds: this.#following.kindsOf(table) } : {}),
      followed: follows ? (state, table) => (this.#following as Following).tableOf(state, table) : undefined,
    }
    if (follows) this.#following = new Following(this.#site, context)
    if (options.unnest === true) checkKeyColumns(options, (id) => this.#columnsOf(this.#tableOf(id)).all)
    this.#batch = new Batch(this.#site)
  }

  async open(run: Run, signal: AbortSignal): Promise<Checkpoint | undefined> {
    this.#keepsOthers = run.keepsOthers ?? false
    return this.#once(async () => {
      const { session, row } = this.#site
      await session.open(signal)
      await session.begin(signal)
      await row.checkFile()
      await row.createTable()
      const state = await recover(this.#site, run)
      faultPoint('commit.before')
      await this.#commit(state, await row.claim(state))
      for (const table of [...state.published, ...Object.keys(state.tables)]) this.#tableOf(table)
      // A stream that the Python program began is gone on with where it says; it staged nothing that could be used.
      const from = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
      this.#ids = { prefix: idPrefixOf(run.id, run), next: from?.rows ?? 0 }
      return from
    })
  }

  write(page: Page, signal: AbortSignal): Promise<void> {
    return this.#once(async () => {
      signal.throwIfAborted()
      const state = this.#opened()
      if (state.phase !== 'staging') throw new BizonError('internal', 'a published run was written to')
      const facts: PageFacts = {
        extractedAt: timestampOf(page.extractedAt ?? new Date()),
        loadedAt: timestampOf(new Date()),
        run: state.run,
        nextId: () => this.#ids.prefix + idSuffixOf(this.#ids.next++),
      }
      const usual = this.#usual(page)
      const isMention = namesEmpty(page, { keepsOthers: this.#keepsOthers, onEmpty: this.#site.options.on_empty })
      await this.#following?.follow(
        page,
        {
          state,
          batch: this.#batch,
          usual: () => this.#tableOf(usual),
          mentioned: isMention ? this.#tableOf(usual) : undefined,
          tableOf: ({ destinationId = usual }) => this.#tableOf(destinationId),
          send: () => this.#send(state, signal),
          sent: () => this.#sending,
        },
        signal,
      )
      for (const record of page.records) {
        const table = this.#tableOf(record.destinationId ?? usual)
        this.#columnsOf(table).add(record, facts, this.#batch.cellsOf(table))
        if (this.#batch.isRipe) await this.#send(state, signal)
      }
      if (isMention) {
        this.#batch.mention(this.#tableOf(usual))
        await this.#send(state, signal)
      }
    })
  }

  flush(checkpoint: Checkpoint): Promise<Receipt | undefined> {
    return this.#once(async () => {
      const state = this.#opened()
      const { session, row, target } = this.#site
      await this.#sending
      await this.#batch.send(state)
      await session.begin()
      faultPoint('stage.after')
      const tables = this.#batch.tables(state)
      const published = isDirect(state) ? [...new Set([...state.published, ...Object.keys(tables)])] : state.published
      const kinds = isDirect(state) ? kindsAfter(this.#site, state, tables) : {}
      const next = { ...state, checkpoint, tables, published, ...kinds }
      faultPoint('commit.before')
      await this.#commit(next, await row.replace(next))
      this.#batch.done()
      // Says that there is a state row to be found: its absence is then an accident, not a fresh start.
      return { state: STATE_TABLE, target }
    })
  }

  publish(): Promise<void> {
    return this.#once(async () => {
      const state = this.#opened()
      if (!state.checkpoint?.end) throw new BizonError('internal', 'publish was called before the end was flushed')
      if (state.mode === 'stream' || state.phase === 'published') return
      faultPoint('publish.before')
      await this.#site.session.begin()
      await this.#site.row.check(state)
      const published = await publish(this.#site, state, this.#keepsOthers)
      await this.#commit(published, await this.#site.row.replace(published))
      faultPoint('publish.after')
    })
  }

  async close(): Promise<void> {
    await this.#site.session.close()
    await this.#sending.catch(() => {})
  }

  check(signal: AbortSignal): Promise<void> {
    return checkTarget(this.#site, this.#context.mode, signal)
  }

  plan(run: Run): Promise<DestinationPlan> {
    return planTables(this.#site, run)
  }

  outputs(): readonly string[] {
    const { session, target } = this.#site
    const state = this.#state
    if (!state) return []
    const written = Object.keys(state.tables)
    const tables = written.length > 0 || !state.published.includes(target) ? written : [target]
    return tables.map((table) => `${shortest(session.path)}: ${table}`)
  }

  occupies(): readonly string[] {
    const { path } = this.#site.session
    return [path, `${path}-wal`, `${path}-shm`, `${path}-journal`]
  }

  /** One segment is on its way while the next one gathers. What becomes of it, the next call tells. */
  async #send(state: TableState, signal: AbortSignal): Promise<void> {
    await this.#sending
    signal.throwIfAborted()
    this.#sending = this.#batch.send(state, signal)
    this.#sending.catch(() => {})
  }

  async #commit(state: TableState, sha256: string): Promise<void> {
    await this.#site.session.commit()
    this.#site.row.written(sha256)
    this.#state = state
    faultPoint('commit.after')
  }

  #opened(): TableState {
    if (this.#state) return this.#state
    throw new BizonError('internal', 'the sqlite destination is not open')
  }

  /**
   * After a failure nothing is known of what was written: it is undone, so that nobody waits for the file, and later
   * calls fail with the same error.
   */
  async #once<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure.error
    try {
      return await work()
    } catch (error) {
      this.#failure = { error }
      await this.#sending.catch(() => {})
      await this.#site.session.rollback()
      throw error
    }
  }

  #columnsOf(table: string): TableColumns {
    if (this.#following) return this.#following.columnsOf(table)
    let columns = this.#columns.get(table)
    if (!columns) {
      columns = new TableColumns(this.#site.options, table)
      this.#columns.set(table, columns)
    }
    return columns
  }

  #usual(page: Page): string {
    return this.#site.options.destinationId.replaceAll('{stream}', page.stream?.name ?? this.#context.stream)
  }

  #tableOf(destinationId: string): string {
    const known = this.#tables.get(destinationId)
    if (known !== undefined) return known
    checkedTable(destinationId)
    const table = [...this.#tables.values()].find((one) => isSameName(one, destinationId)) ?? destinationId
    this.#tables.set(destinationId, table)
    return table
  }
}
