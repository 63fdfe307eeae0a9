// JSON without objects: text is checked, split and quoted over its bytes and never parsed, which is four to six times
// as fast and changes nothing. Parsing, where somebody must look inside, keeps numbers exact.

import { LosslessNumber, parse, stringify } from 'lossless-json'
import { createScanner } from './json/scan.ts'
import { type Json, RawJson } from './record.ts'

export { MAX_DEPTH } from './json/scan.ts'
export const { scanValue, skipString, skipWhitespace, escapeInto } = createScanner()

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const BACKSLASH = 0x5c
const BRACE = 0x7b
const BRACE_END = 0x7d
const COLON = 0x3a

export type MemberVisitor = (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void

/**
 * Visits the top-level members of an object, in order, duplicates included. The text must be valid JSON.
 * The key's range includes its quotes. A value that is not an object has no members.
 */
export function members(buffer: Buffer, start: number, end: number, visit: MemberVisitor): void {
  scanMembers(buffer, start, end, visit)
}

/**
 * The same for text that may be invalid: as `scanValue` it returns the index after the object, or `~index` of the byte
 * that makes it invalid, or no object. By then members before it have been visited.
 */
export function scanMembers(buffer: Buffer, start: number, end: number, visit: MemberVisitor): number {
  let i = skipWhitespace(buffer, start, end)
  if (i >= end || buffer[i] !== BRACE) return ~i
  for (let first = true; ; first = false) {
    const keyStart = skipWhitespace(buffer, i + 1, end)
    if (keyStart >= end) return ~end
    if (first && buffer[keyStart] === BRACE_END) return keyStart + 1
    if (buffer[keyStart] !== QUOTE) return ~keyStart
    const keyEnd = skipString(buffer, keyStart + 1, end)
    if (keyEnd < 0) return keyEnd
    const colon = skipWhitespace(buffer, keyEnd, end)
    if (colon >= end || buffer[colon] !== COLON) return ~colon
    const valueStart = skipWhitespace(buffer, colon + 1, end)
    const valueEnd = scanValue(buffer, valueStart, end)
    if (valueEnd < 0) return valueEnd
    visit(keyStart, keyEnd, valueStart, valueEnd)
    i = skipWhitespace(buffer, valueEnd, end)
    if (i >= end) return ~end
    if (buffer[i] === BRACE_END) return i + 1
    if (buffer[i] !== COMMA) return ~i
  }
}

/**
 * Looks up top-level members, by name, in many objects, each in one pass. As with JSON.parse the last of duplicates
 * counts. The result is in the order of the names.
 */
export function fieldsReader(names: readonly string[]): (raw: RawJson) => (RawJson | undefined)[] {
  const spellings = names.map((name) => Buffer.from(JSON.stringify(name)))
  return ({ buffer, start, end }) => {
    const found: (RawJson | undefined)[] = names.map(() => undefined)
    members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
      for (let index = 0; index < spellings.length; index++) {
        if (isKey(buffer, keyStart, keyEnd, spellings[index] as Buffer, names[index] as string)) {
          found[index] = new RawJson(buffer, valueStart, valueEnd)
        }
      }
    })
    return found
  }
}

/** One top-level member of an object; use `fieldsReader` for many objects. */
export function field(raw: RawJson, name: string): RawJson | undefined {
  return fieldsReader([name])(raw)[0]
}

/** Whether the key in the buffer is the name, whose shortest spelling is given: others have an escape. */
export function isKey(buffer: Buffer, start: number, end: number, spelling: Buffer, name: string): boolean {
  const length = end - start
  if (length < spelling.length) return false
  const first = buffer[start + 1]
  if (first !== spelling[1] && first !== BACKSLASH && spelling[1] !== BACKSLASH) return false
  if (isSpelled(buffer, start, end, spelling)) return true
  for (let i = start; i < end; i++) {
    if (buffer[i] === BACKSLASH) return JSON.parse(buffer.toString('utf8', start, end)) === name
  }
  return false
}

/** Whether the key in the buffer is written just so. Both have their quotes. */
export function isSpelled(buffer: Buffer, start: number, end: number, spelling: Buffer): boolean {
  const { length } = spelling
  if (end - start !== length) return false
  for (let i = 1; i < length - 1; i++) if (buffer[start + i] !== spelling[i]) return false
  return true
}

/** The text of a JSON string; undefined if the value is something else. */
export function stringOf({ buffer, start, end }: RawJson): string | undefined {
  return buffer[start] === QUOTE ? stringAt(buffer, start, end) : undefined
}

/** The same of what is known to be one, such as the key of a member. The range includes the quotes. */
export function stringAt(buffer: Buffer, start: number, end: number): string {
  const inside = buffer.toString('utf8', start + 1, end - 1)
  return inside.includes('\\') ? (JSON.parse(`"${inside}"`) as string) : inside
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

/** Whether a number of the JSON text would be printed in another way once it is a double. */
export function hasInexactNumber(text: string): boolean {
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
