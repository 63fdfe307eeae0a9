// Where a pipeline stands, as its state store says: for people, and before anything is changed by hand. What the next
// run would do with it is asked of job.ts, which decides for that run as well.

import type { ConfigOf } from '../config.ts'
import { BizonError } from '../errors.ts'
import type { Decision } from '../job.ts'
import { type Log, silentLog } from '../log.ts'
import { addsOf, identityOf, nextRun, type Past, pastOf } from '../run.ts'
import { findStream } from '../source.ts'
import {
  holder,
  type Identity,
  type Job,
  type Lease,
  type ResetRequest,
  type StateStore,
  type StoredCheckpoint,
} from '../state.ts'

export interface StateStanding {
  /** Newest first. */
  readonly unfinished: readonly Job[]
  /** The newest run that succeeded. */
  readonly published: Job | undefined
  /** The newest unfinished one, or else `published`. */
  readonly job: Job | undefined
  readonly checkpoint: StoredCheckpoint | undefined
  readonly pendingResets: readonly ResetRequest[]
  readonly resets: readonly ResetRequest[]
  /** `RUN:PAGE`; undefined: nothing is known of the pipeline. */
  readonly point: string | undefined
  /** Of the next run, as the file is now. */
  readonly next: Decision
}

/** The state of the pipeline of a config, opened. */
export interface OpenState {
  readonly config: ConfigOf<'source'>
  readonly identity: Identity
  /** `file - weather` */
  readonly label: string
  readonly store: StateStore
}

/** Opens the state store for `work` and closes it. */
export async function withState<Result>(
  config: ConfigOf<'source'>,
  work: (state: OpenState) => Promise<Result>,
  log: Log = silentLog,
): Promise<Result> {
  const { backend } = config.engine
  const identity = identityOf(config)
  const label = `${identity.source} - ${identity.stream}`
  if (backend.type === 'sqlite_in_memory') {
    throw new BizonError(
      'usage',
      `${label}: the state is in memory (engine.backend.type), and is gone when a run ends`,
      { hint: `set engine.backend.type to sqlite in ${config.path}` },
    )
  }
  const store = backend.definition.create(backend, { log })
  try {
    await store.open()
    return await work({ config, identity, label, store })
  } finally {
    await store.close()
  }
}

/** With the lock of the pipeline, so that no run is under way and none begins. Rejects with code `locked`. */
export async function holding<Result>(
  { store, identity }: OpenState,
  work: (lease: Lease) => Promise<Result>,
): Promise<Result> {
  const lease = await store.acquire(identity, holder())
  try {
    return await work(lease)
  } finally {
    await lease.release()
  }
}

export async function standingIn(state: OpenState): Promise<StateStanding> {
  const { store, identity } = state
  const past = await pastOf(store, identity)
  const { unfinished, lastSucceeded: published, resets } = past
  const job = unfinished[0] ?? published
  const checkpoint = job && (await store.lastCheckpoint(job))
  return {
    unfinished,
    published,
    job,
    checkpoint,
    resets,
    pendingResets: resets.filter(({ consumedByJobId }) => consumedByJobId === undefined),
    point: job && `${job.id}:${checkpoint?.page ?? 0}`,
    next: nextRunOf(state, past),
  }
}

/** What the next run would do. Its configuration may have changed since: that is not looked at. */
export function nextRunOf({ config }: Pick<OpenState, 'config'>, past: Past): Decision {
  const { definition, options, stream } = config.source
  const resumable = findStream(definition.streams(options), stream)?.resumable ?? false
  return nextRun(config.source, past, { resumable, adds: addsOf(config) })
}
