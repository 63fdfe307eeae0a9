// A JSON Schema as a TypeScript type: what `bizon types` writes. What a type cannot say (patterns, ranges, formats) is
// left out; what is not understood is `unknown`, so that a type is never narrower than its schema.

import { isJsonObject, type Json, type JsonObject, objectOr } from '../record.ts'

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/
/** A schema may refer to itself through others that have no name of their own. */
const MAX_DEPTH = 32

/** `export interface Name {…}`, or `export type Name = …` where the schema is no single object. */
export function declarationOf(name: string, schema: JsonObject): string {
  const type = new Printer(schema).type(schema, '', 0)
  const comment = commentOf(schema, '')
  return type.startsWith('{')
    ? `${comment}export interface ${name} ${type}\n`
    : `${comment}export type ${name} = ${type}\n`
}

class Printer {
  readonly #root: JsonObject

  constructor(root: JsonObject) {
    this.#root = root
  }

  type(schema: Json | undefined, indent: string, depth: number): string {
    if (schema === false) return 'never'
    if (!isJsonObject(schema) || depth > MAX_DEPTH) return 'unknown'
    const { $ref, const: only, enum: words, anyOf, oneOf, allOf, type } = schema
    if (typeof $ref === 'string') return this.type(this.#find($ref), indent, depth + 1)
    if (only !== undefined) return literal(only)
    if (Array.isArray(words)) return union(words.map(literal))
    const choice = anyOf ?? oneOf
    if (Array.isArray(choice)) return union(choice.map((one) => this.type(one, indent, depth + 1)))
    if (Array.isArray(allOf)) return allOf.map((one) => inParentheses(this.type(one, indent, depth + 1))).join(' & ')
    if (Array.isArray(type)) return union(type.map((one) => this.#plain({ ...schema, type: one }, indent, depth)))
    const plain = this.#plain(schema, indent, depth)
    return schema.nullable === true ? union([plain, 'null']) : plain
  }

  #plain(schema: JsonObject, indent: string, depth: number): string {
    switch (schema.type ?? (isJsonObject(schema.properties) ? 'object' : undefined)) {
      case 'string':
        return 'string'
      case 'number':
      case 'integer':
        return 'number'
      case 'boolean':
        return 'boolean'
      case 'null':
        return 'null'
      case 'array':
        return this.#list(schema, indent, depth)
      case 'object':
        return this.#object(schema, indent, depth)
      default:
        return 'unknown'
    }
  }

  #list({ items, prefixItems }: JsonObject, indent: string, depth: number): string {
    const first = Array.isArray(items) ? items : prefixItems
    if (Array.isArray(first)) {
      const rest = isJsonObject(items) ? `${inParentheses(this.type(items, indent, depth + 1))}[]` : 'unknown[]'
      return `[${[...first.map((one) => this.type(one, indent, depth + 1)), `...${rest}`].join(', ')}]`
    }
    return `${inParentheses(this.type(items, indent, depth + 1))}[]`
  }

  #object(schema: JsonObject, indent: string, depth: number): string {
    const { properties, required, additionalProperties } = schema
    const inner = `${indent}  `
    const needed = new Set(Array.isArray(required) ? required : [])
    const members = Object.entries(objectOr(properties)).map(([name, value]) => {
      const key = IDENTIFIER.test(name) ? name : JSON.stringify(name)
      const type = this.type(value, inner, depth + 1)
      return `${commentOf(value, inner)}${inner}${key}${needed.has(name) ? '' : '?'}: ${type}\n`
    })
    if (additionalProperties !== false) {
      // The members must fit the signature too, so that it says nothing more of them.
      const rest = members.length === 0 ? this.type(additionalProperties ?? true, inner, depth + 1) : 'unknown'
      members.push(`${inner}[key: string]: ${rest}\n`)
    }
    return members.length === 0 ? 'Record<string, never>' : `{\n${members.join('')}${indent}}`
  }

  /** `#/definitions/x`, `#/$defs/x`, `#`. */
  #find(reference: string): Json | undefined {
    const [start, ...path] = reference.split('/')
    if (start !== '#') return undefined
    return path.reduce<Json | undefined>((schema, part) => {
      const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
      return isJsonObject(schema) && Object.hasOwn(schema, key) ? schema[key] : undefined
    }, this.#root)
  }
}

function union(types: readonly string[]): string {
  const distinct = [...new Set(types)]
  if (distinct.includes('unknown')) return 'unknown'
  return distinct.length === 0 ? 'never' : distinct.join(' | ')
}

const inParentheses = (type: string): string => (/ [|&] /.test(type) && !type.startsWith('{') ? `(${type})` : type)

function literal(value: Json): string {
  return typeof value === 'object' && value !== null ? 'unknown' : JSON.stringify(value)
}

function commentOf(schema: Json | undefined, indent: string): string {
  const text = isJsonObject(schema) && typeof schema.description === 'string' ? schema.description.trim() : ''
  if (text === '') return ''
  const lines = text.replaceAll('*/', '*\\/').split(/\s*\n\s*/)
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`
}
