// What `open` does before anything is written: finds out how the last process left the files, and puts them right.
//
//   same run:   cut what lies behind the last commit, go on from its checkpoint
//   a stream:   the same, also when the state store has lost its run
//   other run:  roll back its append if it is half done or unknown to the store, drop what it staged, begin
//
// Each step may be cut off and is then simply done again.

import type { Run } from '../../../lib/destination.ts'
import {
  beginning,
  isDirect,
  ownState,
  publisherOf,
  replaces,
  showsBatches,
  standingOf,
  type Visibility,
  type Words,
} from '../recovery.ts'
import { type Disk, sizeOfFile } from './disk.ts'
import { checkExtent, cutTo, type Extent, edited, extentOf, readTail } from './extent.ts'
import { checkMains, putBack } from './mains.ts'
import type { Paths } from './paths.ts'
import { type FileState, REMOVING, type Sidecar } from './sidecar.ts'
import { checkStaging, drop, dropStaged, isLeft, stagedKeys } from './staging.ts'

/** Everything that recovering and publishing work on. */
export interface Site {
  readonly disk: Disk
  readonly paths: Paths
  readonly sidecar: Sidecar
  readonly visibility: Visibility
}

/** Resolves to the state to go on from, claimed by a commit with this run's epoch. */
export async function recover(site: Site, run: Run): Promise<FileState> {
  const { sidecar, paths, disk } = site
  const found = await sidecar.read()
  const own = ownState(found, run, wordsOf(site))

  await sizeOfFile(disk, paths.main(paths.target))
  const state = own ? await resume(site, own) : await begin(site, run, found)
  if (state.phase === 'staging') await checkMains(site, run, state)
  const claimed = { ...state, epoch: run.epoch }
  await sidecar.commit(claimed)
  return claimed
}

async function resume(site: Site, found: FileState): Promise<FileState> {
  const { disk, paths } = site
  if (found.direct && found.phase === 'published') return found
  const hint = putBack(found.mode)
  for (const [key, file] of Object.entries(found.files)) {
    const staging = paths.staging(key, found)
    if (found.phase === 'published') {
      if (await isLeft(disk, found, key, staging)) await drop(disk, staging)
    } else if (found.phase === 'publishing' && replaces(found) && !(await disk.stat(staging))) {
      await checkExtent(disk, paths.main(key), file, { whole: true, hint })
    } else {
      const size = await checkExtent(disk, staging, file, { whole: false, hint })
      if (size > file.bytes) await cutTo(disk, staging, file.bytes)
    }
  }
  if (isDirect(found)) return found
  for (const key of stagedKeys(site, found)) {
    if (!(key in found.files)) await drop(disk, paths.staging(key, found))
  }
  return found
}

async function begin(site: Site, run: Run, found: FileState | undefined): Promise<FileState> {
  await checkStaging(site, run, found)
  const standing = found && (await withdrawn(site, run, found))
  const settled = standing ? await settle(site, run, standing) : { published: {}, publishedBy: null }
  await dropStaged(site, found)
  const direct = showsBatches(run, site.visibility)
  return { format: 1, ...beginning(run), ...(direct && { direct }), files: {}, begun: [], ...settled }
}

/**
 * The state without an append that is to be taken back. The commit makes it one that is half done, which is rolled back
 * like any other.
 */
async function withdrawn(site: Site, run: Run, found: FileState): Promise<FileState> {
  const { disk, paths, sidecar } = site
  const files = Object.entries(found.files)
  const canUndo = files.every(([, { mainBefore }]) => mainBefore !== undefined)
  const standing = standingOf(found, run, { hasWritten: files.length > 0, canUndo }, wordsOf(site))
  if (standing === 'stays') return found
  const published: { [key: string]: Extent } = { ...found.published }
  for (const [key, { mainBefore = 0 }] of files) {
    const main = paths.main(key)
    const isPart = found.direct && found.phase === 'staging'
    const known = isPart ? found.files[key] : published[key]
    if (known) await checkExtent(disk, main, known, { whole: !isPart, hint: putBack(run.mode) })
    published[key] = extentOf(mainBefore, await readTail(disk, main, mainBefore))
  }
  const half: FileState = {
    ...found,
    epoch: run.epoch,
    phase: 'publishing',
    published,
    publishedBy: run.previous ?? null,
  }
  await sidecar.commit(half)
  return half
}

/**
 * Brings the published files of another run to a state that can be named, and names it. That run was given up (else
 * it would have been resumed), so its watermark never moved and its rows will come again: a half-done append is
 * taken back. A half-done replacement is whole for each file; which one it is, is seen by whether staging is gone.
 */
async function settle(site: Site, run: Run, found: FileState): Promise<Pick<FileState, 'published' | 'publishedBy'>> {
  const { disk, paths } = site
  const published: { [key: string]: Extent } = { ...found.published }
  let publishedBy = publisherOf(found, Object.keys(found.files).length > 0)
  for (const [key, { bytes, tail, mainBefore }] of Object.entries(found.files)) {
    const main = paths.main(key)
    if (found.mode === 'stream' || (found.direct && found.phase === 'staging')) {
      published[key] = { bytes, tail }
      if ((await sizeOfFile(disk, main)) > bytes) await cutTo(disk, main, bytes)
    } else if (found.phase === 'publishing' && replaces(found)) {
      if (await disk.stat(paths.staging(key, found))) continue
      published[key] = { bytes, tail }
      publishedBy = found.run
    } else if (found.phase === 'publishing' && mainBefore !== undefined) {
      const size = await sizeOfFile(disk, main)
      if (size > mainBefore && (found.direct || size <= mainBefore + bytes)) await cutTo(disk, main, mainBefore)
      else if (size !== mainBefore && !replaces(run)) {
        const difference = `it has ${size} bytes, and had ${mainBefore} before ${bytes} were to be added`
        throw edited(main, difference, putBack(run.mode))
      }
    }
  }
  return { published, publishedBy }
}

function wordsOf({ sidecar, paths }: Site): Words {
  return {
    state: sidecar.path,
    target: paths.main(paths.target),
    told: 'how much of the output counts',
    otherPipeline: 'Set another destination.config.destination_id, or move that file and the output beside it away.',
    removing: REMOVING,
    whole: 'the output',
  }
}
