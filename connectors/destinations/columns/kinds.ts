// What the values of a field are, as far as a column must know: seen in JSON text without parsing it, or told by a JSON
// Schema. A value is never given another kind than it has, so that nothing is changed on its way into a column.

import { type Json, type JsonObject, objectOr } from '../../../lib/record.ts'

/** `integer`: fits 64 bits. `number`: any other, exactly. `date`, `timestamp`: text that a schema says is one. `json`: any value. */
export type Kind = 'boolean' | 'integer' | 'number' | 'date' | 'timestamp' | 'text' | 'json'

const QUOTE = 0x22
const PLUS = 0x2b
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const UPPER_E = 0x45
const BRACKET = 0x5b
const LOWER_E = 0x65
const LETTER_F = 0x66
const LETTER_N = 0x6e
const LETTER_T = 0x74
const BRACE = 0x7b

/** Digits that fit 64 bits, whatever they are. */
const SAFE_DIGITS = 18
const LEAST = -(2n ** 63n)
const GREATEST = 2n ** 63n - 1n

/** The kind of a JSON value; undefined for null, which every column takes. */
export function kindOf(buffer: Buffer, start: number, end: number): Kind | undefined {
  switch (buffer[start]) {
    case LETTER_N:
      return undefined
    case QUOTE:
      return 'text'
    case LETTER_T:
    case LETTER_F:
      return 'boolean'
    case BRACE:
    case BRACKET:
      return 'json'
    default:
      return numberKindOf(buffer, start, end)
  }
}

function numberKindOf(buffer: Buffer, start: number, end: number): Kind {
  const first = buffer[start] === MINUS ? start + 1 : start
  let at = first
  while (at < end && isDigit(buffer[at] as number)) at++
  if (at < end && isFraction(buffer[at] as number)) return 'number'
  // A whole number has no sign at zero.
  if (first > start && at - first === 1 && buffer[first] === ZERO) return 'number'
  if (at - first <= SAFE_DIGITS) return 'integer'
  const value = BigInt(buffer.toString('latin1', start, at))
  return value >= LEAST && value <= GREATEST ? 'integer' : 'number'
}

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE
const isFraction = (byte: number): boolean =>
  byte === POINT || byte === LOWER_E || byte === UPPER_E || byte === PLUS || byte === MINUS

/** Whether a column takes values of the kind as they are. A date that is none is for the destination to refuse. */
export function fits(value: Kind, column: Kind): boolean {
  if (value === column || column === 'json') return true
  if (column === 'number') return value === 'integer'
  return value === 'text' && (column === 'date' || column === 'timestamp')
}

/** The kind to which a column can be widened, so that it takes the value too and keeps those that it has. */
export function widened(column: Kind, value: Kind): Kind | undefined {
  return column === 'integer' && value === 'number' ? 'number' : undefined
}

/** The narrowest kind that takes both, for a column that does not exist yet. */
export function joined(one: Kind, other: Kind): Kind {
  if (fits(other, one)) return one
  return fits(one, other) ? other : 'json'
}

/** The fields that a JSON Schema of a record names, with their kinds. */
export function kindsOfSchema(schema: JsonObject): Map<string, Kind> {
  const kinds = new Map<string, Kind>()
  for (const [name, property] of Object.entries(objectOr(schema.properties))) {
    kinds.set(name, kindOfSchema(property))
  }
  return kinds
}

function kindOfSchema(property: Json): Kind {
  const { type, format, anyOf, oneOf } = objectOr(property)
  const choices = anyOf ?? oneOf
  if (type === undefined && Array.isArray(choices))
    return all(choices.filter((each) => !isNull(each)).map(kindOfSchema))
  const types = (Array.isArray(type) ? type : [type]).filter((each) => each !== 'null')
  return all(types.map((each) => kindOfType(each, format)))
}

function kindOfType(type: Json | undefined, format: Json | undefined): Kind {
  switch (type) {
    case 'boolean':
    case 'number':
      return type
    // Any size, by the standard: 64 bits are not promised.
    case 'integer':
      return format === 'int32' || format === 'int64' ? 'integer' : 'number'
    case 'string':
      if (format === 'date-time') return 'timestamp'
      return format === 'date' ? 'date' : 'text'
    default:
      return 'json'
  }
}

const all = (kinds: readonly Kind[]): Kind =>
  kinds.reduce((one, other) => (one === other ? one : 'json'), kinds[0] ?? 'json')

const isNull = (schema: Json): boolean => objectOr(schema).type === 'null'
