// The store's way to its server: short transactions, one after the other, on one connection, which is made again when it
// was lost. A transaction is done whole again when the server asks for that, or went away before COMMIT was sent; when
// it went away after, it is asked. Nothing outlives a transaction, so that a pooler may lend connections for one each.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { sleep } from '../../../lib/wait.ts'
import { type Answer, type Connection, isConflict, isGone, type Queries, quoteName } from '../../postgres.ts'

export interface SessionOptions {
  readonly connect: (signal: AbortSignal) => Promise<Connection>
  /** What the connection is to, for people. */
  readonly place: () => string
  readonly reconnectSeconds: number
  readonly log: Log
  /** Gets every SQL statement, with its values. */
  readonly onStatement?: ((sql: string) => void) | undefined
}

/** How often a transaction is done again that the server has undone because of another one. */
const CONFLICTS = 5
/** How often it is done again because the connection was lost. */
const LOSSES = 5
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 5000
const GOODBYE_MS = 5000

/** What the server's own settings must not change. `synchronous_commit` may be stricter than `on`, not laxer. */
export const BEGIN = [
  'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE',
  "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '30s'",
  "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL standard_conforming_strings = on",
  "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
].join('; ')

const searching = (schema: string): string => `SET LOCAL search_path = ${quoteName(schema)}`

export class Session {
  readonly #options: SessionOptions
  /** In which tables are found. Default: where the role's search_path says. */
  schema: string | undefined
  #connection: Connection | undefined
  #turn: Promise<unknown> = Promise.resolve()
  /** Waiting was in vain: until it is back, nobody waits once more. */
  #isGivenUp = false
  readonly #ended = new AbortController()

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /** Rejects at once when there is no server. */
  async open(): Promise<void> {
    this.#connection = await this.#options.connect(this.#ended.signal)
  }

  /**
   * Does the work in a transaction until it has succeeded once, or cannot. `isDone`: asked in a transaction of its own
   * after a COMMIT without an answer; undefined: it was not done. Without it the work must do no harm when done twice.
   */
  transact<Result>(
    work: (queries: Queries) => Promise<Result>,
    isDone: (queries: Queries) => Promise<Result | undefined> = async () => undefined,
  ): Promise<Result> {
    const turn = this.#turn.then(() => this.#repeat(work, isDone))
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** Never rejects; safe twice. */
  async close(): Promise<void> {
    this.#ended.abort(new BizonError('internal', 'the state store is not open'))
    // A server that does not answer any more must not keep the program from ending.
    const timer = setTimeout(() => this.#connection?.cut(), GOODBYE_MS)
    await this.#turn
    clearTimeout(timer)
    await this.#connection?.close()
    this.#connection = undefined
  }

  async #repeat<Result>(
    work: (queries: Queries) => Promise<Result>,
    isDone: (queries: Queries) => Promise<Result | undefined>,
  ): Promise<Result> {
    let conflicts = 0
    let losses = 0
    for (;;) {
      const commit = { sent: false }
      try {
        return await this.#once(work, commit)
      } catch (error) {
        this.#ended.signal.throwIfAborted()
        if (isConflict(error) && conflicts++ < CONFLICTS) continue
        // A statement at which the server dies each time must not be sent for ever.
        if (!isGone(error) || losses++ === LOSSES) throw error
        await this.#reconnect(error)
        const result = commit.sent ? await this.#repeat(isDone, async () => undefined) : undefined
        if (result !== undefined) return result
      }
    }
  }

  async #once<Result>(work: (queries: Queries) => Promise<Result>, commit: { sent: boolean }): Promise<Result> {
    const { signal } = this.#ended
    signal.throwIfAborted()
    if (!this.#connection || this.#connection.lost) this.#connection = await this.#options.connect(signal)
    const connection = this.#connection
    this.#isGivenUp = false
    try {
      await this.#query(connection, this.schema === undefined ? BEGIN : `${BEGIN}; ${searching(this.schema)}`)
      const result = await work({ query: (sql, values) => this.#query(connection, sql, values) })
      commit.sent = true
      await this.#query(connection, 'COMMIT')
      return result
    } catch (error) {
      // Should that fail, the connection is lost, and with it the transaction.
      if (!connection.lost) await connection.query('ROLLBACK').catch(() => connection.cut())
      throw error
    }
  }

  #query(connection: Connection, sql: string, values: readonly unknown[] = []): Promise<Answer> {
    this.#options.onStatement?.(values.length === 0 ? sql : `${sql} -- ${JSON.stringify(values)}`)
    return connection.query(sql, values)
  }

  async #reconnect(cause: unknown): Promise<void> {
    const { signal } = this.#ended
    const { connect, reconnectSeconds, log, place } = this.#options
    const seconds = this.#isGivenUp ? 0 : reconnectSeconds
    const deadline = performance.now() + seconds * 1000
    if (seconds > 0) {
      log.warn(`the connection to the state in ${place()} was lost (${messageOf(cause)}), trying for ${seconds} s`)
    }
    for (let wait = FIRST_WAIT_MS, error = cause; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      if (performance.now() + wait > deadline) {
        this.#isGivenUp = true
        const reason = error instanceof BizonError ? error.message : messageOf(error)
        throw new BizonError('state', `the connection to the state in ${place()} was lost: ${reason}`, {
          hint: 'Run again once the server is back: the run goes on where its destination stands.',
          retriable: true,
          cause: error,
        })
      }
      await sleep(wait / 1000, signal)
      signal.throwIfAborted()
      await this.#connection?.close()
      try {
        this.#connection = await connect(signal)
        log.info(`the connection to the state in ${place()} is back`)
        return
      } catch (failed) {
        if (!isGone(failed)) throw failed
        error = failed
      }
    }
  }
}
