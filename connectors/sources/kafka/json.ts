// JSON in messages: checked over its bytes and left as it is. What programs write that is nearly JSON is mended as far as
// nobody can doubt what was meant: bytes that are not UTF-8, lone surrogates, control characters inside strings.

import { isUtf8 } from 'node:buffer'
import { MAX_DEPTH, scanValue, skipWhitespace } from '../../../lib/json.ts'
import { Undecodable } from './undecodable.ts'

/** What was changed, as the log says it. */
export type Repair = 'bytes that are not UTF-8' | 'lone surrogates' | 'control characters'

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
const LOWER_U = 0x75
const BRACKET = 0x5b
const BRACE = 0x7b
/** How an escaped surrogate begins. */
export const SURROGATES = [Buffer.from('\\ud'), Buffer.from('\\uD')]
const REPLACEMENT = Buffer.from('\\ufffd')
/** Of an escape such as `\ud83d`. */
const ESCAPE_BYTES = 6
const NOTHING = Buffer.alloc(0)
const BLANK = Buffer.from(' ')
const NAMED: Readonly<Record<number, Buffer>> = {
  [TAB]: Buffer.from('\\t'),
  [LF]: Buffer.from('\\n'),
  [CR]: Buffer.from('\\r'),
}

/**
 * Whether there is one whole JSON value. Does not look whether it is UTF-8 and whether surrogates are in pairs: see
 * `strictJson`.
 */
export function isJson(bytes: Buffer, start: number, end: number): boolean {
  const found = scanValue(bytes, start, end)
  return found === end || (found >= 0 && skipWhitespace(bytes, found, end) === end)
}

/** One whole JSON value that is valid in every respect, mended if need be. Throws `Undecodable`. */
export function strictJson(text: Buffer, repaired: (repair: Repair) => void): Buffer {
  const utf8 = isUtf8(text)
  if (utf8 && faultOf(text) === undefined && !SURROGATES.some((beginning) => text.includes(beginning))) return text
  const readable = utf8 ? text : Buffer.from(text.toString())
  const found = mend(readable)
  const at = faultOf(found.text)
  if (at !== undefined) throw new Undecodable(problemOf(text, faultOf(text) ?? at))
  if (!utf8) repaired('bytes that are not UTF-8')
  for (const repair of found.repairs) repaired(repair)
  return found.text
}

/** Where the text stops being JSON. */
function faultOf(text: Buffer): number | undefined {
  const { length } = text
  const end = scanValue(text, 0, length)
  if (end < 0) return ~end
  const rest = skipWhitespace(text, end, length)
  return rest < length ? rest : undefined
}

/** Escapes or drops control characters and replaces lone surrogates; the text is UTF-8. */
function mend(text: Buffer): { readonly text: Buffer; readonly repairs: readonly Repair[] } {
  const repairs = new Set<Repair>()
  const parts: Buffer[] = []
  let copied = 0
  const replace = (start: number, end: number, by: Buffer, repair: Repair): void => {
    parts.push(text.subarray(copied, start), by)
    copied = end
    repairs.add(repair)
  }
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as number
    if (c === QUOTE) {
      inString = !inString
    } else if (c < SPACE) {
      const named = NAMED[c]
      if (inString) replace(i, i + 1, named ?? NOTHING, 'control characters')
      // White space may stand between values.
      else if (!named) replace(i, i + 1, BLANK, 'control characters')
    } else if (c === BACKSLASH && inString) {
      const unit = unitAt(text, i)
      if (unit === undefined || unit < 0xd800 || unit > 0xdfff) {
        i++
        continue
      }
      const next = unit < 0xdc00 ? unitAt(text, i + ESCAPE_BYTES) : undefined
      const isPair = next !== undefined && next >= 0xdc00 && next <= 0xdfff
      if (!isPair) replace(i, i + ESCAPE_BYTES, REPLACEMENT, 'lone surrogates')
      i += (isPair ? 2 : 1) * ESCAPE_BYTES - 1
    }
  }
  if (repairs.size === 0) return { text, repairs: [] }
  parts.push(text.subarray(copied))
  return { text: Buffer.concat(parts), repairs: [...repairs] }
}

/** The UTF-16 unit that is escaped there, such as `\ud83d`. */
function unitAt(text: Buffer, at: number): number | undefined {
  if (text[at] !== BACKSLASH || text[at + 1] !== LOWER_U) return undefined
  const digits = text.toString('latin1', at + 2, at + ESCAPE_BYTES)
  return /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : undefined
}

function problemOf(text: Buffer, at: number): string {
  const place = `byte ${at + 1} of ${text.length}`
  if (at >= text.length) return 'is not JSON: it stops too early'
  if (text[at] === BRACE || text[at] === BRACKET)
    return `is not JSON that can be read: ${place}; at most ${MAX_DEPTH} levels`
  if (at === 0 && text[0] === 0) {
    return 'is not JSON: it begins as a message with a schema id does'
  }
  return `is not JSON: ${place}`
}
