// A disk that is read and never written to: what would be changed is kept in memory, and seen there by whoever goes on.
// So the very code that puts files right for a run can say what it would do.

import { dirname } from 'node:path'
import { BizonError } from '../../../lib/errors.ts'
import type { Disk, DiskFile } from './disk.ts'

/** What would become of a file of the real disk. */
export type Change =
  | { readonly action: 'remove'; readonly path: string }
  | { readonly action: 'cut'; readonly path: string; readonly bytes: number }

/** A file as it would be: the beginning of a real one, and what was written over or behind it. */
interface Content {
  readonly base: string | undefined
  /** So many bytes of `base` count. */
  kept: number
  readonly written: { readonly at: number; readonly bytes: Buffer }[]
}

export class DryDisk implements Disk {
  /** In the order in which they would be made; files of its own making are left out. */
  readonly changes: Change[] = []
  readonly #disk: Disk
  /** Undefined: removed. */
  readonly #files = new Map<string, Content | undefined>()
  readonly #folders = new Set<string>()

  constructor(disk: Disk) {
    this.#disk = disk
  }

  async open(path: string, access: 'read' | 'write' | 'replace'): Promise<DiskFile> {
    if (access === 'read' && !this.#files.has(path)) return this.#disk.open(path, 'read')
    const content = access === 'replace' ? { base: undefined, kept: 0, written: [] } : await this.#content(path)
    if (access !== 'read') this.#files.set(path, content)
    return {
      write: async (bytes, at) => {
        content.written.push({ at, bytes: Buffer.from(bytes) })
        return bytes.length
      },
      read: (into, position) => this.#read(content, into, position),
      truncate: async (bytes) => this.#truncate(path, content, bytes),
      sync: async () => {},
      close: async () => {},
    }
  }

  async stat(path: string): ReturnType<Disk['stat']> {
    if (this.#folders.has(path)) return { kind: 'folder', bytes: 0 }
    if (!this.#files.has(path)) return this.#disk.stat(path)
    const content = this.#files.get(path)
    return content && { kind: 'file', bytes: sizeOf(content) }
  }

  async rename(from: string, to: string): Promise<void> {
    const content = await this.#content(from)
    this.#files.set(to, content)
    this.#files.set(from, undefined)
  }

  async remove(path: string): Promise<void> {
    if (!this.#files.has(path) && (await this.#disk.stat(path))) this.changes.push({ action: 'remove', path })
    this.#files.set(path, undefined)
  }

  async makeFolder(path: string): Promise<void> {
    const parent = dirname(path)
    await this.checkWritable(parent).catch((error: BizonError) => {
      const message = error.message.replace(`write to ${parent}`, `create the folder ${path}`)
      throw new BizonError(error.code, message, { hint: error.hint, cause: error.cause })
    })
    this.#folders.add(path)
  }

  async syncFolder(): Promise<void> {}

  checkWritable(path: string): Promise<void> {
    return this.#folders.has(path) ? Promise.resolve() : this.#disk.checkWritable(path)
  }

  async #content(path: string): Promise<Content> {
    const known = this.#files.get(path)
    if (known) return known
    const found = this.#files.has(path) ? undefined : await this.#disk.stat(path)
    return { base: found && path, kept: found?.bytes ?? 0, written: [] }
  }

  #truncate(path: string, content: Content, bytes: number): void {
    if (content.written.length > 0) throw new BizonError('internal', `${path} would be written to and then cut`)
    content.kept = bytes
    if (content.base !== undefined) this.changes.push({ action: 'cut', path: content.base, bytes })
  }

  async #read({ base, kept, written }: Content, into: Buffer, position: number): Promise<number> {
    const size = sizeOf({ kept, written })
    const length = Math.max(0, Math.min(into.length, size - position))
    const wanted = into.subarray(0, length).fill(0)
    if (base !== undefined && position < kept) {
      const file = await this.#disk.open(base, 'read')
      try {
        await file.read(wanted.subarray(0, kept - position), position)
      } finally {
        await file.close()
      }
    }
    for (const { at, bytes } of written) {
      const [begin, end] = [Math.max(at, position), Math.min(at + bytes.length, position + length)]
      if (begin < end) bytes.copy(wanted, begin - position, begin - at, end - at)
    }
    return length
  }
}

function sizeOf({ kept, written }: Pick<Content, 'kept' | 'written'>): number {
  return written.reduce((size, { at, bytes }) => Math.max(size, at + bytes.length), kept)
}
