// Where the partitions of a stream stand, taken together: an extract goes on behind the page that all of them hold. Those that
// hold more pass over what comes again.

import type { ConfigOf } from '../../config.ts'
import { BizonError } from '../../errors.ts'
import type { Decision } from '../../job.ts'
import type { Log } from '../../log.ts'
import { partIdentities, wholeRun } from '../../partition.ts'
import { addsOf, identityOf, nextRun, sourceHashOf } from '../../run.ts'
import type { StreamInfo } from '../../source.ts'
import type { Job, StateStore, StoredCheckpoint } from '../../state.ts'
import { freshState, type Standing, withBeginning } from '../standing.ts'
import type { PipeState } from '../state.ts'
import { newestRunOf, type PartStanding, standingOfEach } from './partitions.ts'

/** The newest run, as it stands in all partitions. */
export interface Newest extends Pick<Job, 'id' | 'status' | 'createdAt'> {
  /** That all of them hold. */
  readonly page: number
}

export interface PartsStanding {
  readonly stored: Standing
  readonly newest: Newest | undefined
}

export async function standingInParts(
  store: StateStore,
  config: ConfigOf<'source'>,
  stream: StreamInfo,
  partitions: number,
  log: Log,
): Promise<PartsStanding> {
  await refuseRequested(store, config)
  const standings = await standingOfEach(store, partIdentities(identityOf(config), partitions))
  const { parts, newest, least, decision, from } = await nextInParts(store, config, stream, standings)
  for (const warning of decision.warnings) log.warn(warning)
  const { since, asReset, previous } = decision
  const fresh = freshState()
  const state: PipeState = {
    ...fresh,
    run: wholeRun(fresh.run),
    ...from,
    ...(decision.action === 'resume' && newest && { run: wholeRun(newest.id), at: newest.createdAt }),
    ...(previous !== undefined && { previous: wholeRun(previous) }),
    ...(await rowsOf(store, parts, from?.page ?? 0)),
  }
  const { cursorField } = config.source
  return {
    newest: newest && {
      id: wholeRun(newest.id),
      status: least ? 'running' : 'succeeded',
      createdAt: newest.createdAt,
      page: (least ?? parts[0])?.checkpoint?.page ?? 0,
    },
    stored: {
      state: await withBeginning(config, stream, state, asReset, partitions),
      start: {
        ...(from?.position && { position: from.position }),
        ...(since && { since: { ...since, ...(cursorField !== undefined && { cursorField }) } }),
      },
      reasons: decision.reasons,
    },
  }
}

/** What an extract does next. */
export interface NextInParts {
  /** What each partition has of the newest run: what it has of another one is of no use to that. */
  readonly parts: readonly PartStanding[]
  /** Some partition's part of the newest run. Undefined: there is none. */
  readonly newest: Job | undefined
  /** The partition that is furthest behind in it; without a job it has not begun. Undefined: it is published in all of them. */
  readonly least: PartStanding | undefined
  readonly decision: Decision
  /** Where it goes on; undefined: at the beginning. */
  readonly from: StoredCheckpoint | undefined
}

/** The same as of one pipeline, which stands where the last of the partitions does. Rejects where that cannot be gone on with. */
export async function nextInParts(
  store: Pick<StateStore, 'lastSucceeded'>,
  config: ConfigOf<'source'>,
  { resumable = false }: StreamInfo,
  standings: readonly PartStanding[],
): Promise<NextInParts> {
  const run = newestRunOf(standings)
  const parts = standings.map((part): PartStanding => {
    return part.job && wholeRun(part.job.id) === run ? part : { ...part, job: undefined, checkpoint: undefined }
  })
  const newest = parts.find(({ job }) => job)?.job
  const behind = newest ? parts.filter((part) => !isDone(part)) : []
  const least = behind.reduce<PartStanding | undefined>((a, b) => (a && pageOf(a) <= pageOf(b) ? a : b), undefined)
  const unfinished = newest && least ? [{ ...(least.job ?? newest), status: 'running' as const }] : []
  const lastSucceeded = await store.lastSucceeded((least ?? (parts[0] as PartStanding)).identity)
  const decision = nextRun(
    config.source,
    { unfinished, lastSucceeded, resets: [] },
    { resumable, configHash: await sourceHashOf(config), adds: addsOf(config) },
  )
  if (newest && least && decision.action === 'start') refuseMixed(parts, decision, wholeRun(newest.id))
  return { parts, newest, least, decision, from: decision.action === 'resume' ? least?.checkpoint : undefined }
}

const pageOf = ({ checkpoint }: PartStanding): number => checkpoint?.page ?? 0
const isDone = ({ job }: PartStanding): boolean => job?.status === 'succeeded'

/** The records before the page, of each partition; nothing if that is not known of one. */
async function rowsOf(
  store: Pick<StateStore, 'checkpoints'>,
  parts: readonly PartStanding[],
  page: number,
): Promise<Pick<PipeState, 'partitions'>> {
  if (page === 0) return { partitions: parts.map(() => 0) }
  const rows: number[] = []
  for (const { job, checkpoint } of parts) {
    const logged = !job || checkpoint?.page === page ? [] : await store.checkpoints(job)
    const found = checkpoint?.page === page ? checkpoint : logged.find((one) => one.page === page)
    if (!found) return {}
    rows.push(found.rows)
  }
  return { partitions: rows }
}

/** Rejects where a reset was requested that no extract would take up. */
export async function refuseRequested(store: Pick<StateStore, 'resets'>, config: ConfigOf<'source'>): Promise<void> {
  const requested = await store.resets(identityOf(config), [])
  if (requested.length === 0) return
  throw new BizonError('usage', 'a reset was requested, and a stream in partitions is reset by its extract', {
    hint: 'Withdraw the request, and use --reset of bizon-extract.',
  })
}

/** What some partitions have published already, no other run may begin before. */
function refuseMixed(parts: readonly PartStanding[], { obstacle, asReset, complete }: Decision, run: string): void {
  if (asReset || complete || !parts.some(isDone)) return
  throw new BizonError('usage', `run ${run} is published in some partitions, and cannot be gone on with: ${obstacle}`, {
    hint: 'Set the configuration back until it is published in all of them. Or fetch everything again with --reset.',
  })
}
