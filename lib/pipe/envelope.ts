// A RECORD line as our own writer writes it: the order of its keys is fixed, so that the record's bytes are found by the
// length of what stands before them. A line that is written in any other way is left to `readMessage`.

import { scanValue } from '../json.ts'
import { RawJson } from '../record.ts'

export interface Enveloped {
  readonly n: number
  readonly id: string
  readonly record: RawJson
  /** Where `time_extracted` stands. */
  readonly time: number
}

/** When the record was asked for. */
export function timeOf({ time }: Enveloped, buffer: Buffer): Date {
  return new Date(buffer.toString('latin1', time, time + TIME_BYTES))
}

const SPACE = 0x20
const QUOTE = 0x22
const ZERO = 0x30
const NINE = 0x39
const BACKSLASH = 0x5c
const BRACE = 0x7b
const BRACE_END = 0x7d
/** `2026-11-26T03:27:22.133Z` */
const TIME_BYTES = 24
const BEFORE_NUMBER = Buffer.from('","bizon":{"n":')
const BEFORE_ID = Buffer.from(',"id":"')
const BEFORE_RECORD = Buffer.from('"},"record":')

/** Of one stream. Undefined: the line is written in another way. */
export function envelopeReader(stream: string): (buffer: Buffer, start: number, end: number) => Enveloped | undefined {
  const head = Buffer.from(`{"type":"RECORD","stream":${JSON.stringify(stream)},"time_extracted":"`)
  const words: DataView = new DataView(head.buffer, head.byteOffset, head.length)
  let view: DataView = words
  let of: Buffer | undefined
  return (buffer, start, end) => {
    if (buffer !== of) {
      of = buffer
      view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
    }
    // Four bytes at a time: most of a line is what every line begins with.
    if (end - start < head.length) return undefined
    let at = 0
    for (; at + 4 <= head.length; at += 4) if (view.getInt32(start + at) !== words.getInt32(at)) return undefined
    for (; at < head.length; at++) if (buffer[start + at] !== head[at]) return undefined
    let i = start + head.length
    for (const last = i + TIME_BYTES; i < last; i++) if (!isTime(buffer[i] as number)) return undefined
    if (!stands(BEFORE_NUMBER, buffer, i)) return undefined
    i += BEFORE_NUMBER.length
    let n = 0
    const digits = i
    for (let c = buffer[i] as number; c >= ZERO && c <= NINE; c = buffer[++i] as number) n = n * 10 + c - ZERO
    const padded = buffer[digits] === ZERO && i - digits > 1 // which is no number in JSON
    if (i === digits || i - digits > 15 || padded || !stands(BEFORE_ID, buffer, i)) return undefined
    i += BEFORE_ID.length
    const from = i
    let plain = true
    for (let c = buffer[i]; c !== QUOTE; c = buffer[++i]) {
      if (c === BACKSLASH || (c as number) < SPACE || i >= end) return undefined
      if ((c as number) > 0x7e) plain = false
    }
    if (!stands(BEFORE_RECORD, buffer, i)) return undefined
    const id = buffer.toString(plain ? 'latin1' : 'utf8', from, i)
    i += BEFORE_RECORD.length
    if (buffer[i] !== BRACE) return undefined
    const after = scanValue(buffer, i, end)
    if (after !== end - 1 || buffer[after] !== BRACE_END) return undefined
    return { n, id, record: new RawJson(buffer, i, after), time: start + head.length }
  }
}

/** Digits, `-`, `.`, `:`, `T` and `Z`, with what lies between. */
const isTime = (c: number): boolean => c > QUOTE && c < BACKSLASH

function stands(text: Buffer, buffer: Buffer, at: number): boolean {
  for (let i = 0; i < text.length; i++) if (buffer[at + i] !== text[i]) return false
  return true
}
