// What the state store says of a run that comes out of a queue: that it is done with, since messages may come again long after; or
// that it reads on from something else than what is published.

import type { Checkpoint } from '../../checkpoint.ts'
import type { ConfigOf } from '../../config.ts'
import type { Outcome } from '../../events.ts'
import type { Log } from '../../log.ts'
import { partStream } from '../../partition.ts'
import { Unloadable } from './feed.ts'
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
  { pipeline, source, stream, partition, run, at, after, from }: MessageHead,
  log: Log,
): Promise<Done | undefined> {
  const { backend } = config.engine
  const store = backend.definition.create(backend, { log })
  try {
    await store.open()
    const identity = { name: pipeline, source, stream: partStream(stream, partition) }
    const last = await store.lastSucceeded(identity)
    const job = (await store.jobs(identity)).find(({ id }) => id === run)
    const isOlder = last !== undefined && last.id !== run && at < last.createdAt
    const why =
      job?.status === 'succeeded'
        ? 'is published already'
        : job?.status === 'cancelled'
          ? 'was given up'
          : isOlder
            ? `is older than run ${last.id}, which is published`
            : undefined
    if (why === undefined) {
      if (after && from === 0 && last) checkAfter(after, run, await store.lastCheckpoint(last))
      return undefined
    }
    const end = job && (await store.lastCheckpoint(job))
    const counts = { rows: 0, bytes: 0, pages: 0, checkpoints: 0, seconds: 0 }
    return {
      why,
      isPublished: job?.status === 'succeeded',
      isLast: last?.id === run,
      outcome: { status: 'complete', job: run, ...counts, totalRows: end?.rows ?? 0, outputs: [] },
    }
  } finally {
    await store.close()
  }
}

/** A run may have been read twice, with other rows the second time: then one reads on from the reading that was not published. */
function checkAfter(after: NonNullable<MessageHead['after']>, run: string, end: Checkpoint | undefined): void {
  if (end && end.page === after.page && end.rows === after.rows) return
  throw new Unloadable(
    `run ${run} reads on from one of ${after.page} pages (${after.rows} rows), and what is published has ${end?.page ?? 0} pages (${end?.rows ?? 0} rows)`,
  )
}
