// The types of `record_schemas` in SQLite's words, and whether a value is one: SQLite itself would take any, and would
// change what does not fit. Nothing is rounded but what the type FLOAT says may be.

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'

/** How a value is kept. `decimal`, `time` and `json` are text, so that no digit and no spelling is lost. */
export type Kind = 'text' | 'integer' | 'float' | 'decimal' | 'boolean' | 'date' | 'time' | 'json'

const KINDS: Readonly<Record<string, Kind>> = {
  string: 'text',
  text: 'text',
  varchar: 'text',
  'character varying': 'text',
  uuid: 'text',
  bytes: 'text',
  time: 'text',
  smallint: 'integer',
  int2: 'integer',
  int4: 'integer',
  int: 'integer',
  integer: 'integer',
  int64: 'integer',
  int8: 'integer',
  bigint: 'integer',
  float: 'float',
  float64: 'float',
  float8: 'float',
  double: 'float',
  'double precision': 'float',
  real: 'float',
  number: 'decimal',
  numeric: 'decimal',
  bignumeric: 'decimal',
  decimal: 'decimal',
  boolean: 'boolean',
  bool: 'boolean',
  date: 'date',
  datetime: 'time',
  timestamp: 'time',
  timestamptz: 'time',
  json: 'json',
  jsonb: 'json',
  record: 'json',
}

const DECLARED: { readonly [kind in Kind]: string } = {
  text: 'TEXT',
  integer: 'INTEGER',
  float: 'REAL',
  decimal: 'TEXT',
  boolean: 'INTEGER',
  date: 'TEXT',
  time: 'TEXT',
  json: 'TEXT',
}

/** `column`: for the message. */
export function kindOf(type: string, column: string): Kind {
  const [, name = ''] = /^([\w ]+?)\s*(?:\(\s*\d+(?:\s*,\s*\d+)?\s*\))?$/.exec(type.trim().toLowerCase()) ?? []
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined
  if (kind !== undefined) return kind
  throw new InvalidKey(
    inDestination('record_schemas'),
    `column ${column} has type ${JSON.stringify(type)}, which is not known`,
    { hint: `Known: ${Object.keys(KINDS).join(', ')}.` },
  )
}

/** As it stands in CREATE TABLE. */
export function declaredType(kind: Kind): string {
  return DECLARED[kind]
}

/** What SQLite does with a value that is put into a column of that type: https://sqlite.org/datatype3.html, 3.1. */
function affinityOf(declared: string): 'integer' | 'text' | 'blob' | 'real' | 'numeric' {
  const type = declared.toUpperCase()
  if (type.includes('INT')) return 'integer'
  if (/CHAR|CLOB|TEXT/.test(type)) return 'text'
  if (type === '' || type.includes('BLOB')) return 'blob'
  if (/REAL|FLOA|DOUB/.test(type)) return 'real'
  return 'numeric'
}

/** Whether a column of the declared type keeps what a column of ours does. */
export function keepsAs(declared: string, ours: string): boolean {
  const [is, should] = [affinityOf(declared), affinityOf(ours)]
  if (is === should) return true
  return should === 'text' ? is === 'blob' : should === 'integer' && is === 'numeric'
}

/** What a column of somebody else's keeps unchanged; undefined: SQLite might make a number of a text. */
export function kindKeptBy(declared: string): Kind | undefined {
  switch (affinityOf(declared)) {
    case 'integer':
      return 'integer'
    case 'text':
    case 'blob':
      return 'text'
    case 'real':
      return 'float'
    case 'numeric':
      // Neither a day nor a time looks like a number.
      if (/^BOOL(EAN)?$/i.test(declared)) return 'boolean'
      if (/^DATE$/i.test(declared)) return 'date'
      return /^(?:DATETIME|TIMESTAMP)$/i.test(declared) ? 'time' : undefined
  }
}

const INTEGER = /^-?(?:0|[1-9]\d{0,18})$/
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
const DAY = /^\d{4}-\d\d-\d\d$/
const TIME = /^\d{4}-\d\d-\d\d(?:[Tt ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?$/
const LEAST = -(2n ** 63n)
const GREATEST = 2n ** 63n - 1n

/** The text that is put into the column; undefined when it is not of that kind. `isString`: whether it stood in quotes. */
export function fittingText(kind: Kind, text: string, isString: boolean): string | undefined {
  switch (kind) {
    case 'text':
    case 'json':
      return text
    case 'integer':
      return isInteger(text) ? text : undefined
    case 'float':
      return NUMBER.test(text) && Number.isFinite(Number(text)) ? text : undefined
    case 'decimal':
      return NUMBER.test(text) ? text : undefined
    case 'boolean':
      if (text === 'true') return '1'
      return text === 'false' ? '0' : undefined
    case 'date':
      return isString && DAY.test(text) && isDay(text) ? text : undefined
    case 'time':
      return isString && TIME.test(text) && isDay(text) ? text : undefined
  }
}

/** Whether the calendar has the day that the text begins with. */
function isDay(text: string): boolean {
  const day = text.slice(0, 10)
  const date = new Date(`${day}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day)
}

function isInteger(text: string): boolean {
  if (!INTEGER.test(text) || text === '-0') return false
  if (text.length <= 18) return true
  const value = BigInt(text)
  return value >= LEAST && value <= GREATEST
}
