// The last step of a run. Where several loaders have partitions of it, whoever has ended waits for the others, and leaves the run
// alone where those have given it up.

import type { PipelineConfig } from './config.ts'
import type { Destination } from './destination.ts'
import type { Log } from './log.ts'
import { partitionName, partRun, recentJobs, wholeRun } from './partition.ts'
import type { StateStore } from './state.ts'
import { sleep } from './wait.ts'

export interface Publishing {
  readonly destination: Pick<Destination, 'publish'>
  readonly store: Pick<StateStore, 'jobs'>
  readonly config: PipelineConfig
  /** Its id. */
  readonly run: string
  readonly log: Log
  readonly signal: AbortSignal
}

/** How often it is asked whether all partitions have ended, at first and later. */
const FIRST_SECONDS = 0.02
const OTHERS_SECONDS = 2
/** Less often, whether the run is still wanted. */
const GIVEN_UP_TURNS = 2

/** False: it was stopped while other partitions have not ended, or those have given up the run. */
export async function publishRun(publishing: Publishing): Promise<boolean> {
  const { destination, config, log, signal } = publishing
  const { partition } = config.source
  for (let wait = 0, turns = 0; (await destination.publish()) === 'waits'; turns++) {
    if (wait === 0 && partition)
      log.info(`all of ${partitionName(partition)} is loaded; it is published with the others`)
    wait = Math.min(OTHERS_SECONDS, 2 * wait || FIRST_SECONDS)
    await sleep(wait, signal)
    if (signal.aborted || (turns % GIVEN_UP_TURNS === 0 && (await isGivenUp(publishing)))) return false
  }
  return true
}

/**
 * Whether another partition has begun a later run in place of this one: it has given up its part, or never had one, since
 * the extract died before anything of it was there.
 */
async function isGivenUp({ store, config, run }: Publishing): Promise<boolean> {
  const { partition } = config.source
  if (!partition) return false
  const recent = await recentJobs(store, config)
  const own = recent[partition.index] ?? []
  const begun = own.find(({ id }) => id === run)?.createdAt
  // Clocks may differ: what was here, too, came before.
  const wasHere = (other: string): boolean => own.some(({ id }) => wholeRun(id) === wholeRun(other))
  return recent.some((jobs, index) => {
    const part = jobs.find(({ id }) => id === partRun(run, index))
    if (part) return part.status === 'cancelled'
    return jobs.some((one) => one.status !== 'cancelled' && begun && one.createdAt > begun && !wasHere(one.id))
  })
}
