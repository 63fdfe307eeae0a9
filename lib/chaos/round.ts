// What is disturbed: the first run of the pipeline, or one that finds something loaded. Each is done undisturbed, to know what
// it does and what has to be there in the end.

import { BizonError } from '../errors.ts'
import { type Content, isAsMany, isSame, type Losses } from './content.ts'
import type { Ground } from './ground.ts'
import type { Place } from './place.ts'
import type { Operation } from './points.ts'
import { keepShare, type Share } from './share.ts'

export interface Round {
  /** In front of the names of operations. */
  readonly title: '' | 'second run: '
  readonly operations: readonly Operation[]
  /** How long the undisturbed run took. */
  readonly seconds: number
  /** A place in which it was done. */
  readonly place: Place
  /** See `Place.loaded`. */
  readonly targets: readonly string[]
  /** What it leaves, and what there was before it. */
  readonly content: Content
  readonly before: Content
  /** A place as it is before the run. */
  begin(): Promise<Place>
}

/** Two runs that nobody disturbs: what they load must be the same, else nothing could be compared. */
export async function firstRound(ground: Ground): Promise<Round> {
  const { file, engine, sides, options } = ground
  const place = await ground.place()
  await ground.completeFirst(place)
  const { rows, targets } = await place.loaded()
  const content = await place.content(targets, options.signal)
  if (content.rows === 0) {
    throw new BizonError('usage', `${file}: an undisturbed run loads no rows, so that none can be lost`, {
      hint: 'Give it something to read. What comes through standard input has to be in a file.',
    })
  }
  if (content.rows !== rows && !place.keeps.merges) {
    throw new BizonError(
      'edited',
      `${file}: an undisturbed run loads ${rows} rows, and ${content.rows} are read back`,
      {
        hint: `bizon run ${file}, then bizon verify ${file}: which tells the rows apart if the file says verify: true.`,
      },
    )
  }
  const second = await ground.place()
  const counted = await countedRun(ground, second)
  if (!isSame(await second.content(targets, options.signal), content)) {
    throw new BizonError('source', `${file}: two undisturbed runs do not load the same rows`, {
      hint: 'Let the source give the same twice: read from a file, or from a cassette: --replay (see docs/cassettes.md).',
    })
  }
  const operations = await engine.counted(second.folder, sides)
  await ground.remove(second)
  if (operations.length === 0)
    throw new BizonError('internal', `no durable operation was counted${options.pipe ? ' in the pipe' : ''}`)
  return {
    ...{ title: '', operations, seconds: counted, place, targets, content },
    before: { rows: 0, sums: [] },
    begin: () => ground.place(),
  }
}

/**
 * The run after one that has loaded half: it adds the rest, merges it with a part that is there, or replaces what is there.
 * `wrong`: what two runs that nobody disturbs have lost or doubled of the rows of one.
 */
export async function secondRound(
  ground: Ground,
  first: Round,
): Promise<{ readonly round: Round; readonly wrong: Losses | undefined } | string> {
  const { engine, sides, options } = ground
  const { signal } = options
  const half = Math.floor(first.content.rows / 2)
  if (half === 0) return 'a run that finds something loaded: there is one row'
  const loaded = await ground.place()
  keepShare(loaded.folder, { from: 0, to: half })
  await ground.complete(loaded)
  const before = await loaded.content(first.targets, signal)
  if (before.rows === 0 || before.rows >= first.content.rows) {
    await ground.remove(loaded)
    return 'a run that finds something loaded: half of the records do not make a part of the rows'
  }
  const rest: Share = { from: restOf(loaded, half) }
  const begin = async (): Promise<Place> => {
    const place = await ground.place(loaded)
    if (loaded.kept !== 'folder') {
      keepShare(place.folder, { from: 0, to: half })
      await ground.complete(place)
    }
    keepShare(place.folder, rest)
    await place.begin()
    return place
  }
  const place = await begin()
  const seconds = await countedRun(ground, place)
  const content = await place.content(first.targets, signal)
  // Rows of child tables name their parents by numbers, which are others in two runs than in one.
  const isRight = place.config.destination.options.unnestDepth === undefined ? isSame : isAsMany
  const wrong = isRight(content, first.content) ? undefined : await place.losses(first.place, first.targets, signal)
  const operations = await engine.counted(place.folder, sides)
  const { targets } = first
  const round: Round = { title: 'second run: ', operations, seconds, place, targets, content, before, begin }
  return { round, wrong }
}

/** Rows that are merged have to meet each other, and those of a scope to come together. */
function restOf({ config, keeps }: Place, half: number): number {
  if (keeps.onlyAdds) return half
  if (config.source.mode === 'full_refresh' || keeps.byScope) return 0
  return keeps.merges ? Math.floor(half / 2) : half
}

async function countedRun(ground: Ground, place: Place): Promise<number> {
  const started = performance.now()
  await ground.complete(place, ground.engine.counting(place.folder, ground.sides))
  return (performance.now() - started) / 1000
}
