// The files that rows wait in. Their names are easily somebody else's as well (`a_temp` is a fine name), so that
// nothing is removed or written over which this pipeline does not know to be its own.

import { dirname } from 'node:path'
import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { isDirect, replaces, showsBatches } from '../recovery.ts'
import type { Disk } from './disk.ts'
import { extentOf, readTail } from './extent.ts'
import type { Site } from './recover.ts'
import type { FileState } from './sidecar.ts'

/**
 * Makes room for staging files, and commits that what is found there from now on is this pipeline's: a kill may follow
 * before their bytes are committed. Rejects when a file is there that is somebody else's.
 */
export async function beginStaging(site: Site, state: FileState, keys: readonly string[]): Promise<FileState> {
  const { disk, paths, sidecar } = site
  const unknown = keys.filter((key) => key !== paths.target && !state.begun.includes(key))
  for (const key of keys) {
    const path = paths.staging(key, state)
    if (!(await disk.stat(path))) continue
    if (unknown.includes(key)) throw foreign(path)
    await disk.remove(path)
  }
  if (unknown.length === 0) return state
  const next = { ...state, begun: [...state.begun, ...unknown] }
  await sidecar.commit(next)
  return next
}

/** Ids of the files that the run staged, or may have. */
export function stagedKeys({ paths }: Site, found: FileState): Set<string> {
  const keys = new Set(Object.keys(found.files))
  if (found.phase === 'published') return keys
  for (const key of [paths.target, ...found.begun]) keys.add(key)
  return keys
}

/** Rejects when a file of somebody else is where this run would stage the configured target. */
export async function checkStaging(
  { disk, paths, visibility }: Site,
  run: Run,
  found: FileState | undefined,
): Promise<void> {
  if (run.mode === 'stream' || showsBatches(run, visibility)) return
  const path = paths.staging(paths.target, run)
  if (found?.mode === run.mode && !found.direct) {
    if (found.phase !== 'published' || (await isLeft(disk, found, paths.target, path))) return
  }
  if (await disk.stat(path)) throw foreign(path)
}

/** Removes what another run of this pipeline staged. */
export async function dropStaged(site: Site, found: FileState | undefined): Promise<void> {
  if (!found || isDirect(found)) return
  const { disk, paths } = site
  const folders = new Set<string>()
  for (const key of stagedKeys(site, found)) {
    const path = paths.staging(key, found)
    if (found.phase === 'published' && !(await isLeft(disk, found, key, path))) continue
    if (await drop(disk, path)) folders.add(dirname(path))
  }
  // The next state file does not know of them: they must not come back after a loss of power.
  for (const folder of folders) await disk.syncFolder(folder)
}

/** Resolves to whether there was one. */
export async function drop(disk: Disk, path: string): Promise<boolean> {
  if (!(await disk.stat(path))) return false
  await disk.remove(path)
  faultPoint('recover.cleanup')
  return true
}

/** Whether it is what an append that is published already had staged, and a kill left there. */
export async function isLeft(disk: Disk, found: FileState, key: string, path: string): Promise<boolean> {
  const file = found.files[key]
  if (found.phase !== 'published' || found.direct || replaces(found) || !file) return false
  if ((await disk.stat(path))?.bytes !== file.bytes) return false
  return extentOf(file.bytes, await readTail(disk, path, file.bytes)).tail.sha256 === file.tail.sha256
}

function foreign(path: string): BizonError {
  return new BizonError('edited', `${path} exists and is not this pipeline's staging`, {
    hint: 'Move it away, or choose another destination_id.',
  })
}
