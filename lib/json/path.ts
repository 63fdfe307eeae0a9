// Values looked up by path in JSON text, all of them in one pass over its bytes, and the items of one list with
// values of their own. Nothing is parsed; the same pass finds out whether the text is valid.

import { isKey, scanValue, skipString, skipWhitespace } from '../json.ts'
import { RawJson } from '../record.ts'

/** Keys from the outside in; whole numbers are also places in a list. Empty: the whole text. */
export type JsonPath = readonly string[]

/** `data.items`, `meta.pages.0`; `.` is the whole; `/a.b/c` (a JSON pointer) for keys that have a dot. */
export function parsePath(text: string): JsonPath {
  if (text === '.' || text === '') return []
  if (!text.startsWith('/')) return text.split('.')
  return text
    .slice(1)
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
}

export interface Lookup {
  /** Where the list of items is. Absent: no list is wanted. */
  readonly list?: JsonPath
  /** Paths in each item. */
  readonly fields?: readonly JsonPath[]
  /** Paths in the text as a whole. */
  readonly values?: readonly JsonPath[]
}

/** In the order of the paths that were asked for; undefined: there is no such value. */
export type Found = readonly (RawJson | undefined)[]

export interface Item {
  readonly value: RawJson
  readonly fields: Found
}

export interface LookedUp {
  /** Index of the byte that makes the text invalid; its length when it stops too early. Absent: it is valid. */
  readonly invalidAt?: number
  readonly values: Found
  /** Absent: there is nothing at its path, or something else than a list. */
  readonly items?: readonly Item[]
  /** What is at the path of the list. */
  readonly list?: RawJson
}

interface Node {
  readonly steps: Step[]
  /** Which results this value is. */
  readonly slots: number[]
  /** Results at and below this value, to be forgotten when the key comes again: the last of duplicates counts. */
  readonly below: number[]
  isList: boolean
}

interface Step {
  readonly name: string
  /** The name as its shortest JSON text. */
  readonly spelling: Buffer
  readonly node: Node
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BRACKET = 0x5b
const BRACKET_END = 0x5d
const BRACE = 0x7b
const BRACE_END = 0x7d
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** Compiled once for many texts: each byte is looked at once, but for what lies both at a path and above another. */
export function lookup({ list, fields = [], values = [] }: Lookup): (buffer: Buffer) => LookedUp {
  const root = treeOf(values)
  const item = treeOf(fields)
  if (list) at(root, list).isList = true
  return (buffer) => new Walk(buffer, item, fields.length).whole(root, values.length)
}

/** How many brackets, from the end, are taken for that of the list; and how far from the beginning it may be. */
const GLANCES = 4
const GLANCE_BYTES = 1 << 16

/**
 * The values alone, before the list is looked at: the list is passed over, to a bracket near the end that makes the
 * rest of the text valid. Undefined: it finds not all of them so. What it finds is right for any answer that means what
 * it looks like, and no more: whoever acts on it compares it with what `lookup` says.
 */
export function glance({ list, values = [] }: Lookup): (buffer: Buffer) => Found | undefined {
  const root = treeOf(values)
  if (list) at(root, list).isList = true
  return (buffer) => {
    if (values.length === 0) return []
    let end = buffer.length
    for (let tries = 0; tries < GLANCES && end > 0; tries++) {
      end = buffer.lastIndexOf(BRACKET_END, end - 1)
      if (end < 0) break
      const found = new Walk(buffer, root, 0, buffer.length, end + 1).whole(root, values.length)
      const { invalidAt = Infinity } = found
      if (invalidAt <= end) break // another bracket would not mend that
      if (invalidAt === Infinity && found.values.every((value) => value !== undefined)) return found.values
    }
    return undefined
  }
}

/** The values at paths in one valid JSON value. */
export function valuesReader(paths: readonly JsonPath[]): (raw: RawJson) => Found {
  const root = treeOf(paths)
  return ({ buffer, start, end }) => {
    const found = new Array<RawJson | undefined>(paths.length).fill(undefined)
    new Walk(buffer, root, 0, end).value(root, start, found)
    return found
  }
}

function treeOf(paths: readonly JsonPath[]): Node {
  const root = newNode()
  for (const [slot, path] of paths.entries()) {
    at(root, path).slots.push(slot)
    for (let depth = 0; depth <= path.length; depth++) at(root, path.slice(0, depth)).below.push(slot)
  }
  return root
}

function newNode(): Node {
  return { steps: [], slots: [], below: [], isList: false }
}

function at(root: Node, path: JsonPath): Node {
  let node = root
  for (const name of path) {
    let step = node.steps.find((one) => one.name === name)
    if (step === undefined) {
      step = { name, spelling: Buffer.from(JSON.stringify(name)), node: newNode() }
      node.steps.push(step)
    }
    node = step.node
  }
  return node
}

type Slots = (RawJson | undefined)[]

class Walk {
  readonly #buffer: Buffer
  readonly #end: number
  readonly #item: Node
  readonly #width: number
  /** Where the list ends, if that is known; its items are then passed over. */
  readonly #listEnd: number | undefined
  #items: Item[] | undefined
  #list: RawJson | undefined

  constructor(buffer: Buffer, item: Node, width: number, end = buffer.length, listEnd?: number) {
    this.#buffer = buffer
    this.#end = end
    this.#item = item
    this.#width = width
    this.#listEnd = listEnd
  }

  whole(root: Node, width: number): LookedUp {
    const values: Slots = new Array<undefined>(width).fill(undefined)
    const start = this.#buffer.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0
    const valueEnd = this.value(root, skipWhitespace(this.#buffer, start, this.#end), values)
    if (valueEnd < 0) return { invalidAt: ~valueEnd, values: [] }
    const after = skipWhitespace(this.#buffer, valueEnd, this.#end)
    if (after < this.#end) return { invalidAt: after, values: [] }
    return { values, ...(this.#items && { items: this.#items }), ...(this.#list && { list: this.#list }) }
  }

  /** Each of these returns the index after the value that starts here, or `~index` of what makes it invalid. */
  value(node: Node, start: number, found: Slots): number {
    const first = this.#buffer[start]
    let end: number
    if (node.isList && first === BRACKET && this.#listEnd !== undefined) {
      end = start <= GLANCE_BYTES && start < this.#listEnd ? this.#listEnd : ~start
    } else if (node.isList && first === BRACKET) {
      end = this.#listOf(start)
      if (end >= 0 && node.steps.length > 0) this.#elements(node, start, found)
    } else if (node.steps.length > 0 && first === BRACE) {
      end = this.#members(node, start, found)
    } else if (node.steps.length > 0 && first === BRACKET) {
      end = this.#elements(node, start, found)
    } else {
      end = scanValue(this.#buffer, start, this.#end)
    }
    if (end < 0) return end
    for (const slot of node.slots) found[slot] = new RawJson(this.#buffer, start, end)
    if (node.isList) {
      this.#list = new RawJson(this.#buffer, start, end)
      if (first !== BRACKET) this.#items = undefined
    }
    return end
  }

  #members(node: Node, start: number, found: Slots): number {
    const buffer = this.#buffer
    const end = this.#end
    let i = skipWhitespace(buffer, start + 1, end)
    if (i < end && buffer[i] === BRACE_END) return i + 1
    for (;;) {
      if (i >= end) return ~end
      if (buffer[i] !== QUOTE) return ~i
      const keyEnd = skipString(buffer, i + 1, end)
      if (keyEnd < 0) return keyEnd
      const colon = skipWhitespace(buffer, keyEnd, end)
      if (colon >= end) return ~end
      if (buffer[colon] !== COLON) return ~colon
      const valueStart = skipWhitespace(buffer, colon + 1, end)
      const inner = this.#stepOf(node, i, keyEnd)
      const valueEnd = inner ? this.#again(inner, valueStart, found) : scanValue(buffer, valueStart, end)
      if (valueEnd < 0) return valueEnd
      i = skipWhitespace(buffer, valueEnd, end)
      if (i >= end) return ~end
      if (buffer[i] === BRACE_END) return i + 1
      if (buffer[i] !== COMMA) return ~i
      i = skipWhitespace(buffer, i + 1, end)
    }
  }

  #stepOf({ steps }: Node, keyStart: number, keyEnd: number): Node | undefined {
    for (let index = 0; index < steps.length; index++) {
      const step = steps[index] as Step
      if (isKey(this.#buffer, keyStart, keyEnd, step.spelling, step.name)) return step.node
    }
    return undefined
  }

  #again(node: Node, start: number, found: Slots): number {
    for (const slot of node.below) found[slot] = undefined
    return this.value(node, start, found)
  }

  #elements(node: Node, start: number, found: Slots): number {
    const buffer = this.#buffer
    return this.#each(start, (elementStart, index) => {
      const inner = node.steps.find(({ name }) => name === String(index))?.node
      return inner ? this.#again(inner, elementStart, found) : scanValue(buffer, elementStart, this.#end)
    })
  }

  #listOf(start: number): number {
    const items: Item[] = []
    this.#items = items
    const plain = this.#width === 0
    return this.#each(start, (itemStart) => {
      const fields: Slots = plain ? NONE : new Array<undefined>(this.#width).fill(undefined)
      const itemEnd = plain ? scanValue(this.#buffer, itemStart, this.#end) : this.value(this.#item, itemStart, fields)
      if (itemEnd >= 0) items.push({ value: new RawJson(this.#buffer, itemStart, itemEnd), fields })
      return itemEnd
    })
  }

  #each(start: number, one: (start: number, index: number) => number): number {
    const buffer = this.#buffer
    const end = this.#end
    let i = skipWhitespace(buffer, start + 1, end)
    if (i < end && buffer[i] === BRACKET_END) return i + 1
    for (let index = 0; ; index++) {
      const valueEnd = one(i, index)
      if (valueEnd < 0) return valueEnd
      i = skipWhitespace(buffer, valueEnd, end)
      if (i >= end) return ~end
      if (buffer[i] === BRACKET_END) return i + 1
      if (buffer[i] !== COMMA) return ~i
      i = skipWhitespace(buffer, i + 1, end)
    }
  }
}

const NONE: Slots = []
