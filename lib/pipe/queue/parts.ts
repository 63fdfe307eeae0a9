// Where the partitions of a stream stand, taken together: an extract goes on behind the page that all of them hold. Those that
// hold more pass over what comes again.

import type { ConfigOf } from '../../config.ts'
import { BizonError } from '../../errors.ts'
import type { Decision } from '../../job.ts'
import type { Log } from '../../log.ts'
import { partIdentities, partRun, wholeRun } from '../../partition.ts'
import { identityOf, nextRun, sourceHashOf } from '../../run.ts'
import type { StreamInfo } from '../../source.ts'
import type { Identity, Job, StateStore, StoredCheckpoint } from '../../state.ts'
import { freshState, type Standing, withBeginning } from '../standing.ts'
import type { PipeState } from '../state.ts'

/** The newest run, as it stands in all partitions. */
export interface Newest extends Pick<Job, 'id' | 'status' | 'createdAt'> {
  /** That all of them hold. */
  readonly page: number
}

export interface PartsStanding {
  readonly stored: Standing
  readonly newest: Newest | undefined
}

interface Part {
  readonly index: number
  readonly identity: Identity
  /** Its part of the newest run. Absent: it has not begun. */
  readonly job: Job | undefined
  readonly checkpoint: StoredCheckpoint | undefined
  readonly isDone: boolean
}

export async function standingInParts(
  store: StateStore,
  config: ConfigOf<'source'>,
  stream: StreamInfo,
  partitions: number,
  log: Log,
): Promise<PartsStanding> {
  await refuseRequested(store, config)
  const identities = partIdentities(identityOf(config), partitions)
  let newest: Job | undefined
  for (const identity of identities) {
    const job = (await store.jobs(identity)).find(({ status }) => status !== 'cancelled')
    if (job && (!newest || job.createdAt > newest.createdAt)) newest = job
  }
  const parts = await Promise.all(
    identities.map(async (identity, index): Promise<Part> => {
      const id = newest && partRun(newest.id, index)
      const job = (await store.jobs(identity)).find((each) => each.id === id)
      const checkpoint = job && (await store.lastCheckpoint(job))
      return { index, identity, job, checkpoint, isDone: job?.status === 'succeeded' }
    }),
  )
  const behind = parts.filter(({ isDone }) => !isDone)
  const least = behind.reduce<Part | undefined>((a, b) => (a && pageOf(a) <= pageOf(b) ? a : b), undefined)
  const all = newest && {
    id: wholeRun(newest.id),
    status: least ? ('running' as const) : ('succeeded' as const),
    createdAt: newest.createdAt,
    page: pageOf(least ?? (parts[0] as Part)),
  }
  const decision = await decisionOf(store, config, stream, { parts, newest, least })
  for (const warning of decision.warnings) log.warn(warning)
  if (newest && least && decision.action === 'start') refuseMixed(parts, decision, wholeRun(newest.id))
  const { since, asReset, previous } = decision
  const from = decision.action === 'resume' ? least?.checkpoint : undefined
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
    newest: all,
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

const pageOf = ({ checkpoint }: Pick<Part, 'checkpoint'>): number => checkpoint?.page ?? 0

/** The same as of one pipeline, which stands where the last of the partitions does. */
async function decisionOf(
  store: StateStore,
  config: ConfigOf<'source'>,
  { resumable = false }: StreamInfo,
  { parts, newest, least }: { parts: readonly Part[]; newest: Job | undefined; least: Part | undefined },
): Promise<Decision> {
  const configHash = await sourceHashOf(config)
  const also = { resumable, configHash }
  const last = await store.lastSucceeded((least ?? (parts[0] as Part)).identity)
  // A part of it that has not begun is one that has no page.
  const unfinished = newest && least ? [least.job ?? { ...newest, status: 'running' as const }] : []
  return nextRun(config.source, { unfinished, lastSucceeded: last, resets: [] }, also)
}

/** The records before the page, of each partition; nothing if that is not known of one. */
async function rowsOf(store: StateStore, parts: readonly Part[], page: number): Promise<Pick<PipeState, 'partitions'>> {
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
function refuseMixed(parts: readonly Part[], { obstacle, asReset, complete }: Decision, run: string): void {
  if (asReset || complete || !parts.some(({ isDone }) => isDone)) return
  throw new BizonError('usage', `run ${run} is published in some partitions, and cannot be gone on with: ${obstacle}`, {
    hint: 'Set the configuration back until it is published in all of them. Or fetch everything again with --reset.',
  })
}
