// JSON without objects: text is checked, split and quoted over its bytes and never parsed, which is four to six times
// as fast and changes nothing. Parsing, where somebody must look inside, keeps numbers exact.

import { LosslessNumber, parse, stringify } from 'lossless-json'
import { createScanner } from './json-scan.ts'
import { type Json, RawJson } from './record.ts'

export { MAX_DEPTH } from './json-scan.ts'
export const { scanValue, skipWhitespace, escapeInto } = createScanner()

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const BACKSLASH = 0x5c
const BRACE = 0x7b

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
  const options = {
    parseNumber: exactNumber,
    onDuplicateKey: ({ newValue }: { newValue: unknown }) => newValue,
  }
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
