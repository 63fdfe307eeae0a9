// Records as scripts in JavaScript see them, and back to text. A script gets plain numbers to compute with, and what
// it leaves alone keeps its text all the same: 1.10 is 1.1 to the script and 1.10 in what it hands on. Only what a
// double cannot hold is another type: a bigint, or for other numbers an object that prints as it came.

import { isInteger, isLosslessNumber, LosslessNumber } from 'lossless-json'
import { hasInexactNumber, parseJson } from '../json.ts'
import type { Json } from '../record.ts'

export interface Reading {
  /** For the script, which may change it. */
  readonly value: unknown
  /** What `printed` needs to give numbers their text back; undefined when all of them print as they came. */
  readonly origin: Origin | undefined
}

interface Origin {
  readonly exact: Json
  /** Which part of it each object and list that the script sees was made of. */
  readonly of: ReadonlyMap<unknown, unknown>
}

/**
 * What makes the objects that a script sees. A script in a context of its own has its own, so that `instanceof` holds
 * there and nothing it does to them reaches this program's.
 */
export interface Realm {
  readonly parse: (text: string) => unknown
  readonly objectOf: (entries: Iterable<readonly [string, unknown]>) => object
  readonly listOf: (items: Iterable<unknown>) => unknown[]
  readonly Date: DateConstructor
}

/** This program's. */
export const HERE: Realm = {
  parse: JSON.parse,
  objectOf: Object.fromEntries,
  listOf: (items) => Array.from(items),
  Date,
}

export function readable(text: string, realm: Realm): Reading {
  if (!hasInexactNumber(text)) return { value: realm.parse(text), origin: undefined }
  const exact = parseJson(text)
  const of = new Map<unknown, unknown>()
  const forScript = (value: unknown): unknown => {
    if (isLosslessNumber(value)) return numberOf(value)
    if (typeof value !== 'object' || value === null) return value
    const copy = copyOf(value, forScript, realm)
    of.set(copy, value)
    return copy
  }
  return { value: forScript(exact), origin: { exact, of } }
}

function copyOf(value: object, inner: (value: unknown) => unknown, { objectOf, listOf }: Realm): object {
  if (Array.isArray(value)) return listOf(value.map(inner))
  return objectOf(Object.entries(value).map(([key, member]) => [key, inner(member)] as const))
}

function numberOf(exact: LosslessNumber): unknown {
  const text = exact.toString()
  const number = Number(text)
  if (Number.isFinite(number) && decimal(String(number)) === decimal(text)) return number
  // Copied, so that nothing a script does to it reaches the one its text is taken from.
  return isInteger(text) ? BigInt(text) : new LosslessNumber(text)
}

/** One spelling for each value. */
function decimal(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const digits = (whole + fraction).replace(/^0+/, '')
  const significant = digits.replace(/0+$/, '')
  if (significant === '') return '0'
  return `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`
}

/**
 * The value as JSON text. A number gets the text back that it had where it was. If it was moved elsewhere it gets the
 * text that numbers of its value had, unless it is a whole number: a 1 that is new must not become 1.0. Throws a
 * TypeError for what JSON cannot hold.
 */
export function printed(value: unknown, { origin }: Reading): string {
  const text = (origin === undefined ? quickly(value) : undefined) ?? new Printer(origin).print(value, origin?.exact)
  if (text === undefined) throw new TypeError(`${nameOf(value)} is not JSON`)
  return text
}

/** By JSON.stringify, if it gets everything right. */
function quickly(value: unknown): string | undefined {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    if (error instanceof Error && error.message.includes('BigInt')) return undefined
    throw error
  }
  // It prints null for NaN, {} for a Map, and members for the objects that hold a number's text.
  if (text?.includes('null') || text?.includes('{}')) requireJson(value)
  return text?.includes('isLosslessNumber') ? undefined : text
}

/** Throws a TypeError for what JSON.stringify prints as something else. */
function requireJson(value: unknown): void {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} is not JSON`)
  if (typeof value !== 'object' || value === null) return
  requireMembers(value)
  if (hasToJson(value)) requireJson(value.toJSON())
  else for (const inner of Object.values(value)) requireJson(inner)
}

/** The same for the object itself: a Map, a Set or a promise would be an object without members. */
function requireMembers(value: object): void {
  const name = nameOf(value)
  if (name === 'an object' || name === 'a list' || BOXED.has(name)) return
  if (name === 'a Date') {
    if (Number.isNaN(Number(value))) throw new TypeError('an invalid Date is not JSON')
  } else if (!hasToJson(value) && Object.keys(value).length === 0) {
    throw new TypeError(`${name} is not JSON`)
  }
}

/** Objects around what is no object: JSON has what is in them. */
const BOXED: ReadonlySet<string> = new Set(['a Number', 'a String', 'a Boolean', 'a BigInt'])

function hasToJson(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

class Printer {
  readonly #origin: Origin | undefined
  #texts: ReadonlyMap<number, string | undefined> | undefined

  constructor(origin: Origin | undefined) {
    this.#origin = origin
  }

  /** `was` is what stood in its place. Undefined for what JSON leaves out: undefined, functions, symbols. */
  print(value: unknown, was?: unknown): string | undefined {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return JSON.stringify(value)
      case 'number':
        return this.#number(value, was)
      case 'bigint':
        return value.toString()
      case 'object':
        return value === null ? 'null' : this.#object(value, was)
      default:
        return undefined
    }
  }

  #number(value: number, was: unknown): string {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is not JSON`)
    if (isLosslessNumber(was) && Object.is(Number(was.toString()), value)) return was.toString()
    if (Object.is(value, -0)) return '-0'
    if (Object.is(was, value) || Number.isInteger(value) || this.#origin === undefined) return String(value)
    this.#texts ??= textsIn(this.#origin.exact)
    return this.#texts.get(value) ?? String(value)
  }

  #object(value: object, place: unknown): string | undefined {
    if (isLosslessNumber(value)) return value.toString()
    requireMembers(value)
    if (hasToJson(value)) return this.print(value.toJSON())
    if (BOXED.has(nameOf(value))) return this.print(value.valueOf())
    const was = this.#origin?.of.get(value) ?? place
    if (Array.isArray(value)) {
      return `[${value.map((item, at) => this.print(item, memberOf(was, String(at))) ?? 'null').join(',')}]`
    }
    const members: string[] = []
    for (const [key, inner] of Object.entries(value)) {
      const text = this.print(inner, memberOf(was, key))
      if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`)
    }
    return `{${members.join(',')}}`
  }
}

function memberOf(object: unknown, key: string): unknown {
  if (typeof object !== 'object' || object === null || !Object.hasOwn(object, key)) return undefined
  return (object as Record<string, unknown>)[key]
}

/** The text of each number there is; undefined where two texts stand for one number. */
function textsIn(exact: unknown): ReadonlyMap<number, string | undefined> {
  const texts = new Map<number, string | undefined>()
  const visit = (value: unknown): void => {
    const isExact = isLosslessNumber(value)
    if (isExact || typeof value === 'number') {
      const text = value.toString()
      const number = Number(text)
      texts.set(number, texts.has(number) && texts.get(number) !== text ? undefined : text)
    } else if (typeof value === 'object' && value !== null) {
      for (const inner of Object.values(value)) visit(inner)
    }
  }
  visit(exact)
  return texts
}

/** For scripts as `structuredClone`, which would make plain members of the objects that hold a number's text. */
export function clone(value: unknown, realm: Realm): unknown {
  if (isLosslessNumber(value)) return value
  const name = nameOf(value)
  if (name !== 'an object' && name !== 'a list') return structuredClone(value)
  return copyOf(value as object, (inner) => clone(inner, realm), realm)
}

/** What something is, for people. */
export function nameOf(value: unknown): string {
  if (value === undefined || value === null || typeof value === 'number') return String(value)
  if (Array.isArray(value)) return 'a list'
  if (typeof value !== 'object') return `a ${typeof value}`
  const name = Object.prototype.toString.call(value).slice(8, -1)
  return name === 'Object' ? 'an object' : `a ${name}`
}
