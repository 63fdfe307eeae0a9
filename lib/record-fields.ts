// What a record says of itself, read from its JSON text: its id and its time.

import { stringOf } from './json.ts'
import type { RawJson } from './record.ts'
import { parseTime } from './time.ts'

const ZERO = 0x30

/** The text of an id: a string or an integer, whatever its size; undefined for anything else. */
export function idOf(value: RawJson | undefined): string | undefined {
  if (value === undefined) return undefined
  const count = countOf(value)
  if (count !== undefined) return String(count)
  const text = stringOf(value)
  if (text !== undefined) return text
  const json = value.toString()
  return /^-?\d+$/.test(json) ? json : undefined
}

/** A whole number of few digits, as most ids are: told without making a text of the bytes. Undefined: anything else. */
function countOf({ buffer, start, end }: RawJson): number | undefined {
  if (end - start > 9) return undefined
  let count = 0
  for (let i = start; i < end; i++) {
    const digit = (buffer[i] as number) - ZERO
    if (digit < 0 || digit > 9) return undefined
    count = count * 10 + digit
  }
  return count
}

/** Whether it is null or an empty string. */
export function isAbsent({ buffer, start, byteLength }: RawJson): boolean {
  return (byteLength === 4 && buffer[start] === 0x6e) || (byteLength === 2 && buffer[start] === 0x22)
}

/** RFC 3339 text stays text, so that no digit is lost; epochs, in CSV also as text, become a Date. */
export function timeOf(value: RawJson): string | Date | undefined {
  const text = stringOf(value) ?? value.toString()
  if (parseTime(text) !== undefined) return text
  if (!/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return undefined
  const number = Number(text)
  // As seconds 1e11 is the year 5138, as milliseconds 1973.
  const time = new Date(Math.abs(number) < 1e11 ? number * 1000 : number)
  return Number.isNaN(time.getTime()) ? undefined : time
}
