// bizon state show of a stream in partitions: where each of them stands, and what the extract that feeds them does next.

import { BizonError } from '../../../lib/errors.ts'
import { stringifyJson } from '../../../lib/json.ts'
import { silentLog } from '../../../lib/log.ts'
import { wholeRun } from '../../../lib/partition.ts'
import { identitiesOf, newestRunOf, type PartStanding, standingOfEach } from '../../../lib/pipe/queue/partitions.ts'
import { standingInParts } from '../../../lib/pipe/queue/parts.ts'
import { findStream } from '../../../lib/source.ts'
import type { OpenState } from '../../../lib/state/standing.ts'
import { columns } from './columns.ts'

export async function showParts(state: OpenState, partitions: number): Promise<string> {
  const { config, identity, label, store } = state
  const parts = await standingOfEach(store, identitiesOf(config))
  const run = newestRunOf(parts)
  return columns([
    ['Pipeline', `${identity.name} (${label}), ${config.source.mode}, in ${partitions} partitions`],
    ['State', store.place],
    ['Run', run ?? 'none yet'],
    ['Partitions', partLines(parts).join('\n')],
    ['Next run', (await nextOf(state, partitions)).join('\n')],
  ])
}

/** `1: page 12, the end, 340 rows, epoch 17, succeeded`, a line each. */
export function partLines(parts: readonly PartStanding[]): string[] {
  const run = newestRunOf(parts)
  return parts.map(({ partition, job, checkpoint }) => {
    if (!job) return `${partition.index + 1}: nothing yet`
    const { page = 0, rows = 0, end = false } = checkpoint ?? {}
    const other = wholeRun(job.id) === run ? '' : `, of run ${wholeRun(job.id)}`
    const status = job.errorMessage === undefined ? job.status : `${job.status}: ${job.errorMessage}`
    const epoch = job.epoch === undefined ? '' : `, epoch ${job.epoch}`
    const where = `page ${page}${end ? ', the end' : ''}, ${rows} rows`
    return `${partition.index + 1}: ${where}${epoch}, ${status}${other}`
  })
}

export function partsJson(parts: readonly PartStanding[]) {
  return parts.map(({ partition, job, checkpoint }) => ({
    partition: partition.index + 1,
    of: partition.of,
    run: job?.id ?? null,
    status: job?.status ?? null,
    epoch: job?.epoch ?? null,
    page: checkpoint?.page ?? 0,
    rows: checkpoint?.rows ?? 0,
    end: checkpoint?.end ?? false,
    position: checkpoint?.position ?? null,
    error: job?.errorMessage ?? null,
  }))
}

export async function showPartsJson(state: OpenState, partitions: number): Promise<string> {
  const { config, identity, store } = state
  const parts = await standingOfEach(store, identitiesOf(config))
  return stringifyJson({
    pipeline: identity.name,
    source: identity.source,
    stream: identity.stream,
    mode: config.source.mode,
    run: newestRunOf(parts) ?? null,
    partitions: partsJson(parts),
    next: { reasons: [...(await nextOf(state, partitions))] },
  })
}

/** What waits in the queue is not looked at: an extract goes on behind it. */
async function nextOf({ config, store }: OpenState, partitions: number): Promise<readonly string[]> {
  const { definition, options, stream } = config.source
  const found = findStream(definition.streams(options), stream) ?? { name: stream }
  try {
    const { stored } = await standingInParts(store, config, found, partitions, silentLog)
    return [...stored.reasons, 'behind what waits in the queue']
  } catch (error) {
    if (error instanceof BizonError) return [`is refused: ${error.message}`]
    throw error
  }
}
