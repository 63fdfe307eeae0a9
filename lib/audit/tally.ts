// What a checkpoint says of the rows that it covers, so that `bizon verify` can tell later whether they are still there:
// how many went to which target and, with `verify: true`, digests of them. It becomes durable with the rows.

import type { JsonObject, RawJson, SourceRecord } from '../record.ts'
import type { Page } from '../source.ts'
import { createDigester, type Digest, type Digester, digestFrom, digestText } from './digest.ts'

/** Rows of one target, and the sum of their digests; without digests the rows alone. */
export type Sum = readonly [rows: number, digest?: string]

/** The same of a block. `weighted`: each digest times the number of its row; null: rows of several targets are mixed. */
export type BlockSum = readonly [rows: number, digest: string, weighted: string | null]

/** Rows that follow each other in the run. */
export interface Block {
  readonly rows: number
  /** By destination id. */
  readonly tables: { readonly [id: string]: BlockSum }
}

export interface Tally {
  /** What digests are of: records with their ids, or payloads alone. Absent: there are none. */
  readonly of?: Digested
  /** All rows of the run so far, by destination id. */
  readonly tables: { readonly [id: string]: Sum }
  /** With digests: the rows since the checkpoint before. */
  readonly blocks?: readonly Block[]
}

export type Digested = 'records' | 'payloads'

/** Enough to find one row by looking at all, few enough to be kept for each of many millions. */
const BLOCK_ROWS = 1024
/** Targets that are counted each. Beyond, nothing is said of any. */
const MOST_TABLES = 1000

interface Open {
  rows: number
  a: number
  b: number
  weightedA: number
  weightedB: number
}

/** Counts what a load writes. One for each run that is opened. */
export class Tallying {
  readonly #usual: (stream: string | undefined) => string
  readonly #of: Digested | undefined
  readonly #digester: Digester | undefined
  #digests = false
  #total = new Map<string, Open>()
  #block = new Map<string, Open>()
  #blocks: Block[] = []
  #blockRows = 0
  /** Whether each row of the block has the number that its place in the flow gives it. */
  #inOrder = true
  #rows = 0

  /** `usual`: the destination id of a record that names none. `of`: what to make digests of, if anything. */
  constructor(usual: (stream: string | undefined) => string, of: Digested | undefined) {
    this.#usual = usual
    this.#of = of
    this.#digester = of && createDigester()
  }

  /** Goes on behind a checkpoint. Rows before it without digests leave the run without. */
  resume({ rows, tally }: { readonly rows: number; readonly tally?: Tally | undefined }): void {
    this.#rows = rows
    this.#digests = this.#of !== undefined && (rows === 0 || tally?.of === this.#of)
    this.#total = new Map()
    const before = tally?.tables ?? (rows > 0 ? { [this.#usual(undefined)]: [rows] as Sum } : {})
    for (const [id, [count, text]] of Object.entries(before)) {
      this.#total.set(id, { ...EMPTY, rows: count, ...digestFrom(text) })
    }
  }

  /** The records of a page, before their bytes may change. */
  add(page: Page): void {
    const { records } = page
    const usual = this.#usual(page.stream?.name)
    const first = records[0]?.destinationId
    if (records.every(({ destinationId }) => destinationId === first)) this.#addAll(records, first ?? usual)
    else this.#addMixed(records, usual)
  }

  /** What the checkpoint carries; undefined where all rows are in the usual target, without digests. */
  checkpoint(): Tally | undefined {
    this.#endBlock()
    const blocks = this.#blocks
    this.#blocks = []
    const ids = [...this.#total.keys()]
    const isUsual = ids.every((id) => id === this.#usual(undefined))
    if (ids.length > MOST_TABLES || (!this.#digests && isUsual)) return undefined
    const tables = Object.fromEntries(
      [...this.#total].map(([id, sum]): [string, Sum] => [
        id,
        this.#digests ? [sum.rows, digestText(sum)] : [sum.rows],
      ]),
    )
    return this.#digests && this.#of ? { of: this.#of, tables, blocks } : { tables }
  }

  #addAll(records: readonly SourceRecord[], id: string): void {
    const total = openIn(this.#total, id)
    total.rows += records.length
    if (!this.#digests) {
      this.#rows += records.length
      return
    }
    let block = openIn(this.#block, id)
    for (const record of records) {
      this.#count(record, total, block)
      if (this.#blockRows < BLOCK_ROWS) continue
      this.#endBlock()
      block = openIn(this.#block, id)
    }
    if (block.rows === 0) this.#block.delete(id)
  }

  /** Where targets are mixed the destination numbers rows in an order of its own: such a page is not divided. */
  #addMixed(records: readonly SourceRecord[], usual: string): void {
    this.#endBlock()
    this.#inOrder = false
    for (const record of records) {
      const id = record.destinationId ?? usual
      const total = openIn(this.#total, id)
      total.rows += 1
      if (this.#digests) this.#count(record, total, openIn(this.#block, id))
      else this.#rows += 1
    }
    this.#endBlock()
  }

  #count({ id, data }: { readonly id: string; readonly data: JsonObject | RawJson }, total: Open, block: Open): void {
    const digester = this.#digester as Digester
    if (this.#of === 'records') digester.record(id, data)
    else digester.value(data)
    const { a, b } = digester
    total.a = (total.a + a) | 0
    total.b = (total.b + b) | 0
    block.rows += 1
    block.a = (block.a + a) | 0
    block.b = (block.b + b) | 0
    block.weightedA = (block.weightedA + Math.imul(a, this.#rows)) | 0
    block.weightedB = (block.weightedB + Math.imul(b, this.#rows)) | 0
    this.#rows += 1
    this.#blockRows += 1
  }

  #endBlock(): void {
    if (this.#blockRows > 0) {
      const tables = Object.fromEntries(
        [...this.#block].map(([id, sum]): [string, BlockSum] => [
          id,
          [sum.rows, digestText(sum), this.#inOrder ? weightText(sum) : null],
        ]),
      )
      this.#blocks.push({ rows: this.#blockRows, tables })
    }
    this.#block = new Map()
    this.#blockRows = 0
    this.#inOrder = true
  }
}

const EMPTY: Open = { rows: 0, a: 0, b: 0, weightedA: 0, weightedB: 0 }

function openIn(sums: Map<string, Open>, id: string): Open {
  let sum = sums.get(id)
  if (!sum) {
    sum = { ...EMPTY }
    sums.set(id, sum)
  }
  return sum
}

const weightText = ({ weightedA: a, weightedB: b }: Open): string => digestText({ a, b } satisfies Digest)
