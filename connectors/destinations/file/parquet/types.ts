// The types of `record_schemas` in Parquet's words, and JSON values as values of them. A value that a type cannot hold
// as it is, is refused: nothing is rounded but what becomes a double.

import { InvalidKey, inDestination } from '../../../../lib/config/invalid-key.ts'
import { stringOf } from '../../../../lib/json.ts'
import type { RawJson } from '../../../../lib/record.ts'
import { parseTime } from '../../../../lib/time.ts'
import type { ColumnType, SchemaElement, Value } from '../../../parquet.ts'

export const TYPES: Readonly<Record<string, ColumnType['kind']>> = {
  string: 'string',
  text: 'string',
  varchar: 'string',
  uuid: 'string',
  bytes: 'bytes',
  smallint: 'int64',
  int2: 'int64',
  int4: 'int64',
  int: 'int64',
  integer: 'int64',
  int64: 'int64',
  int8: 'int64',
  bigint: 'int64',
  float: 'double',
  float64: 'double',
  float8: 'double',
  double: 'double',
  'double precision': 'double',
  real: 'double',
  number: 'decimal',
  numeric: 'decimal',
  decimal: 'decimal',
  boolean: 'boolean',
  bool: 'boolean',
  date: 'date',
  time: 'time',
  datetime: 'datetime',
  timestamp: 'timestamp',
  timestamptz: 'timestamp',
  json: 'json',
  jsonb: 'json',
  record: 'json',
}

const MOST_DIGITS = 38

/** `column`: for the message. */
export function typeOf(type: string, column: string): ColumnType {
  const [, name = '', first, second] =
    /^([\w ]+?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?$/.exec(type.trim().toLowerCase()) ?? []
  const kind = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined
  if (kind === 'decimal') {
    // Without a length it is that of BigQuery's NUMERIC.
    const precision = Number(first ?? MOST_DIGITS)
    const scale = Number(second ?? (first === undefined ? 9 : 0))
    if (precision > 0 && precision <= MOST_DIGITS && scale <= precision) return { kind, precision, scale }
  } else if (kind !== undefined && (first === undefined || name === 'varchar')) {
    return { kind }
  }
  throw new InvalidKey(
    inDestination('record_schemas'),
    `column ${column} has type ${JSON.stringify(type)}, which Parquet files cannot have`,
    { hint: `Known: ${Object.keys(TYPES).join(', ')}; decimal(p,s) with up to ${MOST_DIGITS} digits.` },
  )
}

/** As people read it. */
export function nameOf(type: ColumnType): string {
  return type.kind === 'decimal' ? `decimal(${type.precision},${type.scale})` : type.kind
}

/** The same of a column of a part. */
export function storedNameOf({ type = 'BYTE_ARRAY', logical_type: logical }: SchemaElement): string {
  if (!logical) return type === 'BYTE_ARRAY' ? 'bytes' : type.toLowerCase()
  if (logical.type === 'TIMESTAMP' && !logical.isAdjustedToUTC) return 'datetime'
  if (logical.type !== 'DECIMAL') return logical.type.toLowerCase()
  return nameOf({ kind: 'decimal', precision: logical.precision, scale: logical.scale })
}

/** The value, which is not null, as the column has it; undefined: it cannot. */
export function converted(raw: RawJson, type: ColumnType): Value | undefined {
  if (type.kind === 'json') return Buffer.from(raw.bytes())
  const text = stringOf(raw) ?? raw.toString()
  if (type.kind === 'string') return /\p{Surrogate}/u.test(text) ? undefined : text
  // An empty cell of CSV, say. Bytes may be none.
  if (text === '' && type.kind !== 'bytes') return null
  switch (type.kind) {
    case 'int64':
      return int64(text)
    case 'double':
      return double(text)
    case 'decimal':
      return decimal(text, type)
    case 'boolean':
      return /^true$/i.test(text) ? true : /^false$/i.test(text) ? false : undefined
    case 'date':
      return parseTime(`${text}T00:00:00Z`) && Date.parse(`${text}T00:00:00Z`) / 86_400_000
    case 'timestamp':
      return micros(text)
    case 'datetime':
      return micros(`${text}Z`)
    case 'time':
      return micros(`1970-01-01T${text}Z`)
    case 'bytes':
      return /^(?:[\w+/-]{4})*(?:[\w+/-]{2}==|[\w+/-]{3}=)?$/.test(text) ? Buffer.from(text, 'base64') : undefined
  }
}

function int64(text: string): bigint | undefined {
  if (!/^-?\d{1,19}$/.test(text)) return undefined
  const value = BigInt(text)
  return BigInt.asIntN(64, value) === value ? value : undefined
}

function double(text: string): number | undefined {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN
  return Number.isFinite(value) ? value : undefined
}

const NUMBER = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/

function decimal(text: string, { precision, scale }: { precision: number; scale: number }): bigint | undefined {
  const match = NUMBER.exec(text)
  if (!match) return undefined
  const [, whole = '', fraction = '', exponent = '0'] = match
  const digits = whole + fraction
  /** How many digits stand behind the point. */
  const behind = fraction.length - Number(exponent)
  const surplus = behind - scale
  const kept = surplus > 0 ? digits.slice(0, Math.max(0, digits.length - surplus)) : digits
  if (surplus > 0 && /[1-9]/.test(digits.slice(kept.length))) return undefined
  const plain = (surplus < 0 && -surplus <= 2 * MOST_DIGITS ? kept + '0'.repeat(-surplus) : kept).replace(/^0+/, '')
  if (plain.length > precision || (surplus < -2 * MOST_DIGITS && plain !== '')) return undefined
  return BigInt(`${plain || '0'}`) * (text.startsWith('-') ? -1n : 1n)
}

/** Microseconds since 1970. */
export function micros(text: string): bigint | undefined {
  const parts = parseTime(text)
  if (!parts || /[1-9]/.test(parts.fraction.slice(6))) return undefined
  const millis = Date.parse(`${parts.day}T${parts.clock}${parts.zone}`)
  return BigInt(millis) * 1000n + BigInt(parts.fraction.slice(0, 6).padEnd(6, '0'))
}
