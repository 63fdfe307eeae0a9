// What is published against what must be: one pass over the rows sums up each range, and ranges that differ are read once
// more to say which rows it is. Memory is by ranges, and a bit for each row of which only the id is known.

import { readRowId } from '../row-id.ts'
import { createDigester, type Digest } from './digest.ts'
import { doubtsOf, isSure } from './doubts.ts'
import type { Expected, ExpectedRun, Part } from './expected.ts'
import { type Found, locate } from './locate.ts'
import type { Keeps, Reader, StoredRow } from './reader.ts'
import { Seen } from './seen.ts'

export interface Difference {
  readonly place: string
  readonly kind: 'missing' | 'surplus' | 'doubled' | 'changed' | 'exchanged' | 'differs' | 'unknown'
  readonly run?: string
  /** Numbers of rows in their run, from 1. */
  readonly rows?: readonly number[]
  /** Where it is no more exact: the first and the last number. */
  readonly range?: readonly [first: number, last: number]
  /** `source_record_id` of the rows, as far as they are there. */
  readonly records?: readonly string[]
  /** How many rows. */
  readonly count: number
}

export interface Comparison {
  readonly tables: readonly {
    readonly place: string
    readonly rows: number
    readonly expected: number
  }[]
  readonly rows: number
  readonly differences: readonly Difference[]
  /** Ranges that differ and were not looked into. */
  readonly more: number
  /** Rows behind the last checkpoint of a stream. */
  readonly pending: number
  /** Why what differs may be as it should be: for nobody here to tell. */
  readonly untold: readonly string[]
  /** Rows were counted without ids: one that is missing makes up for another one that is there twice. */
  readonly blind: boolean
}

/** Ranges that are looked into: what is wrong in hundreds is not found row by row. */
const MOST_RANGES = 20
const EXAMPLES = 3

interface Slot {
  readonly part: Part
  rows: number
  a: number
  b: number
  weightedA: number
  weightedB: number
  /** Of rows that have ids, where no digest is known. */
  seen?: Seen | undefined
  /** Collected when it is looked into. */
  found?: Found[]
}

export async function compare(reader: Reader, { runs }: Expected, signal: AbortSignal): Promise<Comparison> {
  const tables: { place: string; rows: number; expected: number }[] = []
  const differences: Difference[] = []
  const untold: string[] = []
  let [more, pending, blind] = [0, 0, false]
  for (const [id, parts] of partsByPlace(reader, runs)) {
    const table = new Table(reader, id, parts)
    await table.read(signal)
    const differing = table.differing()
    const expected = parts.reduce((sum, { rows }) => sum + rows, 0)
    const shown = differing.slice(0, table.isShifted ? 1 : MOST_RANGES)
    const found: Difference[] = []
    if (shown.length > 0) {
      for (const slot of shown) slot.found = []
      await table.read(signal)
      for (const slot of shown) found.push(...located(table, slot, reader.keeps, expected))
    }
    more += table.isShifted ? 0 : differing.length - shown.length
    pending += table.pending
    blind ||= table.isBlind
    if (table.strangers > 0 && !(table.isShifted && shown.length > 0)) {
      const records = table.examples
      found.push({ place: table.place, kind: 'unknown', count: table.strangers, records })
    }
    const doubts = doubtsOf(reader, id, { table, found })
    untold.push(...doubts)
    if (doubts.length === 0 || found.some(({ kind }) => isSure(reader, id, kind))) differences.push(...found)
    tables.push({ place: table.place, rows: table.rows, expected })
  }
  const rows = tables.reduce((sum, table) => sum + table.rows, 0)
  return { tables, rows, differences, more, pending, blind, untold }
}

/** Where rows are known by their place alone, only the first range that differs says where it begins. */
function located(table: Table, slot: Slot, keeps: Keeps, expected: number): Difference[] {
  if (slot.seen) return slot.seen.differences(slot.part, table.place)
  if (table.isOfAll) return locate(table.place, slot, keeps).map(({ run: _, range: __, rows: ___, ...all }) => all)
  if (!table.isShifted || table.rows === expected) return locate(table.place, slot, keeps)
  const { run, from, to } = slot.part
  const kind = table.rows < expected ? 'missing' : 'surplus'
  const count = Math.abs(table.rows - expected)
  return [{ place: table.place, kind, run: run.id, range: [from + 1, to], count }]
}

/** By one destination id of each place; in the order of the runs. */
function partsByPlace(reader: Reader, runs: readonly ExpectedRun[]): Map<string, Part[]> {
  const idOf = new Map<string, string>()
  const parts = new Map<string, Part[]>()
  for (const run of runs) {
    for (const [id, own] of run.parts) {
      const place = reader.place(id)
      const first = idOf.get(place) ?? id
      idOf.set(place, first)
      parts.set(first, [...(parts.get(first) ?? []), ...own])
    }
  }
  for (const own of parts.values())
    own.sort((one, other) => order(runs, one) - order(runs, other) || one.from - other.from)
  return parts
}

const order = (runs: readonly ExpectedRun[], { run }: Part): number => runs.indexOf(run)

class Table {
  readonly place: string
  /** Nothing says which rows are of which run: only all of them can be compared, with the sum of all runs. */
  readonly isOfAll: boolean
  rows = 0
  pending = 0
  strangers = 0
  examples: string[] = []
  readonly #reader: Reader
  readonly #id: string
  readonly #slots: readonly Slot[]
  readonly #byPrefix = new Map<string, Slot[]>()
  readonly #runs = new Map<string, ExpectedRun>()
  readonly #digester = createDigester()
  #next = 0

  constructor(reader: Reader, id: string, parts: readonly Part[]) {
    this.#reader = reader
    this.#id = id
    this.place = reader.place(id)
    const { of, inOrder, ids } = reader.keeps
    const isMixed = of !== 'records' && !inOrder && !ids
    this.isOfAll = isMixed && new Set(parts.map(({ run }) => run)).size > 1
    const own = isMixed ? together(parts) : parts
    this.#slots = own.map((part) => ({ part, ...EMPTY }))
    for (const slot of this.#slots) {
      const { run } = slot.part
      this.#runs.set(run.prefix, run)
      const known = this.#byPrefix.get(run.prefix)
      if (known) known.push(slot)
      else this.#byPrefix.set(run.prefix, [slot])
    }
  }

  /** Rows without ids are known by their place: one that is missing shifts all that follow. */
  get isShifted(): boolean {
    const { of, inOrder, ids } = this.#reader.keeps
    return of !== 'records' && inOrder && !ids
  }

  /** Rows came back that have neither digests nor ids. */
  get isBlind(): boolean {
    return this.#slots.some(({ part, rows, seen }) => !part.digest && rows > 0 && !seen)
  }

  async read(signal: AbortSignal): Promise<void> {
    this.rows = this.pending = this.strangers = this.#next = 0
    this.examples = []
    for (const slot of this.#slots) Object.assign(slot, EMPTY, { seen: undefined })
    for await (const rows of this.#reader.read(this.#id, signal)) for (const row of rows) this.#add(row)
  }

  differing(): Slot[] {
    return this.#slots.filter(({ part, ...sum }) => {
      const { rows, digest, weighted } = part
      if (sum.seen && sum.seen.repeated > 0) return true
      if (sum.rows !== rows) return true
      if (digest && (digest.a !== sum.a || digest.b !== sum.b)) return true
      return weighted !== undefined && (weighted.a !== sum.weightedA || weighted.b !== sum.weightedB)
    })
  }

  #add(row: StoredRow): void {
    this.rows += 1
    const at = this.#slotOf(row)
    if (at === undefined) {
      this.strangers += 1
      if (this.examples.length < EXAMPLES && row.recordId !== undefined) this.examples.push(row.recordId)
      return
    }
    if (at === 'pending') {
      this.pending += 1
      this.rows -= 1
      return
    }
    const { slot, number } = at
    const digester = this.#digester
    slot.rows += 1
    if (!slot.part.digest) {
      if (row.rowId === undefined) return
      slot.seen ??= new Seen()
      slot.seen.add(number, row.recordId)
      return
    }
    const value = this.#valueOf(row)
    let { a, b } = value
    const isRecord = this.#reader.keeps.of === 'records'
    let id: Digest = EMPTY
    if (isRecord) {
      digester.id(row.recordId ?? '')
      id = { a: digester.a, b: digester.b }
      digester.together(id, value)
      ;({ a, b } = digester)
    }
    slot.a = (slot.a + a) | 0
    slot.b = (slot.b + b) | 0
    slot.weightedA = (slot.weightedA + Math.imul(a, number)) | 0
    slot.weightedB = (slot.weightedB + Math.imul(b, number)) | 0
    slot.found?.push({ number, a, b, value, ...(isRecord && { id, record: row.recordId ?? '' }) })
  }

  #valueOf({ data }: StoredRow): Digest {
    if (!data) return BROKEN
    this.#digester.value(data)
    return { a: this.#digester.a, b: this.#digester.b }
  }

  #slotOf(row: StoredRow): { slot: Slot; number: number } | 'pending' | undefined {
    const { of, inOrder, ids } = this.#reader.keeps
    if (row.rowId !== undefined) return this.#slotOfId(row.rowId)
    if (of === 'records' || ids) return undefined
    if (!inOrder) return this.#slots[0] && { slot: this.#slots[0], number: 0 }
    let slot = this.#slots[this.#next]
    while (slot && slot.rows >= slot.part.rows) slot = this.#slots[++this.#next]
    if (slot) return { slot, number: slot.part.from + slot.rows }
    return [...this.#runs.values()].some(({ open }) => open) ? 'pending' : undefined
  }

  #slotOfId(text: string): { slot: Slot; number: number } | 'pending' | undefined {
    const id = readRowId(text)
    const run = id && this.#runs.get(id.prefix)
    if (!id || !run) return undefined
    if (id.row >= run.rows) return run.open ? 'pending' : undefined
    const slots = this.#byPrefix.get(id.prefix) ?? []
    let [low, high] = [0, slots.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((slots[middle] as Slot).part.from <= id.row) low = middle
      else high = middle - 1
    }
    const slot = slots[low]
    if (!slot || id.row < slot.part.from || id.row >= slot.part.to) return undefined
    return { slot, number: id.row }
  }
}

const EMPTY = { rows: 0, a: 0, b: 0, weightedA: 0, weightedB: 0 }
/** Of what is no JSON: none that is any has this digest, but by accident. */
const BROKEN: Digest = { a: 1, b: 1 }

/** Where nothing says which row is which, all are one range. */
function together(parts: readonly Part[]): Part[] {
  const [first] = parts
  if (!first) return []
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  const known = parts.every(({ digest }) => digest !== undefined)
  const sum = (lane: 'a' | 'b') => parts.reduce((total, { digest }) => (total + (digest?.[lane] ?? 0)) | 0, 0)
  return [{ run: first.run, from: 0, to: rows, rows, ...(known && { digest: { a: sum('a'), b: sum('b') } }) }]
}
