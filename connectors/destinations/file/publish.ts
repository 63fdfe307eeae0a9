// From staged to visible. Two commits frame it: `publishing`, after which it is only ever completed, and `published`.
// Between them each step can be told from its result, so that a kill anywhere is followed by doing it again.
//
//   replace:  rename staging over the published file        done: staging is gone
//   append:   copy staging to where the published file ended when it was decided; a second time over the first

import { dirname } from 'node:path'
import { faultPoint } from '../../../lib/fault.ts'
import { type DiskFile, ensureFolder, readFrom, sizeOfFile, withFile, writeAll } from './disk.ts'
import { checkExtent, type Extent, edited, extentOf, readTail } from './extent.ts'
import { appendableExtent, checkReplaceable, type Site } from './recover.ts'
import { type FileState, replaces, type StagedFile } from './sidecar.ts'

const COPY_BYTES = 1 << 20

export interface PublishOptions {
  /** Whether a complete extract without rows empties the published file, or leaves it alone. */
  readonly onEmpty: 'publish' | 'keep'
}

/** Resolves to the published state. Repeatable. */
export async function publish(site: Site, state: FileState, { onEmpty }: PublishOptions): Promise<FileState> {
  if (state.mode === 'stream') return state
  if (state.phase === 'published') {
    await cleanUp(site, state)
    return state
  }
  let announced = state
  if (state.phase === 'staging') {
    faultPoint('publish.before')
    const files = replaces(state) ? await toReplace(site, state, onEmpty) : await toAppend(site, state)
    announced = { ...state, phase: 'publishing', files }
    await site.sidecar.commit(announced)
  }
  const extents = replaces(state) ? await replaceAll(site, announced) : await appendAll(site, announced)
  const done: FileState = { ...announced, phase: 'published', published: { ...state.published, ...extents } }
  await site.sidecar.commit(done)
  faultPoint('publish.after')
  await cleanUp(site, done)
  return done
}

/** The staged files, and an empty one for each target that has no rows any more. */
async function toReplace(site: Site, state: FileState, onEmpty: string): Promise<FileState['files']> {
  const { disk, paths } = site
  const files: { [key: string]: StagedFile } = { ...state.files }
  if (onEmpty === 'publish') {
    const targets = Object.keys(state.published)
    if (Object.keys(state.files).length === 0) targets.push(paths.target)
    for (const key of targets) {
      if (key in files) continue
      const staging = paths.staging(key, state.mode)
      await ensureFolder(disk, dirname(staging))
      await withFile(disk, staging, 'replace', (file) => file.sync())
      await disk.syncFolder(dirname(staging))
      files[key] = extentOf(0, Buffer.alloc(0))
    }
  }
  for (const key of Object.keys(files)) await checkReplaceable(site, state, key)
  return files
}

async function toAppend(site: Site, state: FileState): Promise<FileState['files']> {
  const files: { [key: string]: StagedFile } = {}
  for (const [key, file] of Object.entries(state.files)) {
    files[key] = { ...file, mainBefore: (await appendableExtent(site, state, key)).bytes }
  }
  return files
}

async function replaceAll({ disk, paths }: Site, state: FileState): Promise<{ [key: string]: Extent }> {
  const extents: { [key: string]: Extent } = {}
  for (const [key, { bytes, tail }] of Object.entries(state.files)) {
    const staging = paths.staging(key, state.mode)
    extents[key] = { bytes, tail }
    const staged = await disk.stat(staging)
    if (!staged) {
      await checkExtent(disk, paths.main(key), { bytes, tail }, { whole: true, hint: START_OVER })
      continue
    }
    if (staged.bytes !== bytes) throw edited(staging, `it has ${staged.bytes} bytes instead of ${bytes}`, START_OVER)
    await disk.rename(staging, paths.main(key))
    faultPoint('publish.mid')
  }
  await syncFolders(disk.syncFolder, Object.keys(extents).map(paths.main, paths))
  return extents
}

async function appendAll({ disk, paths }: Site, state: FileState): Promise<{ [key: string]: Extent }> {
  const extents: { [key: string]: Extent } = {}
  const created: string[] = []
  for (const [key, { bytes, mainBefore = 0 }] of Object.entries(state.files)) {
    const path = paths.main(key)
    const size = await sizeOfFile(disk, path)
    if (size < mainBefore || size > mainBefore + bytes) {
      throw edited(path, `it has ${size} bytes, and had ${mainBefore} before ${bytes} were to be added`, START_OVER)
    }
    await withFile(disk, paths.staging(key, state.mode), 'read', (staging) =>
      withFile(disk, path, 'write', async (main) => {
        await copy(staging, bytes, main, mainBefore)
        await main.sync()
      }),
    )
    if (mainBefore === 0) created.push(path)
    faultPoint('publish.mid')
    extents[key] = extentOf(mainBefore + bytes, await readTail(disk, path, mainBefore + bytes))
  }
  await syncFolders(disk.syncFolder, created)
  return extents
}

async function copy(from: DiskFile, bytes: number, to: DiskFile, at: number): Promise<void> {
  for (let done = 0; done < bytes; ) {
    const chunk = await readFrom(from, done, Math.min(COPY_BYTES, bytes - done))
    if (chunk.length === 0) throw edited('the staged file', `it ends after ${done} of ${bytes} bytes`, START_OVER)
    await writeAll(to, chunk, at + done)
    done += chunk.length
  }
}

/** What was appended is not needed twice; what was renamed is gone already. */
async function cleanUp({ disk, paths }: Site, state: FileState): Promise<void> {
  for (const key of Object.keys(state.files)) {
    const staging = paths.staging(key, state.mode)
    if (!(await disk.stat(staging))) continue
    await disk.remove(staging)
    faultPoint('cleanup.mid')
  }
}

async function syncFolders(syncFolder: (path: string) => Promise<void>, paths: readonly string[]): Promise<void> {
  for (const folder of new Set(paths.map((path) => dirname(path)))) await syncFolder(folder)
}

const START_OVER = 'Start over with source.force_ignore_checkpoint: true, or with --reset.'
