// What a SCHEMA message says of a stream.

import { parseJson } from '../json.ts'
import type { JsonObject } from '../record.ts'
import type { StreamInfo } from '../source.ts'
import { isListOfNames, problemOfSchema } from './json-schema.ts'
import type { SchemaMessage } from './messages.ts'
import { broken } from './read.ts'

/** Throws when it cannot describe records. */
export function streamOf({ stream, schema: given, keys: named }: SchemaMessage, number: number): StreamInfo {
  const schema = given.parse() as JsonObject
  const problem = problemOfSchema(schema)
  if (problem !== undefined) throw broken(number, `the schema of ${stream} is not valid: ${problem}`)
  const keys = named === undefined ? [] : parseJson(named.toString())
  if (!isListOfNames(keys)) throw broken(number, `key_properties of ${stream} is no list of names`)
  return { name: stream, schema, ...(keys.length > 0 && { primaryKey: keys }) }
}
