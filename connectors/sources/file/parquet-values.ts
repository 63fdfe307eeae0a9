// Values of Parquet columns as JSON text that says exactly the same: integers and decimals with all their digits, times in
// ISO 8601 with the digits of their unit, bytes in base64, lists and structs nested.

import { scanValue } from '../../../lib/json.ts'
import type { SchemaElement, SchemaTree } from '../../parquet.ts'

type Print = (value: unknown) => string

/** Prints one row of a row group's columns. */
export function printerOf(schema: SchemaTree): (columns: readonly ArrayLike<unknown>[], row: number) => string {
  const parts = schema.children.map((child, at) => ({
    key: `${at === 0 ? '{' : ','}${JSON.stringify(child.element.name)}:`,
    print: printerOfNode(child),
  }))
  return (columns, row) => {
    let text = ''
    for (let at = 0; at < parts.length; at++) {
      const { key, print } = parts[at] as (typeof parts)[number]
      text += key + print((columns[at] as ArrayLike<unknown>)[row])
    }
    return `${text}}`
  }
}

function printerOfNode(node: SchemaTree): Print {
  const { element, children } = node
  const [child] = children
  if (child === undefined) {
    const print = orNull(printerOfLeaf(element))
    return element.repetition_type === 'REPEATED' ? listOf(print) : print
  }
  if (element.converted_type === 'LIST' && children.length === 1 && child.element.repetition_type === 'REPEATED') {
    // The list's inner level has one child as a rule; older writers leave it out.
    if (child.children.length === 1) return listOf(printerOfNode(child.children[0] as SchemaTree))
    return listOf(printerOfNode({ ...child, element: { ...child.element, repetition_type: 'REQUIRED' } }))
  }
  if (element.converted_type === 'MAP' && children.length === 1 && child.children.length === 2) {
    return structOf(() => printerOfNode(child.children[1] as SchemaTree))
  }
  if (element.logical_type?.type === 'VARIANT') return plain
  const printers = new Map(children.map((one) => [one.element.name, printerOfNode(one)]))
  const struct = structOf((name) => printers.get(name) ?? plain)
  return element.repetition_type === 'REPEATED' ? listOf(struct) : struct
}

function orNull(print: Print): Print {
  return (value) => (value === null || value === undefined ? 'null' : print(value))
}

function listOf(print: Print): Print {
  return orNull((value) => `[${Array.from(value as ArrayLike<unknown>, (one) => print(one)).join(',')}]`)
}

function structOf(printerFor: (name: string) => Print): Print {
  const known = new Map<string, Print>()
  return orNull((value) => {
    const members = Object.entries(value as object).map(([name, one]) => {
      const print = known.get(name) ?? printerFor(name)
      known.set(name, print)
      return `${JSON.stringify(name)}:${print(one)}`
    })
    return `{${members.join(',')}}`
  })
}

function printerOfLeaf({ type, converted_type: converted, logical_type: logical, scale }: SchemaElement): Print {
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') {
    const places = scale ?? (logical?.type === 'DECIMAL' ? logical.scale : 0)
    return (value) => decimal(value as number | bigint | Uint8Array, places)
  }
  if (converted === 'DATE' || logical?.type === 'DATE') return (value) => `"${day(Number(value))}"`
  if (type === 'INT96') return (value) => `"${time(BigInt(value as bigint), 9)}Z"`
  const unit = unitOf(converted, logical)
  if (unit !== undefined) {
    const zone =
      unit.isTime || (logical !== undefined && 'isAdjustedToUTC' in logical && !logical.isAdjustedToUTC) ? '' : 'Z'
    return (value) => {
      const text = time(BigInt(value as bigint), unit.digits)
      return `"${unit.isTime ? text.slice(text.indexOf('T') + 1) : text}${zone}"`
    }
  }
  if (converted === 'JSON' || logical?.type === 'JSON') return json
  if (converted === 'ENUM' || logical?.type === 'ENUM') return (value) => JSON.stringify(utf8(value as Uint8Array))
  return plain
}

function unitOf(
  converted: SchemaElement['converted_type'],
  logical: SchemaElement['logical_type'],
): { readonly digits: number; readonly isTime: boolean } | undefined {
  if (logical?.type === 'TIMESTAMP' || logical?.type === 'TIME') {
    const digits = { MILLIS: 3, MICROS: 6, NANOS: 9 }[logical.unit]
    return { digits, isTime: logical.type === 'TIME' }
  }
  if (converted === 'TIMESTAMP_MILLIS' || converted === 'TIME_MILLIS')
    return { digits: 3, isTime: converted === 'TIME_MILLIS' }
  if (converted === 'TIMESTAMP_MICROS' || converted === 'TIME_MICROS')
    return { digits: 6, isTime: converted === 'TIME_MICROS' }
  return undefined
}

/** JSON has no name for them. */
const NO_NUMBER = new Map([
  [Number.POSITIVE_INFINITY, '"Infinity"'],
  [Number.NEGATIVE_INFINITY, '"-Infinity"'],
])

function plain(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'number':
      if (Number.isNaN(value)) return '"NaN"'
      return NO_NUMBER.get(value) ?? (Object.is(value, -0) ? '-0' : String(value))
    case 'bigint':
    case 'boolean':
      return String(value)
    case 'object':
      if (value === null) return 'null'
      if (value instanceof Uint8Array)
        return `"${Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')}"`
      if (value instanceof Date) return JSON.stringify(value)
      return Array.isArray(value) ? listOf(plain)(value) : structOf(() => plain)(value)
    default:
      return 'null'
  }
}

/** JSON text as it is; text that is none becomes a string. */
function json(value: unknown): string {
  const bytes = value as Uint8Array
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return scanValue(buffer, 0, buffer.length) === buffer.length ? utf8(bytes) : JSON.stringify(utf8(bytes))
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function utf8(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** With as many digits behind the point as the scale says. */
function decimal(value: number | bigint | Uint8Array, scale: number): string {
  const unscaled = value instanceof Uint8Array ? twosComplement(value) : BigInt(value)
  const sign = unscaled < 0n ? '-' : ''
  const digits = String(unscaled < 0n ? -unscaled : unscaled)
  if (scale <= 0) return sign + digits + '0'.repeat(digits === '0' ? 0 : -scale)
  const padded = digits.padStart(scale + 1, '0')
  return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`
}

function twosComplement(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${Buffer.from(bytes).toString('hex')}`))
}

const DAY_MS = 86_400_000

function day(days: number): string {
  return new Date(days * DAY_MS).toISOString().slice(0, -14)
}

/** `digits`: of the unit's fraction of a second. Without a fraction that is zero. */
function time(value: bigint, digits: number): string {
  const unit = 10n ** BigInt(digits)
  let seconds = value / unit
  let fraction = value % unit
  if (fraction < 0n) {
    fraction += unit
    seconds -= 1n
  }
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, -5)
  return fraction === 0n ? text : `${text}.${String(fraction).padStart(digits, '0')}`
}
