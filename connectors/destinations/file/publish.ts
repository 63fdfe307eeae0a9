// From staged to visible. Two commits frame it: `publishing`, after which it is only ever completed, and `published`.
// Between them each step can be told from its result, so that a kill anywhere is followed by doing it again.
//
//   replace:  rename staging over the published file        done: staging is gone
//   append:   copy staging to where the published file ended when it was decided; a second time over the first

import { dirname } from 'node:path'
import { faultPoint } from '../../../lib/fault.ts'
import { emptiedTargets, replaces } from '../recovery.ts'
import { type DiskFile, ensureFolder, readFrom, sizeOfFile, withFile, writeAll } from './disk.ts'
import { checkExtent, cutTo, type Extent, edited, extentOf, readTail, TAIL_BYTES } from './extent.ts'
import { appendableExtent, checkReplaceable, putBack } from './mains.ts'
import type { Site } from './recover.ts'
import type { FileState, StagedFile } from './sidecar.ts'
import { beginStaging } from './staging.ts'

const COPY_BYTES = 1 << 20

export interface PublishOptions {
  /** Whether a complete extract without rows empties the published file, or leaves it alone. */
  readonly onEmpty: 'publish' | 'keep'
  /** Whether what this run does not name stays as it is; else it is emptied. */
  readonly keepsOthers: boolean
}

/** Resolves to the published state. Repeatable. */
export async function publish(site: Site, state: FileState, options: PublishOptions): Promise<FileState> {
  if (state.mode === 'stream') return state
  if (state.direct) return markPublished(site, state)
  if (state.phase === 'published') {
    await cleanUp(site, state)
    return state
  }
  let announced = state
  if (state.phase === 'staging') {
    faultPoint('publish.before')
    announced = replaces(state) ? await toReplace(site, state, options) : await toAppend(site, state)
    await site.sidecar.commit(announced)
  }
  const extents = replaces(state) ? await replaceAll(site, announced) : await appendAll(site, announced)
  const done: FileState = {
    ...announced,
    phase: 'published',
    published: { ...state.published, ...extents },
    publishedBy: state.run,
  }
  await site.sidecar.commit(done)
  faultPoint('publish.after')
  await cleanUp(site, done)
  return done
}

/** The rows are where they belong: what is left is to say that they are all. */
async function markPublished({ sidecar }: Site, state: FileState): Promise<FileState> {
  if (state.phase === 'published') return state
  faultPoint('publish.before')
  const extents = Object.entries(state.files).map(([key, { bytes, tail }]) => [key, { bytes, tail }])
  const published = { ...state.published, ...Object.fromEntries(extents) }
  const done: FileState = { ...state, phase: 'published', published, publishedBy: state.run }
  await sidecar.commit(done)
  faultPoint('publish.after')
  return done
}

/** With an empty staged file for each target that has no rows any more. */
async function toReplace(site: Site, state: FileState, { onEmpty, keepsOthers }: PublishOptions): Promise<FileState> {
  const { disk, paths } = site
  const [staged, published] = [Object.keys(state.files), Object.keys(state.published)]
  const empty = emptiedTargets({ target: paths.target, staged, published, keepsOthers, onEmpty })
  const begun = await beginStaging(site, state, empty)
  const files: { [key: string]: StagedFile } = { ...state.files }
  for (const key of empty) {
    const staging = paths.staging(key, state)
    await ensureFolder(disk, dirname(staging))
    const header = paths.header(key)
    await withFile(disk, staging, 'replace', async (file) => {
      await writeAll(file, header, 0)
      await file.sync()
    })
    await disk.syncFolder(dirname(staging))
    files[key] = extentOf(header.length, header.subarray(-TAIL_BYTES))
  }
  for (const key of Object.keys(files)) await checkReplaceable(site, state, key)
  return { ...begun, phase: 'publishing', files }
}

async function toAppend(site: Site, state: FileState): Promise<FileState> {
  const files: { [key: string]: StagedFile } = {}
  for (const [key, file] of Object.entries(state.files)) {
    files[key] = { ...file, mainBefore: (await appendableExtent(site, state, key)).bytes }
  }
  return { ...state, phase: 'publishing', files }
}

async function replaceAll({ disk, paths }: Site, state: FileState): Promise<{ [key: string]: Extent }> {
  const extents: { [key: string]: Extent } = {}
  for (const [key, { bytes, tail }] of Object.entries(state.files)) {
    const staging = paths.staging(key, state)
    extents[key] = { bytes, tail }
    const staged = await disk.stat(staging)
    if (!staged) {
      await checkExtent(disk, paths.main(key), { bytes, tail }, { whole: true, hint: putBack(state.mode) })
      continue
    }
    if (staged.bytes !== bytes) {
      throw edited(staging, `it has ${staged.bytes} bytes instead of ${bytes}`, putBack(state.mode))
    }
    await disk.rename(staging, paths.main(key))
    faultPoint('publish.mid')
  }
  await syncFolders(disk.syncFolder, Object.keys(extents).map(paths.main, paths))
  return extents
}

/** All or nothing: after an error that can still be answered, readers see none of the rows. */
async function appendAll(site: Site, state: FileState): Promise<{ [key: string]: Extent }> {
  const begun = new Map<string, number>()
  try {
    return await append(site, state, begun)
  } catch (error) {
    // As far as it goes: the next run cuts what is left.
    for (const [path, before] of begun) await cutTo(site.disk, path, before).catch(() => {})
    throw error
  }
}

/** Notes where each file ended before it is written to. */
async function append(
  { disk, paths }: Site,
  state: FileState,
  begun: Map<string, number>,
): Promise<{ [key: string]: Extent }> {
  const extents: { [key: string]: Extent } = {}
  const created: string[] = []
  const hint = putBack(state.mode)
  for (const [key, { bytes, mainBefore = 0, header = '' }] of Object.entries(state.files)) {
    // A file has one header, its own.
    const from = mainBefore > 0 ? Buffer.byteLength(header) : 0
    const added = bytes - from
    const path = paths.main(key)
    const size = await sizeOfFile(disk, path)
    if (size < mainBefore || size > mainBefore + added) {
      throw edited(path, `it has ${size} bytes, and had ${mainBefore} before ${added} were to be added`, hint)
    }
    await withFile(disk, paths.staging(key, state), 'read', (staging) =>
      withFile(disk, path, 'write', async (main) => {
        begun.set(path, mainBefore)
        await copy(staging, from, bytes, main, mainBefore)
        await main.sync()
      }),
    )
    if (mainBefore === 0) created.push(path)
    faultPoint('publish.mid')
    extents[key] = extentOf(mainBefore + added, await readTail(disk, path, mainBefore + added))
  }
  await syncFolders(disk.syncFolder, created)
  return extents
}

/** `source[start, end)` to where `target` is to go on. */
async function copy(source: DiskFile, start: number, end: number, target: DiskFile, at: number): Promise<void> {
  for (let done = start; done < end; ) {
    const chunk = await readFrom(source, done, Math.min(COPY_BYTES, end - done))
    if (chunk.length === 0)
      throw edited('the staged file', `it ends after ${done} of ${end} bytes`, putBack('incremental'))
    await writeAll(target, chunk, at + done - start)
    done += chunk.length
  }
}

/** What was appended is not needed twice; what was renamed is gone already. */
async function cleanUp({ disk, paths }: Site, state: FileState): Promise<void> {
  for (const key of Object.keys(state.files)) {
    const staging = paths.staging(key, state)
    if (!(await disk.stat(staging))) continue
    await disk.remove(staging)
    faultPoint('cleanup.mid')
  }
}

async function syncFolders(syncFolder: (path: string) => Promise<void>, paths: readonly string[]): Promise<void> {
  for (const folder of new Set(paths.map((path) => dirname(path)))) await syncFolder(folder)
}
