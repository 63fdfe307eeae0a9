// What `open` does before anything is written: finds out how the last process left the folders, and puts them right. As in
// file/recover.ts, with versions in the place of files.

import { join } from 'node:path'
import type { Run } from '../../../../lib/destination.ts'
import { BizonError } from '../../../../lib/errors.ts'
import type { Column, Libraries } from '../../../parquet.ts'
import { beginning, followsUnknown, ownState, publisherOf, replaces, standingOf, type Words } from '../../recovery.ts'
import { putBack } from '../mains.ts'
import { checkColumns } from './columns.ts'
import { type Own, ownParts, readPart } from './parts.ts'
import { checkVersion, cleanUp, pointTo } from './publish.ts'
import { folderOf, MANIFEST, type PartState, partNumbers, type Site, type Version } from './state.ts'

export interface Recovered {
  /** Claimed by a commit with this run's epoch, and with the checkpoint that the parts hold. */
  readonly state: PartState
  readonly own: Own
}

const NONE: Own = { parts: {}, columns: {}, commits: 0, checkpoint: null }

/** `columnsOf`: those of the rows that a target would get; undefined: it gets none. */
export async function recover(
  site: Site,
  run: Run,
  libraries: Libraries,
  columnsOf: (key: string) => readonly Column[] | undefined,
): Promise<Recovered> {
  const { sidecar, layout } = site
  const stored = await sidecar.read()
  // Once it is published the parts are those of a version, and the state has the checkpoint.
  const held = stored && stored.phase === 'staging' ? await ownParts(site, stored, libraries, false) : NONE
  const found = stored?.phase === 'staging' ? { ...stored, checkpoint: held.checkpoint } : stored
  const mine = ownState(found, run, wordsOf(site))
  if (!stored) await refuseForeign(site, layout.target)
  let state = mine
  let own = NONE
  if (mine) {
    if (mine.phase === 'staging') own = await ownParts(site, mine, libraries, true)
  } else {
    state = await begin(site, run, found, held)
  }
  const next = { ...(state as PartState), epoch: run.epoch }
  if (next.phase === 'staging') {
    await check(site, run, next)
    await checkAllColumns(site, next, own, libraries, columnsOf)
  }
  // The parts hold the checkpoint: in the state file it would be an older one.
  await sidecar.commit(next.phase === 'staging' ? { ...next, checkpoint: null } : next)
  await cleanUp(site, next, 'recover.cleanup')
  if (next.mode === 'stream') await showStream(site, next, own)
  return { state: next, own }
}

/** A stream writes into the published version: what is seen there is what was published, and what the stream committed. */
async function showStream(site: Site, state: PartState, own: Own): Promise<void> {
  const { disk, layout } = site
  for (const [key, { folder, parts }] of Object.entries(state.published)) {
    const path = layout.version(key, folder)
    const listed = new Set(parts.map(({ name }) => name))
    for (const name of await disk.list(path)) {
      const isOwn = partNumbers(name)?.run === state.number
      if (name === MANIFEST || (partNumbers(name) && !isOwn && !listed.has(name))) await disk.remove(join(path, name))
    }
  }
  for (const [key, parts] of Object.entries(own.parts)) if (parts.length > 0) await show(site, state, key)
}

/** In mode `stream`, once a part has its name. */
export async function show(site: Site, state: PartState, key: string): Promise<void> {
  if (!state.published[key]) await pointTo(site, key, folderOf(state))
}

/** Rejects when somebody else's files are where a target would be. */
export async function refuseForeign({ disk, layout, sidecar }: Site, key: string): Promise<void> {
  const home = layout.home(key)
  const found = await disk.stat(home)
  if (!found || (found.kind === 'folder' && (await disk.list(home)).length === 0)) return
  throw new BizonError('edited', `${home} exists, and ${sidecar.path} does not say that this pipeline wrote it`, {
    hint: 'Move it away, or choose another destination_id.',
  })
}

async function check(site: Site, run: Run, state: PartState): Promise<void> {
  if (state.mode === 'full_refresh') return
  if (followsUnknown(state, run, Object.keys(state.published).length)) {
    throw new BizonError(
      'edited',
      `${site.layout.home(site.layout.target)} is missing, and this run would only add what is new since the last one that succeeded`,
      { hint: 'Put it back with its state file, or set destination_id back. Or fetch everything again with --reset.' },
    )
  }
  if (replaces(state)) return
  for (const key of Object.keys(state.published)) await checkVersion(site, state, key)
}

/** Rejects when rows would get beside rows with other columns: those that the run has, or those that it adds to. */
async function checkAllColumns(
  { disk, layout }: Site,
  state: PartState,
  own: Own,
  libraries: Libraries,
  columnsOf: (key: string) => readonly Column[] | undefined,
): Promise<void> {
  const { mode } = state
  for (const [key, found] of Object.entries(own.columns)) {
    const columns = columnsOf(key)
    if (columns) checkColumns(layout.home(key), found, columns, { staged: mode !== 'stream', mode })
  }
  if (replaces(state)) return
  for (const [key, { folder, parts }] of Object.entries(state.published)) {
    const columns = columnsOf(key)
    const last = parts.at(-1)
    if (!columns || !last) continue
    const path = join(layout.version(key, folder), last.name)
    const { columns: found } = await readPart(disk, path, libraries, putBack(mode))
    checkColumns(layout.home(key), found, columns, { staged: false, mode })
  }
}

async function begin(site: Site, run: Run, found: PartState | undefined, held: Own): Promise<PartState> {
  const fresh = { format: 1, number: run.epoch, staged: [], next: {} } as const
  if (!found) return { ...fresh, ...beginning(run), targets: [], published: {}, before: {}, publishedBy: null }
  const hasWritten = Object.values(held.parts).some((parts) => parts.length > 0)
  const standing = standingOf(found, run, { hasWritten, canUndo: true }, wordsOf(site))
  const settled = await settle(site, found, held, hasWritten)
  let { published } = settled
  if (standing === 'withdrawn') published = without(published, found.number)
  if (run.mode === 'stream') published = withoutManifests(published)
  return {
    ...fresh,
    ...beginning(run),
    targets: found.targets,
    before: found.before,
    published,
    publishedBy: standing === 'withdrawn' ? (run.previous ?? null) : settled.publishedBy,
  }
}

/** What readers see once another run, which was given up, is put right. */
async function settle(
  site: Site,
  found: PartState,
  held: Own,
  hasWritten: boolean,
): Promise<Pick<PartState, 'published' | 'publishedBy'>> {
  const published = { ...found.published }
  let publishedBy = publisherOf(found, hasWritten)
  if (found.mode === 'stream') {
    for (const [key, parts] of Object.entries(held.parts)) {
      const before = published[key]
      const folder = before?.folder ?? folderOf(found)
      if (parts.length > 0) published[key] = { folder, parts: [...(before?.parts ?? []), ...parts] }
      if (parts.length > 0) await pointTo(site, key, folder)
    }
  } else if (found.phase === 'publishing') {
    for (const [key, version] of Object.entries(found.next)) {
      const shown = (await site.disk.readLink(site.layout.current(key))) === version.folder
      if (shown && replaces(found)) {
        published[key] = version
        publishedBy = found.run
      } else if (shown) {
        await pointTo(site, key, published[key]?.folder)
      }
    }
  }
  return { published, publishedBy }
}

/** Without what a run has added: it will come again. Readers see it until then. */
function without(published: PartState['published'], number: number): { [key: string]: Version } {
  const kept: { [key: string]: Version } = {}
  for (const [key, { folder, parts, manifest }] of Object.entries(published)) {
    const stay = parts.filter(({ name }) => partNumbers(name)?.run !== number)
    kept[key] = stay.length === parts.length && manifest ? { folder, parts, manifest } : { folder, parts: stay }
  }
  return kept
}

/** A manifest would not say what a stream adds. */
function withoutManifests(published: PartState['published']): PartState['published'] {
  return Object.fromEntries(Object.entries(published).map(([key, { folder, parts }]) => [key, { folder, parts }]))
}

function wordsOf({ sidecar, layout }: Site): Words {
  return {
    state: sidecar.path,
    target: layout.home(layout.target),
    told: 'how much of the output counts',
    otherPipeline: 'Set another destination.config.destination_id, or move that file and the folder beside it away.',
    removing: 'move the file away',
    whole: 'the output',
  }
}
