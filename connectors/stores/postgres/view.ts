// The state in PostgreSQL, looked at in transactions that may only read. Where there are no tables nothing is known.

import { BizonError } from '../../../lib/errors.ts'
import type { Identity, Job, ResetRequest, StateView, StoredCheckpoint } from '../../../lib/state.ts'
import { never } from '../../../lib/wait.ts'
import { type Connection, type Queries, quoteName } from '../../postgres.ts'
import { jobsOf, lastCheckpointOf, resetsOf, UNFINISHED } from '../statements.ts'
import type { Work } from '../work.ts'
import { stateError } from './errors.ts'
import { nextOf } from './lease.ts'
import { findTables, isReadable } from './schema.ts'
import { perform } from './work.ts'

const BEGIN = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'`

export interface ViewOptions {
  readonly connect: (signal: AbortSignal) => Promise<Connection>
  /** The configured one. */
  readonly schema: string
  /** What the connection is to, for people. */
  readonly place: string
}

export class PostgresView implements StateView {
  readonly #options: ViewOptions
  #connection: Connection | undefined
  /** In which the tables are; undefined: there are none. */
  #schema: string | undefined

  constructor(options: ViewOptions) {
    this.#options = options
  }

  async open(): Promise<void> {
    this.#connection = await this.#options.connect(never)
    this.#schema = await this.#transact(async (queries) => {
      const { schema } = await findTables(queries, this.#options.schema)
      return (await isReadable(queries, schema)) ? schema : undefined
    })
  }

  async nextLease(identity: Identity): Promise<{ readonly epoch: number; readonly heldBy?: string | undefined }> {
    if (this.#schema === undefined) return { epoch: Date.now() }
    return this.#transact((queries) => nextOf(queries, identity))
  }

  unfinishedJobs(identity: Identity): Promise<readonly Job[]> {
    return this.#read(() => jobsOf(identity, UNFINISHED), [])
  }

  async lastSucceeded(identity: Identity): Promise<Job | undefined> {
    return (await this.#read(() => jobsOf(identity, ['succeeded'], 1), []))[0]
  }

  lastCheckpoint(job: Job): Promise<StoredCheckpoint | undefined> {
    return this.#read(() => lastCheckpointOf(job), undefined)
  }

  resets(identity: Identity, jobIds: readonly string[]): Promise<readonly ResetRequest[]> {
    return this.#read(() => resetsOf(identity, jobIds), [])
  }

  async close(): Promise<void> {
    await this.#connection?.close()
    this.#connection = undefined
  }

  async #read<Result>(work: () => Work<Result>, none: Result): Promise<Result> {
    return this.#schema === undefined ? none : this.#transact((queries) => perform(queries, work()))
  }

  async #transact<Result>(work: (queries: Queries) => Promise<Result>): Promise<Result> {
    const connection = this.#connection
    if (!connection) throw new BizonError('internal', 'the state is not open')
    try {
      const where = this.#schema === undefined ? '' : `; SET LOCAL search_path = ${quoteName(this.#schema)}`
      await connection.query(`${BEGIN}${where}`)
      const result = await work(connection)
      await connection.query('ROLLBACK')
      return result
    } catch (error) {
      throw stateError(error, this.#options.place)
    }
  }
}
