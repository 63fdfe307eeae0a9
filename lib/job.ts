// What a run is going to be, decided from the config and from what earlier runs left. Pure: nothing is read or
// written here. `decide` chooses the job before the destination is opened, `reconcile` the place to go on after it.

import type { Checkpoint } from './checkpoint.ts'
import type { Adds } from './destination.ts'
import { BizonError } from './errors.ts'
import type { SyncMode, Watermark } from './source.ts'
import type { Job, ResetRequest } from './state.ts'

export interface DecisionInput {
  /** The configured `sync_mode`. */
  readonly mode: SyncMode
  /** `force_ignore_checkpoint`: never go on with an unfinished run. */
  readonly force: boolean
  /** `source.reset`, or `--reset`. */
  readonly reset: boolean
  /** Newest first. */
  readonly unfinished: readonly Job[]
  readonly lastSucceeded?: Job | undefined
  /** Pending requests, and those that unfinished jobs took. */
  readonly resets: readonly ResetRequest[]
  /** Whether the stream's positions survive, so that a full refresh may go on where it was. */
  readonly resumable: boolean
  /** Of what is configured to be loaded; or its beginning, of what is configured to be read. */
  readonly configHash?: string
  /** The only run that may be gone on with: whoever reads cannot say whether another one read the same. */
  readonly only?: string | undefined
  /** The run that waits in a queue, which gives it as often as need be: it is gone on with, whatever is asked of a new one, and no other is. */
  readonly queued?: string | undefined
  /** See `DestinationDefinition`; absent: what is new is added, or it is not known how. */
  readonly adds?: Adds | 'once_more' | undefined
  /** See `OpenSource`. */
  readonly foreign?: Foreign | undefined
}

/**
 * Another program reads the source, and knows itself where it goes on. `tells`: by what it was told to be durable;
 * `silent`: it is told nothing, and gives the same again when it is started again after a failure.
 */
export type Foreign = 'tells' | 'silent'

export interface Decision {
  readonly action: 'resume' | 'start'
  /** The one to resume. */
  readonly job?: Job
  /** Unfinished jobs to cancel. */
  readonly cancel: readonly string[]
  /** Reset requests that the job takes. */
  readonly consume: readonly string[]
  /** Whether to record a reset request for the job, because none was pending. */
  readonly bindReset: boolean
  /** Whether everything is fetched, so that publishing replaces the target. */
  readonly complete: boolean
  /** Incremental: only what is newer. Never together with `complete`. */
  readonly since?: Watermark
  /** The run that this one adds to: the one that `since` is of. */
  readonly previous?: string
  /** Whether an incremental stream is fetched whole and replaced. */
  readonly asReset: boolean
  /** Why, in words for people. */
  readonly reasons: readonly string[]
  /** Why the newest unfinished run cannot be gone on with. */
  readonly obstacle?: string
  readonly warnings: readonly string[]
}

export function decide(input: DecisionInput): Decision {
  const { mode, unfinished } = input
  const pending = input.resets.filter((request) => request.consumedByJobId === undefined)
  const incremental = mode === 'incremental'
  const [newest] = unfinished
  const obstacle = newest && obstacleTo(newest, input, pending.length)
  const job = obstacle === undefined ? newest : undefined
  const lastSucceeded = job ? input.lastSucceeded : notStreamedOver(input)

  // A cancelled run that was a reset has not done it: the request passes to the run that replaces it.
  const inherited = (job ? [job] : unfinished).some((each) => isReset(each, input))
  const asReset = incremental && (inherited || (!job && (input.reset || pending.length > 0)))
  const first = !input.foreign && !lastSucceeded
  const complete = mode === 'full_refresh' || asReset || (incremental && (job ? job.complete : first))
  const follows = incremental && !complete ? lastSucceeded : undefined
  const since = input.foreign ? undefined : follows && watermarkOf(follows)
  // What was told to be durable must stay, whatever a store knows of it: nothing is said of the run before.
  const previous = input.foreign === 'tells' ? undefined : follows?.id

  return {
    action: job ? 'resume' : 'start',
    ...(job && { job }),
    // There is never more than one of ours, but another program may have left several: the newest counts.
    cancel: unfinished.filter((each) => each !== job).map(({ id }) => id),
    consume: pending.map(({ id }) => id),
    bindReset: asReset && !job && pending.length === 0,
    complete,
    ...(since && { since }),
    ...(previous !== undefined && { previous }),
    asReset,
    ...(obstacle !== undefined && { obstacle }),
    reasons: [firstReason(newest, obstacle), ...fetchReasons({ asReset, complete, since }, input)],
    warnings: incremental ? [] : warningsOf(input, pending.length),
  }
}

/** Why the unfinished run cannot be gone on with, if so. */
function obstacleTo(job: Job, input: DecisionInput, pendingResets: number): string | undefined {
  const { mode } = input
  const { queued } = input
  const isQueued = queued === job.id
  if (input.force && !isQueued) return input.foreign ? '--start-over is given' : 'force_ignore_checkpoint is set'
  if (input.foreign === 'silent') return 'what it read comes again'
  if (job.mode !== mode) return `its sync_mode was ${job.mode} and now is ${mode}`
  if (mode === 'stream') return undefined
  // What such a run staged is not where or as we stage; nothing is lost, since the watermark has not moved.
  if (!job.ours) return 'another program made it'
  const { configHash, only } = input
  if (only !== undefined && only !== job.id) return 'its producer has begun another'
  if (queued !== undefined && !isQueued) return 'another run waits in the queue'
  if (job.configHash !== undefined && configHash !== undefined && !job.configHash.startsWith(configHash))
    return 'its configuration was another'
  if (mode === 'full_refresh')
    return input.resumable ? undefined : "the source's positions are of no use to a later process"
  if (pendingResets > 0 && !isQueued) return 'a reset was requested'
  if (input.reset && !isReset(job, input)) return 'reset is set'
  return undefined
}

/**
 * The run to go on from, unless a stream has written behind it: what a stream brought is in no watermark, so that after
 * it comes a first run.
 */
function notStreamedOver({ lastSucceeded, unfinished }: DecisionInput): Job | undefined {
  if (!lastSucceeded || lastSucceeded.mode === 'stream') return undefined
  // Of ours every unfinished one is newer; the other program leaves them lying about.
  const isNewer = (job: Job): boolean => job.ours || job.createdAt >= lastSucceeded.createdAt
  return unfinished.some((job) => job.mode === 'stream' && isNewer(job)) ? undefined : lastSucceeded
}

/** Only incremental runs are resets; other modes take requests to be rid of them. */
function isReset(job: Job, { mode, resets }: DecisionInput): boolean {
  return mode === 'incremental' && job.mode === mode && resets.some(({ consumedByJobId }) => consumedByJobId === job.id)
}

/** Where the run after a succeeded one begins. */
export function watermarkOf(job: Job): Watermark {
  const { createdAt: time, watermark: value } = job.rewound ?? job
  return { time, ...(value !== undefined && { value }) }
}

function firstReason(newest: Job | undefined, obstacle: string | undefined): string {
  if (!newest) return 'starts a new run: none is unfinished'
  if (obstacle !== undefined) return `starts a new run instead of run ${newest.id}, which is cancelled: ${obstacle}`
  return `goes on with run ${newest.id}, attempt ${newest.attempt + 2}`
}

function fetchReasons(
  { asReset, complete, since }: Pick<Decision, 'asReset' | 'complete'> & { since: Watermark | undefined },
  { mode, lastSucceeded, foreign, adds }: DecisionInput,
): readonly string[] {
  if (mode !== 'incremental') return []
  if (foreign && !complete) return [FOREIGN_LANDINGS[adds ?? 'append']]
  const { rewound } = lastSucceeded ?? {}
  const all = `fetches everything and ${adds === 'once_more' ? 'adds it to what is there' : 'replaces the target'}`
  if (asReset) return [`${all}: reset`]
  if (complete) return [`${all}: no incremental run has succeeded yet`]
  if (!since) return []
  // A source that left a watermark goes by that, not by the clock.
  const run = rewound ? `run ${rewound.to}, to which it was rewound,` : 'the last published run'
  const than = since.value === undefined ? since.time.toISOString() : `what ${run} ended with`
  return [`fetches what is newer than ${than} and ${LANDINGS[adds ?? 'append']}`]
}

const LANDINGS = {
  append: 'adds it',
  merge: 'merges it by primary_key',
  replace_scope: 'replaces the rows of the same scope by it',
  once_more: 'adds it',
} as const
const FOREIGN_LANDINGS = {
  append: 'adds what comes to the target',
  merge: 'merges what comes into the target by primary_key',
  replace_scope: 'replaces the rows of the same scope by what comes',
  once_more: 'adds what comes to the target',
} as const

function warningsOf({ mode, reset }: DecisionInput, pendingResets: number): readonly string[] {
  const warnings: string[] = []
  if (reset) warnings.push(`reset is ignored: sync_mode is ${mode}, and only incremental streams can be reset`)
  if (pendingResets > 0)
    warnings.push(
      `a reset was requested, and is dropped: sync_mode is ${mode}, and only incremental streams can be reset`,
    )
  return warnings
}

export interface Reconciled {
  /** Where the run goes on; absent: at the beginning. */
  readonly start: Checkpoint | undefined
  readonly reason: string
  readonly warning?: string
}

/**
 * Where a run goes on, given what the state store remembers of it and what the destination holds: the destination is
 * right. Throws with code `edited` when rows that were durable are gone and cannot be fetched again.
 */
export function reconcile(
  stored: Checkpoint | undefined,
  durable: Checkpoint | undefined,
  { job, resumable }: { readonly job: Pick<Job, 'id' | 'mode'>; readonly resumable: boolean },
): Reconciled {
  if (!durable) {
    if (!stored || !promises(stored)) return { start: undefined, reason: 'from its first page' }
    throw lost(job, stored, 'nothing of it')
  }
  const here = `from checkpoint ${show(durable)}`
  if (!stored) return { start: durable, reason: `${here}, which the destination holds` }
  if (isBehind(durable, stored)) {
    if (!resumable) throw lost(job, stored, `only ${show(durable)}`)
    return {
      start: durable,
      reason: `${here}: the destination holds no more`,
      warning: `run ${job.id} had ${show(stored)} durable, but the destination holds ${show(durable)}: fetching the rest again`,
    }
  }
  const ahead = isBehind(stored, durable)
  return { start: durable, reason: ahead ? `${here}, which only the destination knew of` : here }
}

/** Whether something must be durable for it. Stream runs of the Python program leave counts without a position. */
function promises(checkpoint: Checkpoint): boolean {
  return checkpoint.end || (checkpoint.page > 0 && checkpoint.position !== null)
}

function isBehind(one: Checkpoint, other: Checkpoint): boolean {
  return one.page < other.page || (one.page === other.page && !one.end && other.end)
}

function show({ page, rows, end }: Checkpoint): string {
  return `page ${page} (${rows} rows${end ? ', the end' : ''})`
}

function lost(job: Pick<Job, 'id' | 'mode'>, stored: Checkpoint, found: string): BizonError {
  return new BizonError(
    'edited',
    `the destination lost rows of run ${job.id}: ${show(stored)} was durable, and it holds ${found}`,
    {
      hint: `Put the destination back as it was. Or start over: ${startingOver(job.mode)}.`,
    },
  )
}

/** How to give up what an unfinished run has read, in words for people; begins in lower case and has no full stop. */
export function startingOver(mode: SyncMode): string {
  if (mode === 'full_refresh') return 'set source.force_ignore_checkpoint: true for one run'
  if (mode === 'incremental')
    return 'run with --reset (of bizon run or bizon-extract), which fetches everything again and replaces the output'
  return 'move the output and its state file away, and set source.force_ignore_checkpoint: true for one run'
}

/** The same of a run that comes out of a queue, as one in partitions does. */
export function readingAnew(mode: SyncMode): string {
  return `${startingOver(mode)}, with bizon-extract FILE --to-queue --ignore-queue; then bizon-load FILE --from-queue --skip-broken`
}
