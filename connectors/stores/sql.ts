// What every state store in SQL does, once: each operation is a piece of work (statements.ts) in one transaction of a
// database, which keeps the lease and knows how to be waited for.

import {
  type AdoptJobs,
  type BeginJob,
  type Identity,
  type Job,
  type Lease,
  type LoggedCheckpoint,
  newId,
  type ResetRequest,
  type StateStore,
  type StoredCheckpoint,
} from '../../lib/state.ts'
import {
  ALL,
  adoptJob,
  cancelJob,
  checkpointsOf,
  consumeReset,
  createJob,
  endJob,
  forgetPublished,
  insertCheckpoint,
  insertReset,
  jobsOf,
  lastCheckpointOf,
  readJob,
  reopenResets,
  resetsOf,
  restartJob,
  rewindJob,
  UNFINISHED,
  withdrawResets,
} from './statements.ts'
import type { Work } from './work.ts'

/** See `StateStore` for what is not said here. */
export interface StateDatabase extends Pick<StateStore, 'place' | 'open' | 'acquire' | 'close'> {
  read<Result>(work: () => Work<Result>): Promise<Result>
  /** One transaction, all or nothing; with a lease none, should that not be the newest one. May work more than once. */
  change<Result>(identity: Identity, work: () => Work<Result>, options: ChangeOptions): Promise<Result>
}

export interface ChangeOptions {
  readonly lease?: Lease
  /** Which runs there were and how they ended is nowhere else, so that a power cut must not take it back. */
  readonly lasting?: boolean
}

export class SqlStore implements StateStore {
  readonly #database: StateDatabase

  constructor(database: StateDatabase) {
    this.#database = database
  }

  get place(): string {
    return this.#database.place
  }

  open(): Promise<void> {
    return this.#database.open()
  }

  acquire(identity: Identity, holder: string): Promise<Lease> {
    return this.#database.acquire(identity, holder)
  }

  unfinishedJobs(identity: Identity): Promise<readonly Job[]> {
    return this.#database.read(() => jobsOf(identity, UNFINISHED))
  }

  async lastSucceeded(identity: Identity): Promise<Job | undefined> {
    return (await this.#database.read(() => jobsOf(identity, ['succeeded'], 1)))[0]
  }

  jobs(identity: Identity, limit?: number): Promise<readonly Job[]> {
    return this.#database.read(() => jobsOf(identity, ALL, limit))
  }

  lastCheckpoint(job: Job): Promise<StoredCheckpoint | undefined> {
    return this.#database.read(() => lastCheckpointOf(job))
  }

  checkpoints(job: Job, limit?: number): Promise<readonly LoggedCheckpoint[]> {
    return this.#database.read(() => checkpointsOf(job, limit))
  }

  resets(identity: Identity, jobIds: readonly string[]): Promise<readonly ResetRequest[]> {
    return this.#database.read(() => resetsOf(identity, jobIds))
  }

  begin(lease: Lease, change: BeginJob): Promise<Job> {
    const { identity, resume } = change
    return this.#lastingly(lease, identity, function* () {
      for (const id of change.cancel) yield* cancelJob(identity, id)
      const id = resume ?? (yield* createJob(lease, change))
      if (resume !== undefined) yield* restartJob(lease, change, resume)
      for (const request of change.consume) yield* consumeReset(identity, request, id)
      if (change.bindReset) yield* insertReset(identity, newId(), id)
      return yield* readJob(identity, id)
    })
  }

  saveCheckpoint(lease: Lease, job: Job, checkpoint: StoredCheckpoint, destination: string): Promise<void> {
    return this.#database.change(job, () => insertCheckpoint(job, checkpoint, destination), { lease })
  }

  finish(lease: Lease, job: Job, end: Parameters<StateStore['finish']>[2]): Promise<void> {
    return this.#lastingly(lease, job, () => endJob(job, end))
  }

  adopt(lease: Lease, change: AdoptJobs): Promise<void> {
    const { identity } = change
    return this.#lastingly(lease, identity, function* () {
      for (const id of change.cancel) yield* cancelJob(identity, id)
      for (const job of change.jobs) yield* adoptJob(lease, change, job)
    })
  }

  rewind(lease: Lease, job: Job, to: string | undefined): Promise<void> {
    return this.#lastingly(lease, job, () => rewindJob(job, job.id, to))
  }

  clear(lease: Lease, identity: Identity, { published }: { readonly published: boolean }): Promise<void> {
    return this.#lastingly(lease, identity, function* () {
      yield* reopenResets(identity)
      for (const { id } of yield* jobsOf(identity, UNFINISHED)) yield* cancelJob(identity, id)
      if (!published) return
      yield* withdrawResets(identity)
      yield* forgetPublished(identity)
    })
  }

  requestReset(identity: Identity): Promise<boolean> {
    const id = newId()
    const request = function* (): Work<boolean> {
      // Done once more because no answer came, it finds its own.
      if ((yield* resetsOf(identity, [])).some((other) => other.id !== id)) return false
      yield* insertReset(identity, id, null)
      return true
    }
    return this.#database.change(identity, request, {})
  }

  cancelResets(identity: Identity): Promise<number> {
    let most = 0
    const withdraw = function* (): Work<number> {
      // Done once more because no answer came, it may find none.
      most = Math.max(most, yield* withdrawResets(identity))
      return most
    }
    return this.#database.change(identity, withdraw, {})
  }

  close(): Promise<void> {
    return this.#database.close()
  }

  #lastingly<Result>(lease: Lease, identity: Identity, work: () => Work<Result>): Promise<Result> {
    return this.#database.change(identity, work, { lease, lasting: true })
  }
}
