// Headers of a message as a JSON object: texts as they are, bytes that are no text in base64.

import { isUtf8 } from 'node:buffer'
import type { Headers } from '../../kafka/messages.ts'
import type { TextBuffer } from './text.ts'

type HeaderValue = Buffer | null | undefined

export const DUPLICATES = ['last', 'list'] as const

const BRACE = 0x7b
const BRACE_END = 0x7d
const BRACKET = 0x5b
const BRACKET_END = 0x5d
const COMMA = 0x2c
const COLON = 0x3a

/** `duplicates`: whether of several with one name the last counts, or all, as a list. */
export function addHeaders(headers: Headers, duplicates: (typeof DUPLICATES)[number], out: TextBuffer): void {
  let separator = BRACE
  for (const name in headers) {
    const value = headers[name]
    out.addByte(separator)
    separator = COMMA
    out.addString(name)
    out.addByte(COLON)
    if (!isList(value)) addValue(value, out)
    else if (duplicates === 'last') addValue(value.at(-1), out)
    else addValues(value, out)
  }
  if (separator === BRACE) out.addByte(BRACE)
  out.addByte(BRACE_END)
}

function isList(value: HeaderValue | readonly HeaderValue[]): value is readonly HeaderValue[] {
  return Array.isArray(value)
}

function addValues(values: readonly HeaderValue[], out: TextBuffer): void {
  if (values.length === 1) {
    addValue(values[0], out)
    return
  }
  for (const [i, value] of values.entries()) {
    out.addByte(i === 0 ? BRACKET : COMMA)
    addValue(value, out)
  }
  out.addByte(BRACKET_END)
}

function addValue(value: HeaderValue, out: TextBuffer): void {
  if (value === null || value === undefined) out.addAscii('null')
  else if (isUtf8(value)) out.addQuoted(value, 0, value.length)
  else out.addBase64(value, 0, value.length)
}
