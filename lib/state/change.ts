// What may be undone by hand: an unfinished run is given up, a published one forgotten, and the place where the next
// incremental run begins is set back. Each is one transaction under the pipeline's lock.

import { BizonError } from '../errors.ts'
import type { Job } from '../state.ts'
import { holding, type OpenState, standingIn } from './standing.ts'

export interface Cleared {
  readonly cancelled: readonly Job[]
  /** The last one, if it was forgotten. */
  readonly forgotten: Job | undefined
  /** Resets that a cancelled run was to do, and that are pending again. */
  readonly reopened: number
}

/** What clearing would do, or, with a lease, has done. */
export async function clearState(
  state: OpenState,
  { all, dry }: { readonly all: boolean; readonly dry: boolean },
): Promise<Cleared> {
  const look = async (): Promise<Cleared> => {
    const { unfinished, published, resets } = await standingIn(state)
    const mode = new Map(unfinished.map((job) => [job.id, job.mode]))
    const taken = resets.filter(({ consumedByJobId: by }) => by !== undefined && mode.get(by) === 'incremental')
    return { cancelled: unfinished, forgotten: all ? published : undefined, reopened: all ? 0 : taken.length }
  }
  if (dry) return look()
  return holding(state, async (lease) => {
    const cleared = await look()
    await state.store.clear(lease, state.identity, { published: all })
    return cleared
  })
}

export interface Rewound {
  readonly published: Job
  /** Undefined: an earlier rewind was taken back. */
  readonly to: Job | undefined
  readonly unchanged: boolean
}

/**
 * The next incremental run fetches what is newer than an earlier run left. What was loaded since stays: it comes
 * again, and is there twice unless the destination merges.
 */
export async function rewindState(state: OpenState, toJob: string): Promise<Rewound> {
  const { config, label, store, identity } = state
  const { mode } = config.source
  if (mode !== 'incremental') {
    throw new BizonError('usage', `${label}: sync_mode is ${mode}, and only incremental streams can be rewound`, {
      hint:
        mode === 'stream'
          ? 'a stream goes on where its destination stands'
          : 'just run it: a full refresh fetches everything each time',
    })
  }
  return holding(state, async (lease) => {
    const { unfinished, published, next, pendingResets } = await standingIn(state)
    const [newest] = unfinished
    if (newest) {
      throw refused(`${label}: run ${newest.id} is unfinished, and goes on where its destination stands`, {
        hint: `Let it finish: bizon run ${config.path}. Or give it up: bizon state clear ${config.path}`,
      })
    }
    if (!published || next.previous !== published.id) {
      const why = pendingResets.length > 0 ? 'a reset is pending' : next.reasons.join(', and ')
      throw refused(`${label}: the next run fetches everything anyway: ${why}`)
    }
    if (toJob === published.id) {
      if (!published.rewound) return { published, to: undefined, unchanged: true }
      await store.rewind(lease, published, undefined)
      return { published, to: undefined, unchanged: false }
    }
    const to = (await store.jobs(identity)).find(({ id }) => id === toJob)
    if (!to) throw refused(`${label}: no run ${toJob} is known`, { hint: `bizon state log ${config.path} --runs` })
    if (to.status !== 'succeeded' || to.mode === 'stream') {
      const what = to.mode === 'stream' ? 'is of a stream and has no watermark' : `is ${to.status}, not published`
      throw refused(`${label}: run ${toJob} ${what}`, { hint: `bizon state log ${config.path} --runs` })
    }
    if (published.rewound?.to === to.id) return { published, to, unchanged: true }
    await store.rewind(lease, published, to.id)
    return { published, to, unchanged: false }
  })
}

function refused(why: string, options: { readonly hint?: string } = {}): BizonError {
  return new BizonError('state', why, options)
}
