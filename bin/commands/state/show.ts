// bizon state show: where a pipeline stands, as columns for people or one line of JSON.

import { watermarkOf } from '../../../lib/job.ts'
import { stringifyJson } from '../../../lib/json.ts'
import { partitionsOf } from '../../../lib/pipe/queue/partitions.ts'
import type { Json } from '../../../lib/record.ts'
import { type OpenState, type StateStanding, standingIn } from '../../../lib/state/standing.ts'
import { columns } from './columns.ts'
import { showParts, showPartsJson } from './parts.ts'

export async function show(state: OpenState): Promise<string> {
  const { config, identity, label } = state
  const partitions = partitionsOf(config)
  if (partitions > 1) return showParts(state, partitions)
  const standing = await standingIn(state)
  const { job, checkpoint, published, pendingResets, point, next } = standing
  const rows: [string, string][] = [
    ['Pipeline', `${identity.name} (${label}), ${config.source.mode}`],
    ['State', state.store.place],
  ]
  if (job) {
    rows.push(['Run', `${job.id}, begun ${job.createdAt.toISOString()}`])
    rows.push(['Status', job.errorMessage === undefined ? job.status : `${job.status}: ${job.errorMessage}`])
    rows.push(['Attempt', String(job.attempt + 1)])
    rows.push(['Page', checkpoint ? `${checkpoint.page}${checkpoint.end ? ', the end' : ''}` : 'none yet'])
    rows.push(['Rows', String(checkpoint?.rows ?? 0)])
    rows.push(['Position', checkpoint?.position ? stringifyJson(checkpoint.position) : 'none'])
  }
  if (published) {
    rows.push(['Published', `${published.id}, begun ${published.createdAt.toISOString()}`])
    rows.push(['Watermark', watermarkText(standing)])
    if (published.rewound) rows.push(['Rewound to', published.rewound.to])
  }
  const [first] = pendingResets
  if (first) rows.push(['Reset', `pending since ${first.requestedAt.toISOString()}`])
  if (point !== undefined) rows.push(['Stands at', point])
  rows.push(['Next run', next.reasons.join('\n')])
  return columns(rows)
}

function watermarkText({ published }: StateStanding): string {
  if (!published) return 'none'
  const { time, value } = watermarkOf(published)
  return value === undefined ? time.toISOString() : stringifyJson(value)
}

export async function showJson(state: OpenState): Promise<string> {
  const { config, identity } = state
  const partitions = partitionsOf(config)
  if (partitions > 1) return showPartsJson(state, partitions)
  const { job, checkpoint, published, pendingResets, point, next } = await standingIn(state)
  const since = published && watermarkOf(published)
  return stringifyJson({
    pipeline: identity.name,
    source: identity.source,
    stream: identity.stream,
    mode: config.source.mode,
    stands_at: point ?? null,
    run: job
      ? {
          id: job.id,
          status: job.status,
          attempt: job.attempt + 1,
          began: job.createdAt.toISOString(),
          page: checkpoint?.page ?? 0,
          rows: checkpoint?.rows ?? 0,
          end: checkpoint?.end ?? false,
          position: checkpoint?.position ?? null,
          error: job.errorMessage ?? null,
        }
      : null,
    published:
      published && since
        ? {
            id: published.id,
            began: published.createdAt.toISOString(),
            since: since.time.toISOString(),
            watermark: since.value ?? null,
            rewound_to: published.rewound?.to ?? null,
          }
        : null,
    pending_resets: pendingResets.map(({ requestedAt }) => requestedAt.toISOString()),
    next: { action: next.action, reasons: next.reasons } as unknown as Json,
  })
}
