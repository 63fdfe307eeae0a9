// Rows as COPY takes them. As text: columns between tabs, one row a line, for columns of any type. Where the types are
// ours they go in binary (binary.ts), which the server takes without looking for tabs and escapes.

import type { RawJson } from '../../../lib/record.ts'

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const BACKSLASH = 0x5c
/** Chunks grow from the one to the other: there may be thousands of tables with a few rows each. */
const [FIRST_CHUNK_BYTES, CHUNK_BYTES] = [1 << 12, 1 << 18]

/** Rows of one table that wait to be sent. Their bytes are not touched again once they were taken. */
export class WaitingRows {
  protected chunk = Buffer.alloc(0)
  protected used = 0
  #chunks: Buffer[] = []
  #start = 0
  #closed = 0
  #ids: string[] = []
  readonly #format: Format

  constructor(format: Format) {
    this.#format = format
  }

  /** What they take in memory. */
  get bytes(): number {
    return this.#closed + this.chunk.length - this.#start
  }

  /** What has gathered since the last call. */
  take(): Segment {
    this.#close()
    const { head, tail, options } = this.#format
    const chunks = this.#chunks.length === 0 ? [] : [...head, ...this.#chunks, ...tail]
    const segment = { chunks, ids: this.#ids, bytes: this.#closed, options }
    this.#chunks = []
    this.#ids = []
    this.#closed = 0
    return segment
  }

  /** Room for a row of at most so many bytes. */
  protected reserve(id: string, most: number): void {
    if (most > this.chunk.length - this.used) {
      this.#close()
      const next = Math.min(Math.max(2 * this.chunk.length, FIRST_CHUNK_BYTES), CHUNK_BYTES)
      this.chunk = Buffer.allocUnsafeSlow(Math.max(next, most))
      this.used = 0
      this.#start = 0
    }
    this.#ids.push(id)
  }

  #close(): void {
    if (this.used === this.#start) return
    this.#chunks.push(this.chunk.subarray(this.#start, this.used))
    this.#closed += this.used - this.#start
    this.#start = this.used
  }
}

/** What COPY is told, and what stands around the rows. */
export interface Format {
  readonly options: string
  readonly head: readonly Buffer[]
  readonly tail: readonly Buffer[]
}

export interface Segment {
  readonly chunks: readonly Buffer[]
  /** Of the records, one for each row: for messages. */
  readonly ids: readonly string[]
  readonly bytes: number
  /** Of COPY. */
  readonly options: string
}

const TEXT: Format = { options: '', head: [], tail: [] }

/** As text. */
export class CopyRows extends WaitingRows {
  constructor() {
    super(TEXT)
  }

  /** Begins a row of at most so many bytes, before they are escaped. */
  begin(id: string, bytes: number): void {
    this.reserve(id, 2 * bytes + 1)
  }

  /** ASCII without anything that needs an escape. */
  plain(text: string): void {
    this.used += this.chunk.write(text, this.used, 'latin1')
  }

  text(text: string): void {
    const escaped = /[\\\t\n\r]/.test(text) ? text.replaceAll(/[\\\t\n\r]/g, (c) => ESCAPES[c] ?? c) : text
    this.used += this.chunk.write(escaped, this.used)
  }

  /** Bytes of JSON text. */
  json(source: Buffer, start: number, end: number): void {
    this.used = escapeInto(source, start, end, this.chunk, this.used)
  }

  /** The inside of a JSON string, without its quotes. False, and nothing is written, when it has escapes. */
  inside(source: Buffer, start: number, end: number): boolean {
    const { chunk } = this
    let to = this.used
    for (let i = start; i < end; i++) {
      const byte = source[i] as number
      // Without one there is no character that COPY would want to be escaped either.
      if (byte === BACKSLASH) return false
      chunk[to++] = byte
    }
    this.used = to
    return true
  }

  nothing(): void {
    this.plain('\\N')
  }

  next(): void {
    this.chunk[this.used++] = TAB
  }

  end(): void {
    this.chunk[this.used++] = LF
  }
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

/** In JSON text a raw tab or line break can only be white space between tokens, so that it may become a blank. */
function escapeInto(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  let to = at
  for (let i = start; i < end; i++) {
    const byte = source[i] as number
    if (byte === BACKSLASH) target[to++] = BACKSLASH
    target[to++] = byte === LF || byte === CR || byte === TAB ? 0x20 : byte
  }
  return to
}

/**
 * Looks through the buffers of one page in rising order for what PostgreSQL does not take; each byte once. Of one page,
 * because the next one may come in the same buffer.
 */
export class Watch {
  #buffer: Buffer | undefined
  #from = 0
  #next = -1

  /** Whether the payload seems to hold the escape of U+0000; `\\u0000`, which is none, seems so too. */
  nul({ buffer, start, end }: RawJson): boolean {
    // One with a buffer of its own must not make the page's be looked through again from the next one on.
    if (start === 0 && end === buffer.length) return buffer.includes(NUL)
    if (buffer !== this.#buffer || start < this.#from) {
      this.#buffer = buffer
      this.#next = -1
    }
    this.#from = start
    if (this.#next < start) {
      const found = buffer.indexOf(NUL, start)
      this.#next = found < 0 ? Number.POSITIVE_INFINITY : found
    }
    return this.#next < end
  }
}

const NUL = Buffer.from('\\u0000')
