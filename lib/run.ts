// One run's bookkeeping, from the choice of its job to the last status: job.ts decides, the destination says where
// it stands, the state store remembers. Every step can be repeated by the next process.

import { createHash } from 'node:crypto'
import { normalize } from 'node:path'
import { checkAlike } from './alike.ts'
import type { Checkpoint, Receipt } from './checkpoint.ts'
import type { ConfigOf, PipelineConfig, SourceConfig } from './config.ts'
import type { Destination, Run } from './destination.ts'
import { partsInStore, refuseEdited } from './edited.ts'
import { BizonError, messageOf } from './errors.ts'
import type { OpenSource } from './extract.ts'
import { faultPoint } from './fault.ts'
import { type Decision, type DecisionInput, decide, type Reconciled, reconcile } from './job.ts'
import type { Log } from './log.ts'
import { partStream } from './partition.ts'
import { redactor } from './redact.ts'
import { isMapping } from './references.ts'
import { checkShrink } from './shrink.ts'
import type { Start, StreamInfo } from './source.ts'
import type { Identity, Lease, StateStore } from './state.ts'
import { scriptsOf } from './transforms.ts'

export interface RunParts {
  readonly config: PipelineConfig
  readonly stream: StreamInfo
  /** The source's count, for the job's row. */
  readonly total: number | undefined
  readonly store: StateStore
  readonly lease: Lease
  /** A run that another process has begun to fetch. */
  readonly begun?: OpenSource['begun']
  readonly foreign?: OpenSource['foreign']
  readonly destination: Destination
  readonly log: Log
  readonly signal: AbortSignal
}

export interface OpenRun {
  readonly id: string
  /** Where the run stands; that of a new run has no page. */
  readonly from: Checkpoint
  /** The same in the source's terms. */
  readonly start: Start
  /** How often it was started, this time included. */
  readonly attempt: number
  /** Start of its fetch: the time of its watermark. */
  readonly began: Date
  /** The run that its watermark is of. */
  readonly previous: string | undefined
  /** In plain words, why this job and from here. */
  readonly reasons: readonly string[]
  /** The store's copy of what the destination holds already. */
  save(checkpoint: Checkpoint, receipt: Receipt | undefined): Promise<void>
  /** Before the publish. Throws when a full refresh has too few rows to take the place of the one before. */
  checkSize(end: Checkpoint): void
  /** Before the publish, too. Rejects where another partition has ended the run with another reading, and may be at the next run by now. */
  checkEnds(): Promise<void>
  /** After the publish; the watermark moves with it. */
  succeed(end: Checkpoint): Promise<void>
  /** The run stopped before its end; the next process goes on with it. */
  pause(): Promise<void>
  /** As `pause`, with the reason. Never throws: there is an error on its way already. */
  fail(error: unknown): Promise<void>
}

/** Chooses and begins the job, and lets the destination recover. What it is given stays the caller's to close. */
export async function openRun({
  config,
  stream,
  total,
  store,
  lease,
  begun,
  foreign,
  destination,
  log,
  signal,
}: RunParts): Promise<OpenRun> {
  const { mode, cursorField, forceIgnoreCheckpoint } = config.source
  const { maxShrinkPct } = config.destination
  const resumable = stream.resumable ?? false
  const identity = identityOf(config)
  const configHash = await configHashOf(config)
  const found = await pastOf(store, identity)
  const past = begun?.isQueued ? { ...found, resets: resetsBefore(begun.at, config, found) } : found
  const { lastSucceeded } = past
  const replaced = mode === 'full_refresh' && lastSucceeded?.mode === mode ? lastSucceeded : undefined
  const before = maxShrinkPct === undefined || !replaced ? undefined : (await store.lastCheckpoint(replaced))?.rows
  const only = config.source.hash === '' && !foreign ? begun?.id : undefined
  const queued = begun?.isQueued ? begun.id : undefined
  // Another run cannot take the place of one in partitions, whose ends would never meet.
  const settings = config.source.partition && mode !== 'stream' ? configHash : undefined
  const known = past.unfinished.find(({ id }) => id === begun?.id) ?? lastSucceeded
  if (settings !== undefined && begun && known?.configHash !== settings)
    refuseEdited(config, settings, await partsInStore(store, config, begun.id))
  const decision = nextRun(config.source, past, {
    ...{ resumable, foreign, only, queued, adds: addsOf(config) },
    ...(settings === undefined && { configHash }),
  })
  if (foreign === 'tells' && !forceIgnoreCheckpoint) await keepTold(store, past, decision)
  for (const warning of decision.warnings) log.warn(warning)
  const job = await store.begin(lease, {
    identity,
    cancel: decision.cancel,
    ...(decision.job && { resume: decision.job.id }),
    mode,
    complete: decision.complete,
    configHash,
    ...(total !== undefined && { totalRecords: total }),
    consume: decision.consume,
    bindReset: decision.bindReset,
    ...(begun && { begun }),
  })
  faultPoint('run.created')

  const fail: OpenRun['fail'] = async (error) => {
    const reason = redactor(config.secrets)(messageOf(error))
    // A destination that another run is writing to is asked again and again by who stands by.
    const isAttempt = !(error instanceof BizonError && error.code === 'locked')
    await store.finish(lease, job, { status: 'failed', error: reason, isAttempt }).catch(() => {})
  }
  const save: OpenRun['save'] = async (checkpoint, receipt) => {
    faultPoint('cursor.before')
    await store.saveCheckpoint(lease, job, { ...checkpoint, ...(receipt && { receipt }) }, config.destination.name)
    faultPoint('cursor.after')
  }

  const stored = decision.action === 'resume' ? await store.lastCheckpoint(job) : undefined
  const run = runOf(config, decision, { id: job.id, epoch: lease.epoch, stored, foreign })
  const settle = async (): Promise<Reconciled> => {
    const durable = await destination.open(run, signal)
    // Only a full refresh may be one whose positions mean nothing to a later process.
    const settled = reconcile(stored, durable, { job, resumable: resumable || mode !== 'full_refresh' })
    // The destination has the last word: its partitions may hold what the store was never told of.
    if (settings !== undefined) refuseEdited(config, settings, (await destination.parts?.()) ?? [])
    if (settled.warning) log.warn(settled.warning)
    if (settled.start && !sameStand(settled.start, stored)) await save(settled.start, undefined)
    return settled
  }
  const settled = await settle().catch(async (error) => {
    await fail(error)
    throw error
  })

  const { since } = decision
  const from = {
    ...(settled.start ?? { run: job.id, page: 0, rows: 0, position: null, end: false }),
    ...(settings !== undefined && { settings }),
  }
  return {
    id: job.id,
    from,
    start: {
      ...(from.position && { position: from.position }),
      ...(since && {
        since: { ...since, ...(cursorField !== undefined && { cursorField }) },
      }),
    },
    attempt: job.attempt + 1,
    began: job.createdAt,
    previous: decision.previous,
    reasons: [...decision.reasons, settled.reason],
    save,
    checkSize({ rows }) {
      if (before !== undefined && maxShrinkPct !== undefined) checkShrink({ rows, before, maxShrinkPct })
    },
    async checkEnds() {
      if (config.source.partition) checkAlike({ run: job.id, mode }, await partsInStore(store, config, job.id))
    },
    async succeed({ watermark = since?.value }) {
      faultPoint('status.before')
      // A run that found nothing new hands on what it was given.
      await store.finish(lease, job, { status: 'succeeded', ...(watermark !== undefined && { watermark }) })
      faultPoint('status.after')
    },
    async pause() {
      await store.finish(lease, job, { status: 'running' })
    },
    fail,
  }
}

/** Who asked for a reset after a run that waits in a queue has begun to read, means the one after it. */
function resetsBefore(begun: Date, { source }: Pick<PipelineConfig, 'source'>, { resets }: Past): Past['resets'] {
  return resets.filter(
    ({ requestedAt, consumedByJobId }) => consumedByJobId !== undefined || (source.reset && requestedAt <= begun),
  )
}

/** Rejects rather than give up rows of which another program was told that they are durable: it does not send them again. */
async function keepTold(store: StateStore, { unfinished }: Past, { cancel, obstacle }: Decision): Promise<void> {
  for (const job of unfinished) {
    if (job.mode !== 'incremental' || !cancel.includes(job.id)) continue
    const reached = await store.lastCheckpoint(job)
    if (!reached || reached.page === 0) continue
    throw new BizonError(
      'edited',
      `run ${job.id} is not published, and its producer was told that ${reached.rows === 1 ? '1 row of it is' : `${reached.rows} rows of it are`} durable; but it cannot be gone on with: ${obstacle ?? 'another one is newer'}`,
      {
        hint: 'Set the configuration back, and run the line once more: that publishes them. Or give them up with --start-over.',
      },
    )
  }
}

/**
 * Where the run ended that another process has begun, if it is published already and cannot be loaded again: an extract of
 * all there is can.
 */
export async function publishedEnd(
  store: StateStore,
  config: Pick<PipelineConfig, 'name' | 'source'>,
  begun: OpenSource['begun'],
): Promise<Checkpoint | undefined> {
  if (!begun || (config.source.mode === 'full_refresh' && begun.page === 0)) return undefined
  const last = await store.lastSucceeded(identityOf(config))
  const end = last?.id === begun.id ? await store.lastCheckpoint(last) : undefined
  return end?.end ? end : undefined
}

function sameStand(one: Checkpoint, other: Checkpoint | undefined): boolean {
  return one.page === other?.page && one.end === other.end
}

export function identityOf({ name, source }: Pick<PipelineConfig, 'name' | 'source'>): Identity {
  return { name, source: source.name, stream: partStream(source.stream, source.partition) }
}

/** What earlier runs left, as far as the next one is decided by it. */
export type Past = Pick<DecisionInput, 'unfinished' | 'lastSucceeded' | 'resets'>

export async function pastOf(
  store: Pick<StateStore, 'unfinishedJobs' | 'lastSucceeded' | 'resets'>,
  identity: Identity,
): Promise<Past> {
  const unfinished = await store.unfinishedJobs(identity)
  const lastSucceeded = await store.lastSucceeded(identity)
  const ids = unfinished.map(({ id }) => id)
  return { unfinished, lastSucceeded, resets: await store.resets(identity, ids) }
}

/** The run as its destination sees it. */
export function runOf(
  config: Pick<PipelineConfig, 'name' | 'source'>,
  { action, asReset, complete, previous, cancel }: Decision,
  {
    id,
    epoch,
    stored,
    foreign,
  }: Pick<Run, 'id' | 'epoch'> & { stored: Run['stored']; foreign?: OpenSource['foreign'] },
): Run {
  const { mode, forceIgnoreCheckpoint } = config.source
  const identity = identityOf(config)
  return {
    id,
    pipeline: identity.name,
    source: identity.source,
    stream: identity.stream,
    ...(config.source.partition && { partition: config.source.partition }),
    mode: asReset ? 'full_refresh' : mode,
    epoch,
    complete,
    ...(foreign && mode === 'full_refresh' && { keepsOthers: true }),
    ...(previous !== undefined && { previous }),
    ...(foreign !== 'tells' && cancel.length > 0 && { givenUp: cancel }),
    ...(forceIgnoreCheckpoint && action === 'start' && { startOver: true }),
    ...(stored && { stored }),
  }
}

/** How what an incremental run brings comes to the target. */
export function addsOf({ destination }: Partial<Pick<PipelineConfig, 'destination'>>): DecisionInput['adds'] {
  return destination?.definition.onlyAdds ? 'once_more' : destination?.definition.adds?.(destination.options)
}

/** What the next run is going to be. Without a hash it is taken for granted that the config has not changed. */
export function nextRun(
  { mode, forceIgnoreCheckpoint, reset }: SourceConfig,
  past: Past,
  also: Pick<DecisionInput, 'resumable' | 'configHash' | 'foreign' | 'only' | 'queued' | 'adds'>,
): Decision {
  return decide({ mode, force: forceIgnoreCheckpoint, reset, ...past, ...also })
}

/**
 * Of what is loaded, and where to: a run begun with one goes on with no other. Settings for how it is done are left
 * out. A hash alone, because settings may hold what references stand for. What is read comes first, since a producer in
 * another process knows no more than that.
 */
export async function configHashOf(config: PipelineConfig): Promise<string> {
  const { source, transforms, destination } = config
  // What another process reads, that one has transformed; what is left to do here comes on top.
  const more = source.hash === undefined ? '' : await transformsHashOf(transforms)
  const read = source.hash ?? (await sourceHashOf(config))
  const rest = hashOf({
    destination: destination.name,
    destinationFile: destination.file && normalize(destination.file),
    destinationOptions: without(
      destination.definition.hashed?.(destination.options) ?? destination.options,
      destination.definition.tuning,
    ),
    ...(more !== '' && { transforms: more }),
  })
  return `${read}${rest}`
}

/** Of what is read, and how it is transformed. */
export async function sourceHashOf({ source, transforms }: ConfigOf<'source'>): Promise<string> {
  return hashOf({ ...readBy(source), transforms: await transformsHashOf(transforms) })
}

/** Of the scripts; empty: there are none. */
export async function transformsHashOf(transforms: PipelineConfig['transforms']): Promise<string> {
  return transforms.length === 0 ? '' : hashOf(await scriptsOf(transforms))
}

function readBy(source: PipelineConfig['source']): object {
  return {
    source: source.name,
    sourceFile: source.file && normalize(source.file),
    stream: source.stream,
    cursorField: source.cursorField,
    sourceOptions: without(source.options, source.definition.tuning),
  }
}

function hashOf(what: object): string {
  return createHash('sha256').update(JSON.stringify(what, inOrder)).digest('hex').slice(0, 16)
}

function without(options: unknown, keys: readonly string[] = []): unknown {
  if (!isMapping(options)) return options
  return Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)))
}

/** The order of keys in the file says nothing. */
function inOrder(_key: string, value: unknown): unknown {
  if (!isMapping(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
}
