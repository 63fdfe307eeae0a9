// Cells of CSV from JSON text, byte for byte where nothing has to be quoted or unescaped.

/** What a cell may take besides its bytes: a comma and two quotes. */
export const CELL_BYTES = 3

export const { putQuoted, putCell } = createWriter()

/** Text of ours or an id. The target needs room for four bytes a character. */
export function putText(text: string, target: Buffer, at: number): number {
  if (text !== '' && !/[",\r\n]/.test(text)) return at + target.write(text, at)
  target[at] = 0x22
  const end = at + 1 + target.write(text.replaceAll('"', '""'), at + 1)
  target[end] = 0x22
  return end + 1
}

interface CellWriter {
  /** `source[start, end)` with its quotes doubled, as the inside of a quoted cell. Returns the index after it. */
  putQuoted(source: Buffer, start: number, end: number, target: Buffer, at: number): number
  /**
   * The JSON value `source[start, end)` as a cell: nothing for null, text without its quotes and escapes, other values as
   * they are written. Needs room for twice the bytes and two quotes. Returns the index after it; -1: half of a surrogate pair.
   */
  putCell(source: Buffer, start: number, end: number, target: Buffer, at: number): number
}

/** One closure, for the reason given in lib/json/scan.ts: the table must be a constant. */
function createWriter(): CellWriter {
  const QUOTE = 0x22
  const COMMA = 0x2c
  const BRACKET = 0x5b
  const BACKSLASH = 0x5c
  const BRACE = 0x7b
  const LOWER_N = 0x6e
  const LOWER_U = 0x75
  const STOPS = Uint8Array.from({ length: 256 }, (_, c) => (c === COMMA || c === BACKSLASH ? 1 : 0))
  const ESCAPES: { readonly [letter: number]: number } = { 110: 0x0a, 114: 0x0d, 116: 0x09, 98: 0x08, 102: 0x0c }

  function putQuoted(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
    let to = at
    for (let i = start; i < end; i++) {
      const c = source[i] as number
      target[to++] = c
      if (c === QUOTE) target[to++] = QUOTE
    }
    return to
  }

  function putCell(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
    const first = source[start]
    let to = at
    if (first === LOWER_N) return to
    if (first === BRACE || first === BRACKET) {
      target[to++] = QUOTE
      to = putQuoted(source, start, end, target, to)
      target[to++] = QUOTE
      return to
    }
    if (first !== QUOTE) return to + source.copy(target, to, start, end)
    let i = start + 1
    const last = end - 1
    if (i < last) {
      while (i < last && STOPS[source[i] as number] === 0) target[to++] = source[i++] as number
      if (i === last) return to
    }
    target[at] = QUOTE
    to = putUnescaped(source, start + 1, last, target, at + 1)
    if (to >= 0) target[to++] = QUOTE
    return to
  }

  function putUnescaped(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
    let to = at
    for (let i = start; i < end; i++) {
      let c = source[i] as number
      if (c === BACKSLASH) {
        c = source[++i] as number
        if (c === LOWER_U) {
          let code = hex(source, i + 1)
          i += 4
          if (code >= 0xd800 && code < 0xe000) {
            const isPair = code < 0xdc00 && source[i + 1] === BACKSLASH && source[i + 2] === LOWER_U && i + 6 < end
            const low = isPair ? hex(source, i + 3) : 0
            if (low < 0xdc00 || low >= 0xe000) return -1
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
            i += 6
          }
          to = putCharacter(code, target, to)
          continue
        }
        c = ESCAPES[c] ?? c
      }
      target[to++] = c
      if (c === QUOTE) target[to++] = QUOTE
    }
    return to
  }

  function hex(source: Buffer, at: number): number {
    return Number.parseInt(source.toString('latin1', at, at + 4), 16)
  }

  function putCharacter(code: number, target: Buffer, at: number): number {
    if (code === QUOTE) {
      target[at] = QUOTE
      target[at + 1] = QUOTE
      return at + 2
    }
    if (code < 0x80) {
      target[at] = code
      return at + 1
    }
    return at + target.write(String.fromCodePoint(code), at)
  }

  return { putQuoted, putCell }
}
