// Records to rows: `unnest: tables`. A record becomes a row of its table, its lists rows of child tables, its objects
// columns; all of it over the JSON text, so that every value stays as it was written.
//
//   {"id":7,"to":{"city":"Rom"},"items":[{"sku":"a"},{"sku":"b"}]}   of orders
//
//   orders         {"id":7,"to__city":"Rom"}
//   orders__items  {"_bizon_parent_id":…,"_bizon_root_id":…,"_bizon_index":0,"sku":"a"}, and one with 1 and "b"
//
// Rows come in an order that only depends on the records: a row, then those of its first list, each with its own lists
// behind it, then those of the next.

import { members, scanValue, skipWhitespace } from '../json.ts'
import { RawJson, type SourceRecord, textOf } from '../record.ts'
import type { Links, NameRules } from './names.ts'
import { type Shape, type Table, Tables, VALUE } from './shape.ts'
import { RowText } from './text.ts'

export interface SplitOptions {
  /** How many values around another are taken apart; what is deeper stays JSON. */
  readonly depth: number
  readonly names: NameRules
  readonly links: Links
  /** The first half of each `bizon_id` of the run. */
  readonly idPrefix: string
  /** The number of the first row to come. */
  readonly row: number
}

/** A list whose rows are still to come. */
interface Pending {
  readonly table: Table
  readonly buffer: Buffer
  /** Behind the last item that was taken, or behind the bracket. */
  at: number
  readonly end: number
  index: number
  /** Numbers of rows. */
  readonly parent: number
  readonly root: number
  readonly record: SourceRecord
}

/** A list in a row that is being written. */
interface Found {
  readonly table: Table
  readonly start: number
  readonly end: number
}

const COMMA = 0x2c
const BRACKET = 0x5b
const BRACKET_END = 0x5d
const BRACE = 0x7b
const BRACE_END = 0x7d
const VALUE_KEY = Buffer.from(`,"${VALUE}":`)

export class Splitter {
  readonly #depth: number
  readonly #tables: Tables
  /** What stands before the number of a row's parent, between that and the root's, and before the index. */
  readonly #head: { readonly parent: Buffer; readonly root: Buffer; readonly index: Buffer }
  readonly #text = new RowText()
  /** The last is the next. */
  readonly #pending: Pending[] = []
  /** In the order in which they stand in the row. */
  #found: Found[] = []
  #row: number
  #objects = 0

  constructor({ depth, names, links, idPrefix, row }: SplitOptions) {
    this.#depth = depth
    this.#head = {
      parent: Buffer.from(`{"${links.parent}":"${idPrefix}`),
      root: Buffer.from(`","${links.root}":"${idPrefix}`),
      index: Buffer.from(`","${links.index}":`),
    }
    this.#tables = new Tables(names, links)
    this.#row = row
  }

  /** The record's own row; it has the record's destination id, or this one. Others follow: see `next`. */
  record(record: SourceRecord, destinationId: string): SourceRecord {
    const table = this.#tables.root(record.destinationId ?? destinationId)
    const data = record.data instanceof RawJson ? record.data : RawJson.from(textOf(record.data))
    const { buffer, start, end } = data
    this.#text.begin()
    const row = this.#row++
    if (!this.#members(table.row, buffer, start, end, BRACE)) return record.data === data ? record : { ...record, data }
    if (this.#text.mark === 0) this.#text.byte(BRACE)
    this.#text.byte(BRACE_END)
    this.#later(buffer, record, row, row)
    return { ...record, data: this.#text.take() }
  }

  /** The next row of the record's lists. */
  next(): SourceRecord | undefined {
    for (let list = this.#pending.at(-1); list; list = this.#pending.at(-1)) {
      const { buffer, table } = list
      const at = skipWhitespace(buffer, list.at, list.end)
      if (buffer[at] === BRACKET_END) {
        this.#pending.pop()
        continue
      }
      const start = buffer[at] === COMMA ? skipWhitespace(buffer, at + 1, list.end) : at
      list.at = scanValue(buffer, start, list.end)
      return this.#item(list, table, start, list.at)
    }
    return undefined
  }

  #item(list: Pending, table: Table, start: number, end: number): SourceRecord {
    const { buffer, record, parent, root } = list
    const text = this.#text
    text.begin()
    text.all(this.#head.parent)
    text.hex(parent)
    text.all(this.#head.root)
    text.hex(root)
    text.all(this.#head.index)
    text.digits(list.index++)
    const first = buffer[start]
    if (first === BRACE) this.#members(table.row, buffer, start, end, COMMA)
    else if (first === BRACKET && table.level < this.#depth) this.#found.push({ table: table.lists, start, end })
    else {
      text.all(VALUE_KEY)
      text.copy(buffer, start, end)
    }
    text.byte(BRACE_END)
    this.#later(buffer, record, this.#row++, root)
    const { id, timestamp } = record
    const row = { id, data: text.take(), destinationId: table.name }
    return timestamp === undefined ? row : { ...row, timestamp }
  }

  /**
   * Writes the columns of an object, the first behind `before`. False: it is the object as it stands, and nothing is
   * written.
   */
  #members(shape: Shape, buffer: Buffer, start: number, end: number, before: number): boolean {
    const mark = this.#text.mark
    const found = this.#found.length
    const isChanged = this.#write(shape, buffer, start, end, before)
    if (isChanged !== undefined) return isChanged
    // Of members with the same name the last counts.
    this.#text.back(mark)
    this.#found.length = found
    return this.#write(shape, buffer, start, end, before, overtaken(shape, buffer, start, end)) ?? true
  }

  /** Undefined: two members have one name, and `without` does not say which of them count. */
  #write(
    shape: Shape,
    buffer: Buffer,
    start: number,
    end: number,
    before: number,
    without?: ReadonlySet<number>,
  ): boolean | undefined {
    const text = this.#text
    const object = ++this.#objects
    const { isRow } = shape
    const isRecord = isRow && before === BRACE
    let separator = before
    let place = 0
    let isTwice = false
    let isChanged = !isRecord || without !== undefined
    // Columns that follow each other in the row as in the text are copied at once.
    let [from, to] = [-1, -1]
    const copyRun = (): void => {
      if (from < 0) return
      text.byte(separator)
      text.copy(buffer, from, to)
      separator = COMMA
      from = -1
    }
    members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
      const field = shape.field(buffer, keyStart, keyEnd, place)
      place = field.place + 1
      if (without?.has(keyStart)) return copyRun()
      if (field.seenIn === object) isTwice = true
      field.seenIn = object
      const first = buffer[valueStart]
      const isNested = (first === BRACE || first === BRACKET) && shape.level < this.#depth
      if (!isNested) {
        const column = field.column ?? shape.columnOf(field)
        if (isRow) {
          if (from < 0) from = keyStart
          to = valueEnd
          return
        }
        text.byte(separator)
        text.all(column)
        text.copy(buffer, valueStart, valueEnd)
        separator = COMMA
        return
      }
      copyRun()
      isChanged = true
      if (first === BRACKET) {
        if (hasItems(buffer, valueStart, valueEnd))
          this.#found.push({ table: field.list ?? shape.listOf(field), start: valueStart, end: valueEnd })
        return
      }
      const inner = field.object ?? shape.objectOf(field)
      const written = text.mark
      this.#members(inner, buffer, valueStart, valueEnd, separator)
      if (text.mark !== written) separator = COMMA
    })
    if (isTwice && without === undefined && (isChanged || !isRecord)) return undefined
    if (!isChanged) return false
    copyRun()
    return true
  }

  /** The lists that the row was found to have come next, the first first. */
  #later(buffer: Buffer, record: SourceRecord, parent: number, root: number): void {
    if (this.#found.length === 0) return
    for (let at = this.#found.length - 1; at >= 0; at--) {
      const { table, start, end } = this.#found[at] as Found
      this.#pending.push({ table, buffer, at: start + 1, end, index: 0, parent, root, record })
    }
    this.#found = []
  }
}

/** Where members begin that a later one of the same name takes the place of. */
function overtaken(shape: Shape, buffer: Buffer, start: number, end: number): Set<number> {
  const last = new Map<string, number>()
  const found = new Set<number>()
  members(buffer, start, end, (keyStart, keyEnd) => {
    const { name } = shape.field(buffer, keyStart, keyEnd, 0)
    const before = last.get(name)
    if (before !== undefined) found.add(before)
    last.set(name, keyStart)
  })
  return found
}

function hasItems(buffer: Buffer, start: number, end: number): boolean {
  return buffer[skipWhitespace(buffer, start + 1, end)] !== BRACKET_END
}
