// The loops over JSON bytes: where a value ends and whether it is valid, and how text is quoted. json.ts builds on
// them, and offers them under its own name. Nothing here looks at whether the bytes are valid UTF-8.

export interface JsonScanner {
  /**
   * The index after the complete JSON value (RFC 8259) that starts at `start`, whitespace before it allowed; or
   * `~index`, negative, of the byte that makes it invalid: `~end` when the text stops too early. `end` is at most
   * `buffer.length`; bytes from `end` on do not matter. Nesting beyond MAX_DEPTH is invalid.
   */
  scanValue(buffer: Buffer, start: number, end: number): number
  /** From the byte after the opening quote of a string to the one after the closing quote; or `~index`, likewise. */
  skipString(buffer: Buffer, at: number, end: number): number
  /** The index of the first byte from `start` that is not JSON whitespace, or `end`. */
  skipWhitespace(buffer: Buffer, start: number, end: number): number
  /**
   * Writes `source[start, end)` at `target[at]` as the inside of a JSON string, as JSON.stringify would, and returns
   * the index after it. The target needs room for six times the bytes. For JSON text twice is enough: its only
   * control characters are tab and line breaks, which take two bytes like quote and backslash.
   */
  escapeInto(source: Buffer, start: number, end: number, target: Buffer, at: number): number
}

export const MAX_DEPTH = 1024

/**
 * All of it is one closure because bundlers turn the constants of a module into variables, and V8 folds a table's
 * address and length into the code only when it is a constant: without it the loops take a third longer.
 */
export function createScanner(): JsonScanner {
  const SPACE = 0x20
  const QUOTE = 0x22
  const PLUS = 0x2b
  const COMMA = 0x2c
  const MINUS = 0x2d
  const DOT = 0x2e
  const ZERO = 0x30
  const NINE = 0x39
  const COLON = 0x3a
  const BRACKET = 0x5b
  const BACKSLASH = 0x5c
  const BRACKET_END = 0x5d
  const LOWER_E = 0x65
  const LOWER_U = 0x75
  const BRACE = 0x7b
  const BRACE_END = 0x7d

  // What ends a run of ordinary bytes inside a string.
  const STOPS = table((byte) => byte < SPACE || byte === QUOTE || byte === BACKSLASH)
  const WHITESPACE = table((byte) => ' \t\n\r'.includes(String.fromCharCode(byte)))
  const HEX = table((byte) => /[0-9a-fA-F]/.test(String.fromCharCode(byte)))
  const ESCAPES = table((byte) => '"\\/bfnrtu'.includes(String.fromCharCode(byte)))
  const TRUE = Buffer.from('true')
  const FALSE = Buffer.from('false')
  const NULL = Buffer.from('null')
  // Whether each open bracket is an object's. Shared by all calls, which cannot overlap.
  const inObject = new Uint8Array(MAX_DEPTH + 1)
  // The buffer that was scanned last, to be read in words.
  let viewed: Buffer | undefined
  let view: DataView = new DataView(new ArrayBuffer(0))

  function scanValue(buffer: Buffer, start: number, end: number): number {
    let depth = 0
    let key = false
    let i = start
    for (;;) {
      let c = buffer[i] as number
      while (c <= SPACE && i < end && WHITESPACE[c] === 1) c = buffer[++i] as number
      if (i >= end) return ~end
      if (c === QUOTE) {
        i = skipString(buffer, i + 1, end)
        if (i < 0) return i
        if (key) {
          c = buffer[i] as number
          while (c <= SPACE && i < end && WHITESPACE[c] === 1) c = buffer[++i] as number
          if (i >= end) return ~end
          if (c !== COLON) return ~i
          i++
          key = false
          continue
        }
      } else if (key) {
        return ~i
      } else if (c === BRACE || c === BRACKET) {
        if (depth === MAX_DEPTH) return ~i
        inObject[++depth] = c === BRACE ? 1 : 0
        const close = c + 2
        c = buffer[++i] as number
        while (c <= SPACE && i < end && WHITESPACE[c] === 1) c = buffer[++i] as number
        if (i >= end) return ~end
        if (c !== close) {
          key = close === BRACE_END
          continue
        }
        i++
        depth--
      } else {
        i = c === MINUS || (c >= ZERO && c <= NINE) ? skipNumber(buffer, i, end) : skipWord(buffer, i, end)
        if (i < 0) return i
      }
      for (;;) {
        if (depth === 0) return i
        c = buffer[i] as number
        while (c <= SPACE && i < end && WHITESPACE[c] === 1) c = buffer[++i] as number
        if (i >= end) return ~end
        if (c === COMMA) {
          i++
          key = inObject[depth] === 1
          break
        }
        if (c !== (inObject[depth] === 1 ? BRACE_END : BRACKET_END)) return ~i
        i++
        depth--
      }
    }
  }

  /** From the byte after the opening quote to the one after the closing quote. */
  function skipString(buffer: Buffer, at: number, end: number): number {
    if (buffer !== viewed) {
      viewed = buffer
      view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    }
    const words = end - 4
    let i = at
    for (;;) {
      // Four bytes at a time. A byte of `stops` has its high bit set where one of the three differences wraps around;
      // the lowest such byte is right, those above it may not be.
      while (i <= words) {
        const word = view.getInt32(i, true)
        const quote = word ^ 0x22222222
        const backslash = word ^ 0x5c5c5c5c
        const stops =
          (((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash) | ((word - 0x20202020) & ~word)) &
          0x80808080
        if (stops !== 0) {
          i += (31 - Math.clz32(stops & -stops)) >> 3
          break
        }
        i += 4
      }
      while (i < end && STOPS[buffer[i] as number] === 0) i++
      if (i >= end) return ~end
      const c = buffer[i]
      if (c === QUOTE) return i + 1
      if (c !== BACKSLASH) return ~i
      i = skipEscape(buffer, i, end)
      if (i < 0) return i
    }
  }

  function skipEscape(buffer: Buffer, at: number, end: number): number {
    if (at + 1 >= end) return ~end
    const kind = buffer[at + 1] as number
    if (ESCAPES[kind] === 0) return ~(at + 1)
    if (kind !== LOWER_U) return at + 2
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
    if (i >= 0 && i < end && ((buffer[i] as number) | 0x20) === LOWER_E) {
      const signed = i + 1 < end && (buffer[i + 1] === PLUS || buffer[i + 1] === MINUS)
      i = skipDigits(buffer, signed ? i + 2 : i + 1, end)
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
    const word = first === TRUE[0] ? TRUE : first === FALSE[0] ? FALSE : NULL
    for (let k = 0; k < word.length; k++) {
      if (at + k >= end) return ~end
      if (buffer[at + k] !== word[k]) return ~(at + k)
    }
    return at + word.length
  }

  function skipWhitespace(buffer: Buffer, start: number, end: number): number {
    let i = start
    while (i < end && WHITESPACE[buffer[i] as number] === 1) i++
    return i
  }

  function escapeInto(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
    let to = at
    let i = start
    while (i < end) {
      // A call in this loop would halve its speed, so what needs one leaves it.
      for (; i < end; i++) {
        const c = source[i] as number
        if (c < SPACE) break
        // Written always, kept only before a quote or backslash: faster than to branch.
        target[to] = BACKSLASH
        to += STOPS[c] as number
        target[to++] = c
      }
      if (i < end) to += writeControl(source[i++] as number, target, to)
    }
    if (to > target.length) throw new RangeError(`${to - at} escaped bytes do not fit into ${target.length - at}`)
    return to
  }

  function writeControl(c: number, target: Buffer, at: number): number {
    const text = JSON.stringify(String.fromCharCode(c)).slice(1, -1)
    for (let k = 0; k < text.length; k++) target[at + k] = text.charCodeAt(k)
    return text.length
  }

  return { scanValue, skipString, skipWhitespace, escapeInto }
}

function table(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0))
}
