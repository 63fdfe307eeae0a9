// Where an extract into a queue begins: behind what waits in the queue, which the destination does not hold yet. The state store,
// which says what it holds, knows less; only where a newer run was done without the queue it knows more.

import type { Channel } from '../../channel.ts'
import type { ConfigOf } from '../../config.ts'
import { BizonError } from '../../errors.ts'
import { parseJson } from '../../json.ts'
import type { Log } from '../../log.ts'
import { PARTITIONS_KEY, wholeRun } from '../../partition.ts'
import { identityOf, pastOf, sourceHashOf } from '../../run.ts'
import type { StreamInfo } from '../../source.ts'
import type { ResetRequest, StateStore } from '../../state.ts'
import { freshState, type Standing, standingIn, withBeginning } from '../standing.ts'
import { type PipeState, readStateOf } from '../state.ts'
import { type Newest, standingInParts } from './parts.ts'

/** `last`: what the queue holds last, see `ChannelProducer.last`. */
export async function standingBehind(
  config: ConfigOf<'source'>,
  stream: StreamInfo,
  log: Log,
  last: string | undefined,
  { place, partitions = 1 }: Pick<Channel, 'place' | 'partitions'>,
): Promise<Standing> {
  const behind = last === undefined ? undefined : readStateOf(parseJson(last))
  const { backend } = config.engine
  const store = backend.definition.create(backend, { log })
  try {
    await store.open()
    if (behind?.begin) checkCount(config, behind.begin.partitions ?? 1, partitions, place)
    const { stored, newest } =
      partitions > 1
        ? await standingInParts(store, config, stream, partitions, log)
        : { stored: await standingIn(store, config, stream, log), newest: await newestOf(store, config) }
    if (!behind?.begin || (newest && knowsMore(newest, behind))) return stored
    const { resets } = await pastOf(store, identityOf(config))
    return await behindQueue({ config, stream, stored, behind, resets, place, partitions })
  } finally {
    await store.close()
  }
}

async function newestOf(store: StateStore, config: ConfigOf<'source'>): Promise<Newest | undefined> {
  const [newest] = await store.jobs(identityOf(config), 1)
  return newest && { ...newest, page: (await store.lastCheckpoint(newest))?.page ?? 0 }
}

/** What waits stands where its key was then. */
function checkCount(
  { invalid }: Pick<ConfigOf<'source'>, 'invalid'>,
  waiting: number,
  wanted: number,
  place: string,
): void {
  if (waiting === wanted) return
  throw invalid(PARTITIONS_KEY, `is ${wanted}, and what was put in ${place} is in ${waiting} partitions`, {
    hint: `Set it to ${waiting}. Or give the pipeline another topic, and see docs/scaling.md.`,
  })
}

/** Whether the state store knows of something newer than the queue does. */
function knowsMore({ id, status, createdAt, page }: Newest, behind: PipeState): boolean {
  if (id !== behind.run) return createdAt > behind.at
  // Of a run that was read twice, only one reading is published.
  return status === 'succeeded' || status === 'cancelled' || page > behind.page
}

interface Waiting {
  readonly config: ConfigOf<'source'>
  readonly stream: StreamInfo
  /** Where it would begin if there were no queue. */
  readonly stored: Standing
  readonly behind: PipeState
  readonly resets: readonly ResetRequest[]
  readonly place: string
  readonly partitions: number
}

async function behindQueue(waiting: Waiting): Promise<Standing> {
  const { config, stream, stored, behind, resets, place, partitions } = waiting
  const { mode, cursorField, reset, forceIgnoreCheckpoint: force } = config.source
  const { end, run, page, rows, position, watermark } = behind
  const before = behind.begin?.mode
  const isOfReset = behind.begin?.reset ?? false
  const isAsked = resets.some(({ requestedAt, consumedByJobId }) => {
    return consumedByJobId === undefined && !(isOfReset && requestedAt <= behind.at)
  })
  const wantsReset = mode === 'incremental' && (isAsked || (reset && (end || !isOfReset)))
  const begun = async (state: PipeState, start: Standing['start'], reason: string, asReset = false) => ({
    state: await withBeginning(
      config,
      stream,
      partitions > 1 ? inParts(state, partitions) : state,
      asReset,
      partitions,
    ),
    start,
    reasons: [reason],
  })

  const obstacle = await obstacleTo(waiting)
  if (!end && obstacle === undefined && !wantsReset) {
    const { begin: _begin, ...state } = behind
    const reason = `goes on with run ${run} behind what waits in ${place}: page ${page} (${rows} rows)`
    return begun(state, position ? { position } : {}, reason, isOfReset)
  }
  const replaces = wantsReset || (isOfReset && !end)
  if (mode === 'incremental' && !replaces && before !== 'stream') {
    if (!end) {
      // The run that was given up read on from this one's place, which only the state store says.
      if (stored.state.page === 0 && stored.state.previous === behind.previous) return stored
      throw unfinished(run, obstacle ?? 'another run is newer', place)
    }
    const since = {
      time: behind.at,
      ...(watermark !== undefined && { value: watermark }),
      ...(cursorField !== undefined && { cursorField }),
    }
    // A run that finds nothing new hands on what it was given.
    const state = { ...freshState(), previous: run, ...(watermark !== undefined && { watermark }) }
    const reason = `fetches what is newer than run ${run}, which ends in ${place}`
    const after = { page, rows, ...(behind.partitions && { partitions: behind.partitions }) }
    return { ...(await begun(state, { since }, reason)), after }
  }
  const why = end || force ? 'starts a new run' : `starts a new run: ${obstacle ?? 'a reset was asked for'}`
  return begun(freshState(), {}, why, mode === 'incremental' && replaces)
}

/** A run that has just begun has no records; of one that goes on, what is known stays. */
function inParts(state: PipeState, partitions: number): PipeState {
  const rows = state.page === 0 ? new Array<number>(partitions).fill(0) : state.partitions
  return { ...state, run: wholeRun(state.run), ...(rows && { partitions: rows }) }
}

/** Why the run that waits in the queue cannot be gone on with. */
async function obstacleTo({ config, stream, behind }: Waiting): Promise<string | undefined> {
  const { mode, forceIgnoreCheckpoint } = config.source
  const { mode: before, hash } = behind.begin ?? {}
  if (forceIgnoreCheckpoint) return 'force_ignore_checkpoint is set'
  if (mode !== before) return `its sync_mode was ${before} and now is ${mode}`
  if (mode === 'stream') return undefined
  if (hash !== (await sourceHashOf(config))) return 'its configuration was another'
  if (mode === 'full_refresh' && !stream.resumable) return "the source's positions are of no use to a later process"
  return undefined
}

function unfinished(run: string, why: string, place: string): BizonError {
  return new BizonError(
    'usage',
    `${place}: it holds the beginning of run ${run}, which cannot be gone on with: ${why}`,
    {
      hint: 'Let bizon-load load what waits, then run this again. Or begin where the destination stands, whatever waits: --ignore-queue.',
    },
  )
}
