// Rows as the text that COPY takes: columns between tabs, one row a line. JSON text is copied as bytes; only a backslash
// or a line break in it needs a second look.

import type { RawJson } from '../../../lib/record.ts'

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const BACKSLASH = 0x5c
/** Chunks grow from the one to the other: there may be thousands of tables with a few rows each. */
const [FIRST_CHUNK_BYTES, CHUNK_BYTES] = [1 << 12, 1 << 18]

/** Rows of one table that wait to be sent. Their bytes are not touched again once they were taken. */
export class CopyRows {
  #chunks: Buffer[] = []
  #chunk = Buffer.alloc(0)
  #used = 0
  #start = 0
  #closed = 0
  #ids: string[] = []

  /** What they take in memory. */
  get bytes(): number {
    return this.#closed + this.#chunk.length - this.#start
  }

  /** Begins a row of at most so many bytes, before they are escaped. */
  begin(id: string, bytes: number): void {
    const most = 2 * bytes + 1
    if (most > this.#chunk.length - this.#used) {
      this.#close()
      const next = Math.min(Math.max(2 * this.#chunk.length, FIRST_CHUNK_BYTES), CHUNK_BYTES)
      this.#chunk = Buffer.allocUnsafeSlow(Math.max(next, most))
      this.#used = 0
      this.#start = 0
    }
    this.#ids.push(id)
  }

  /** ASCII without anything that needs an escape. */
  plain(text: string): void {
    this.#used += this.#chunk.write(text, this.#used, 'latin1')
  }

  text(text: string): void {
    const escaped = /[\\\t\n\r]/.test(text) ? text.replaceAll(/[\\\t\n\r]/g, (c) => ESCAPES[c] ?? c) : text
    this.#used += this.#chunk.write(escaped, this.#used)
  }

  /** Bytes of JSON text. `escapes`: whether there may be a backslash or a line break among them. */
  json(source: Buffer, start: number, end: number, escapes: boolean): void {
    if (escapes) this.#used = escapeInto(source, start, end, this.#chunk, this.#used)
    else this.#used += source.copy(this.#chunk, this.#used, start, end)
  }

  nothing(): void {
    this.plain('\\N')
  }

  next(): void {
    this.#chunk[this.#used++] = TAB
  }

  end(): void {
    this.#chunk[this.#used++] = LF
  }

  /** What has gathered since the last call. */
  take(): Segment {
    this.#close()
    const segment = { chunks: this.#chunks, ids: this.#ids, bytes: this.#closed }
    this.#chunks = []
    this.#ids = []
    this.#closed = 0
    return segment
  }

  #close(): void {
    if (this.#used === this.#start) return
    this.#chunks.push(this.#chunk.subarray(this.#start, this.#used))
    this.#closed += this.#used - this.#start
    this.#start = this.#used
  }
}

export interface Segment {
  readonly chunks: readonly Buffer[]
  /** Of the records, one for each row: for messages. */
  readonly ids: readonly string[]
  readonly bytes: number
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

type Sought = 'backslash' | 'tab' | 'lf' | 'cr' | 'nul'

/**
 * Looks through the buffers of one page in rising order for what COPY, or PostgreSQL, does not take as it is; each byte once.
 * Of one page, because the next one may come in the same buffer.
 */
export class Watch {
  #buffer: Buffer | undefined
  #from = 0
  readonly #next: Record<Sought, number> = { backslash: -1, tab: -1, lf: -1, cr: -1, nul: -1 }

  /** Whether the payload has a backslash or white space that must be escaped. */
  escapes(raw: RawJson): boolean {
    return (
      this.#has(raw, 'backslash', BACKSLASH) ||
      this.#has(raw, 'lf', LF) ||
      this.#has(raw, 'tab', TAB) ||
      this.#has(raw, 'cr', CR)
    )
  }

  /** Whether the payload seems to hold the escape of U+0000; `\\u0000`, which is none, seems so too. */
  nul(raw: RawJson): boolean {
    return this.#has(raw, 'nul', NUL)
  }

  #turnTo(buffer: Buffer, start: number): void {
    if (buffer === this.#buffer && start >= this.#from) {
      this.#from = start
      return
    }
    this.#buffer = buffer
    this.#from = start
    this.#next.backslash = this.#next.tab = this.#next.lf = this.#next.cr = this.#next.nul = -1
  }

  #has({ buffer, start, end }: RawJson, name: Sought, what: number | Buffer): boolean {
    // One with a buffer of its own must not make the page's be looked through again from the next one on.
    if (start === 0 && end === buffer.length) return buffer.includes(what)
    this.#turnTo(buffer, start)
    if (this.#next[name] < start) {
      const found = this.#buffer?.indexOf(what, start) ?? -1
      this.#next[name] = found < 0 ? Number.POSITIVE_INFINITY : found
    }
    return this.#next[name] < end
  }
}

const NUL = Buffer.from('\\u0000')
