// What a JSON Schema says of the columns of records whose lists and objects are taken apart.

import { type Json, type JsonObject, objectOr } from '../record.ts'

const SCALARS: readonly unknown[] = ['string', 'number', 'integer', 'boolean', 'null']

/** The schema with those of its fields that are columns for certain: that hold neither lists nor objects. */
export function scalarFields(schema: JsonObject): JsonObject {
  const fields = Object.entries(objectOr(schema.properties)).filter(([, property]) => isScalar(objectOr(property)))
  return { type: 'object', properties: Object.fromEntries(fields) }
}

function isScalar({ type, anyOf, oneOf }: JsonObject): boolean {
  const choices = anyOf ?? oneOf
  if (type === undefined && Array.isArray(choices)) return choices.every((each: Json) => isScalar(objectOr(each)))
  const types = Array.isArray(type) ? type : [type]
  return types.every((each) => SCALARS.includes(each))
}
