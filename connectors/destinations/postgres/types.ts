// The types of `record_schemas` in PostgreSQL's words: those that the other destinations know, and its own.

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'

/** A number of BigQuery's is at least as wide here, so that no value is changed. */
const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  text: 'text',
  varchar: 'character varying',
  'character varying': 'character varying',
  uuid: 'uuid',
  smallint: 'smallint',
  int2: 'smallint',
  int4: 'integer',
  int: 'bigint',
  integer: 'bigint',
  int64: 'bigint',
  int8: 'bigint',
  bigint: 'bigint',
  float: 'double precision',
  float64: 'double precision',
  float8: 'double precision',
  double: 'double precision',
  'double precision': 'double precision',
  real: 'real',
  number: 'numeric',
  numeric: 'numeric',
  bignumeric: 'numeric',
  decimal: 'numeric',
  boolean: 'boolean',
  bool: 'boolean',
  date: 'date',
  time: 'time without time zone',
  datetime: 'timestamp without time zone',
  timestamp: 'timestamp with time zone',
  timestamptz: 'timestamp with time zone',
  json: 'jsonb',
  jsonb: 'jsonb',
  record: 'jsonb',
}

const LENGTHS = ['character varying', 'numeric']

/** As `format_type` spells it. `column`: for the message. */
export function typeOf(type: string, column: string): string {
  const [, name = '', length] =
    /^([\w ]+?)\s*(?:\(\s*(\d+(?:\s*,\s*\d+)?)\s*\))?$/.exec(type.trim().toLowerCase()) ?? []
  const known = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined
  if (known !== undefined && length === undefined) return known
  if (known !== undefined && length !== undefined && LENGTHS.includes(known)) {
    const [precision, scale] = length.split(',').map((part) => String(Number(part)))
    if (known !== 'numeric') return `${known}(${precision})`
    return `${known}(${precision},${scale ?? 0})`
  }
  throw new InvalidKey(
    inDestination('record_schemas'),
    `column ${column} has type ${JSON.stringify(type)}, which is not known`,
    { hint: `Known: ${Object.keys(TYPES).join(', ')}; varchar(n), numeric(p,s).` },
  )
}
