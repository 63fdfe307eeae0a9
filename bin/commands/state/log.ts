// bizon state log: the checkpoints of one run, or the runs; the newest last.

import { BizonError } from '../../../lib/errors.ts'
import { watermarkOf } from '../../../lib/job.ts'
import { stringifyJson } from '../../../lib/json.ts'
import type { OpenState } from '../../../lib/state/standing.ts'
import { columns } from './columns.ts'

interface Listing {
  readonly job?: string
  readonly limit?: number
  readonly json?: true
}

export async function checkpointLines(state: OpenState, { job: id, limit, json }: Listing): Promise<readonly string[]> {
  const { store, identity, label, config } = state
  const jobs = await store.jobs(identity, id === undefined ? 1 : undefined)
  const job = id === undefined ? jobs[0] : jobs.find((each) => each.id === id)
  if (!job && id !== undefined) {
    throw new BizonError('state', `${label}: no run ${id} is known`, { hint: `bizon state log ${config.path} --runs` })
  }
  if (!job) return json ? [] : [`${label} has not run yet.`]
  const checkpoints = await store.checkpoints(job, limit)
  if (json) {
    return checkpoints.map(({ run, savedAt, destination, attempt, page, rows, end, position, watermark }) =>
      stringifyJson({
        run,
        saved: savedAt.toISOString(),
        destination,
        attempt: attempt + 1,
        page,
        rows,
        end,
        position,
        watermark: watermark ?? null,
      }),
    )
  }
  if (checkpoints.length === 0) return [`Run ${job.id} of ${label} has no checkpoint.`]
  const rows = checkpoints.map(({ savedAt, attempt, page, rows, end, position }) => [
    savedAt.toISOString(),
    String(attempt + 1),
    String(page),
    String(rows),
    end ? 'the end' : position ? stringifyJson(position) : 'none',
  ])
  return [`Run ${job.id}, ${job.status}`, columns([['Saved', 'Attempt', 'Page', 'Rows', 'Position'], ...rows])]
}

export async function runLines(state: OpenState, { limit, json }: Listing): Promise<readonly string[]> {
  const { store, identity, label } = state
  const jobs = (await store.jobs(identity, limit)).toReversed()
  if (json) {
    return jobs.map((job) => {
      const { id, status, mode, attempt, createdAt, rewound, errorMessage } = job
      return stringifyJson({
        id,
        status,
        mode,
        attempt: attempt + 1,
        began: createdAt.toISOString(),
        watermark: watermarkOf(job).value ?? null,
        rewound_to: rewound?.to ?? null,
        error: errorMessage ?? null,
      })
    })
  }
  if (jobs.length === 0) return [`${label} has not run yet.`]
  const rows = jobs.map(({ id, status, mode, attempt, createdAt, watermark }) => [
    id,
    createdAt.toISOString(),
    mode,
    status,
    String(attempt + 1),
    watermark === undefined ? '' : stringifyJson(watermark),
  ])
  return [columns([['Run', 'Began', 'Mode', 'Status', 'Attempt', 'Watermark'], ...rows])]
}
