// A run in partitions is loaded with one destination and one list of transforms, whoever loads which of them, since its rows are
// published together. A stream has no such end: what comes is loaded as the file says now.

import type { Checkpoint } from './checkpoint.ts'
import type { PipelineConfig } from './config.ts'
import { Unloadable } from './errors.ts'
import { readingAnew } from './job.ts'
import { partRun, recentJobs } from './partition.ts'
import type { StateStore } from './state.ts'

/**
 * Rejects where a partition holds pages that were loaded with other settings than these. Before anything is loaded they may be any.
 * `held`: the checkpoint of each of them, in order, as the state store or the destination has it.
 */
export function refuseEdited(
  { path, source }: Pick<PipelineConfig, 'path' | 'source'>,
  settings: string,
  held: readonly (Checkpoint | undefined)[],
): void {
  const index = held.findIndex((one) => one?.settings !== undefined && one.page > 0 && one.settings !== settings)
  if (index < 0) return
  const page = held[index]?.page
  const pages = page === 1 ? '1 page' : `${page} pages`
  throw new Unloadable(
    'config',
    `${path}: destination, or transforms of the loader, were edited while a run was being loaded: partition ${index + 1} of ${held.length} has ${pages} of it as they were before`,
    { hint: `Set them back until the run is published. Or give it up: ${readingAnew(source.mode)}.` },
  )
}

/** What the state store says that each partition holds of the run. */
export async function partsInStore(
  store: Pick<StateStore, 'jobs' | 'lastCheckpoint'>,
  config: Pick<PipelineConfig, 'name' | 'source'>,
  run: string,
): Promise<readonly (Checkpoint | undefined)[]> {
  const recent = await recentJobs(store, config)
  return Promise.all(
    recent.map((jobs, index) => {
      const job = jobs.find(({ id }) => id === partRun(run, index))
      return job && store.lastCheckpoint(job)
    }),
  )
}
