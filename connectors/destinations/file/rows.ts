// Records to lines. A payload that came as text is copied, never parsed: as it is, or escaped into the string that
// `source_data` holds.

import type { Run } from '../../../lib/destination.ts'
import { LineBreaks, withoutLineBreaks } from '../../../lib/json/line-breaks.ts'
import { escapeInto } from '../../../lib/json.ts'
import type { RawJson, SourceRecord } from '../../../lib/record.ts'
import { idPrefixOf, idSuffixOf } from '../../../lib/row-id.ts'
import { rawOf, timestampOf, timestampText } from '../record.ts'
import type { Output } from './data.ts'

const LF = 0x0a
const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
const DELETE = 0x7f
/** Bytes of a payload that are escaped at a time; they at most double. */
const PIECE_BYTES = 1 << 18
/** Bytes of records that are copied together, which are fewer than the output's buffer has. */
const RUN_BYTES = 1 << 18

/**
 * The payload alone, byte for byte as it came. The one exception is a line break inside a payload, which would end
 * the line: there it becomes a space. (In JSON text a raw line break can only be white space between tokens.)
 */
export async function writePlain(records: readonly SourceRecord[], out: Output): Promise<void> {
  // Records of one buffer with a byte between them are copied together; the byte becomes the line end.
  let buffer: Buffer | undefined
  let start = 0
  let end = 0
  let ends: number[] = []
  let breaks: LineBreaks | undefined
  for (const { data } of records) {
    const raw = rawOf(data)
    if (breaks?.buffer !== raw.buffer) breaks = new LineBreaks(raw.buffer)
    const line = breaks.within(raw.start, raw.end) ? withoutLineBreaks(raw) : raw
    if (line.buffer === buffer && line.start === end + 1 && line.end - start < RUN_BYTES) {
      if (buffer[end] !== LF) ends.push(end)
    } else {
      if (buffer) await addLines(buffer, start, end, ends, out)
      buffer = line.buffer
      start = line.start
      ends = []
    }
    end = line.end
  }
  if (buffer) await addLines(buffer, start, end, ends, out)
}

/** `ends`: where between the lines a byte is not yet a line end. */
async function addLines(
  buffer: Buffer,
  start: number,
  end: number,
  ends: readonly number[],
  out: Output,
): Promise<void> {
  if (end - start >= out.free) await out.drain()
  const at = out.used - start
  const added = out.add(buffer, start, end)
  if (added) await added
  for (const one of ends) out.bytes[at + one] = LF
  out.bytes[out.used++] = LF
}

/** The `bizon_id` of one row after the other: the run's half, then the row's number. */
export class RowIds {
  readonly #next: Buffer

  /** `rows`: how many rows the run has already. */
  constructor(run: Run, rows: number) {
    this.#next = Buffer.from(idPrefixOf(run.id, run) + idSuffixOf(rows))
  }

  /** Writes the next one; returns the index after it. */
  put(target: Uint8Array, at: number): number {
    target.set(this.#next, at)
    this.#count()
    return at + this.#next.length
  }

  /** Adds one to the hexadecimal number. */
  #count(): void {
    const digits = this.#next
    for (let i = digits.length - 1; i >= 0; i--) {
      const digit = digits[i] as number
      if (digit === 0x66)
        digits[i] = 0x30 // f
      else {
        digits[i] = digit === 0x39 ? 0x61 : digit + 1 // after 9 comes a
        return
      }
    }
  }
}

/** The six columns of the Python bizon, in its order. */
export class BizonRows {
  readonly #ids: RowIds
  #idEnd: Buffer = Buffer.alloc(0)
  #extractedAt = ''

  /** `rows`: how many rows the run has already. */
  constructor(run: Run, rows: number) {
    this.#ids = new RowIds(run, rows)
  }

  async write(records: readonly SourceRecord[], extractedAt: Date, out: Output): Promise<void> {
    this.#extractedAt = timestampOf(extractedAt)
    this.#idEnd = Buffer.from(
      `","bizon_extracted_at":"${this.#extractedAt}","bizon_loaded_at":"${timestampOf(new Date())}","source_record_id":"`,
    )
    for (const record of records) {
      const raw = rawOf(record.data)
      const { id } = record
      const time = record.timestamp === undefined ? this.#extractedAt : timestampText(record.timestamp, id)
      const headRoom = this.#idEnd.length + 6 * id.length + time.length + 128
      if (headRoom + 2 * raw.byteLength > out.free) {
        await out.drain()
        if (headRoom + 2 * raw.byteLength > out.free) {
          await this.#writeLarge(id, time, headRoom, raw, out)
          continue
        }
      }
      out.used = this.#head(id, time, out.bytes, out.used)
      out.used = endRow(out.bytes, escapeInto(raw.buffer, raw.start, raw.end, out.bytes, out.used))
    }
  }

  async #writeLarge(id: string, time: string, headRoom: number, raw: RawJson, out: Output): Promise<void> {
    const head = Buffer.allocUnsafe(headRoom)
    await out.add(head, 0, this.#head(id, time, head, 0))
    for (let from = raw.start; from < raw.end; from += PIECE_BYTES) {
      if (out.free < 2 * PIECE_BYTES + ROW_END.length) await out.drain()
      out.used = escapeInto(raw.buffer, from, Math.min(from + PIECE_BYTES, raw.end), out.bytes, out.used)
    }
    out.used = endRow(out.bytes, out.used)
  }

  /** Everything before the inside of `source_data`. */
  #head(id: string, time: string, target: Buffer, at: number): number {
    target.set(ID_START, at)
    let to = this.#ids.put(target, at + ID_START.length)
    target.set(this.#idEnd, to)
    to = putString(id, target, to + this.#idEnd.length)
    target.set(TIME_START, to)
    to = putAscii(time, target, to + TIME_START.length)
    target.set(DATA_START, to)
    return to + DATA_START.length
  }
}

const ID_START = Buffer.from('{"bizon_id":"')
const TIME_START = Buffer.from('","source_timestamp":"')
const DATA_START = Buffer.from('","source_data":"')
const ROW_END = Buffer.from('"}\n')

function endRow(target: Buffer, at: number): number {
  target.set(ROW_END, at)
  return at + ROW_END.length
}

/** The inside of a JSON string; ids are short and plain as a rule. */
function putString(text: string, target: Buffer, at: number): number {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c < SPACE || c === QUOTE || c === BACKSLASH || c >= DELETE) {
      return at + target.write(JSON.stringify(text).slice(1, -1), at)
    }
    target[at + i] = c
  }
  return at + text.length
}

function putAscii(text: string, target: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i)
  return at + text.length
}
