// Every raw file operation of the file destination, and nothing else: what a test replaces to inject a fault
// or to cut the power. Each failure names the file and says what to do.

import { constants } from 'node:fs'
import { access, type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BizonError, messageOf, systemCode } from '../../../lib/errors.ts'

export interface DiskFile {
  /** Writes at `position`; resolves to how many bytes were taken, which may be fewer than given. */
  write(bytes: Buffer, position: number): Promise<number>
  /** Resolves to how many bytes were read, 0 at the end of the file. */
  read(into: Buffer, position: number): Promise<number>
  truncate(bytes: number): Promise<void>
  /** After it the content survives a loss of power. Never retried: a second call may report success for lost data. */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface Disk {
  /** `write` creates a missing file and keeps the content of one that exists; `replace` empties it. */
  open(path: string, access: 'read' | 'write' | 'replace'): Promise<DiskFile>
  /** Undefined when there is nothing at the path. */
  stat(path: string): Promise<{ readonly kind: 'file' | 'folder' | 'other'; readonly bytes: number } | undefined>
  rename(from: string, to: string): Promise<void>
  /** Resolves also when there is no such file. */
  remove(path: string): Promise<void>
  makeFolder(path: string): Promise<void>
  /** After it the names in the folder survive a loss of power. */
  syncFolder(path: string): Promise<void>
  /** Rejects unless the file or folder may be written to. */
  checkWritable(path: string): Promise<void>
}

export const realDisk: Disk = {
  async open(path, access) {
    const flags = { read: constants.O_RDONLY, write: WRITE, replace: WRITE | constants.O_TRUNC }[access]
    const handle = await attempt('open', path, () => open(path, flags))
    return realFile(path, handle)
  },
  async stat(path) {
    const found = await attempt('look at', path, () => stat(path)).catch((error: BizonError) => {
      if (systemCode(error.cause) === 'ENOENT') return undefined
      throw error
    })
    return found && { kind: found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other', bytes: found.size }
  },
  rename: (from, to) => attempt('replace', to, () => patiently(() => rename(from, to))),
  remove: (path) => attempt('remove', path, () => patiently(() => rm(path, { force: true }))),
  makeFolder: (path) => attempt('create the folder', path, () => mkdir(path)),
  async syncFolder(path) {
    if (process.platform === 'win32') return // a folder cannot be synced there: EPERM
    await attempt('sync the folder', path, async () => {
      const handle = await open(path, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    })
  },
  checkWritable: (path) => attempt('write to', path, () => access(path, constants.W_OK)),
}

const WRITE = constants.O_RDWR | constants.O_CREAT

function realFile(path: string, handle: FileHandle): DiskFile {
  return {
    write: (bytes, position) =>
      attempt('write to', path, async () => (await handle.write(bytes, 0, bytes.length, position)).bytesWritten),
    read: (into, position) =>
      attempt('read', path, async () => (await handle.read(into, 0, into.length, position)).bytesRead),
    truncate: (bytes) => attempt('cut', path, () => handle.truncate(bytes)),
    sync: () => attempt('sync', path, () => handle.datasync()),
    close: () => attempt('close', path, () => handle.close()),
  }
}

/** The same disk without fsync: a kill of the process is survived, a loss of power is not. */
export function withoutSync<Kind extends Disk>(disk: Kind): Kind {
  return {
    ...disk,
    open: async (path, access) => ({ ...(await disk.open(path, access)), sync: async () => {} }),
    syncFolder: async () => {},
  }
}

export async function writeAll(file: DiskFile, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const taken = await file.write(done === 0 ? bytes : bytes.subarray(done), position + done)
    if (taken === 0) throw new BizonError('destination', `nothing of ${bytes.length - done} bytes was written`)
    done += taken
  }
}

/** `length` bytes from `position`, or fewer where the file ends. */
export async function readFrom(file: DiskFile, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const taken = await file.read(bytes.subarray(done), position + done)
    if (taken === 0) break
    done += taken
  }
  return bytes.subarray(0, done)
}

/** Opens, works, closes. */
export async function withFile<T>(
  disk: Disk,
  path: string,
  access: 'read' | 'write' | 'replace',
  work: (file: DiskFile) => Promise<T>,
): Promise<T> {
  const file = await disk.open(path, access)
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

/** The size of the file, 0 when there is none. Rejects when something else has its name. */
export async function sizeOfFile(disk: Disk, path: string): Promise<number> {
  const found = await disk.stat(path)
  if (found && found.kind !== 'file') {
    throw new BizonError('destination', `${path} is ${found.kind === 'folder' ? 'a folder' : 'not a regular file'}`, {
      hint: 'Choose another destination_id: an extension such as .json is added to it.',
    })
  }
  return found?.bytes ?? 0
}

/** Creates the folder and those above it, each name durable before the next is used. */
export async function ensureFolder(disk: Disk, path: string): Promise<void> {
  const found = await disk.stat(path)
  if (found?.kind === 'folder') return
  if (found) {
    throw new BizonError('destination', `${path} is a file, but a folder is needed there`, {
      hint: 'Choose another destination_id, or move that file away.',
    })
  }
  const parent = dirname(path)
  await ensureFolder(disk, parent)
  await disk.makeFolder(path)
  await disk.syncFolder(parent)
}

/** A failure names the file and says what to do. */
export async function attempt<T>(verb: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = systemCode(error)
    const reason = code === undefined ? messageOf(error) : (REASONS[code] ?? code)
    throw new BizonError('destination', `cannot ${verb} ${path}: ${reason}`, { hint: hintFor(code), cause: error })
  }
}

const REASONS: { readonly [code: string]: string } = {
  ENOSPC: 'no space left on the disk (ENOSPC)',
  EDQUOT: 'the disk quota is used up (EDQUOT)',
  EFBIG: 'the file would be larger than allowed (EFBIG)',
  EACCES: 'permission denied (EACCES)',
  EPERM: 'not permitted (EPERM)',
  EROFS: 'the file system is read-only (EROFS)',
  EIO: 'input/output error of the device (EIO)',
  EISDIR: 'it is a folder (EISDIR)',
  ENOTDIR: 'a part of the path is a file (ENOTDIR)',
  ENOENT: 'no such file or folder (ENOENT)',
}

function hintFor(code: string | undefined): string | undefined {
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG')
    return 'Free some space and run again: it goes on where it was, and nothing half-written counts.'
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return 'Give this user the right to write there, or choose another destination_id.'
  return undefined
}

/** Windows refuses to replace or remove a file while somebody reads it; readers come and go. */
async function patiently(work: () => Promise<void>): Promise<void> {
  for (let wait = 10; process.platform === 'win32' && wait < 2000; wait *= 2) {
    try {
      return await work()
    } catch (error) {
      if (!['EPERM', 'EACCES', 'EBUSY'].includes(systemCode(error) ?? '')) throw error
      await sleep(wait)
    }
  }
  return work()
}
