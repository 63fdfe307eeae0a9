// What `open` does before anything is written: finds out how the last process left the files, and puts them right.
//
//   same run:   cut what lies behind the last commit, go on from its checkpoint
//   a stream:   the same, also when the state store has lost its run
//   other run:  roll back its append if it is half done or unknown to the store, drop what it staged, begin
//
// Each step may be cut off and is then simply done again.

import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { startingOver } from '../../../lib/job.ts'
import { type Disk, sizeOfFile } from './disk.ts'
import { checkExtent, cutTo, type Extent, edited, extentOf, readTail } from './extent.ts'
import { checkMains, putBack } from './mains.ts'
import type { Paths } from './paths.ts'
import { checkIdentity, type FileState, replaces, type Sidecar } from './sidecar.ts'
import { checkStaging, drop, dropStaged, isLeft, stagedKeys } from './staging.ts'

/** Everything that recovering and publishing work on. */
export interface Site {
  readonly disk: Disk
  readonly paths: Paths
  readonly sidecar: Sidecar
}

/** Resolves to the state to go on from, claimed by a commit with this run's epoch. */
export async function recover(site: Site, run: Run): Promise<FileState> {
  const { sidecar, paths, disk } = site
  const found = await sidecar.read()
  if (found) checkIdentity(found, run, sidecar.path)
  const own = found && ownState(found, run)
  // Told before anything is cleaned up: what is staged is still of use once the state file is put back.
  if (!own && run.stored?.receipt) throw stateLost(sidecar.path, found, run)

  await sizeOfFile(disk, paths.main(paths.target))
  const state = own ? await resume(site, own) : await begin(site, run, found)
  if (state.phase === 'staging') await checkMains(site, run, state)
  const claimed = { ...state, epoch: run.epoch }
  await sidecar.commit(claimed)
  return claimed
}

/** The state as this run's own, if it is. */
function ownState(found: FileState, run: Run): FileState | undefined {
  if (found.mode !== run.mode) return undefined
  if (found.run === run.id) return run.mode === 'stream' || found.complete === run.complete ? found : undefined
  // A stream has one run for ever. Another one is here when the store was lost or is an older copy: what that run read
  // is here, and would come again from the beginning.
  const { checkpoint } = found
  if (run.mode !== 'stream' || run.startOver || !checkpoint || checkpoint.end) return undefined
  return { ...found, run: run.id, checkpoint: { ...checkpoint, run: run.id } }
}

async function resume(site: Site, found: FileState): Promise<FileState> {
  const { disk, paths } = site
  const hint = putBack(found.mode)
  for (const [key, file] of Object.entries(found.files)) {
    const staging = paths.staging(key, found.mode)
    if (found.phase === 'published') {
      if (await isLeft(disk, found, key, staging)) await drop(disk, staging)
    } else if (found.phase === 'publishing' && replaces(found) && !(await disk.stat(staging))) {
      await checkExtent(disk, paths.main(key), file, { whole: true, hint })
    } else {
      const size = await checkExtent(disk, staging, file, { whole: false, hint })
      if (size > file.bytes) await cutTo(disk, staging, file.bytes)
    }
  }
  if (found.mode === 'stream') return found
  for (const key of stagedKeys(site, found)) {
    if (!(key in found.files)) await drop(disk, paths.staging(key, found.mode))
  }
  return found
}

async function begin(site: Site, run: Run, found: FileState | undefined): Promise<FileState> {
  await checkStaging(site, run, found)
  const standing = found && (await withdrawn(site, run, found))
  const settled = standing ? await settle(site, run, standing) : { published: {}, publishedBy: null }
  await dropStaged(site, found)
  return {
    format: 1,
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
    files: {},
    begun: [],
    ...settled,
  }
}

/**
 * The state without an append that the store does not know of: it was set back, or lost power, or is another one. The
 * rows of that append are newer than the watermark of this run, so that they will come again. The commit makes it an
 * append that is half done, which is rolled back like any other.
 */
async function withdrawn(site: Site, run: Run, found: FileState): Promise<FileState> {
  const { disk, paths, sidecar } = site
  const appends = run.mode === 'incremental' && !run.complete
  const publisher = publisherOf(found)
  if (!appends || publisher === null || publisher === run.previous) return found
  if (run.previous === undefined && !run.givenUp?.includes(publisher)) return found
  const files = Object.entries(found.files)
  const canUndo =
    found.phase === 'published' &&
    found.run === found.publishedBy &&
    found.previous === (run.previous ?? null) &&
    !replaces(found) &&
    files.every(([, { mainBefore }]) => mainBefore !== undefined)
  if (!canUndo) {
    throw new BizonError(
      'edited',
      `${paths.main(paths.target)} was last published by a run that the state store does not know (restored from an older copy, or another state database?)`,
      { hint: 'Use the state store that knows it. Or fetch everything again and replace the output with --reset.' },
    )
  }
  const published: { [key: string]: Extent } = { ...found.published }
  for (const [key, { mainBefore = 0 }] of files) {
    const main = paths.main(key)
    const known = published[key]
    if (known) await checkExtent(disk, main, known, { whole: true, hint: putBack(run.mode) })
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

/** The run that left the published files as they are; null: not known. */
function publisherOf(found: FileState): string | null {
  return found.mode === 'stream' && Object.keys(found.files).length > 0 ? found.run : found.publishedBy
}

/**
 * Brings the published files of another run to a state that can be named, and names it. That run was given up (else
 * it would have been resumed), so its watermark never moved and its rows will come again: a half-done append is
 * taken back. A half-done replacement is whole for each file; which one it is, is seen by whether staging is gone.
 */
async function settle(site: Site, run: Run, found: FileState): Promise<Pick<FileState, 'published' | 'publishedBy'>> {
  const { disk, paths } = site
  const published: { [key: string]: Extent } = { ...found.published }
  let publishedBy = publisherOf(found)
  for (const [key, { bytes, tail, mainBefore }] of Object.entries(found.files)) {
    const main = paths.main(key)
    if (found.mode === 'stream') {
      published[key] = { bytes, tail }
      if ((await sizeOfFile(disk, main)) > bytes) await cutTo(disk, main, bytes)
    } else if (found.phase === 'publishing' && replaces(found)) {
      if (await disk.stat(paths.staging(key, found.mode))) continue
      published[key] = { bytes, tail }
      publishedBy = found.run
    } else if (found.phase === 'publishing' && mainBefore !== undefined) {
      const size = await sizeOfFile(disk, main)
      if (size > mainBefore && size <= mainBefore + bytes) await cutTo(disk, main, mainBefore)
      else if (size !== mainBefore && !replaces(run)) {
        const difference = `it has ${size} bytes, and had ${mainBefore} before ${bytes} were to be added`
        throw edited(main, difference, putBack(run.mode))
      }
    }
  }
  return { published, publishedBy }
}

function stateLost(path: string, found: FileState | undefined, { mode }: Run): BizonError {
  const what = found ? `is of run ${found.run}, not of the one to go on with` : 'is missing'
  return new BizonError('edited', `${path} ${what}, so how much of the output counts is not known`, {
    hint: `Put it back. Or ${startingOver(mode)}.`,
  })
}
