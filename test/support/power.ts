// Cuts the power. A disk that notes every operation, and a way to build the folder that is left when the power goes
// after any of them: what was synced is there, and of the rest whatever a cruel disk chooses.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import type { Disk } from '../../connectors/destinations/file/disk.ts'

type Operation =
  | { readonly kind: 'write'; readonly node: number; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly node: number; readonly size: number }
  | { readonly kind: 'sync'; readonly node: number }
  /** A name comes, goes or moves in a folder. */
  | {
      readonly kind: 'name'
      readonly path: string
      readonly node: number | 'folder' | undefined
      readonly from?: string
    }
  | { readonly kind: 'syncFolder'; readonly path: string }

/** Paths are relative to the folder. */
export interface Recording {
  readonly operations: readonly Operation[]
  readonly before: ReadonlyMap<string, Buffer | 'folder'>
}

/** Everything that is in the folder now counts as durable. */
export async function record(disk: Disk, folder: string): Promise<{ disk: Disk; recording: Recording }> {
  const before = new Map<string, Buffer | 'folder'>()
  const nodes = new Map<string, number>()
  const operations: Operation[] = []
  let count = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    before.set(relative(folder, path), entry.isDirectory() ? 'folder' : await readFile(path))
    if (!entry.isDirectory()) nodes.set(path, count++)
  }
  const name = (path: string, node: number | 'folder' | undefined, from?: string): void => {
    const moved = from === undefined ? {} : { from: relative(folder, from) }
    operations.push({ kind: 'name', path: relative(folder, path), node, ...moved })
  }

  const recorder: Disk = {
    ...disk,
    async open(path, access) {
      const file = await disk.open(path, access)
      if (access === 'read') return file
      let node = nodes.get(path)
      if (node === undefined) {
        node = count++
        nodes.set(path, node)
        name(path, node)
      } else if (access === 'replace') operations.push({ kind: 'truncate', node, size: 0 })
      const of = node
      return {
        ...file,
        async write(bytes, position) {
          const taken = await file.write(bytes, position)
          operations.push({ kind: 'write', node: of, position, bytes: Buffer.from(bytes.subarray(0, taken)) })
          return taken
        },
        async truncate(size) {
          await file.truncate(size)
          operations.push({ kind: 'truncate', node: of, size })
        },
        async sync() {
          await file.sync()
          operations.push({ kind: 'sync', node: of })
        },
      }
    },
    async rename(from, to) {
      await disk.rename(from, to)
      const node = nodes.get(from)
      nodes.delete(from)
      if (node !== undefined) nodes.set(to, node)
      name(to, node, from)
    },
    async remove(path) {
      await disk.remove(path)
      if (nodes.delete(path)) name(path, undefined)
    },
    async makeFolder(path) {
      await disk.makeFolder(path)
      name(path, 'folder')
    },
    async syncFolder(path) {
      await disk.syncFolder(path)
      operations.push({ kind: 'syncFolder', path: relative(folder, path) })
    },
  }
  return { disk: recorder, recording: { operations, before } }
}

/** How much of an operation that was not synced has reached the disk: 0 nothing, 1 all; of a write also a part. */
export type Luck = () => number

/** Builds the folder as it is after the power went behind the first `count` operations. */
export async function afterPowerCut(recording: Recording, count: number, luck: Luck, into: string): Promise<void> {
  const contents = new Map<number, Buffer>()
  const names = new Map<string, number | 'folder'>()
  let known = 0
  for (const [path, content] of recording.before) {
    if (content === 'folder') names.set(path, content)
    else {
      contents.set(known, content)
      names.set(path, known++)
    }
  }
  let pending: Operation[] = []
  const settle = (of: (operation: Operation) => boolean, share: Luck): void => {
    for (const operation of pending.filter(of)) apply(operation, share(), contents, names)
    pending = pending.filter((operation) => !of(operation))
  }
  for (const operation of recording.operations.slice(0, count)) {
    if (operation.kind === 'sync')
      settle((other) => 'node' in other && other.kind !== 'name' && other.node === operation.node, all)
    else if (operation.kind === 'syncFolder') {
      settle((other) => other.kind === 'name' && folderOf(other.path) === operation.path, all)
    } else pending.push(operation)
  }
  settle(() => true, luck)

  for (const [path, node] of names) if (node === 'folder') await mkdir(join(into, path), { recursive: true })
  for (const [path, node] of names) {
    const folder = folderOf(path)
    if (node === 'folder' || (folder !== '' && names.get(folder) !== 'folder')) continue
    await writeFile(join(into, path), contents.get(node) ?? '')
  }
}

const all: Luck = () => 1

function folderOf(path: string): string {
  return dirname(path) === '.' ? '' : dirname(path)
}

function apply(
  operation: Operation,
  share: number,
  contents: Map<number, Buffer>,
  names: Map<string, number | 'folder'>,
): void {
  if (share === 0) return
  if (operation.kind === 'write') {
    const content = contents.get(operation.node) ?? Buffer.alloc(0)
    const bytes = operation.bytes.subarray(0, Math.ceil(share * operation.bytes.length))
    const longer = Buffer.alloc(Math.max(content.length, operation.position + bytes.length))
    content.copy(longer)
    bytes.copy(longer, operation.position)
    contents.set(operation.node, longer)
  } else if (operation.kind === 'truncate') {
    const content = Buffer.alloc(operation.size)
    contents.get(operation.node)?.copy(content)
    contents.set(operation.node, content)
  } else if (operation.kind === 'name') {
    if (operation.from !== undefined) names.delete(operation.from)
    if (operation.node === undefined) names.delete(operation.path)
    else names.set(operation.path, operation.node)
  }
}
