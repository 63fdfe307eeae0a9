// JSON without objects: one pass over the bytes that knows whether a value is valid and where it ends, so that
// text can be checked, split and quoted without ever being parsed. Four to six times as fast as JSON.parse.
// None of it looks at whether the bytes are valid UTF-8: check a whole block with `isUtf8` of node:buffer.

import { LosslessNumber, parse, stringify } from 'lossless-json'
import { type Json, RawJson } from './record.ts'

/** Nesting beyond this is refused. */
export const MAX_DEPTH = 1024

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const BRACKET = 0x5b
const BACKSLASH = 0x5c
const BRACKET_END = 0x5d
const BRACE = 0x7b
const BRACE_END = 0x7d

// 1 for the bytes that end a run of ordinary bytes inside a string: quote, backslash, control characters.
const STOPS = table((byte) => byte < 0x20 || byte === QUOTE || byte === BACKSLASH)
const WHITESPACE = table((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d)
const HEX = table((byte) => /[0-9a-fA-F]/.test(String.fromCharCode(byte)))
const ESCAPES = table((byte) => '"\\/bfnrtu'.includes(String.fromCharCode(byte)))
// Whether each open bracket is an object's. Scratch space of scanValue, which cannot be entered twice at once.
const inObject = new Uint8Array(MAX_DEPTH + 1)

/**
 * The index after the complete JSON value (RFC 8259) that starts at `start`, whitespace before it allowed; or `~index`,
 * negative, of the byte that makes it invalid: `~end` when the text stops too early. Bytes from `end` on do not matter.
 */
export function scanValue(buffer: Buffer, start: number, end: number): number {
  const limit = Math.min(end, buffer.length)
  let depth = 0
  let key = false
  let i = start
  for (;;) {
    while (i < limit && WHITESPACE[buffer[i] as number] === 1) i++
    if (i >= limit) return ~limit
    const c = buffer[i] as number
    if (c === QUOTE) {
      i++
      for (;;) {
        while (i < limit && STOPS[buffer[i] as number] === 0) i++
        if (i >= limit) return ~limit
        const stop = buffer[i]
        if (stop === QUOTE) break
        if (stop !== BACKSLASH) return ~i
        i = skipEscape(buffer, i, limit)
        if (i < 0) return i
      }
      i++
      if (key) {
        while (i < limit && WHITESPACE[buffer[i] as number] === 1) i++
        if (i >= limit) return ~limit
        if (buffer[i] !== COLON) return ~i
        i++
        key = false
        continue
      }
    } else if (key) {
      return ~i
    } else if (c === BRACE || c === BRACKET) {
      if (depth === MAX_DEPTH) return ~i
      depth++
      inObject[depth] = c === BRACE ? 1 : 0
      i++
      while (i < limit && WHITESPACE[buffer[i] as number] === 1) i++
      if (i >= limit) return ~limit
      if (buffer[i] !== c + 2) {
        key = c === BRACE
        continue
      }
      i++
      depth--
    } else {
      i = c === MINUS || (c >= ZERO && c <= NINE) ? skipNumber(buffer, i, limit) : skipWord(buffer, i, limit)
      if (i < 0) return i
    }
    for (;;) {
      if (depth === 0) return i
      while (i < limit && WHITESPACE[buffer[i] as number] === 1) i++
      if (i >= limit) return ~limit
      const object = inObject[depth] === 1
      if (buffer[i] === COMMA) {
        i++
        key = object
        break
      }
      if (buffer[i] !== (object ? BRACE_END : BRACKET_END)) return ~i
      i++
      depth--
    }
  }
}

function skipEscape(buffer: Buffer, at: number, end: number): number {
  if (at + 1 >= end) return ~end
  const kind = buffer[at + 1] as number
  if (ESCAPES[kind] === 0) return ~(at + 1)
  if (kind !== 0x75) return at + 2
  for (let i = at + 2; i < at + 6; i++) {
    if (i >= end) return ~end
    if (HEX[buffer[i] as number] === 0) return ~i
  }
  return at + 6
}

function skipNumber(buffer: Buffer, at: number, end: number): number {
  let i = buffer[at] === MINUS ? at + 1 : at
  i = i < end && buffer[i] === ZERO ? i + 1 : skipDigits(buffer, i, end)
  if (i >= 0 && i < end && buffer[i] === DOT) i = skipDigits(buffer, i + 1, end)
  if (i >= 0 && i < end && ((buffer[i] as number) | 0x20) === 0x65) {
    const sign = i + 1 < end && (buffer[i + 1] === 0x2b || buffer[i + 1] === MINUS)
    i = skipDigits(buffer, sign ? i + 2 : i + 1, end)
  }
  return i
}

function skipDigits(buffer: Buffer, at: number, end: number): number {
  let i = at
  while (i < end && (buffer[i] as number) >= ZERO && (buffer[i] as number) <= NINE) i++
  return i > at ? i : ~i
}

function skipWord(buffer: Buffer, at: number, end: number): number {
  const first = buffer[at]
  const word = first === 0x74 ? 'true' : first === 0x66 ? 'false' : 'null'
  for (let k = 0; k < word.length; k++) {
    if (at + k >= end) return ~end
    if (buffer[at + k] !== word.charCodeAt(k)) return ~(at + k)
  }
  return at + word.length
}

/** Index of the first byte from `start` that is not JSON whitespace, or `end`. */
export function skipWhitespace(buffer: Buffer, start: number, end: number): number {
  let i = start
  while (i < end && WHITESPACE[buffer[i] as number] === 1) i++
  return i
}

export type MemberVisitor = (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void

/**
 * Visits the top-level members of an object, in order, duplicates included. The text must be valid JSON.
 * The key's range includes its quotes. A value that is not an object has no members.
 */
export function members(buffer: Buffer, start: number, end: number, visit: MemberVisitor): void {
  let i = skipWhitespace(buffer, start, end)
  if (buffer[i] !== BRACE) return
  do {
    const keyStart = skipWhitespace(buffer, i + 1, end)
    if (buffer[keyStart] !== QUOTE) return
    const keyEnd = scanValue(buffer, keyStart, end)
    const valueStart = skipWhitespace(buffer, skipWhitespace(buffer, keyEnd, end) + 1, end)
    const valueEnd = scanValue(buffer, valueStart, end)
    visit(keyStart, keyEnd, valueStart, valueEnd)
    i = skipWhitespace(buffer, valueEnd, end)
  } while (buffer[i] === COMMA)
}

/** Looks up one top-level member in many objects. As with JSON.parse the last of duplicates counts. */
export function fieldReader(name: string): (raw: RawJson) => RawJson | undefined {
  const plain = Buffer.from(JSON.stringify(name))
  return ({ buffer, start, end }) => {
    let from = -1
    let to = -1
    members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
      if (!keyIs(buffer, keyStart, keyEnd, plain, name)) return
      from = valueStart
      to = valueEnd
    })
    return from < 0 ? undefined : new RawJson(buffer, from, to)
  }
}

/** One top-level member of an object; use `fieldReader` for many objects. */
export function field(raw: RawJson, name: string): RawJson | undefined {
  return fieldReader(name)(raw)
}

function keyIs(buffer: Buffer, start: number, end: number, plain: Buffer, name: string): boolean {
  if (end - start === plain.length) {
    let i = 0
    while (i < plain.length && buffer[start + i] === plain[i]) i++
    if (i === plain.length) return true
  }
  // Only an escape can spell the same key in other bytes.
  for (let i = start; i < end; i++) {
    if (buffer[i] === BACKSLASH) return JSON.parse(buffer.toString('utf8', start, end)) === name
  }
  return false
}

/** Whether the valid JSON text is an object. */
export function isObject(raw: RawJson): boolean {
  return raw.buffer[skipWhitespace(raw.buffer, raw.start, raw.end)] === BRACE
}

/**
 * Like JSON.parse, but a number whose text a double would not give back (`1.10`, 2^53 + 1, 1e400, -0) becomes a
 * LosslessNumber, which `stringifyJson` prints as it came.
 */
export function parseJson(text: string): Json {
  const value = JSON.parse(text) as Json
  if (!hasInexactNumber(text)) return value
  const options = { parseNumber: exactNumber, onDuplicateKey: ({ newValue }: { newValue: unknown }) => newValue }
  return parse(text, undefined, options) as Json
}

/** Like JSON.stringify, and prints what `parseJson` made of numbers exactly. */
export function stringifyJson(value: Json): string {
  const text = JSON.stringify(value)
  // How JSON.stringify shows a LosslessNumber. As someone's data it only costs the slower way.
  return text.includes('"isLosslessNumber":true') ? (stringify(value) as string) : text
}

function exactNumber(text: string): unknown {
  const value = Number(text)
  return String(value) === text ? value : new LosslessNumber(text)
}

function hasInexactNumber(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === QUOTE) {
      i++
      for (let s = text.charCodeAt(i); s !== QUOTE; s = text.charCodeAt(++i)) if (s === BACKSLASH) i++
    } else if (c === MINUS || (c >= ZERO && c <= NINE)) {
      const start = i
      let plain = c !== MINUS
      for (let d = text.charCodeAt(i + 1); d >= 0x2b && d !== COMMA; d = text.charCodeAt(i + 1)) {
        if (d > NINE && (d | 0x20) !== 0x65) break
        if (d < ZERO || d > NINE) plain = false
        i++
      }
      // Up to 15 digits without sign, point or exponent always survive.
      if (plain && i - start < 15) continue
      const number = text.slice(start, i + 1)
      if (String(Number(number)) !== number) return true
    }
  }
  return false
}

/**
 * Writes `source[start, end)` at `target[at]` as the inside of a JSON string, as JSON.stringify would, and returns the
 * index after it. The target needs room for six times the bytes; for JSON text twice is enough, because its only
 * control characters are tab and line breaks, which take two bytes like quote and backslash.
 */
export function escapeInto(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  let to = at
  for (let i = start; i < end; i++) {
    const c = source[i] as number
    if (STOPS[c] === 1) {
      if (c < 0x20) {
        to = escapeControl(c, target, to)
        continue
      }
      target[to++] = BACKSLASH
    }
    target[to++] = c
  }
  if (to > target.length) throw new RangeError(`escapeInto: ${to - at} bytes do not fit into ${target.length - at}`)
  return to
}

function escapeControl(c: number, target: Buffer, at: number): number {
  return at + target.write(JSON.stringify(String.fromCharCode(c)).slice(1, -1), at, 'latin1')
}

function table(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0))
}
