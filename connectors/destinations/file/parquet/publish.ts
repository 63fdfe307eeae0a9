// From staged to visible. `publishing` is committed first, with the versions that readers are going to see; from then on it
// is only ever completed, or taken back by another run. A version is a folder: links to the parts that stay, the new parts,
// and a manifest. Renaming a link over `current` shows it at once.

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { BizonError } from '../../../../lib/errors.ts'
import { faultPoint } from '../../../../lib/fault.ts'
import { stringifyJson } from '../../../../lib/json.ts'
import { emptiedTargets, replaces } from '../../recovery.ts'
import { ensureFolder, sizeOfFile, withFile, writeAll } from '../disk.ts'
import { edited } from '../extent.ts'
import { putBack } from '../mains.ts'
import {
  folderOf,
  isFolder,
  MANIFEST,
  type PartRecord,
  type PartState,
  partNumbers,
  type Site,
  type Version,
} from './state.ts'

export interface PublishOptions {
  /** Whether a complete extract without rows empties what is published, or leaves it alone. */
  readonly onEmpty: 'publish' | 'keep'
  /** Whether what this run does not name stays as it is; else it is emptied. */
  readonly keepsOthers: boolean
}

/** What the targets of the run will hold. `parts`: the run's own. */
export function nextVersions(
  state: PartState,
  target: string,
  parts: { readonly [key: string]: readonly PartRecord[] },
  options: PublishOptions,
): { [key: string]: Version } {
  const published = Object.keys(state.published)
  const emptied = replaces(state) ? emptiedTargets({ target, staged: state.staged, published, ...options }) : []
  const versions: { [key: string]: Version } = {}
  for (const key of [...state.staged, ...emptied]) {
    const own = parts[key] ?? []
    const kept = replaces(state) ? [] : (state.published[key]?.parts ?? [])
    const filled = own.filter(({ rows }) => rows > 0)
    if (filled.length === 0 && kept.length > 0) continue
    // A folder without any file would be no table to most readers.
    const all = filled.length > 0 ? [...kept, ...filled] : own.slice(-1)
    const version = { folder: folderOf(state), parts: all }
    versions[key] = {
      ...version,
      manifest: createHash('sha256')
        .update(manifestOf(state, key, version))
        .digest('hex'),
    }
  }
  return versions
}

function manifestOf({ pipeline, stream, run }: PartState, key: string, { parts }: Version): string {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  return `${stringifyJson({ pipeline, stream, run, target: key, rows, parts: parts.map((part) => ({ ...part })) })}\n`
}

/** Shows the versions that the state announces. Repeatable. */
export async function showNext(site: Site, state: PartState): Promise<void> {
  for (const [key, version] of Object.entries(state.next)) {
    await complete(site, state, key, version)
    await pointTo(site, key, version.folder)
    faultPoint('publish.mid')
  }
}

async function complete({ disk, layout }: Site, state: PartState, key: string, version: Version): Promise<void> {
  const folder = layout.version(key, version.folder)
  await ensureFolder(disk, folder)
  const wanted = new Set(version.parts.map(({ name }) => name))
  const there = new Set(await disk.list(folder))
  for (const { name } of version.parts) {
    if (there.has(name)) continue
    const from = state.published[key]?.folder
    if (partNumbers(name)?.run === state.number || from === undefined) {
      throw edited(join(folder, name), 'it is missing', putBack(state.mode))
    }
    await disk.link(join(layout.version(key, from), name), join(folder, name))
  }
  for (const name of there) if (partNumbers(name) && !wanted.has(name)) await disk.remove(join(folder, name))
  const manifest = join(folder, MANIFEST)
  await withFile(disk, `${manifest}.tmp`, 'replace', async (file) => {
    await writeAll(file, Buffer.from(manifestOf(state, key, version)), 0)
    await file.sync()
  })
  await disk.rename(`${manifest}.tmp`, manifest)
  await disk.syncFolder(folder)
}

/** Lets `current` lead to a version, or with undefined to none. */
export async function pointTo({ disk, layout }: Site, key: string, folder: string | undefined): Promise<void> {
  const current = layout.current(key)
  const found = await disk.readLink(current)
  if (found === folder) return
  if (found === null) {
    throw new BizonError('edited', `${current} is no symbolic link: somebody else has put it there`, {
      hint: 'Move it away, and run again.',
    })
  }
  if (folder === undefined) {
    await disk.remove(current)
  } else {
    const temporary = join(layout.home(key), '.current.tmp')
    await disk.remove(temporary)
    await disk.makeLink(folder, temporary)
    await disk.rename(temporary, current)
  }
  await disk.syncFolder(layout.home(key))
}

/** Removes versions that nobody sees any more, but not the one before, in which somebody may still read. */
export async function cleanUp({ disk, layout }: Site, state: PartState, point: 'cleanup.mid' | 'recover.cleanup') {
  for (const key of state.targets) {
    const kept = [state.published[key]?.folder, state.next[key]?.folder, state.before[key]]
    if (state.staged.includes(key) && state.phase !== 'published') kept.push(folderOf(state))
    for (const name of await disk.list(layout.home(key))) {
      if (!isFolder(name) || kept.includes(name)) continue
      await disk.removeFolder(layout.version(key, name))
      if (point === 'cleanup.mid') faultPoint('cleanup.mid')
      else faultPoint('recover.cleanup')
    }
  }
}

/** Rejects unless the version is as the last publish left it. */
export async function checkVersion(site: Site, state: PartState, key: string): Promise<void> {
  const version = state.published[key]
  if (!version) return
  const { disk, layout } = site
  const hint = putBack(state.mode)
  const folder = layout.version(key, version.folder)
  for (const { name, bytes } of version.parts) {
    const path = join(folder, name)
    const size = await sizeOfFile(disk, path)
    if (size !== bytes) throw edited(path, `it has ${size} bytes, and ${bytes} were written`, hint)
  }
  if (version.manifest === undefined) return
  const path = join(folder, MANIFEST)
  if ((await hashOf(site, path)) !== version.manifest) {
    throw edited(path, 'it is not what the last publish wrote', hint)
  }
}

async function hashOf({ disk }: Site, path: string): Promise<string | undefined> {
  const size = await sizeOfFile(disk, path)
  if (size === 0) return undefined
  const bytes = Buffer.alloc(size)
  await withFile(disk, path, 'read', async (file) => {
    for (let done = 0; done < size; ) {
      const read = await file.read(bytes.subarray(done), done)
      if (read === 0) break
      done += read
    }
  })
  return createHash('sha256').update(bytes).digest('hex')
}
