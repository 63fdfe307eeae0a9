// Cuts the power. A disk that notes every operation, and a way to build the folder that is left when the power goes
// after any of them: what was synced is there, and of the rest whatever a cruel disk chooses.

import { mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import type { PartDisk } from '../../connectors/destinations/file/parquet/disk.ts'

/** What a name stands for: the content of a file, a folder, or a symbolic link. */
export type Node = number | 'folder' | { readonly leadsTo: string }

export type Operation =
  | { readonly kind: 'write'; readonly node: number; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly node: number; readonly size: number }
  | { readonly kind: 'sync'; readonly node: number }
  /** A name comes, goes or moves in a folder. */
  | { readonly kind: 'name'; readonly path: string; readonly node: Node | undefined; readonly from?: string }
  | { readonly kind: 'syncFolder'; readonly path: string }

/** Paths are relative to the folder. */
export interface Recording {
  readonly operations: readonly Operation[]
  /** Files by their content. */
  readonly before: ReadonlyMap<string, Buffer | Exclude<Node, number>>
}

/** Everything that is in the folder now counts as durable. */
export async function record(disk: PartDisk, folder: string): Promise<{ disk: PartDisk; recording: Recording }> {
  const before = await contentOf(folder)
  const nodes = new Map<string, Node>()
  const operations: Operation[] = []
  let count = 0
  for (const [path, found] of before) nodes.set(join(folder, path), Buffer.isBuffer(found) ? count++ : found)
  const name = (path: string, node: Node | undefined, from?: string): void => {
    if (node === undefined) nodes.delete(path)
    else nodes.set(path, node)
    const moved = from === undefined ? {} : { from: relative(folder, from) }
    operations.push({ kind: 'name', path: relative(folder, path), node, ...moved })
  }

  const recorder: PartDisk = {
    ...disk,
    async open(path, access) {
      const file = await disk.open(path, access)
      if (access === 'read') return file
      const known = nodes.get(path)
      const of = typeof known === 'number' ? known : count++
      if (of !== known) name(path, of)
      else if (access === 'replace') operations.push({ kind: 'truncate', node: of, size: 0 })
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
      name(to, node, from)
    },
    async remove(path) {
      await disk.remove(path)
      if (nodes.has(path)) name(path, undefined)
    },
    async makeFolder(path) {
      await disk.makeFolder(path)
      name(path, 'folder')
    },
    async syncFolder(path) {
      await disk.syncFolder(path)
      operations.push({ kind: 'syncFolder', path: relative(folder, path) })
    },
    async link(from, to) {
      const isMade = await disk.link(from, to)
      if (isMade) name(to, nodes.get(from))
      return isMade
    },
    async makeLink(target, path) {
      await disk.makeLink(target, path)
      name(path, { leadsTo: target })
    },
    async removeFolder(path) {
      await disk.removeFolder(path)
      // One name after another, those within it first.
      const within = [...nodes.keys()].filter((other) => other === path || other.startsWith(`${path}/`))
      for (const other of within.sort().reverse()) name(other, undefined)
    },
  }
  return { disk: recorder, recording: { operations, before } }
}

export async function contentOf(folder: string): Promise<Recording['before']> {
  const found = new Map<string, Buffer | Exclude<Node, number>>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const content = entry.isDirectory()
      ? 'folder'
      : entry.isSymbolicLink()
        ? { leadsTo: await readlink(path) }
        : await readFile(path)
    found.set(relative(folder, path), content)
  }
  return found
}

/** How much of an operation that was not synced has reached the disk: 0 nothing, 1 all; of a write also a part. */
export type Luck = () => number

/** Builds the folder as it is after the power went behind the first `count` operations. */
export async function afterPowerCut(recording: Recording, count: number, luck: Luck, into: string): Promise<void> {
  const contents = new Map<number, Buffer>()
  const names = new Map<string, Node>()
  let known = 0
  for (const [path, content] of recording.before) {
    if (!Buffer.isBuffer(content)) names.set(path, content)
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

  // What is in a folder whose own name was lost cannot be found.
  const isReached = (folder: string): boolean =>
    folder === '' || (names.get(folder) === 'folder' && isReached(folderOf(folder)))
  const reached = [...names].filter(([path]) => isReached(folderOf(path)))
  for (const [path, node] of reached) if (node === 'folder') await mkdir(join(into, path), { recursive: true })
  for (const [path, node] of reached) {
    if (typeof node === 'number') await writeFile(join(into, path), contents.get(node) ?? '')
    else if (node !== 'folder') await symlink(node.leadsTo, join(into, path))
  }
}

const all: Luck = () => 1

function folderOf(path: string): string {
  return dirname(path) === '.' ? '' : dirname(path)
}

function apply(operation: Operation, share: number, contents: Map<number, Buffer>, names: Map<string, Node>): void {
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
