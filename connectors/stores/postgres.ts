// The state store in PostgreSQL, for pipelines that run on many machines: the tables of the Python program, taken over
// where it has put them. All times are the server's. Every change is one transaction that first looks whether the
// caller's lease is still the newest one.

import { BizonError } from '../../lib/errors.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { type Identity, type Lease, newId, type PostgresServer, type StoreDefinition } from '../../lib/state.ts'
import { never, sleep } from '../../lib/wait.ts'
import { type Address, type Connection, connect, isGone } from '../postgres.ts'
import { stateError } from './postgres/errors.ts'
import { Guard, HeldLease } from './postgres/held.ts'
import { type Claim, fence, giveBack, holderOf, isMarked, lockOut, take, takenBy } from './postgres/lease.ts'
import { findTables, migrate, type Place } from './postgres/schema.ts'
import { Session } from './postgres/session.ts'
import { PostgresView } from './postgres/view.ts'
import { perform } from './postgres/work.ts'
import { labelOf } from './rows.ts'
import { type ChangeOptions, SqlStore, type StateDatabase } from './sql.ts'
import type { Work } from './work.ts'

export interface PostgresStoreOptions {
  readonly database: string
  readonly schema: string
  readonly server: PostgresServer
  readonly log: Log
  readonly echo: boolean
  /** After which somebody else may go on with the pipeline of a process that does not answer. Default 60. */
  readonly leaseSeconds?: number
  /** How long a run waits for a server that went away meanwhile. Default 60. */
  readonly reconnectSeconds?: number
}

/** The lock of a process that was just killed is free once the server has seen that it is gone. */
const OTHER_RUN_MS = 1000
const LOOK_AGAIN_MS = 100

const definition: StoreDefinition = {
  summary: 'Jobs and checkpoints in PostgreSQL. For pipelines that run now on one machine, now on another.',
  create({ database, schema, echo, server }, { log = silentLog } = {}) {
    if (!server) throw new BizonError('config', 'engine.backend.config of postgres names no server')
    return new SqlStore(new PostgresDatabase({ database, schema, server, echo, log }))
  },
  look({ database, schema, server, echo }, { log = silentLog } = {}) {
    if (!server) throw new BizonError('config', 'engine.backend.config of postgres names no server')
    const address = addressOf({ database, schema, server, echo, log })
    const place = `${server.host}:${server.port}/${database}, schema ${schema}`
    return new PostgresView({ connect: (signal) => connect(address, signal, 'state'), schema, place })
  },
}
export default definition

export class PostgresDatabase implements StateDatabase {
  readonly #options: PostgresStoreOptions
  readonly #session: Session
  readonly #leases = new Set<HeldLease>()
  #found: Place | undefined

  constructor(options: PostgresStoreOptions) {
    this.#options = options
    const { echo, log, reconnectSeconds = 60 } = options
    this.#session = new Session({
      connect: (signal) => this.#connect(signal),
      place: () => this.place,
      reconnectSeconds,
      log,
      onStatement: echo ? (sql) => log.info(sql) : undefined,
    })
  }

  get place(): string {
    const { server, database, schema } = this.#options
    const where = `${server.host}:${server.port}/${database}, schema ${this.#found?.schema ?? schema}`
    return this.#found?.isTheirs ? `${where}, where the Python program has put it` : where
  }

  async open(): Promise<void> {
    const { schema, log } = this.#options
    await this.#explained(async () => {
      await this.#session.open()
      const found = await this.#session.transact((queries) => findTables(queries, schema))
      this.#found = found
      this.#session.schema = found.schema
      await this.#session.transact((queries) => migrate(queries, found.schema))
    })
    if (this.#found?.isTheirs) log.info(`the state is in ${this.place}; schema ${schema} has none`)
  }

  async acquire(identity: Identity, holder: string): Promise<Lease> {
    const seconds = this.#leaseSeconds
    const guard = new Guard((signal) => this.#connect(signal))
    const claim = { identity, holder, token: guard.token, seconds }
    try {
      return await this.#explained(async () => {
        for (const deadline = performance.now() + OTHER_RUN_MS; ; await sleep(LOOK_AGAIN_MS / 1000, never)) {
          const epoch = await this.#take(claim, guard)
          if (epoch !== undefined) return this.#held(identity, epoch, guard)
          if (performance.now() > deadline) break
        }
        const other = await this.#session.transact((queries) => holderOf(queries, identity))
        throw new BizonError('locked', `${labelOf(identity)} is locked by ${other}`, { retriable: true })
      })
    } catch (error) {
      await guard.close()
      throw error
    }
  }

  read<Result>(work: () => Work<Result>): Promise<Result> {
    return this.#explained(() => this.#session.transact((queries) => perform(queries, work())))
  }

  change<Result>(identity: Identity, work: () => Work<Result>, { lease }: ChangeOptions): Promise<Result> {
    return this.#explained(async () => {
      if (!lease) {
        return this.#session.transact(async (queries) => {
          await lockOut(queries, labelOf(identity))
          return perform(queries, work())
        })
      }
      const mark = newId()
      let latest: { result: Result } | undefined
      const done = await this.#session.transact<{ result: Result }>(
        async (queries) => {
          await fence(queries, identity, lease.epoch, { seconds: this.#leaseSeconds, mark })
          latest = { result: await perform(queries, work()) }
          return latest
        },
        async (queries) => ((await isMarked(queries, identity, mark)) ? latest : undefined),
      )
      if (lease instanceof HeldLease) await lease.stand()
      return done.result
    })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#leases].map((lease) => lease.end()))
    await this.#session.close()
  }

  get #leaseSeconds(): number {
    return this.#options.leaseSeconds ?? 60
  }

  /** Undefined: somebody else has it. */
  async #take(claim: Claim, guard: Guard): Promise<number | undefined> {
    for (let lost = false; ; lost = true) {
      try {
        await guard.hold()
        break
      } catch (error) {
        if (lost || !isGone(error)) throw error
      }
    }
    return this.#session.transact(
      (queries) => take(queries, claim),
      (queries) => takenBy(queries, claim),
    )
  }

  #held(identity: Identity, epoch: number, guard: Guard): Lease {
    const lease = new HeldLease({
      epoch,
      guard,
      seconds: this.#leaseSeconds,
      renew: () =>
        this.#session.transact((queries) =>
          fence(queries, identity, epoch, { seconds: this.#leaseSeconds, mark: null }),
        ),
      giveBack: () => this.#session.transact((queries) => giveBack(queries, identity, epoch)),
      onEnd: () => this.#leases.delete(lease),
      log: this.#options.log,
    })
    this.#leases.add(lease)
    return lease
  }

  #connect(signal: AbortSignal): Promise<Connection> {
    return connect(addressOf(this.#options), signal, 'state')
  }

  async #explained<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work()
    } catch (error) {
      throw stateError(error, this.place)
    }
  }
}

function addressOf({ database, server }: PostgresStoreOptions): Address {
  const {
    host,
    port,
    username: user,
    password,
    sslmode: mode,
    sslrootcert: rootCert,
    sslcert: cert,
    sslkey: key,
  } = server
  return { host, port, database, user, password, ssl: { mode, rootCert, cert, key } }
}
