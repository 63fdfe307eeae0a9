// In how many partitions a pipeline is loaded, by its config; and where each of them stands, by the state store.

import type { ConfigOf } from '../../config.ts'
import { silentLog } from '../../log.ts'
import { allPartitions, type Partition, partIdentities, wholeRun } from '../../partition.ts'
import { identityOf } from '../../run.ts'
import type { Identity, Job, StateStore, StoredCheckpoint } from '../../state.ts'
import { channelOf } from './channel.ts'

/** One without a broker. */
export function partitionsOf(config: ConfigOf<'source'>): number {
  if (!config.engine.queue.broker) return 1
  return channelOf(config, 'a queue', silentLog).partitions ?? 1
}

/** How a pipeline is run, as a command line: by both halves where several loaders share it. `more`: for what reads. */
export function commandOf(config: ConfigOf<'source'>, filename: string, more = ''): string {
  if (partitionsOf(config) === 1) return `bizon run ${filename}${more}`
  return `bizon-extract ${filename} --to-queue${more}, and bizon-load ${filename} --from-queue, as often as you like`
}

/** What the state of each partition is filed under, in order; of a pipeline that has one, its own. */
export function identitiesOf(config: ConfigOf<'source'>): readonly Identity[] {
  const partitions = partitionsOf(config)
  return partitions > 1 ? partIdentities(identityOf(config), partitions) : [identityOf(config)]
}

export interface PartStanding {
  readonly partition: Partition
  readonly identity: Identity
  /** Its newest run that was not given up; undefined: it has none. */
  readonly job: Job | undefined
  readonly checkpoint: StoredCheckpoint | undefined
}

/** Of each partition, in order. */
export async function standingOfEach(
  store: Pick<StateStore, 'unfinishedJobs' | 'lastSucceeded' | 'lastCheckpoint'>,
  identities: readonly Identity[],
): Promise<readonly PartStanding[]> {
  const standings: PartStanding[] = []
  for (const partition of allPartitions(identities.length)) {
    const identity = identities[partition.index] as Identity
    const job = (await store.unfinishedJobs(identity))[0] ?? (await store.lastSucceeded(identity))
    standings.push({ partition, identity, job, checkpoint: job && (await store.lastCheckpoint(job)) })
  }
  return standings
}

/** The newest run that any of them has a part of. */
export function newestRunOf(parts: readonly PartStanding[]): string | undefined {
  const [newest] = parts.flatMap(({ job }) => (job ? [job] : [])).sort((a, b) => +b.createdAt - +a.createdAt)
  return newest && wholeRun(newest.id)
}
