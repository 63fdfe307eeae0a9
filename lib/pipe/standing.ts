// Where a producer begins: where the loader of the same pipeline stands, as the state store that both name says, or
// a STATE value that a loader printed. Nothing is changed here; the loader does that.

import type { ConfigOf } from '../config.ts'
import { BizonError } from '../errors.ts'
import type { Log } from '../log.ts'
import { identityOf, nextRun, pastOf, sourceHashOf, transformsHashOf } from '../run.ts'
import type { Start, StreamInfo } from '../source.ts'
import { newId, type StateStore } from '../state.ts'
import { bookmarksIn } from './bookmarks.ts'
import { readValueFile, stateIn } from './said.ts'
import type { PipeState } from './state.ts'

export interface Standing {
  /** With the beginning that the first line of the pipe says. */
  readonly state: PipeState
  /** The same in the source's terms. */
  readonly start: Start
  /** Where the run ends that this one reads on from, if nobody but the queue knows. */
  readonly after?: After
  /** In plain words, why from here. */
  readonly reasons: readonly string[]
}

export interface After extends Pick<PipeState, 'page' | 'rows' | 'partitions'> {}

/** Where a loader stands, as it said itself. */
export interface Said {
  /** Absent: nothing was loaded yet. */
  readonly state?: PipeState | undefined
  /** Where it was said, for people. */
  readonly by: string
}

/** `said`: a file with the last STATE that a loader printed, or what it says, instead of the state store. */
export async function standingOf(
  config: ConfigOf<'source'>,
  stream: StreamInfo,
  log: Log,
  said?: string | Said,
): Promise<Standing> {
  if (said === undefined) return fromStore(config, stream, log)
  const { state, by } = typeof said === 'string' ? { state: await readStateFile(said, stream.name), by: said } : said
  return fromSaid(config, stream, state, by)
}

async function fromStore(config: ConfigOf<'source'>, stream: StreamInfo, log: Log): Promise<Standing> {
  const { backend } = config.engine
  const store = backend.definition.create(backend, { log })
  try {
    await store.open()
    return await standingIn(store, config, stream, log)
  } finally {
    await store.close()
  }
}

/** As an open state store says. */
export async function standingIn(
  store: StateStore,
  config: ConfigOf<'source'>,
  stream: StreamInfo,
  log: Log,
): Promise<Standing> {
  const { cursorField } = config.source
  const past = await pastOf(store, identityOf(config))
  const configHash = await sourceHashOf(config)
  const decision = nextRun(config.source, past, { resumable: stream.resumable ?? false, configHash })
  for (const warning of decision.warnings) log.warn(warning)
  const { job, since } = decision
  const from = job && (await store.lastCheckpoint(job))
  const state = {
    ...freshState(),
    ...from,
    ...(job && { run: job.id, at: job.createdAt }),
    ...(decision.previous !== undefined && { previous: decision.previous }),
  }
  return {
    state: await withBeginning(config, stream, state, decision.asReset),
    start: {
      ...(from?.position && { position: from.position }),
      ...(since && { since: { ...since, ...(cursorField !== undefined && { cursorField }) } }),
    },
    reasons: decision.reasons,
  }
}

/** Of a run that has just begun. */
export function freshState(): PipeState {
  return { run: newId(), at: new Date(), page: 0, rows: 0, end: false, position: null }
}

async function fromSaid(
  config: ConfigOf<'source'>,
  stream: StreamInfo,
  before: PipeState | undefined,
  by: string,
): Promise<Standing> {
  const { mode, cursorField, reset, forceIgnoreCheckpoint } = config.source
  const of = before?.of
  if (of && (of.pipeline !== config.name || of.stream !== config.source.stream)) {
    throw new BizonError(
      'usage',
      `${by}: it says where stream ${of.stream} of pipeline ${of.pipeline} stands, and this is ${config.source.stream} of ${config.name}`,
      { hint: 'Keep a file for each stream of each pipeline.' },
    )
  }
  const survives = mode !== 'full_refresh' || (stream.resumable ?? false)
  const goesOn = before && !before.end && survives && !forceIgnoreCheckpoint
  if (goesOn) {
    const { begin: _begin, ...state } = before
    return {
      state: await withBeginning(config, stream, state, false),
      start: { ...(before.position && { position: before.position }) },
      reasons: [`goes on from ${by}: page ${before.page} (${before.rows} rows)`],
    }
  }
  const adds = mode === 'incremental' && before?.end && !reset && !forceIgnoreCheckpoint
  const state = { ...freshState(), ...(adds && { previous: before.run }) }
  return {
    state: await withBeginning(config, stream, state, mode === 'incremental' && reset),
    start: adds
      ? {
          since: {
            time: before.at,
            ...(before.watermark !== undefined && { value: before.watermark }),
            ...(cursorField !== undefined && { cursorField }),
          },
        }
      : {},
    reasons: [adds ? `fetches what is newer than what ${by} ends with` : 'starts a new run'],
  }
}

/** The file may be of several streams. */
async function readStateFile(path: string, stream: string): Promise<PipeState | undefined> {
  const value = await readValueFile(path)
  if (value === undefined) return undefined
  const bookmarks = bookmarksIn(value)
  return bookmarks ? bookmarks.get(stream) : stateIn(value, '--state', path)
}

/** With what the first line of the pipe says. */
export async function withBeginning(
  config: ConfigOf<'source'>,
  stream: StreamInfo,
  state: PipeState,
  reset: boolean,
  partitions = 1,
): Promise<PipeState> {
  const { name, source } = config
  return {
    ...state,
    of: { pipeline: name, stream: source.stream },
    begin: {
      pipeline: name,
      source: source.name,
      stream: source.stream,
      mode: source.mode,
      resumable: stream.resumable ?? false,
      reset,
      startOver: source.forceIgnoreCheckpoint,
      hash: await sourceHashOf(config),
      transforms: await transformsHashOf(config.transforms),
      ...(partitions > 1 && { partitions }),
    },
  }
}
