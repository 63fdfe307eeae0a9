// The bytes of a file in blocks. Each block is a buffer of its own, because records refer to it, and begins with what
// the block before left over (a part of a record), so that every record lies within one buffer.

import { createReadStream, open as openDescriptor } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import { BizonError, systemCode } from '../../../lib/errors.ts'
import { orAborted } from '../../../lib/wait.ts'
import { type Identity, kindOf } from './identity.ts'
import { cannotRead, type FileToRead, STDIN } from './paths.ts'
import type { Pool } from './pool.ts'

export interface Input {
  /** Whether to wait for more may take long: what was read is then passed on without waiting for a full page. */
  readonly live: boolean
  /** Of a regular file, when it was opened. */
  readonly identity: Identity | undefined
  /**
   * `carry` and at least one more byte in another buffer; `want` bytes when there are so many, and never more.
   * Resolves to undefined at the end, and when the signal aborts.
   */
  fill(carry: Buffer, want: number, signal: AbortSignal): Promise<Buffer | undefined>
  /** The same file from its start to `offset`, at most `length` bytes before it; undefined if it is shorter. */
  seek(offset: number, length: number, signal: AbortSignal): Promise<Buffer | undefined>
  close(): Promise<void>
}

/** Where no byte is expected, one may have come meanwhile; some files, as in /proc, do not tell their size. */
const PROBE_BYTES = 4096
const STREAM_CHUNK = 256 * 1024
/** How long a live input may take to fill a block that has something in it already. */
const LINGER_MS = 10

/** Undefined when the signal aborts while a named pipe waits for somebody to write into it. */
export async function openInput(
  { path, gzip }: FileToRead,
  pool: Pool,
  signal: AbortSignal,
): Promise<Input | undefined> {
  const streamed = (raw: Readable, live: boolean, identity?: Identity) =>
    new StreamInput(path, raw, { gzip, live, identity }, pool)
  if (path === STDIN) return streamed(process.stdin, true)
  try {
    const { isFile, isFifo, identity } = await kindOf(path)
    if (isFile && !gzip) return new RegularInput(path, await open(path), identity, pool)
    if (!isFifo) return streamed(createReadStream(path, { highWaterMark: STREAM_CHUNK }), !isFile, identity)
    // Reads of a pipe through the file system could neither be called off nor leave the other reads a thread.
    const fd = await orAborted(promisify(openDescriptor)(path, 'r'), signal)
    if (fd === undefined) return undefined
    return streamed(new Socket({ fd, readable: true, writable: false }), true)
  } catch (error) {
    throw cannotRead(path, error)
  }
}

class RegularInput implements Input {
  readonly live = false
  readonly identity: Identity | undefined
  readonly #path: string
  readonly #handle: FileHandle
  readonly #pool: Pool
  #offset = 0

  constructor(path: string, handle: FileHandle, identity: Identity | undefined, pool: Pool) {
    this.identity = identity
    this.#path = path
    this.#pool = pool
    this.#handle = handle
  }

  async fill(carry: Buffer, want: number, signal: AbortSignal): Promise<Buffer | undefined> {
    if (signal.aborted) return undefined
    try {
      const left = (await this.#handle.stat()).size - this.#offset
      const length = Math.min(want, left > 0 ? left : PROBE_BYTES)
      const room = carry.length + length
      const block = this.#pool.take(room).subarray(0, room)
      const read = await this.#read(block, carry.length, this.#offset)
      if (read === 0 || signal.aborted) return undefined
      carry.copy(block)
      this.#offset += read
      return block.subarray(0, carry.length + read)
    } catch (error) {
      throw cannotRead(this.#path, error)
    }
  }

  async seek(offset: number, length: number): Promise<Buffer | undefined> {
    try {
      const before = Buffer.allocUnsafe(Math.min(length, offset))
      const read = await this.#read(before, 0, offset - before.length)
      this.#offset = offset
      return read === before.length ? before : undefined
    } catch (error) {
      throw cannotRead(this.#path, error)
    }
  }

  /** Fills the buffer from `at` on, or stops at the end of the file. */
  async #read(buffer: Buffer, at: number, position: number): Promise<number> {
    let total = 0
    while (at + total < buffer.length) {
      const { bytesRead } = await this.#handle.read(buffer, at + total, buffer.length - at - total, position + total)
      if (bytesRead === 0) break
      total += bytesRead
    }
    return total
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

interface StreamKind {
  readonly gzip: boolean
  readonly live: boolean
  readonly identity: Identity | undefined
}

/** What can only be read forwards: a pipe, or the inside of a gzip file. */
class StreamInput implements Input {
  readonly live: boolean
  readonly identity: Identity | undefined
  readonly #path: string
  readonly #raw: Readable
  readonly #stream: Readable
  readonly #chunks: AsyncIterator<Buffer>
  readonly #pool: Pool
  #pending: Promise<IteratorResult<Buffer>> | undefined
  #offset = 0

  constructor(path: string, raw: Readable, { gzip, live, identity }: StreamKind, pool: Pool) {
    this.identity = identity
    this.#path = path
    this.#raw = raw
    this.#stream = gzip ? unzipped(raw) : raw
    this.live = live
    this.#pool = pool
    this.#chunks = this.#stream.iterator({ destroyOnReturn: false })
  }

  async fill(carry: Buffer, want: number, signal: AbortSignal): Promise<Buffer | undefined> {
    const first = await this.#next(signal)
    if (first === undefined) return undefined
    const chunks = [carry, first]
    let length = carry.length + first.length
    const enough = new AbortController()
    const either = AbortSignal.any([signal, enough.signal])
    const timer = this.live ? setTimeout(() => enough.abort(), LINGER_MS) : undefined
    try {
      while (length < carry.length + want) {
        const chunk = await this.#next(either)
        if (chunk === undefined) break
        chunks.push(chunk)
        length += chunk.length
      }
      const over = length - carry.length - want
      if (over > 0) {
        const last = chunks.pop() as Buffer
        chunks.push(last.subarray(0, last.length - over))
        length -= over
        this.#putBack(last.subarray(last.length - over))
      }
    } finally {
      clearTimeout(timer)
    }
    if (signal.aborted) return undefined
    const block = this.#pool.take(length).subarray(0, length)
    let at = 0
    for (const chunk of chunks) at += chunk.copy(block, at)
    return block
  }

  async seek(offset: number, length: number, signal: AbortSignal): Promise<Buffer | undefined> {
    let before: Buffer = Buffer.alloc(0)
    while (this.#offset < offset) {
      const chunk = await this.#next(signal)
      if (chunk === undefined) return undefined
      const over = Math.max(0, this.#offset - offset)
      before = Buffer.concat([before, chunk.subarray(0, chunk.length - over)])
      before = before.subarray(Math.max(0, before.length - length))
      if (over > 0) {
        this.#putBack(chunk.subarray(chunk.length - over))
      }
    }
    return before
  }

  /** What was taken too much; no other read is under way. */
  #putBack(chunk: Buffer): void {
    this.#pending = Promise.resolve({ done: false, value: chunk })
    this.#offset -= chunk.length
  }

  /** The next chunk, undefined at the end or when aborted; a chunk that came too late is kept for the next call. */
  async #next(signal: AbortSignal): Promise<Buffer | undefined> {
    this.#pending ??= this.#chunks.next()
    try {
      const result = await orAborted(this.#pending, signal)
      if (result === undefined || result.done) return undefined
      this.#pending = undefined
      this.#offset += result.value.length
      return result.value
    } catch (error) {
      throw this.#explain(error)
    }
  }

  #explain(error: unknown): BizonError {
    const code = systemCode(error) ?? ''
    if (code === 'Z_BUF_ERROR') {
      return new BizonError('source', `${this.#path} is cut off: its gzip data ends too early`, {
        cause: error,
        hint: 'Fetch or compress the file again; nothing was published.',
      })
    }
    if (code.startsWith('Z_')) {
      return new BizonError('source', `${this.#path} is not valid gzip: ${(error as Error).message}`, {
        cause: error,
        hint: 'If it is not compressed, set source.compression to none.',
      })
    }
    return cannotRead(this.#path, error)
  }

  async close(): Promise<void> {
    this.#pending?.catch(() => {})
    this.#stream.on('error', () => {})
    this.#stream.destroy()
    this.#raw.destroy()
  }
}

function unzipped(raw: Readable): Readable {
  const gunzip = createGunzip({ chunkSize: STREAM_CHUNK })
  raw.on('error', (error) => gunzip.destroy(error))
  return raw.pipe(gunzip)
}
