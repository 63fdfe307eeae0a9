// What the next run would do, found out the way that run finds it out, and without a change: the state is looked at
// through a copy, job.ts decides, the destination says what it would do. What would refuse the run rejects here, in the
// same order and with the same words.

import { checkApart } from '../apart.ts'
import type { Checkpoint } from '../checkpoint.ts'
import type { PipelineConfig } from '../config.ts'
import type { Destination, DestinationPlan } from '../destination.ts'
import { BizonError } from '../errors.ts'
import { extract, type OpenExtract } from '../extract.ts'
import { type Decision, reconcile } from '../job.ts'
import { type Log, silentLog } from '../log.ts'
import { channelOf } from '../pipe/queue/channel.ts'
import { partitionsOf } from '../pipe/queue/partitions.ts'
import { redactError, redactLog } from '../redact.ts'
import { addsOf, configHashOf, identityOf, nextRun, pastOf, runOf } from '../run.ts'
import type { PlannedRead } from '../source.ts'
import { newId, type StateView } from '../state.ts'
import type { PipelineOptions } from '../steps.ts'
import { openTransforms } from '../transforms.ts'
import { closeAll, never } from '../wait.ts'
import { type PlannedPart, planParts } from './parts.ts'

export interface RunPlan {
  readonly decision: Decision
  /** Where the run goes on; absent: at its beginning. */
  readonly from: Checkpoint | undefined
  /** In plain words, why this run and from here. */
  readonly reasons: readonly string[]
  /** Which the run would log. */
  readonly warnings: readonly string[]
  /** Records at the source, whichever of them are read; undefined: it does not say. */
  readonly total: number | undefined
  /** What would be read from there; undefined: the source does not say. */
  readonly reads: readonly PlannedRead[] | undefined
  /** Of a stream in partitions where each of them stands. */
  readonly partitions?: readonly PlannedPart[]
  /** Where there is a broker between extract and load: what waits there; undefined: it does not say, or nothing was put there yet. */
  readonly queue?: { readonly place: string; readonly waiting: number | undefined }
  /** Another run that holds the lock, in words for people: until it has ended this one is refused. */
  readonly heldBy: string | undefined
  /**
   * Undefined: the destination does not say what it would do, or changes under the run that holds the lock; the state
   * store's word is taken for what it holds.
   */
  readonly changes: DestinationPlan['changes'] | undefined
}

/** Rejects as a run would before it has read a record, but for a lock that another run holds. */
export async function planRun(
  config: PipelineConfig,
  { log = silentLog, signal = never }: Pick<PipelineOptions, 'log' | 'signal'> = {},
): Promise<RunPlan> {
  const clean = redactLog(log, config.secrets)
  const source = await extract(config).open(log, { hasty: true })
  let destination: Destination | undefined
  let state: StateView | undefined
  try {
    const { definition, options } = config.destination
    const { stream, mode } = config.source
    state = lookAt(config, clean)
    destination = definition.create(options, { pipeline: config.name, stream, mode, log: clean })
    const scripts = await openTransforms(config.transforms, { log, signal, secrets: config.secrets })
    await scripts.close()
    checkApart(config, source, destination)
    await state.open()
    const queue = await queueOf(config, clean, signal)
    const parts = partitionsOf(config) > 1
    const planned = parts
      ? await decideInParts({ config, source, state, log: clean, signal })
      : await decideWith({ config, source, state, destination, signal })
    return { ...planned, ...(queue && { queue }) }
  } catch (error) {
    redactError(error, config.secrets)
    throw error
  } finally {
    await closeAll(
      () => destination?.close(),
      () => state?.close(),
      () => source.close(),
    )
  }
}

function lookAt({ path, engine: { backend } }: PipelineConfig, log: Log): StateView {
  const view = backend.definition.look?.(backend, { log })
  if (view) return view
  throw new BizonError('usage', `${path}: engine.backend.type is ${backend.type}, which shows nothing without a run`, {
    hint: `bizon check ${path} and bizon state show ${path} say more.`,
  })
}

async function queueOf(config: PipelineConfig, log: Log, signal: AbortSignal): Promise<RunPlan['queue']> {
  if (!config.engine.queue.broker) return undefined
  const channel = channelOf(config, 'bizon plan', log)
  return { place: channel.place, waiting: await channel.waiting?.(signal) }
}

async function decideInParts(opened: Parameters<typeof planParts>[0]): Promise<RunPlan> {
  const { config, source, signal } = opened
  await source.check(signal)
  const total = await source.count(signal)
  const { decision, from, partitions, changes } = await planParts(opened)
  return {
    decision,
    from,
    partitions,
    changes,
    total,
    reads: await readsOf({ source, config, signal }, decision, from),
    reasons: decision.reasons,
    warnings: [...config.warnings, ...decision.warnings],
    heldBy: undefined,
  }
}

/** What would be read, but for what a queue holds already. */
async function readsOf(
  { source, config, signal }: Pick<Opened, 'source' | 'config' | 'signal'>,
  { since }: Decision,
  from: Checkpoint | undefined,
): Promise<RunPlan['reads']> {
  if (from?.end) return []
  const { cursorField } = config.source
  const position = from?.position
  const start = {
    ...(position && { position }),
    ...(since && { since: { ...since, ...(cursorField !== undefined && { cursorField }) } }),
  }
  return source.plan(start, signal)
}

interface Opened {
  readonly config: PipelineConfig
  readonly source: OpenExtract
  readonly state: StateView
  readonly destination: Destination
  readonly signal: AbortSignal
}

async function decideWith({ config, source, state, destination, signal }: Opened): Promise<RunPlan> {
  const identity = identityOf(config)
  const lease = await state.nextLease(identity)
  await source.check(signal)
  const total = await source.count(signal)
  const { mode } = config.source
  const resumable = source.stream.resumable ?? false
  const configHash = await configHashOf(config)
  const decision = nextRun(config.source, await pastOf(state, identity), {
    resumable,
    configHash,
    adds: addsOf(config),
  })
  const { job } = decision
  const stored = job && (await state.lastCheckpoint(job))
  const run = runOf(config, decision, { id: job?.id ?? newId(), epoch: lease.epoch, stored })
  const found = lease.heldBy === undefined ? await destination.plan?.(run, signal) : undefined
  const heldBy = lease.heldBy ?? found?.heldBy
  const settled = reconcile(stored, found ? found.durable : stored, {
    job: { id: run.id, mode },
    resumable: resumable || mode !== 'full_refresh',
  })
  return {
    decision,
    reads: await readsOf({ source, config, signal }, decision, settled.start),
    from: settled.start,
    reasons: [...decision.reasons, settled.reason],
    warnings: [...config.warnings, ...decision.warnings, ...(settled.warning === undefined ? [] : [settled.warning])],
    total,
    heldBy,
    changes: found?.changes,
  }
}
