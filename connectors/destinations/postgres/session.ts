// A run's way to its server: one connection that works, and one that holds the run's lock. Transactions are done whole
// again when the server asks for that, or went away before COMMIT was sent; when it went away after, it is asked.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { sleep } from '../../../lib/wait.ts'
import {
  type Answer,
  type Connection,
  GUARD,
  isConflict,
  isGone,
  type Queries,
  quoteText,
  sqlState,
} from '../../postgres.ts'

/** For tests: called before each operation that the server sees; may throw. */
export type Before = (operation: string) => void

export interface SessionOptions {
  readonly connect: (signal: AbortSignal) => Promise<Connection>
  /** Of the advisory lock: one run at a time for each. */
  readonly lockKey: bigint
  /** What the lock is of, for people. */
  readonly target: string
  readonly lockTimeoutSeconds: number
  readonly reconnectSeconds: number
  readonly log: Log
  readonly before?: Before | undefined
  /** How long another run is waited for: a killed process's lock is free once the server has seen that it is gone. */
  readonly otherRunMs?: number | undefined
}

/** How often a transaction is done again that the server has undone because of another one. */
const CONFLICTS = 5
/** How often it is done again because the connection was lost. */
const LOSSES = 5
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 5000
const OTHER_RUN_MS = 1000

/** One transaction, from BEGIN to COMMIT. */
export class Transaction implements Queries {
  readonly #connection: Connection
  readonly #before: Before
  /** COMMIT was sent: what became of it is not known until the answer has come. */
  committing = false

  constructor(connection: Connection, before: Before) {
    this.#connection = connection
    this.#before = before
  }

  get connection(): Connection {
    return this.#connection
  }

  query(sql: string, values?: readonly unknown[]): Promise<Answer> {
    this.#before(sql)
    return this.#connection.query(sql, values)
  }

  copy(sql: string, chunks: readonly Uint8Array[], begun?: () => void): Promise<number> {
    this.#before(sql)
    return this.#connection.copy(sql, chunks, begun)
  }

  async commit(): Promise<void> {
    this.#before('COMMIT')
    this.committing = true
    await this.#connection.query('COMMIT')
    this.committing = false
  }
}

export class Session {
  readonly #options: SessionOptions
  readonly #before: Before
  #worker: Connection | undefined
  #guard: Connection | undefined
  /** For what must not wait for the transaction that is open. */
  #third: Connection | undefined
  #current: Transaction | undefined
  /** The server's processes that have something of this session's open. */
  readonly #open = new Map<'guard' | 'worker', Backend>()
  /** Those of connections that are lost; they may not know it yet. */
  #orphans: Backend[] = []
  /** Nothing is tried any more. */
  readonly #ended = new AbortController()

  constructor(options: SessionOptions) {
    this.#options = options
    this.#before = options.before ?? (() => {})
  }

  /** Connects and takes the lock. Rejects with `locked` when another run has it. */
  async open(signal: AbortSignal): Promise<void> {
    this.#before('connect')
    this.#worker = await this.#options.connect(signal)
    // A way that broke in the middle leaves them waiting for us, with the lock and with what they had begun.
    this.#orphans.push(...this.#open.values())
    this.#open.clear()
    for (const { pid, since } of this.#orphans) await this.#worker.query(TERMINATE, [pid, since])
    await this.#lock(signal)
    this.#orphans = []
  }

  /**
   * Does the work until it has succeeded once, or cannot. It is given the transaction that is open, or a new one, and
   * must be able to begin from nothing. `isDone`: asked in a transaction of its own after a COMMIT without an answer;
   * undefined: it was not done.
   */
  async transact<T>(
    work: (transaction: Transaction) => Promise<T>,
    isDone?: (transaction: Transaction) => Promise<T | undefined>,
  ): Promise<T> {
    let conflicts = 0
    let losses = 0
    for (;;) {
      let transaction: Transaction | undefined
      try {
        transaction = await this.begin()
        return await work(transaction)
      } catch (error) {
        const unknown = transaction?.committing ?? false
        await this.#rollback()
        this.#ended.signal.throwIfAborted()
        if (isConflict(error) && conflicts++ < CONFLICTS) continue
        // A statement at which the server dies each time must not be sent for ever.
        if (!isGone(error) || losses++ === LOSSES) throw error
        await this.#reconnect(error)
        const result = unknown && isDone ? await this.transact(isDone) : undefined
        if (result !== undefined) return result
      }
    }
  }

  /** The transaction that is open, or a new one. */
  async begin(): Promise<Transaction> {
    if (this.#current && !this.#current.connection.lost) return this.#current
    this.#current = undefined
    const connection = this.#worker
    if (!connection || connection.lost || this.#guard?.lost) throw gone()
    this.#before(BEGIN)
    this.#open.set('worker', await begin(connection, this.#options.lockTimeoutSeconds * 1000))
    this.#current = new Transaction(connection, this.#before)
    return this.#current
  }

  /** A short transaction beside the one that is open, done once: whoever needs it done again begins from nothing. */
  async aside(work: (transaction: Transaction) => Promise<void>): Promise<void> {
    this.#third = await this.#options.connect(this.#ended.signal)
    try {
      const transaction = new Transaction(this.#third, this.#before)
      await begin(this.#third, this.#options.lockTimeoutSeconds * 1000)
      await work(transaction)
      await transaction.commit()
    } finally {
      await this.#third.close()
      this.#third = undefined
    }
  }

  /** Commits the open transaction; fails without a second try. */
  async commit(transaction: Transaction): Promise<void> {
    await transaction.commit()
    this.#current = undefined
    this.#open.delete('worker')
  }

  /** When the signal aborts meanwhile, whatever the session does ends, for good, and the reason is thrown. */
  async interruptible<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const end = (): void => {
      this.#ended.abort(signal.reason)
      this.#worker?.cut()
      this.#third?.cut()
    }
    signal.addEventListener('abort', end, { once: true })
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener('abort', end)
    }
  }

  /** Never rejects; safe twice. What was not committed is undone by the server; what is under way rejects. */
  async close(): Promise<void> {
    this.#ended.abort(gone())
    await this.#disconnect()
  }

  async #disconnect(): Promise<void> {
    await Promise.all([this.#worker?.close(), this.#guard?.close(), this.#third?.close()])
    this.#worker = undefined
    this.#guard = undefined
    this.#current = undefined
  }

  /**
   * An open transaction holds it, not the session: behind a pooler that lends connections for a transaction each, a
   * session's lock would be left on somebody else's connection. Reading nothing, it holds back no VACUUM.
   */
  async #lock(signal: AbortSignal): Promise<void> {
    this.#before('lock')
    const guard = await this.#options.connect(signal)
    this.#guard = guard
    const { lockKey, target, otherRunMs = OTHER_RUN_MS } = this.#options
    try {
      this.#open.set('guard', await begin(guard, otherRunMs))
      await guard.query(`SET LOCAL application_name = ${quoteText(GUARD)}; SELECT pg_advisory_xact_lock(${lockKey})`)
    } catch (error) {
      if (sqlState(error) !== '55P03') throw error
      throw new BizonError('locked', `another run is writing to ${target}`, {
        hint: 'Wait until it has ended, or end it.',
      })
    }
  }

  async #rollback(): Promise<void> {
    const transaction = this.#current
    this.#current = undefined
    if (!transaction || transaction.connection.lost) return
    // Should that fail, the connection is lost, and with it the transaction.
    await transaction.connection.query('ROLLBACK').then(
      () => this.#open.delete('worker'),
      () => transaction.connection.cut(),
    )
  }

  async #reconnect(cause: unknown): Promise<void> {
    const { signal } = this.#ended
    const { reconnectSeconds, log, target } = this.#options
    const deadline = performance.now() + reconnectSeconds * 1000
    log.warn(`the connection to PostgreSQL was lost (${messageOf(cause)}), trying for ${reconnectSeconds} s`)
    for (let wait = FIRST_WAIT_MS, error = cause; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      if (performance.now() + wait > deadline) {
        if (isLocked(error)) throw error
        const reason = error instanceof BizonError ? error.message : `PostgreSQL: ${messageOf(error)}`
        throw new BizonError('destination', `the connection to the server of ${target} was lost: ${reason}`, {
          hint: 'Run again once it is back: the run goes on from its last checkpoint.',
          retriable: true,
          cause: error,
        })
      }
      await sleep(wait / 1000, signal)
      signal.throwIfAborted()
      await this.#disconnect()
      try {
        await this.open(signal)
        log.info('the connection to PostgreSQL is back')
        return
      } catch (failed) {
        // The server may not have seen yet that the old connection, which had the lock, is gone.
        if (!isGone(failed) && !isLocked(failed)) throw failed
        error = failed
      }
    }
  }
}

/** What the server's own settings must not change. `synchronous_commit` may be stricter than `on`, not laxer. */
const BEGIN = [
  'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE',
  "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL TimeZone = 'UTC'",
  // Since version 17.
  "SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL",
  // Of a client that is gone without a word, the server learns within two minutes.
  'SET LOCAL tcp_keepalives_idle = 30; SET LOCAL tcp_keepalives_interval = 15; SET LOCAL tcp_keepalives_count = 4',
  "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL standard_conforming_strings = on",
  "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
].join('; ')

/** A process of the server: its number may be another's later. */
interface Backend {
  readonly pid: string
  readonly since: string
}

/** Within the transaction, because a pooler may give the next one to another process. */
async function begin(connection: Connection, lockTimeoutMs: number): Promise<Backend> {
  const { rows } = await connection.query(
    `${BEGIN}; SET LOCAL lock_timeout = '${lockTimeoutMs}ms';
     SELECT pid::text, backend_start::text AS since FROM pg_stat_activity WHERE pid = pg_backend_pid()`,
  )
  return rows[0] as unknown as Backend
}

const TERMINATE =
  'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int AND backend_start = $2::timestamptz'

function isLocked(error: unknown): boolean {
  return error instanceof BizonError && error.code === 'locked'
}

function gone(): Error {
  return new Error('Connection terminated while nobody waited for an answer')
}
