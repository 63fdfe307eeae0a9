// Whether a run that comes out of a queue is done with already: its messages may come again long after.

import type { ConfigOf } from '../../config.ts'
import type { Outcome } from '../../events.ts'
import type { Log } from '../../log.ts'
import type { MessageHead } from './message.ts'

export interface Done {
  /** In words for people, behind the run. */
  readonly why: string
  /** It is what was published last: nobody but the queue does not know. */
  readonly isLast: boolean
  readonly outcome: Outcome
}

/** Undefined: it is to be loaded, or gone on with. */
export async function doneWith(
  config: ConfigOf<'destination'>,
  { pipeline, source, stream, run, at }: MessageHead,
  log: Log,
): Promise<Done | undefined> {
  const { backend } = config.engine
  const store = backend.definition.create(backend, { log })
  try {
    await store.open()
    const identity = { name: pipeline, source, stream }
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
    if (why === undefined) return undefined
    const end = job && (await store.lastCheckpoint(job))
    const counts = { rows: 0, bytes: 0, pages: 0, checkpoints: 0, seconds: 0 }
    return {
      why,
      isLast: last?.id === run,
      outcome: { status: 'complete', job: run, ...counts, totalRows: end?.rows ?? 0, outputs: [] },
    }
  } finally {
    await store.close()
  }
}
