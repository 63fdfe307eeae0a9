// A digest of a JSON value, whatever its spelling: the order of keys, white space, escapes and the way a number is
// written do not matter, and no exactness is lost (1.10 is 1.1, and 2^53 + 1 is not 2^53). Made in one pass over the
// bytes, without objects, because it is done for every row. It finds accidents, 64 bits of them; against somebody
// who forges rows it is no proof.

import { stringifyJson } from '../json.ts'
import { type JsonObject, RawJson } from '../record.ts'

/** Two halves of 32 bits: sums of digests do not depend on an order. */
export interface Digest {
  readonly a: number
  readonly b: number
}

export interface Digester {
  /** The halves of the digest that was made last. */
  a: number
  b: number
  /** Of a payload, which is valid JSON. */
  value(data: JsonObject | RawJson): void
  /** Of a record's id. */
  id(text: string): void
  /** Of a record, from those of its id and its payload. */
  together(id: Digest, value: Digest): void
  /** Of a record: its id together with its payload. */
  record(id: string, data: JsonObject | RawJson): void
}

/** Objects up to here are searched for a key that is there twice by looking at each; larger ones by a map. */
const FEW_MEMBERS = 24

/** All of it is one closure, so that its constants stay constants: see json/scan.ts. */
export function createDigester(): Digester {
  const QUOTE = 0x22
  const MINUS = 0x2d
  const DOT = 0x2e
  const ZERO = 0x30
  const NINE = 0x39
  const BACKSLASH = 0x5c
  const BRACKET = 0x5b
  const BRACKET_END = 0x5d
  const BRACE = 0x7b
  const BRACE_END = 0x7d
  const COMMA = 0x2c
  const COLON = 0x3a
  const SPACE = 0x20
  const PRIME_A = 0x01000193
  const PRIME_B = 0x5bd1e995
  // Where each kind of value starts from.
  const STRING = 0x9e3779b9
  const NUMBER = 0x7f4a7c15
  const ARRAY = 0x2545f491
  const OBJECT = 0x4f6cdd1d
  const RECORD = 0x6a09e667

  let buffer: Buffer = Buffer.alloc(0)
  let viewed = new DataView(buffer.buffer, buffer.byteOffset, 0)
  let a = 0
  let b = 0
  // Of the members of the objects that are open: two halves of the key's digest, two of what the member adds.
  let members = new Int32Array(1 << 10)
  let top = 0

  function finish(): void {
    a ^= (b << 13) | (b >>> 19)
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b)
    a = Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
    a ^= a >>> 16
    b = (b + a) | 0
    b = Math.imul(b ^ (b >>> 15), 0x2c1b3c6d)
    b = Math.imul(b ^ (b >>> 12), 0x297a2d39)
    b ^= b >>> 15
  }

  function add(one: number): void {
    a = Math.imul(a ^ one, PRIME_A)
    b = (Math.imul(b, PRIME_B) + one) | 0
  }

  /** From the first byte of a value; returns the index after it. */
  function valueAt(at: number): number {
    let i = at
    let c = buffer[i] as number
    while (c <= SPACE) c = buffer[++i] as number
    if (c === QUOTE) return stringAt(i + 1)
    if (c === BRACE) return objectAt(i + 1)
    if (c === BRACKET) return arrayAt(i + 1)
    if (c === MINUS || (c >= ZERO && c <= NINE)) return numberAt(i)
    a = c
    b = ~c
    finish()
    return i + (c === 0x66 ? 5 : 4)
  }

  function stringAt(at: number): number {
    const words = viewed.byteLength - 4
    let i = at
    let one = STRING
    let two = ~STRING
    // Four bytes at a time, up to the word in which the string ends, or has an escape: see json/scan.ts.
    while (i <= words) {
      const word = viewed.getInt32(i, true)
      const quote = word ^ 0x22222222
      const backslash = word ^ 0x5c5c5c5c
      if (((((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash)) & 0x80808080) !== 0) break
      one = Math.imul(one ^ word, PRIME_A)
      one = (one << 15) | (one >>> 17)
      two = (Math.imul(two, PRIME_B) + word) | 0
      two = (two << 13) | (two >>> 19)
      i += 4
    }
    for (;;) {
      const c = buffer[i] as number
      if (c === QUOTE) break
      if (c === BACKSLASH) return spelledAt(at)
      one = Math.imul(one ^ c, PRIME_A)
      two = (Math.imul(two, PRIME_B) + c) | 0
      i++
    }
    a = one
    b = two
    finish()
    return i + 1
  }

  /** A string with escapes: what it means, digested as if it stood there plainly. */
  function spelledAt(at: number): number {
    let end = at
    for (let c = buffer[end] as number; c !== QUOTE; c = buffer[++end] as number) if (c === BACKSLASH) end++
    const text = JSON.parse(buffer.toString('utf8', at - 1, end + 1)) as string
    // Half of a surrogate pair has no UTF-8.
    const whole = !/\p{Cs}/u.test(text)
    const plain = Buffer.from(text, whole ? 'utf8' : 'utf16le')
    let one = STRING
    let two = whole ? ~STRING : STRING
    let i = 0
    for (; i + 4 <= plain.length; i += 4) {
      const word = plain.readInt32LE(i)
      one = Math.imul(one ^ word, PRIME_A)
      one = (one << 15) | (one >>> 17)
      two = (Math.imul(two, PRIME_B) + word) | 0
      two = (two << 13) | (two >>> 19)
    }
    for (; i < plain.length; i++) {
      one = Math.imul(one ^ (plain[i] as number), PRIME_A)
      two = (Math.imul(two, PRIME_B) + (plain[i] as number)) | 0
    }
    a = one
    b = two
    finish()
    return end + 1
  }

  /** Significant digits, the power of ten behind them, the sign; zero has none. */
  function numberAt(at: number): number {
    let i = at
    let c = buffer[i] as number
    const negative = c === MINUS
    if (negative) c = buffer[++i] as number
    let one = NUMBER
    let two = ~NUMBER
    let digits = 0
    let zeros = 0
    let power = 0
    let fraction = false
    for (; ; c = buffer[++i] as number) {
      if (c === DOT) {
        fraction = true
        continue
      }
      if (!(c >= ZERO && c <= NINE)) break
      if (fraction) power--
      if (c === ZERO) {
        if (digits > 0) zeros++
        continue
      }
      for (digits++; zeros > 0; zeros--) {
        one = Math.imul(one ^ ZERO, PRIME_A)
        two = (Math.imul(two, PRIME_B) + ZERO) | 0
      }
      one = Math.imul(one ^ c, PRIME_A)
      two = (Math.imul(two, PRIME_B) + c) | 0
    }
    power += zeros
    if (c === 0x65 || c === 0x45) {
      const start = ++i
      for (c = buffer[i] as number; (c >= ZERO && c <= NINE) || c === MINUS || c === 0x2b; c = buffer[++i] as number);
      power += Number(buffer.toString('latin1', start, i))
    }
    a = one
    b = two
    if (digits > 0) {
      add(power | 0)
      add(Math.floor(power / 0x100000000) | 0)
      add(negative ? 1 : 0)
    }
    finish()
    return i
  }

  function arrayAt(at: number): number {
    let one = ARRAY
    let two = ~ARRAY
    let i = at
    let c = buffer[i] as number
    while (c <= SPACE) c = buffer[++i] as number
    while (c !== BRACKET_END) {
      i = valueAt(i)
      one = Math.imul(one ^ a, PRIME_A)
      two = (Math.imul(two, PRIME_B) + b) | 0
      c = buffer[i] as number
      while (c <= SPACE) c = buffer[++i] as number
      if (c === COMMA) i++
    }
    a = one
    b = two
    finish()
    return i + 1
  }

  function objectAt(at: number): number {
    const base = top
    let known: Map<number, number> | undefined
    let one = OBJECT
    let two = ~OBJECT
    let i = at
    for (;;) {
      let c = buffer[i] as number
      while (c <= SPACE || c === COMMA) c = buffer[++i] as number
      if (c === BRACE_END) break
      i = stringAt(i + 1)
      const keyA = a
      const keyB = b
      c = buffer[i] as number
      while (c !== COLON) c = buffer[++i] as number
      i = valueAt(i + 1)
      a = Math.imul(a, PRIME_B) ^ keyA
      b = (Math.imul(b, PRIME_A) + keyB) | 0
      finish()
      one = (one + a) | 0
      two = (two + b) | 0
      const count = (top - base) >> 2
      let found = -1
      if (count < FEW_MEMBERS) {
        for (let m = base; m < top; m += 4) if (members[m] === keyA && members[m + 1] === keyB) found = m
      } else {
        known ??= mapOf(base)
        found = known.get(keyA * 0x200000 + (keyB >>> 11)) ?? -1
        if (found < 0) known.set(keyA * 0x200000 + (keyB >>> 11), top)
      }
      if (found < 0) {
        if (top + 4 > members.length) grow()
        members[top] = keyA
        members[top + 1] = keyB
        members[top + 2] = a
        members[top + 3] = b
        top += 4
      } else {
        // Of members with one key the last counts.
        one = (one - (members[found + 2] as number)) | 0
        two = (two - (members[found + 3] as number)) | 0
        members[found + 2] = a
        members[found + 3] = b
      }
    }
    top = base
    a = one
    b = two
    finish()
    return i + 1
  }

  function grow(): void {
    const larger = new Int32Array(2 * members.length)
    larger.set(members)
    members = larger
  }

  function mapOf(base: number): Map<number, number> {
    const known = new Map<number, number>()
    for (let m = base; m < top; m += 4) {
      known.set((members[m] as number) * 0x200000 + ((members[m + 1] as number) >>> 11), m)
    }
    return known
  }

  function start(data: JsonObject | RawJson): number {
    const raw = data instanceof RawJson ? data : RawJson.from(stringifyJson(data))
    if (raw.buffer !== buffer) {
      buffer = raw.buffer
      viewed = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    }
    top = 0
    return raw.start
  }

  return {
    a: 0,
    b: 0,
    value(data) {
      valueAt(start(data))
      this.a = a
      this.b = b
    },
    id(text) {
      a = RECORD
      b = ~RECORD
      for (let at = 0; at < text.length; at++) add(text.charCodeAt(at))
      finish()
      this.a = a
      this.b = b
    },
    together(id, value) {
      a = Math.imul(id.a, PRIME_B) ^ value.a
      b = (Math.imul(id.b, PRIME_A) + value.b) | 0
      finish()
      this.a = a
      this.b = b
    },
    record(id, data) {
      valueAt(start(data))
      const valueA = a
      const valueB = b
      this.id(id)
      a = Math.imul(a, PRIME_B) ^ valueA
      b = (Math.imul(b, PRIME_A) + valueB) | 0
      finish()
      this.a = a
      this.b = b
    },
  }
}

/** Sixteen hex digits. */
export function digestText({ a, b }: Digest): string {
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0')
}

/** What `digestText` wrote; undefined when it is not that. */
export function digestFrom(text: unknown): Digest | undefined {
  if (typeof text !== 'string' || !/^[0-9a-f]{16}$/.test(text)) return undefined
  return { a: Number.parseInt(text.slice(0, 8), 16) | 0, b: Number.parseInt(text.slice(8), 16) | 0 }
}
