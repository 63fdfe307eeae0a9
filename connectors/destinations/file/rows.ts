// Records to lines. A payload that came as text is copied, never parsed: as it is, or escaped into the string that
// `source_data` holds, behind the columns of `metadata`.

import type { Run } from '../../../lib/destination.ts'
import { LineBreaks, withoutLineBreaks } from '../../../lib/json/line-breaks.ts'
import { escapeInto } from '../../../lib/json.ts'
import type { RawJson, SourceRecord } from '../../../lib/record.ts'
import { idPrefixOf, idSuffixOf } from '../../../lib/row-id.ts'
import { FACT_TYPES, factText, type Naming, type PageFacts } from '../naming.ts'
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

/** The id of one row after the other: the run's half, then the row's number. */
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

/** How a payload stands in its line: the text of it in a string; as it is under a name; or its members behind the columns. */
type Form = 'text' | 'nested' | 'members'

/** What a line begins with: what is the same in each row of a page, and between it what is another in each. */
interface Head {
  /** One more than the facts. */
  readonly same: readonly Buffer[]
  readonly facts: readonly ('rowId' | 'recordId' | 'timestamp')[]
  /** Bytes of what is the same. */
  readonly bytes: number
}

/** The columns of a naming, then the payload. */
export class NamedRows {
  readonly #naming: Naming
  readonly #form: Form
  readonly #run: string
  readonly #ids: RowIds

  /** `rows`: how many rows the run has already. */
  constructor(naming: Naming, unnest: boolean | 'columns', run: Run, rows: number) {
    this.#naming = naming
    this.#form = unnest ? 'members' : naming.isNested ? 'nested' : 'text'
    this.#run = run.id
    this.#ids = new RowIds(run, rows)
  }

  async write(records: readonly SourceRecord[], extractedAt: Date, out: Output): Promise<void> {
    const extracted = timestampOf(extractedAt)
    const page = { extractedAt: extracted, loadedAt: timestampOf(new Date()), run: this.#run, nextId: () => '' }
    const head = headOf(this.#naming, this.#form, page)
    const isText = this.#form === 'text'
    let breaks: LineBreaks | undefined
    for (const record of records) {
      let raw = rawOf(record.data)
      if (!isText) {
        if (breaks?.buffer !== raw.buffer) breaks = new LineBreaks(raw.buffer)
        if (breaks.within(raw.start, raw.end)) raw = withoutLineBreaks(raw)
      }
      const { id } = record
      const time = record.timestamp === undefined ? extracted : timestampText(record.timestamp, id)
      const headRoom = head.bytes + 6 * id.length + time.length + 128
      if (headRoom + 2 * raw.byteLength > out.free) {
        await out.drain()
        if (headRoom + 2 * raw.byteLength > out.free) {
          await this.#writeLarge(head, id, time, headRoom, raw, out)
          continue
        }
      }
      out.used = this.#head(head, id, time, out.bytes, out.used)
      if (isText) out.used = put(TEXT_END, out.bytes, escapeInto(raw.buffer, raw.start, raw.end, out.bytes, out.used))
      else if (this.#form === 'members') this.#members(raw, out)
      else {
        out.used += raw.buffer.copy(out.bytes, out.used, raw.start, raw.end)
        out.used = put(LINE_END, out.bytes, out.used)
      }
    }
  }

  async #writeLarge(head: Head, id: string, time: string, room: number, raw: RawJson, out: Output): Promise<void> {
    const start = Buffer.allocUnsafe(room)
    await out.add(start, 0, this.#head(head, id, time, start, 0))
    if (this.#form !== 'text') {
      // Large enough to have members.
      if (this.#form === 'members') await out.add(COMMA, 0, 1)
      await out.add(raw.buffer, raw.start + (this.#form === 'members' ? 1 : 0), raw.end)
      const end = this.#form === 'members' ? MEMBERS_END : LINE_END
      await out.add(end, 0, end.length)
      return
    }
    for (let from = raw.start; from < raw.end; from += PIECE_BYTES) {
      if (out.free < 2 * PIECE_BYTES + TEXT_END.length) await out.drain()
      out.used = escapeInto(raw.buffer, from, Math.min(from + PIECE_BYTES, raw.end), out.bytes, out.used)
    }
    out.used = put(TEXT_END, out.bytes, out.used)
  }

  /** The members of an object without white space around it, and its end. */
  #members({ buffer, start, end }: RawJson, out: Output): void {
    if (end - start > 2) out.used = put(COMMA, out.bytes, out.used)
    out.used += buffer.copy(out.bytes, out.used, start + 1, end)
    out.used = put(MEMBERS_END, out.bytes, out.used)
  }

  #head({ same, facts }: Head, id: string, time: string, target: Buffer, at: number): number {
    let to = put(same[0] as Buffer, target, at)
    for (let i = 0; i < facts.length; i++) {
      const fact = facts[i]
      if (fact === 'rowId') to = this.#ids.put(target, to)
      else if (fact === 'recordId') to = putString(id, target, to)
      else to = putAscii(time, target, to)
      to = put(same[i + 1] as Buffer, target, to)
    }
    return to
  }
}

function headOf({ columns, payload }: Naming, form: Form, page: PageFacts): Head {
  const same: Buffer[] = []
  const facts: Head['facts'][number][] = []
  let text = '{'
  for (const [at, { name, fact }] of columns.entries()) {
    text += `${at > 0 ? ',' : ''}${JSON.stringify(name)}:`
    const type = FACT_TYPES[fact]
    if (fact === 'rowId' || fact === 'recordId' || fact === 'timestamp') {
      same.push(Buffer.from(`${text}"`))
      facts.push(fact)
      text = '"'
    } else {
      const value = factText(fact, NO_RECORD, page)
      text += type === 'json' || type === 'integer' ? value : JSON.stringify(value)
    }
  }
  if (form !== 'members') text += `,${JSON.stringify(payload)}:${form === 'text' ? '"' : ''}`
  same.push(Buffer.from(text))
  return { same, facts, bytes: same.reduce((bytes, one) => bytes + one.length, 0) }
}

const NO_RECORD = { id: '' }
const TEXT_END = Buffer.from('"}\n')
const LINE_END = Buffer.from('}\n')
const MEMBERS_END = Buffer.from('\n')
const COMMA = Buffer.from(',')

function put(bytes: Buffer, target: Buffer, at: number): number {
  target.set(bytes, at)
  return at + bytes.length
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
