// A STATE value becomes what the pipeline's store remembers. Rows stay where they are: the destination is asked at the
// next run as always, and is right. So a value is refused where that run could not hold it against the destination, or
// where it is older than what is known already: rows would be lost, or come twice.

import { isDeepStrictEqual } from 'node:util'
import { BizonError } from '../errors.ts'
import { watermarkOf } from '../job.ts'
import { type PipeState, plain } from '../pipe/state.ts'
import type { AdoptedJob, Job, StoredCheckpoint } from '../state.ts'
import { holding, nextRunOf, type OpenState, type StateStanding, standingIn } from './standing.ts'

export interface ImportOptions {
  /** Oldest first; the last one counts, and one before it may be the published run that it adds to. */
  readonly states: readonly PipeState[]
  /** `RUN:PAGE`, where the pipeline must stand; undefined: nowhere. */
  readonly expect: string | undefined
}

export interface Imported {
  readonly state: PipeState
  /** It was there already. */
  readonly unchanged: boolean
  /** In plain words, what the next run does. */
  readonly reasons: readonly string[]
}

/** Rejects, changing nothing, when the pipeline stands elsewhere, or when the next run would not go on from the value. */
export async function importState(state: OpenState, { states, expect }: ImportOptions): Promise<Imported> {
  return holding(state, async (lease) => {
    const standing = await standingIn(state)
    const value = states.at(-1)
    if (!value) throw new TypeError('there is no value to import')
    if (await isThere(state, value, standing)) return { state: value, unchanged: true, reasons: standing.next.reasons }
    compare(state, expect, standing)
    const jobs = [...publishedBefore(value, states, standing), adoptedOf(state, value)]
    for (const job of jobs) await admit(state, job, standing)
    const cancel = standing.unfinished.filter(({ id }) => !jobs.some((job) => job.id === id)).map(({ id }) => id)
    const reasons = foresee(state, jobs, standing)
    const destination = state.config.destination?.name ?? ''
    await state.store.adopt(lease, { identity: state.identity, cancel, jobs, destination })
    return { state: value, unchanged: false, reasons }
  })
}

/** The published run that an unfinished one adds to must be known: the destination is asked for it. */
function publishedBefore(value: PipeState, states: readonly PipeState[], { published }: StateStanding): AdoptedJob[] {
  const { previous } = value
  if (value.end || previous === undefined || previous === published?.id) return []
  const before = states.findLast(({ run, end }) => run === previous && end)
  if (before) return [endedJob(before)]
  throw refused(`run ${value.run} adds to run ${previous}, which is not the last one published here`, {
    hint: 'Import the value that run ended with first, or a file that holds both lines: bizon state export prints them.',
  })
}

function adoptedOf({ config }: OpenState, value: PipeState): AdoptedJob {
  const { mode } = config.source
  if (value.end && mode !== 'incremental')
    throw refused(`sync_mode is ${mode}, in which no run goes on from one that has ended`)
  if (value.end) return endedJob(value)
  if (value.page === 0 || value.position === null) throw refused('the value stands before the first page of its run')
  const complete = mode === 'full_refresh' || (mode === 'incremental' && value.previous === undefined)
  return { ...jobOf(value), mode, complete, status: 'running' }
}

/** Only incremental runs are gone on with once they have ended. */
function endedJob(value: PipeState): AdoptedJob {
  const { watermark } = value
  return {
    ...jobOf({ ...value, position: null }),
    mode: 'incremental',
    complete: false,
    status: 'succeeded',
    ...(watermark !== undefined && { watermark }),
  }
}

function jobOf({ run, at, page, rows, position, end, watermark }: PipeState) {
  const checkpoint: StoredCheckpoint = {
    run,
    page,
    rows,
    position,
    end,
    ...(watermark !== undefined && { watermark }),
  }
  return { id: run, createdAt: at, checkpoint }
}

/** Asked for twice, it is done once. */
async function isThere({ store }: OpenState, value: PipeState, standing: StateStanding): Promise<boolean> {
  const { job } = standing
  if (job?.id !== value.run || (job.status === 'succeeded') !== value.end) return false
  if (value.end) {
    const { time, value: watermark } = watermarkOf(job)
    return same({ time: time.toISOString(), watermark }, { time: value.at.toISOString(), watermark: value.watermark })
  }
  const checkpoints = await store.checkpoints(job)
  const reached = checkpoints.findLast(({ end }) => !end)
  return reached?.page === value.page && same(reached.position, value.position)
}

const same = (one: unknown, other: unknown): boolean =>
  isDeepStrictEqual(plain({ is: one ?? null } as never), plain({ is: other ?? null } as never))

function compare({ config, label }: OpenState, expect: string | undefined, { point }: StateStanding): void {
  if (point === expect) return
  const stands = point === undefined ? 'has no state yet' : `stands at ${point}`
  const given = expect === undefined ? 'no --expect was given' : `--expect says ${expect}`
  throw refused(`${label} ${stands}, and ${given}; nothing was changed`, {
    hint:
      point === undefined
        ? 'Leave --expect out.'
        : `bizon state show ${config.path}; if that may be replaced, --expect ${point}`,
  })
}

/** Against what the store knows of the same run, and of those before it. */
async function admit({ store, identity }: OpenState, job: AdoptedJob, { published, unfinished }: StateStanding) {
  const { id, checkpoint, createdAt } = job
  const known = (await store.jobs(identity)).find((each) => each.id === id)
  const { page } = checkpoint
  if (known?.status === 'succeeded') {
    throw refused(`run ${id} has been published here, so that rows would be loaded twice`, {
      hint: 'To fetch again what came after an earlier run: bizon state rewind --to-job.',
    })
  }
  if (known?.status === 'cancelled')
    throw refused(`run ${id} was given up here, and what it had staged may be gone`, {
      hint: 'Run the pipeline: a new run starts.',
    })
  if (known && known.id !== unfinished[0]?.id) throw refused(`run ${id} is not the newest one here`)
  const stored = known && (await store.lastCheckpoint(known))
  if (stored && (page < stored.page || (page === stored.page && !checkpoint.end))) {
    throw refused(`run ${id} stands behind page ${stored.page} here, which page ${page} of the value is not ahead of`, {
      hint: 'An unfinished run is not set back: its destination holds its own checkpoint. To start it over: bizon state clear.',
    })
  }
  if (!known && published && createdAt <= published.createdAt) {
    throw refused(
      `run ${id} began ${createdAt.toISOString()}, before run ${published.id}, which was published here: rows would be loaded twice`,
      { hint: 'To fetch again what came after an earlier run: bizon state rewind --to-job.' },
    )
  }
}

/** What the next run does, once they are there. */
function foresee(state: OpenState, jobs: readonly AdoptedJob[], standing: StateStanding): readonly string[] {
  const whole = jobs.map(
    ({ checkpoint: _checkpoint, ...job }): Job => ({ ...state.identity, attempt: 0, ours: true, ...job }),
  )
  const next = nextRunOf(state, {
    unfinished: whole.filter(({ status }) => status === 'running'),
    lastSucceeded: whole.find(({ status }) => status === 'succeeded') ?? standing.published,
    resets: standing.resets,
  })
  const value = whole.at(-1)
  const goesOn = value?.status === 'running' ? next.job?.id : next.previous
  if (goesOn === value?.id) return next.reasons
  throw refused(`the next run would not go on from the value: it ${next.reasons.join(', and ')}`)
}

function refused(why: string, options: { readonly hint?: string } = {}): BizonError {
  return new BizonError('state', why, options)
}
