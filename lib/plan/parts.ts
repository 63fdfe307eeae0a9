// What the extract and the loaders of a stream in partitions would do next: where each partition stands, as its destination says,
// and where an extract goes on, which is behind the page that all of them hold.

import type { PipelineConfig } from '../config.ts'
import type { Destination, PlannedChange } from '../destination.ts'
import type { OpenExtract } from '../extract.ts'
import type { Decision } from '../job.ts'
import type { Log } from '../log.ts'
import { checkPartitions } from '../partition.ts'
import { identitiesOf, type PartStanding, standingOfEach } from '../pipe/queue/partitions.ts'
import { nextInParts, refuseRequested } from '../pipe/queue/parts.ts'
import { configHashOf, identityOf, nextRun, pastOf, runOf } from '../run.ts'
import { newId, type StateView } from '../state.ts'

export interface PlannedPart extends PartStanding {
  /** Who loads it now, in words for people. */
  readonly heldBy: string | undefined
}

export interface PartsPlan {
  /** Of the extract, which goes on where the last of them stands. */
  readonly decision: Decision
  readonly from: PartStanding['checkpoint']
  readonly partitions: readonly PlannedPart[]
  readonly changes: readonly PlannedChange[] | undefined
}

interface Opened {
  readonly config: PipelineConfig
  readonly source: OpenExtract
  readonly state: StateView
  readonly log: Log
  readonly signal: AbortSignal
}

export async function planParts({ config, source, state, log, signal }: Opened): Promise<PartsPlan> {
  checkPartitions(config, config.source.mode)
  await refuseRequested(state, config)
  const resumable = source.stream.resumable ?? false
  const changes = new Map<string, PlannedChange>()
  const partitions: PlannedPart[] = []
  let said = false
  for (const part of await standingOfEach(state, identitiesOf(config))) {
    const planned = await planPart(part, { config, state, resumable, log, signal })
    partitions.push(planned.part)
    said ||= planned.changes !== undefined
    for (const change of planned.changes ?? []) changes.set(`${change.action} ${change.target} ${change.sql}`, change)
  }
  const { decision, from } = await nextInParts(state, config, source.stream, partitions)
  return { decision, from, partitions, changes: said ? [...changes.values()] : undefined }
}

interface Around extends Omit<Opened, 'source'> {
  readonly resumable: boolean
}

async function planPart(
  part: PartStanding,
  { config, state, resumable, log, signal }: Around,
): Promise<{ readonly part: PlannedPart; readonly changes: readonly PlannedChange[] | undefined }> {
  const { partition, job, checkpoint } = part
  const own = { ...config, source: { ...config.source, partition } }
  const { definition, options } = config.destination
  const { stream, mode } = config.source
  const lease = await state.nextLease(part.identity)
  if (lease.heldBy !== undefined) return { part: { ...part, heldBy: lease.heldBy }, changes: undefined }
  const past = await pastOf(state, identityOf(own))
  const decision = nextRun(own.source, past, { resumable, configHash: await configHashOf(own) })
  // What waits in the queue decides which run it is: the one that the state knows of, as long as that has not ended.
  const isOpen = job !== undefined && job.status !== 'succeeded'
  const run = runOf(own, decision, {
    id: isOpen ? job.id : newId(),
    epoch: lease.epoch,
    stored: isOpen ? checkpoint : undefined,
  })
  const destination: Destination = definition.create(options, { pipeline: config.name, stream, partition, mode, log })
  try {
    const found = await destination.plan?.(isOpen ? { ...run, complete: job.complete } : run, signal)
    const durable = isOpen ? (found?.durable ?? checkpoint) : checkpoint
    return { part: { ...part, checkpoint: durable, heldBy: found?.heldBy }, changes: found?.changes }
  } finally {
    await destination.close()
  }
}
