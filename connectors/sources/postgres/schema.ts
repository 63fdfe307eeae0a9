// The JSON Schema of a relation's records: what row_to_json makes of each type.

import type { JsonObject } from '../../../lib/record.ts'
import type { Column, Relation } from './catalogue.ts'

const TYPES: Readonly<Record<string, JsonObject>> = {
  int2: { type: 'integer' },
  int4: { type: 'integer' },
  int8: { type: 'integer' },
  oid: { type: 'string' },
  // But for infinity and NaN, which are strings.
  float4: { type: 'number' },
  float8: { type: 'number' },
  numeric: { type: 'number' },
  bool: { type: 'boolean' },
  text: { type: 'string' },
  varchar: { type: 'string' },
  bpchar: { type: 'string' },
  name: { type: 'string' },
  citext: { type: 'string' },
  uuid: { type: 'string', format: 'uuid' },
  date: { type: 'string', format: 'date' },
  time: { type: 'string' },
  timetz: { type: 'string' },
  timestamp: { type: 'string' },
  timestamptz: { type: 'string', format: 'date-time' },
  interval: { type: 'string', format: 'duration' },
  bytea: { type: 'string' },
  inet: { type: 'string' },
  cidr: { type: 'string' },
  macaddr: { type: 'string' },
  bit: { type: 'string' },
  varbit: { type: 'string' },
  money: { type: 'string' },
  xml: { type: 'string' },
}

export function schemaOf({ columns, chosen = columns }: Relation): JsonObject {
  return {
    type: 'object',
    properties: Object.fromEntries(chosen.map((column) => [column.name, propertyOf(column)])),
  }
}

function propertyOf({ base, notNull }: Column): JsonObject {
  // PostgreSQL names the type of an array after that of its elements.
  const known = TYPES[base] ?? (base.startsWith('_') ? { type: 'array' } : undefined)
  if (!known) return {} // json, an enumeration, a composite: anything
  return notNull ? known : { ...known, type: [known.type, 'null'].flat() as string[] }
}
