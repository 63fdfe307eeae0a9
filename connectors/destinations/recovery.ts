// What a destination with checkpoints of its own decides on, from the state that it finds and the run that opens it. Pure:
// each destination reads, cuts, drops and commits by itself.
//
//   own state:        go on from its checkpoint            ownState
//   of a stream:      the same, also when the state store has lost its run
//   of another run:   what it has added stays, or is taken back because it comes again; then begin     standingOf, beginning
//   of nobody here:   refuse                                checkIdentity, ownState

import type { Checkpoint } from '../../lib/checkpoint.ts'
import type { Run } from '../../lib/destination.ts'
import { BizonError, Unloadable } from '../../lib/errors.ts'
import { readingAnew, startingOver } from '../../lib/job.ts'
import type { Page, SyncMode } from '../../lib/source.ts'

/** What every such state says; each destination adds what it has written, and where. */
export interface Held {
  readonly pipeline: string
  readonly source: string
  readonly stream: string
  readonly run: string
  readonly epoch: number
  readonly mode: SyncMode
  /** Whether publishing replaces; see `Run`. */
  readonly complete: boolean
  /** The run whose watermark it starts from; see `Run`. */
  readonly previous: string | null
  /** `publishing`: decided, perhaps half done; only ever completed, or rolled back by another run. */
  readonly phase: 'staging' | 'publishing' | 'published'
  /** Incremental: its rows go to what is published batch by batch. */
  readonly direct?: boolean
  readonly checkpoint: Checkpoint | null
  /** The run of the last publish; null: not known. */
  readonly publishedBy: string | null
}

/** The words of a destination, for its errors. */
export interface Words {
  /** The state: `out/.main.state.json`, `the row of "main" in public._bizon_state`. */
  readonly state: string
  /** What is published: `out/main.json`, `public.main`. */
  readonly target: string
  /** What the state tells: `how much of the output counts`. */
  readonly told: string
  /** How to be rid of a state of another pipeline; a sentence. */
  readonly otherPipeline: string
  /** How to be rid of the state; begins in lower case and has no full stop. */
  readonly removing: string
  /** What is replaced: `the output`, `the table`. */
  readonly whole: string
}

/** Whether publishing puts what is staged in the place of what is published, rather than adding it. */
export function replaces({ mode, complete }: Pick<Held, 'mode' | 'complete'>): boolean {
  return mode === 'full_refresh' || (mode === 'incremental' && complete)
}

/** When readers see rows that an incremental run adds. */
export const VISIBILITIES = ['run', 'batch'] as const
export type Visibility = (typeof VISIBILITIES)[number]

export const VISIBILITY_DESCRIPTION =
  'When readers see the rows that an incremental run adds: at the end of the `run`, or after each `batch`, so that a run that fails keeps what is complete. First runs and resets replace at their end in any case.'

/** Whether a run shows each batch: only one that adds can. */
export function showsBatches({ mode, complete }: Pick<Held, 'mode' | 'complete'>, visibility: Visibility): boolean {
  return visibility === 'batch' && mode === 'incremental' && !complete
}

/** Whether rows go to what is published as they come. */
export function isDirect({ mode, direct }: Pick<Held, 'mode' | 'direct'>): boolean {
  return mode === 'stream' || direct === true
}

/** Rejects a state of another pipeline, or of a newer process. */
function checkIdentity(found: Held, run: Run, words: Words): void {
  const theirs = nameOf(found)
  const ours = nameOf(run)
  if (theirs !== ours) {
    throw new BizonError('edited', `${words.state} belongs to pipeline ${theirs}, not to ${ours}`, {
      hint: words.otherPipeline,
    })
  }
  refuseNewer(found, run, words)
}

/** Rejects when a process with a greater epoch was here. */
export function refuseNewer(
  found: Pick<Held, 'epoch'>,
  mine: Pick<Held, 'epoch'>,
  { state, removing }: Pick<Words, 'state' | 'removing'>,
): void {
  if (found.epoch <= mine.epoch) return
  throw new BizonError(
    'fenced',
    `${state}: a newer process (epoch ${found.epoch}, mine ${mine.epoch}) has taken over`,
    { hint: `Let the newer one finish. If there is none, the state store was set back: restore it, or ${removing}.` },
  )
}

/**
 * The state as the run's own, to be gone on with; undefined: the run begins. Rejects when the state store knows of one
 * that is not here. To be called before anything is cleaned up: what is staged is still of use once the state is put back.
 */
export function ownState<State extends Held>(found: State | undefined, run: Run, words: Words): State | undefined {
  if (found) checkIdentity(found, run, words)
  const own = found && claimed(found, run)
  if (!own && run.stored?.receipt) {
    const what = found ? `is of run ${found.run}, not of the one to go on with` : 'is missing'
    throw new Unloadable('edited', `${words.state} ${what}, so ${words.told} is not known`, {
      hint: `Put it back. Or ${(run.partition ? readingAnew : startingOver)(run.mode)}.`,
    })
  }
  return own
}

function claimed<State extends Held>(found: State, run: Run): State | undefined {
  if (found.mode !== run.mode) return undefined
  if (found.run === run.id) return run.mode === 'stream' || found.complete === run.complete ? found : undefined
  // A stream has one run for ever. Another one is here when the store was lost or is an older copy: what that run read
  // is here, and would come again from the beginning.
  const { checkpoint } = found
  if (run.mode !== 'stream' || run.startOver || !checkpoint || checkpoint.end) return undefined
  return { ...found, run: run.id, checkpoint: { ...checkpoint, run: run.id } }
}

/** What a run begins with, whatever was there before. What is published, and by whom, is the destination's to add. */
export function beginning(run: Run): Omit<Held, 'publishedBy'> {
  return {
    pipeline: run.pipeline,
    source: run.source,
    stream: run.stream,
    run: run.id,
    epoch: run.epoch,
    mode: run.mode,
    complete: run.complete,
    previous: run.previous ?? null,
    phase: 'staging',
    checkpoint: null,
  }
}

/** The run that left what is published as it is; null: not known. `hasWritten`: whether the state names rows of its run. */
export function publisherOf(found: Held, hasWritten: boolean): string | null {
  const isShown = found.mode === 'stream' || (found.direct === true && found.phase === 'staging')
  return isShown && hasWritten ? found.run : found.publishedBy
}

/**
 * What becomes of what another run has published, when this one begins. `withdrawn`: it is an append that the state store
 * does not know of, because that was set back, or lost power, or is another one; or one of a run that was given up. Its
 * rows are newer than the watermark of this run, so that they will come again, and it is to be taken back first.
 * Rejects when it cannot be: it was no append, not the last one, or `canUndo` is false.
 */
export function standingOf(
  found: Held,
  run: Run,
  { hasWritten, canUndo }: { readonly hasWritten: boolean; readonly canUndo: boolean },
  words: Words,
): 'stays' | 'withdrawn' {
  const publisher = publisherOf(found, hasWritten)
  if (run.mode !== 'incremental' || run.complete || publisher === null || publisher === run.previous) return 'stays'
  if (run.previous === undefined && !run.givenUp?.includes(publisher)) return 'stays'
  // Rows of a run that was to show each batch are there before its end.
  const isPart = found.direct === true && found.phase === 'staging'
  const isLastAppend =
    (isPart || (found.phase === 'published' && found.run === found.publishedBy)) &&
    found.previous === (run.previous ?? null) &&
    !replaces(found)
  if (isLastAppend && canUndo) return 'withdrawn'
  if (isPart) {
    throw new BizonError(
      'edited',
      `${words.target} has rows of run ${found.run}, which is not gone on with, and they cannot be taken back: with metadata: none nothing tells them apart`,
      {
        hint: `Set the configuration back, and run once more: that goes on with it. Or fetch everything again and replace ${words.whole} with --reset.`,
      },
    )
  }
  throw new BizonError(
    'edited',
    `${words.target} was last published by run ${publisher}, and the last that the state store knows of is ${run.previous ?? 'none'}: one of them is an older copy, or another database`,
    {
      hint: `Use a copy of both from one moment. Or fetch everything again and replace ${words.whole} with --reset.`,
    },
  )
}

/**
 * Whether the run only brings what is new since one of which nothing is known here: its rows belong behind what that run
 * left. `published`: how many targets the state says are published.
 */
export function followsUnknown(state: Pick<Held, 'mode' | 'complete' | 'publishedBy'>, run: Run, published: number) {
  if (state.mode !== 'incremental' || state.complete || run.previous === undefined) return false
  return state.publishedBy === null && published === 0
}

/**
 * The targets that a run which replaces leaves empty, having no rows for them. `keepsOthers`: those that it does not name
 * stay as they are. `onEmpty`: `keep` lets every one keep its rows. `orphans`: those that may not, whatever else.
 */
export function emptiedTargets({
  target,
  staged,
  published,
  keepsOthers,
  onEmpty,
  orphans = [],
}: {
  /** The configured one. */
  readonly target: string
  readonly staged: readonly string[]
  readonly published: readonly string[]
  readonly keepsOthers: boolean
  readonly onEmpty: 'publish' | 'keep'
  readonly orphans?: readonly string[]
}): string[] {
  if (keepsOthers || onEmpty === 'keep') return [...orphans]
  const targets = staged.length === 0 ? [...published, target] : published
  return [...new Set(targets)].filter((one) => !staged.includes(one))
}

/**
 * Whether a page only says that its stream has no rows, so that the stream's target is replaced by an empty one: in a run that
 * replaces just what it names, and where `onEmpty` lets it.
 */
export function namesEmpty(
  { stream, records }: Pick<Page, 'stream' | 'records'>,
  { keepsOthers, onEmpty }: { readonly keepsOthers: boolean; readonly onEmpty: 'publish' | 'keep' },
): boolean {
  return stream !== undefined && records.length === 0 && keepsOthers && onEmpty === 'publish'
}

const nameOf = ({ pipeline, source, stream }: Pick<Held, 'pipeline' | 'source' | 'stream'>): string =>
  `${pipeline}/${source}/${stream}`
