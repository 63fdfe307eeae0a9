// The types of a stream's records as TypeScript, where somebody said what they are: what `bizon types` writes.

import type { ConfigOf, PipelineConfig } from './config.ts'
import type { RecordSchema } from './destination.ts'
import { BizonError } from './errors.ts'
import { declarationOf } from './json/typescript.ts'
import type { JsonObject } from './record.ts'
import { findStream } from './source.ts'

/** A `.d.ts` module. Rejects with `config` when nobody says what the records are. */
export function recordTypes({ path, source, destination }: ConfigOf<'source'> & Partial<PipelineConfig>): string {
  const { name, stream, definition, options } = source
  const head = `// Records of stream ${stream} of ${name}, written by: bizon types ${path}\n\n`
  const schema = findStream(definition.streams(options), stream)?.schema
  if (schema) return head + declarationOf(typeName(stream), schema)
  const { unnest = false, recordSchemas = [] } = destination?.options ?? {}
  if (unnest && recordSchemas.length > 0) {
    const columns = recordSchemas.map((one) => declarationOf(typeName(one.destinationId), schemaOf(one)))
    return head + columns.join('\n')
  }
  throw new BizonError('config', `${path}: nobody says what the records of stream ${stream} of ${name} hold`, {
    hint: 'give the stream a JSON Schema (source rest: endpoints.NAME.schema), or the destination record_schemas with unnest: true',
  })
}

/** Columns whose type is none of these may hold anything. */
const COLUMN_TYPES: Readonly<Record<string, string>> = {
  string: 'string',
  text: 'string',
  bytes: 'string',
  date: 'string',
  time: 'string',
  datetime: 'string',
  timestamp: 'string',
  integer: 'integer',
  int: 'integer',
  int64: 'integer',
  float: 'number',
  float64: 'number',
  number: 'number',
  numeric: 'number',
  bignumeric: 'number',
  boolean: 'boolean',
  bool: 'boolean',
}

/** A column may be empty, since nothing enforces that it is not. */
function schemaOf({ columns }: RecordSchema): JsonObject {
  const properties = columns.map(({ name, type, description }) => {
    const known = COLUMN_TYPES[type.toLowerCase()]
    return [name, { ...(known && { type: [known, 'null'] }), ...(description !== undefined && { description }) }]
  })
  return {
    type: 'object',
    properties: Object.fromEntries(properties) as JsonObject,
    required: columns.map(({ name }) => name),
    additionalProperties: false,
  }
}

/** `order-items` becomes `OrderItems`. */
function typeName(text: string): string {
  const words = text.split(/[^A-Za-z0-9]+/).filter(Boolean)
  const name = words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join('')
  return /^[A-Za-z]/.test(name) ? name : `Record${name}`
}
