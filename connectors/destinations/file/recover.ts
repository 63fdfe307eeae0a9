// What `open` does before anything is written: finds out how the last process left the files, and puts them right.
//
//   same run:   cut what lies behind the last commit, go on from its checkpoint
//   other run:  roll back its half-done append, drop what it staged, begin
//
// Each step may be cut off and is then simply done again. Nothing is ever guessed: a file that is not as the last
// commit left it is an error that names it.

import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { type Disk, sizeOfFile } from './disk.ts'
import { checkExtent, cutTo, type Extent, edited, extentOf, readTail } from './extent.ts'
import type { Paths } from './paths.ts'
import { checkIdentity, type FileState, replaces, type Sidecar } from './sidecar.ts'

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
  const own = found && isSameRun(found, run) ? found : undefined
  // Told before anything is cleaned up: what is staged is still of use once the state file is put back.
  if (!own && run.stored?.receipt) throw stateLost(sidecar.path, found)

  await sizeOfFile(disk, paths.main(paths.target))
  const state = own ? await resume(site, own) : await begin(site, run, found)
  if (state.phase === 'staging') await checkMains(site, state)
  const claimed = { ...state, epoch: run.epoch }
  await sidecar.commit(claimed)
  return claimed
}

function isSameRun(found: FileState, run: Run): boolean {
  return found.run === run.id && found.mode === run.mode && (run.mode === 'stream' || found.complete === run.complete)
}

async function resume(site: Site, found: FileState): Promise<FileState> {
  const { disk, paths } = site
  for (const [key, file] of Object.entries(found.files)) {
    const staging = paths.staging(key, found.mode)
    if (found.phase === 'published') {
      await drop(site, staging)
    } else if (found.phase === 'publishing' && replaces(found) && !(await disk.stat(staging))) {
      await checkExtent(disk, paths.main(key), file, { whole: true, hint: START_OVER })
    } else {
      const hint = found.mode === 'stream' ? PUT_BACK : START_OVER
      const size = await checkExtent(disk, staging, file, { whole: false, hint })
      if (size > file.bytes) await cutTo(disk, staging, file.bytes)
    }
  }
  if (found.mode !== 'stream' && !(paths.target in found.files)) {
    await drop(site, paths.staging(paths.target, found.mode))
  }
  return found
}

async function begin(site: Site, run: Run, found: FileState | undefined): Promise<FileState> {
  const { paths } = site
  const published = found ? await settle(site, run, found) : {}
  const stale = new Set([
    ...Object.keys(found && found.mode !== 'stream' ? found.files : {}).flatMap((key) => stagingOf(paths, key)),
    ...stagingOf(paths, paths.target),
  ])
  // Not synced: what comes back after a loss of power is in no state file, and is removed before it is written to.
  for (const path of stale) await drop(site, path)
  return {
    format: 1,
    pipeline: run.pipeline,
    source: run.source,
    stream: run.stream,
    run: run.id,
    epoch: run.epoch,
    mode: run.mode,
    complete: run.complete,
    phase: 'staging',
    checkpoint: null,
    files: {},
    published,
  }
}

function stagingOf(paths: Paths, key: string): string[] {
  return [paths.staging(key, 'full_refresh'), paths.staging(key, 'incremental')]
}

async function drop({ disk }: Site, path: string): Promise<void> {
  if (!(await disk.stat(path))) return
  await disk.remove(path)
  faultPoint('recover.cleanup')
}

/**
 * Brings the published files of another run to a state that can be named, and names it. That run was given up (else
 * it would have been resumed), so its watermark never moved and its rows will come again: a half-done append is
 * taken back. A half-done replacement is whole for each file; which one it is, is seen by whether staging is gone.
 */
async function settle(site: Site, run: Run, found: FileState): Promise<FileState['published']> {
  const { disk, paths } = site
  const published: { [key: string]: Extent } = { ...found.published }
  for (const [key, { bytes, tail, mainBefore }] of Object.entries(found.files)) {
    const main = paths.main(key)
    if (found.mode === 'stream') {
      published[key] = { bytes, tail }
      if ((await sizeOfFile(disk, main)) > bytes) await cutTo(disk, main, bytes)
    } else if (found.phase === 'publishing' && replaces(found)) {
      if (!(await disk.stat(paths.staging(key, found.mode)))) published[key] = { bytes, tail }
    } else if (found.phase === 'publishing' && mainBefore !== undefined) {
      const size = await sizeOfFile(disk, main)
      if (size > mainBefore && size <= mainBefore + bytes) await cutTo(disk, main, mainBefore)
      else if (size !== mainBefore && !replaces(run)) {
        throw edited(main, `it has ${size} bytes, and had ${mainBefore} before ${bytes} were to be added`, PUT_BACK)
      }
    }
  }
  return published
}

/** Before the source is asked for anything: can the published files take what this run brings? */
async function checkMains(site: Site, state: FileState): Promise<void> {
  if (state.mode === 'full_refresh') return
  const keys = new Set([site.paths.target, ...Object.keys(state.published)])
  for (const key of keys) {
    if (key in state.files && state.mode === 'stream') continue
    if (replaces(state)) await checkReplaceable(site, state, key)
    else await appendableExtent(site, state, key)
  }
}

/** A first incremental run replaces only what this pipeline published; a full refresh replaces whatever is there. */
export async function checkReplaceable({ disk, paths, sidecar }: Site, state: FileState, key: string): Promise<void> {
  if (state.mode === 'full_refresh' || key in state.published) return
  const main = paths.main(key)
  if ((await sizeOfFile(disk, main)) === 0) return
  throw new BizonError('edited', `${main} exists, and ${sidecar.path} does not say that this pipeline wrote it`, {
    hint: 'Move it away, or run with --reset to replace it.',
  })
}

/** The published file as it is, if rows may be put behind it: the way the last publish left it, or unknown but whole. */
export async function appendableExtent({ disk, paths }: Site, state: FileState, key: string): Promise<Extent> {
  const main = paths.main(key)
  const known = state.published[key]
  if (known) {
    await checkExtent(disk, main, known, { whole: true, hint: PUT_BACK })
    return known
  }
  // Not ours: for instance the Python program's. Taken over as it is.
  const size = await sizeOfFile(disk, main)
  const tail = await readTail(disk, main, size)
  if (size > 0 && tail.at(-1) !== 0x0a) {
    throw new BizonError('edited', `${main} does not end with a line end: its last line may be cut off`, {
      hint: 'Complete or remove the last line, or move the file away.',
    })
  }
  return extentOf(size, tail)
}

const PUT_BACK = 'Put the file back as it was, or replace it by a run with --reset.'
const START_OVER = 'Start over with source.force_ignore_checkpoint: true, or with --reset.'

function stateLost(path: string, found: FileState | undefined): BizonError {
  const what = found ? `is of run ${found.run}, not of the one to go on with` : 'is missing'
  return new BizonError('edited', `${path} ${what}, so how much of the output counts is not known`, {
    hint: 'Put it back. Or read the source from its beginning again with source.force_ignore_checkpoint: true.',
  })
}
