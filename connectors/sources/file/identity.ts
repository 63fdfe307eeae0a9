// What the file system says of a file, to tell a file that was replaced, changed or renamed from one that only grew.

import { stat } from 'node:fs/promises'

/**
 * Of a regular file: inode, time of birth, time of the last change, and size, as numbers to the base 36 with points
 * between. Short, because positions hold one per file.
 */
export type Identity = string

export const IDENTITY = /^[0-9a-z]+\.-?[0-9a-z]+\.-?[0-9a-z]+\.[0-9a-z]+$/

export interface Kind {
  readonly isFile: boolean
  readonly isFifo: boolean
  /** Of a regular file. */
  readonly identity?: Identity
}

export async function kindOf(path: string): Promise<Kind> {
  const there = await stat(path, { bigint: true })
  if (!there.isFile()) return { isFile: false, isFifo: there.isFIFO() || there.isSocket() }
  const { ino, birthtimeNs, mtimeNs, size } = there
  const identity = [ino, birthtimeNs, mtimeNs, size].map((number) => number.toString(36)).join('.')
  return { isFile: true, isFifo: false, identity }
}

/** Undefined for what is no regular file, or is not there. */
export async function identityOf(path: string): Promise<Identity | undefined> {
  return kindOf(path).then(
    ({ identity }) => identity,
    () => undefined,
  )
}

/** Empty if there is none. */
export function inodeOf(identity: Identity | undefined): string {
  return identity === undefined ? '' : parts(identity).inode
}

/**
 * Whether both are one file, whatever its name. An inode is given to a new file once the old one is gone, so that
 * the birth or, where the file system knows none, the last change must be the same too.
 */
export function isSameFile(one: Identity, other: Identity): boolean {
  const [before, now] = [parts(one), parts(other)]
  return before.inode === now.inode && (before.birth === now.birth || before.change === now.change)
}

/** Whether the file was replaced or written over: why in words, or undefined if it is as it was, or only grew. */
export function changeOf(one: Identity, other: Identity): string | undefined {
  const [before, now] = [parts(one), parts(other)]
  if (before.inode !== now.inode) return 'it was replaced'
  if (now.size < before.size) return 'it was cut'
  if (now.size === before.size && now.change !== before.change) return 'it was written to and is as long as before'
  return undefined
}

function parts(identity: Identity): { inode: string; birth: string; change: string; size: number } {
  const [inode = '', birth = '', change = '', size = ''] = identity.split('.')
  return { inode, birth, change, size: Number.parseInt(size, 36) }
}
