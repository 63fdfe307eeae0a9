// The files that rows go to, and the one buffer before them. Memory is bounded whatever the number of targets:
// one buffer for all, emptied when the target changes, and a limited number of open files.

import { dirname } from 'node:path'
import { faultPoint } from '../../../lib/fault.ts'
import { type Disk, type DiskFile, writeAll } from './disk.ts'
import { extentOf, readTail, TAIL_BYTES } from './extent.ts'
import type { StagedFile } from './sidecar.ts'

const BUFFER_BYTES = 1 << 20
const OPEN_FILES = 64

export class DataFiles {
  readonly #disk: Disk
  readonly #files = new Map<string, DataFile>()
  readonly #open = new Set<DataFile>()

  constructor(disk: Disk) {
    this.#disk = disk
  }

  get(key: string): DataFile | undefined {
    return this.#files.get(key)
  }

  /**
   * Goes on with a file whose first `bytes` bytes are committed. `isNew`: its name is not durable yet. `header`: what it
   * begins with.
   */
  async add(key: string, path: string, bytes: number, isNew: boolean, header: Buffer): Promise<DataFile> {
    const tail = await readTail(this.#disk, path, bytes)
    const file = new DataFile(path, bytes, tail, isNew, header, () => this.#handle(path, file))
    this.#files.set(key, file)
    return file
  }

  /** Content first, then the names of new files. */
  async sync(): Promise<void> {
    const folders = new Set<string>()
    for (const file of this.#files.values()) {
      if (file.isNew) folders.add(dirname(file.path))
      await file.sync()
    }
    for (const folder of folders) await this.#disk.syncFolder(folder)
    for (const file of this.#files.values()) file.isNew = false
  }

  extents(): { [key: string]: StagedFile } {
    return Object.fromEntries([...this.#files].map(([key, file]) => [key, file.extent()]))
  }

  async close(): Promise<void> {
    const open = [...this.#open]
    this.#open.clear()
    const closed = await Promise.allSettled(open.map((file) => file.close()))
    for (const result of closed) if (result.status === 'rejected') throw result.reason
  }

  async #handle(path: string, file: DataFile): Promise<DiskFile> {
    const [oldest] = this.#open
    if (oldest && this.#open.size >= OPEN_FILES) {
      this.#open.delete(oldest)
      // Synced before it is closed: an error of a later write-back would be reported to nobody.
      await oldest.sync()
      await oldest.close()
    }
    this.#open.add(file)
    return this.#disk.open(path, 'write')
  }
}

export class DataFile {
  readonly path: string
  isNew: boolean
  #bytes: number
  #tail: Buffer
  #changed = false
  #handle: DiskFile | undefined
  readonly #header: Buffer
  readonly #open: () => Promise<DiskFile>

  constructor(
    path: string,
    bytes: number,
    tail: Buffer,
    isNew: boolean,
    header: Buffer,
    open: () => Promise<DiskFile>,
  ) {
    this.path = path
    this.isNew = isNew
    this.#header = header
    this.#bytes = bytes
    this.#tail = tail
    this.#open = open
  }

  async append(bytes: Buffer): Promise<void> {
    this.#handle ??= await this.#open()
    this.#changed = true
    if (this.#bytes === 0) await this.#write(this.#handle, this.#header)
    await this.#write(this.#handle, bytes)
    faultPoint('stage.mid')
  }

  async #write(handle: DiskFile, bytes: Buffer): Promise<void> {
    await writeAll(handle, bytes, this.#bytes)
    this.#bytes += bytes.length
    const tail = bytes.length >= TAIL_BYTES ? bytes : Buffer.concat([this.#tail, bytes])
    this.#tail = Buffer.from(tail.subarray(-TAIL_BYTES))
  }

  async sync(): Promise<void> {
    if (!this.#changed) return
    this.#handle ??= await this.#open()
    await this.#handle.sync()
    this.#changed = false
  }

  extent(): StagedFile {
    const extent = extentOf(this.#bytes, this.#tail)
    return this.#header.length === 0 ? extent : { ...extent, header: this.#header.toString() }
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }
}

/** Where bytes end up. */
export type Sink = Pick<DataFile, 'append'>

/** Collects bytes for one sink at a time. */
export class Output {
  readonly bytes = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  used = 0
  #file: Sink | undefined

  get free(): number {
    return BUFFER_BYTES - this.used
  }

  async to(file: Sink): Promise<void> {
    if (this.#file !== file) await this.drain()
    this.#file = file
  }

  /** Writes out what was collected. */
  async drain(): Promise<void> {
    if (this.used === 0) return
    await this.#file?.append(this.bytes.subarray(0, this.used))
    this.used = 0
  }

  /** Adds `source[start, end)` and leaves room for one byte; returns a promise only when it has to be waited for. */
  add(source: Buffer, start: number, end: number): Promise<void> | undefined {
    if (end - start >= this.free) return this.#addLarge(source, start, end)
    this.used += source.copy(this.bytes, this.used, start, end)
    return undefined
  }

  async #addLarge(source: Buffer, start: number, end: number): Promise<void> {
    await this.drain()
    if (end - start < this.free) this.used += source.copy(this.bytes, 0, start, end)
    else await this.#file?.append(source.subarray(start, end))
  }
}
