// Tables in PostgreSQL, exactly once: rows and the checkpoint they reach to are committed by one transaction.
//
//   write   → rows gather as COPY text (postgres/copy.ts), and go to a staging table (postgres/batch.ts)
//   flush   → the rest, then the state row (postgres/state.ts), then COMMIT
//   publish → replace, append or merge, and the mark of it, in one transaction (postgres/publish.ts)
//   open    → lock, then put right what a dead process left (postgres/recover.ts)
//
// How a transaction is done again, and what happens when COMMIT is not answered: postgres/session.ts.

import { createHash } from 'node:crypto'
import type { Checkpoint, Receipt } from '../../lib/checkpoint.ts'
import {
  type Destination,
  type DestinationContext,
  type DestinationPlan,
  defineDestination,
  type Published,
  type Run,
} from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'
import { faultPoint } from '../../lib/fault.ts'
import { idPrefixOf, idSuffixOf } from '../../lib/row-id.ts'
import type { Page } from '../../lib/source.ts'
import { type Address, type Connection, connect } from '../postgres.ts'
import { linksOf, refusesChildTables } from './child-tables.ts'
import { policyOf } from './columns/config.ts'
import { namingOf } from './naming.ts'
import { addsOf } from './plan.ts'
import { Batch, lostBatch, TooLarge } from './postgres/batch.ts'
import { checkTarget, useOf } from './postgres/check.ts'
import { TableColumns } from './postgres/columns.ts'
import { addressOf, config, hashed, type PostgresOptions, tuning } from './postgres/config.ts'
import { Watch } from './postgres/copy.ts'
import { serverError } from './postgres/errors.ts'
import { type Followed, Following } from './postgres/following.ts'
import { listsOf } from './postgres/lists.ts'
import { keyOf } from './postgres/merge.ts'
import { checkedName, LONGEST, rowKeyOf, STATE_TABLE, TableNames } from './postgres/names.ts'
import { checkSplit, claimTarget, refusesPartitions } from './postgres/partitions.ts'
import { planTables } from './postgres/plan.ts'
import { preparePublish, publish, publishedTable, type Site } from './postgres/publish.ts'
import { PostgresReader, scratchSchema } from './postgres/reader.ts'
import { recover } from './postgres/recover.ts'
import { Scope } from './postgres/scope.ts'
import { Session, type SessionOptions, type Transaction } from './postgres/session.ts'
import { beginTable, createHome } from './postgres/staging.ts'
import { StateRow, type TableState } from './postgres/state.ts'
import { checkEnds, haveEnded, partsOf, prepareTogether, publishTogether } from './postgres/together.ts'
import { timestampOf } from './record.ts'
import { isDirect, namesEmpty } from './recovery.ts'
import { checkKeyColumns, checkScope } from './schemas.ts'

export type { PostgresOptions } from './postgres/config.ts'

export default defineDestination({
  summary: 'PostgreSQL tables, appended to, merged or replaced exactly once.',
  config,
  tuning,
  hashed,
  findsColumns: true,
  childTables: { longestName: LONGEST, refuses: refusesChildTables, links: linksOf },
  parses: ({ unnest }) => (unnest ? 'unnest looks for the fields of each record' : undefined),
  adds: addsOf,
  shows: ({ visibility }) => visibility,
  refusesPartitions,
  create: (options, context) => new PostgresDestination(options, context),
  reader: (options) => new PostgresReader(options),
  scratch: scratchSchema,
})

type Context = Pick<DestinationContext, 'stream' | 'partition' | 'mode' | 'schema' | 'isTransformed' | 'log'>

export class PostgresDestination implements Destination {
  readonly #context: Context
  readonly #address: Address
  readonly #site: Site
  readonly #place: string
  readonly #row: StateRow
  readonly #lockKey: bigint
  /** Of the lock under which tables are made that several loaders write to. */
  readonly #tableKey: bigint
  readonly #session: Session
  readonly #columns = new Map<string, TableColumns>()
  readonly #following: Following | undefined
  readonly #names: TableNames
  readonly #batch: Batch
  #sending: Promise<void> = Promise.resolve()
  #state: TableState | undefined
  #keepsOthers = false
  /** The id of the next row: half of it is the run's, half is its number. */
  #ids = { prefix: '', next: 0 }
  #failure: { readonly error: unknown } | undefined

  /** `more` is for tests. */
  constructor(options: PostgresOptions, context: Context, more: Pick<SessionOptions, 'before' | 'otherRunMs'> = {}) {
    this.#context = context
    this.#address = addressOf(options)
    checkScope(options, context.mode)
    const schema = checkedName(options.schema, 'schema')
    this.#names = new TableNames(options.destinationId, context.stream)
    const target = this.#names.checked(this.#names.usual(undefined))
    this.#place = `${schema}.${target}`
    const { partition } = context
    this.#row = new StateRow(schema, target, partition)
    policyOf(options)
    const lists = listsOf(options)
    this.#site = {
      options,
      target,
      partition,
      key: keyOf(options, lists),
      lists,
      scope: options.replace_scope.length === 0 ? undefined : new Scope(options),
      naming: namingOf(options),
      columnsOf: (table) => this.#columnsOf(table).all,
      fixedOf: (table) => (this.#following?.fixed ?? this.#columnsOf(table)).all,
      writtenTo: (table) => (this.#following ? { columns: this.#following.fieldsOf(table) } : {}),
    }
    if (options.unnest === 'columns') this.#following = new Following(this.#site, context)
    if (options.unnest === true) checkKeyColumns(options, (id) => this.#columnsOf(id).all)
    this.#batch = new Batch(this.#site, (table) => this.#begin(table))
    this.#lockKey = keyOfLock(JSON.stringify([schema, rowKeyOf(target, partition)]))
    this.#tableKey = keyOfLock(JSON.stringify([schema, target, 'tables']))
    this.#session = new Session({
      connect: (signal) => connect(this.#address, signal, 'destination'),
      lockKey: this.#lockKey,
      target: this.#place,
      lockTimeoutSeconds: options.lock_timeout,
      reconnectSeconds: options.reconnect_timeout,
      log: context.log,
      ...more,
    })
  }

  async open(run: Run, signal: AbortSignal): Promise<Checkpoint | undefined> {
    signal.throwIfAborted()
    this.#keepsOthers = run.keepsOthers ?? false
    return this.#once(async () => {
      await this.#session.open(signal)
      const state = await this.#session.interruptible(signal, () =>
        this.#commit(async (transaction) => {
          await createHome(transaction, this.#site.options, this.#row)
          await claimTarget(transaction, this.#site, run)
          const recovered = await recover(transaction, this.#site, this.#row, run)
          faultPoint('commit.before')
          return [recovered, await this.#row.claim(transaction, recovered)]
        }),
      )
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
      if (page.records.length > 0) checkSplit(this.#site, page.stream)
      const extractedAt = timestampOf(page.extractedAt ?? new Date())
      const facts = {
        extractedAt,
        loadedAt: timestampOf(new Date()),
        run: state.run,
        watch: new Watch(),
        nextId: () => this.#nextId(),
      }
      const usual = this.#names.usual(page.stream)
      const { on_empty: onEmpty } = this.#site.options
      const isMention = namesEmpty(page, { keepsOthers: this.#keepsOthers, onEmpty })
      const { records = page.records, isChanged = false } = (await this.#follow(page, isMention, signal)) ?? {}
      for (const record of records) {
        const table = this.#names.checked(record.destinationId ?? usual)
        const columns = this.#columnsOf(table)
        columns.add(record, facts, this.#batch.rowsOf(table, columns))
      }
      if (!this.#batch.isRipe && !isMention && !isChanged) return
      // One segment is on its way while the next one gathers. What becomes of it, the next call tells.
      await this.#session.interruptible(signal, () => this.#sending)
      if (isMention) this.#batch.mention(this.#names.checked(usual))
      this.#batch.gather()
      const begun = new Promise<void>((resolve) => {
        this.#sending = this.#session.transact((transaction) => this.#batch.send(transaction, state, resolve))
      })
      // So that the server has something to do while the next rows are made, which leaves no time to answer it.
      await this.#session.interruptible(signal, () => Promise.race([begun, this.#sending.catch(() => {})]))
    })
  }

  flush(checkpoint: Checkpoint): Promise<Receipt | undefined> {
    return this.#once(async () => {
      const state = this.#opened()
      await this.#sending
      this.#batch.gather()
      await this.#commit(async (transaction) => {
        await this.#batch.send(transaction, state)
        await this.#batch.merge(transaction, state)
        faultPoint('stage.after')
        const tables = this.#batch.tables(state)
        const published = isDirect(state)
          ? {
              ...state.published,
              ...Object.fromEntries(
                Object.entries(tables).map(([table, staged]) => [table, publishedTable(this.#site, table, staged)]),
              ),
            }
          : state.published
        const next = { ...state, checkpoint, tables, published }
        faultPoint('commit.before')
        return [next, await this.#row.replace(transaction, next)]
      })
      this.#batch.done()
      // Says that there is a state row to be found: its absence is then an accident, not a fresh start.
      return { state: `${this.#site.options.schema}.${STATE_TABLE}`, target: this.#site.target }
    })
  }

  publish(): Promise<Published> {
    return this.#once(async () => {
      const state = this.#opened()
      if (!state.checkpoint?.end) throw new BizonError('internal', 'publish was called before the end was flushed')
      if (state.mode === 'stream' || state.phase === 'published') return
      faultPoint('publish.before')
      if (this.#site.partition && !state.direct) return this.#publishTogether(state)
      if (!state.direct) {
        await this.#session.transact(async (transaction) => {
          await preparePublish(transaction, this.#site, state)
          await this.#session.commit(transaction)
        })
      }
      await this.#commit(async (transaction) => {
        if (this.#site.partition) await checkEnds(transaction, this.#site, state)
        const published = await publish(transaction, this.#site, state, { keepsOthers: this.#keepsOthers })
        return [published, await this.#row.replace(transaction, published)]
      })
      faultPoint('publish.after')
    })
  }

  async #publishTogether(state: TableState): Promise<Published> {
    const isWorthIt = await this.#session.transact(async (transaction) => {
      const all = await haveEnded(transaction, this.#site, state)
      if (all) await prepareTogether(transaction, this.#site, state)
      await this.#session.commit(transaction)
      return all
    })
    if (!isWorthIt) return 'waits'
    let isSaid = false
    const say = (): void => {
      if (!isSaid)
        this.#context.log.info(`all ${this.#site.partition?.of} partitions have ended; they are published together`)
      isSaid = true
    }
    // One that a COMMIT without an answer has published finds that when it is done again.
    const together = await this.#session.transact(async (transaction) => {
      const done = await publishTogether(transaction, this.#site, state, say)
      await this.#session.commit(transaction)
      return done
    })
    if (together === 'waits') return together
    this.#row.written(together.sha256)
    this.#state = together.state
    faultPoint('publish.after')
  }

  parts(): Promise<readonly (Checkpoint | undefined)[]> {
    return this.#once(() => {
      const { run } = this.#opened()
      return this.#session.transact(async (transaction) => {
        const parts = await partsOf(transaction, this.#site, run)
        await this.#session.commit(transaction)
        return parts
      })
    })
  }

  async close(): Promise<void> {
    await this.#session.close()
    await this.#sending.catch(() => {})
  }

  async check(signal: AbortSignal): Promise<void> {
    const { mode } = this.#context
    const asked = { use: useOf({ mode, complete: false }, this.#site.options), user: this.#address.user }
    await this.#look(signal, (connection) => checkTarget(connection, this.#site, asked))
  }

  plan(run: Run, signal: AbortSignal): Promise<DestinationPlan> {
    const planned = { site: this.#site, row: this.#row, run, user: this.#address.user, lockKey: this.#lockKey }
    return this.#look(signal, (connection) => planTables(connection, planned))
  }

  async #look<T>(signal: AbortSignal, work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = await connect(this.#address, signal, 'destination')
    try {
      return await connection.interruptible(signal, work(connection))
    } catch (error) {
      throw serverError(error, this.#place)
    } finally {
      await connection.close()
    }
  }

  outputs(): readonly string[] {
    const state = this.#state
    if (!state) return []
    const written = Object.keys(state.tables)
    const tables =
      written.length > 0 || !Object.hasOwn(state.published, this.#site.target) ? written : [this.#site.target]
    return tables.map((table) => `${this.#site.options.schema}.${table}`)
  }

  /**
   * A transaction that ends with the state row: done again where that is right, and after a COMMIT without an answer
   * only if the row is not there.
   */
  async #commit(work: (transaction: Transaction) => Promise<[TableState, string]>): Promise<TableState> {
    let latest: [TableState, string] | undefined
    const [state, sha256] = await this.#session.transact<[TableState, string]>(
      async (transaction) => {
        latest = await work(transaction)
        await this.#session.commit(transaction)
        return latest
      },
      async (transaction) => {
        const isDone = latest && (await this.#row.isWritten(transaction, latest[1]))
        await this.#session.commit(transaction)
        return isDone ? latest : undefined
      },
    )
    this.#row.written(sha256)
    this.#state = state
    faultPoint('commit.after')
    return state
  }

  /** Makes a table ready for the run's first rows. */
  #begin(table: string): Promise<void> {
    const state = this.#opened()
    return this.#session.aside(async (transaction) => {
      // Two loaders would both find that a table is missing, and one would fail.
      if (this.#site.partition)
        await transaction.query('SELECT pg_advisory_xact_lock($1::bigint)', [String(this.#tableKey)])
      await this.#row.check(transaction, state)
      await beginTable(transaction, this.#site, state, table)
      await this.#following?.begin(transaction, state, table)
    })
  }

  /** Gives the tables of a page the columns that its records need, within the batch, before any of their rows. */
  async #follow(page: Page, isMention: boolean, signal: AbortSignal): Promise<Followed | undefined> {
    if (!this.#following) return undefined
    const usual = this.#names.usual(page.stream)
    const table = this.#names.checked(usual)
    return this.#following.follow(page, {
      state: this.#opened(),
      batch: this.#batch,
      mentioned: isMention ? table : undefined,
      usual: () => table,
      tableOf: ({ destinationId = usual }) => this.#names.checked(destinationId),
      // One transaction after another.
      transact: (work) =>
        this.#session.interruptible(signal, async () => {
          await this.#sending
          await this.#session.transact(work)
        }),
    })
  }

  #opened(): TableState {
    if (this.#state) return this.#state
    throw new BizonError('internal', 'the postgres destination is not open')
  }

  /** After a failure nothing is known of what was sent: later calls fail with the same error, and the next `open` finds out. */
  async #once<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure.error
    try {
      return await work()
    } catch (error) {
      const shown = error instanceof TooLarge ? lostBatch(this.#place) : serverError(error, this.#place)
      this.#failure = { error: shown }
      throw shown
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

  #nextId(): string {
    return this.#ids.prefix + idSuffixOf(this.#ids.next++)
  }
}

/** 64 bits that no other target of the database is likely to have. */
function keyOfLock(place: string): bigint {
  return createHash('sha256').update(`bizon ${place}`).digest().readBigInt64BE()
}
