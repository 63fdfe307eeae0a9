// What `open` makes of the state that it finds. What is in a topic stays there: nothing can be taken back, so that a run
// which would write again what another one has written is refused.

import { InvalidKey } from '../../../lib/config/invalid-key.ts'
import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { startingOver } from '../../../lib/job.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { beginning, ownState, publisherOf, type Words } from '../recovery.ts'
import type { TopicState } from './state.ts'

export interface Site {
  /** The topic of records that name none. */
  readonly target: string
  /** Where the state is, in words for people. */
  readonly place: string
}

/** The state to go on from, still to be written. */
export function recover(found: TopicState | undefined, run: Run, site: Site): TopicState {
  const own = ownState(found, run, wordsOf(site))
  if (own) return { ...own, epoch: run.epoch }
  const hasWritten = Object.keys(found?.topics ?? {}).length > 0
  const publishedBy = found ? publisherOf(found, hasWritten) : null
  refuseRepeating(publishedBy, run, site)
  return { ...beginning(run), direct: run.mode !== 'stream', topics: {}, publishedBy }
}

/** The topics that a run with this state goes on behind the messages of. `found`: the state before. */
export function countedOn(found: TopicState | undefined, state: TopicState, run: Run): readonly string[] {
  const isAdding = run.mode === 'incremental' && !run.complete
  return state.checkpoint || isAdding ? Object.keys(found?.topics ?? {}) : []
}

export function missingTopic(topic: string, { mode }: Run): BizonError {
  return new BizonError('edited', `topic ${topic} is missing, and this run would only add to it`, {
    hint: `Set destination_id and bootstrap_servers back, if they were changed. Or ${startingOver(mode)}.`,
  })
}

export function refuseReplacing(mode: SyncMode, target: string): void {
  if (mode !== 'full_refresh') return
  throw new InvalidKey(
    ['source', 'sync_mode'],
    `a full refresh cannot replace topic ${target}: what is in a topic stays there`,
    {
      hint: 'Set source.sync_mode to incremental or stream. Or set full_refresh: append in destination.config, and let readers tell runs apart by the header bizon_run, or keys by their newest message.',
    },
  )
}

/** What was added since the run that this one follows would come again. */
function refuseRepeating(publisher: string | null, run: Run, { target, place }: Site): void {
  if (run.mode !== 'incremental' || run.complete) return
  if (publisher === null) {
    if (run.previous === undefined) return
    throw new BizonError(
      'edited',
      `${place} is missing, and this run would only add what is new since the last one that succeeded to topic ${target}`,
      {
        hint: 'Set destination_id, state_topic and bootstrap_servers back. Or load everything into another topic, with --reset.',
      },
    )
  }
  if (publisher === run.previous) return
  if (run.previous === undefined && !run.givenUp?.includes(publisher)) return
  throw new BizonError(
    'edited',
    `topic ${target} has messages of run ${publisher}, and the last that the state store knows of is ${run.previous ?? 'none'}: they would come again, and cannot be taken back`,
    {
      hint: 'Set the configuration back, and run once more: that goes on with an unfinished run. Or restore the state store. Or load everything into another topic, with --reset.',
    },
  )
}

function wordsOf({ target, place }: Site): Words {
  return {
    state: place,
    target: `topic ${target}`,
    told: 'how many of the messages count',
    otherPipeline: 'Set another destination.config.destination_id or state_topic.',
    removing: 'send a message without a value for its key to that topic',
    whole: 'the topic',
  }
}
