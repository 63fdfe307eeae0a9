// What the state store says of a run that comes out of a queue: that it is done with, since messages may come again long after; or
// that it reads on from something else than what is published.

import type { Checkpoint } from '../../checkpoint.ts'
import type { ConfigOf } from '../../config.ts'
import { NOTHING_LOADED, type Outcome } from '../../events.ts'
import type { Log } from '../../log.ts'
import { partStream } from '../../partition.ts'
import { transformsHashOf } from '../../run.ts'
import { beginningOf } from '../dialect.ts'
import { lineEnd } from '../lines.ts'
import type { PipeState } from '../state.ts'
import { type Piece, unloadable } from './feed.ts'
import type { MessageHead } from './message.ts'

export interface Done {
  /** In words for people, behind the run. */
  readonly why: string
  /** Else what it holds is given up. */
  readonly isPublished: boolean
  /** It is what was published last: nobody but the queue does not know. */
  readonly isLast: boolean
  readonly outcome: Outcome
}

/** Undefined: it is to be loaded, or gone on with. Throws if it can never be. */
export async function doneWith(
  config: ConfigOf<'destination'>,
  { head, arrival }: Pick<Piece, 'head' | 'arrival'>,
  log: Log,
): Promise<Done | undefined> {
  const { pipeline, source, stream, partition, run, at, after, from } = head
  const { backend } = config.engine
  const store = backend.definition.create(backend, { log })
  try {
    await store.open()
    const identity = { name: pipeline, source, stream: partStream(stream, partition) }
    const last = await store.lastSucceeded(identity)
    const job = (await store.jobs(identity)).find(({ id }) => id === run)
    const isOlder =
      last !== undefined && last.id !== run && at < last.createdAt && stateIn(arrival.body)?.previous !== last.id
    const why =
      job?.status === 'succeeded'
        ? 'is published already'
        : job?.status === 'cancelled'
          ? 'was given up'
          : isOlder
            ? `is older than run ${last.id}, which is published`
            : undefined
    if (why === undefined) {
      if (after && from === 0 && last) {
        const end = await store.lastCheckpoint(last)
        checkAfter({ after, run, end, countsAlike: await countsAlike(config, arrival.body) })
      }
      return undefined
    }
    const end = job && (await store.lastCheckpoint(job))
    return {
      why,
      isPublished: job?.status === 'succeeded',
      isLast: last?.id === run,
      outcome: { ...NOTHING_LOADED, status: 'complete', job: run, totalRows: end?.rows ?? 0 },
    }
  } finally {
    await store.close()
  }
}

interface Ends extends Pick<MessageHead, 'run'> {
  readonly after: NonNullable<MessageHead['after']>
  /** Of the run that is published. */
  readonly end: Checkpoint | undefined
  /** Whether rows are counted there as the extract counts them. */
  readonly countsAlike: boolean
}

/** A run may have been read twice, with other rows the second time: then one reads on from the reading that was not published. */
function checkAfter({ after, run, end, countsAlike }: Ends): void {
  if (end && end.page === after.page && (end.rows === after.rows || !countsAlike)) return
  throw unloadable(
    `run ${run} reads on from one of ${after.page} pages (${after.rows} rows), and what is published has ${end?.page ?? 0} pages (${end?.rows ?? 0} rows)`,
  )
}

/** Not where this loader leaves records out, or makes several rows of one. `body`: of a message that begins a pipe. */
async function countsAlike({ destination, transforms }: ConfigOf<'destination'>, body: Uint8Array): Promise<boolean> {
  if (destination.options.unnestDepth !== undefined) return false
  if (transforms.length === 0) return true
  return stateIn(body)?.begin?.transforms === (await transformsHashOf(transforms))
}

/** What the first line says, of a message that begins a pipe. */
function stateIn(body: Uint8Array): PipeState | undefined {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return beginningOf({ buffer, start: 0, end: lineEnd(buffer, 0, buffer.length) })?.state
}
