// `unnest: tables`: the last step before rows are counted. Pages of records become pages of rows, each of which names its
// table, so that a checkpoint counts every row, and a row's number, which makes its id, is known here already: rows name
// each other by it, and do so again after a kill, because numbers go on from the checkpoint as they do in the destination.

import { RECORD_BYTES } from './checkpoint.ts'
import type { Links, NameRules } from './child-tables/names.ts'
import { scalarFields } from './child-tables/schema.ts'
import { Splitter } from './child-tables/split.ts'
import { BizonError } from './errors.ts'
import { type SourceRecord, sizeOf } from './record.ts'
import type { Page, StreamInfo } from './source.ts'

export { scalarFields }

export interface ChildTablesOptions {
  readonly depth: number
  readonly names: NameRules
  readonly links: Links
  /** See `idPrefixOf`. */
  readonly idPrefix: string
  /** The number of the first row to come: those that are durable. */
  readonly rows: number
  /** The destination id of records that name none. */
  readonly usual: (stream: string | undefined) => string
}

/** A page of records may be many more bytes as rows: it is handed on in parts. */
const PART_BYTES = 1 << 20

/** The pages with their rows. One for each run that is opened: it counts them. */
export async function* withChildTables(
  pages: AsyncIterable<Page>,
  { usual, rows, ...options }: ChildTablesOptions,
): AsyncGenerator<Page, void, void> {
  const splitter = new Splitter({ ...options, row: rows })
  const streams = new WeakMap<StreamInfo, StreamInfo>()
  for await (const page of pages) {
    const { stream } = page
    if (stream && !streams.has(stream)) streams.set(stream, flat(stream))
    const flattened = stream && streams.get(stream)
    yield* parts({ ...page, ...(flattened && { stream: flattened }) }, splitter, usual(stream?.name))
  }
}

function flat({ schema, ...stream }: StreamInfo): StreamInfo {
  return { ...stream, ...(schema && { schema: scalarFields(schema) }) }
}

function* parts(page: Page, splitter: Splitter, usual: string): Generator<Page, void, void> {
  const { bytes: _bytes, release, ...rest } = page
  const wait = page.records.length
  let records: SourceRecord[] = []
  let weight = 0
  for (let at = 0; at < wait; at++) {
    const record = page.records[at] as SourceRecord
    let row = rowOf(record, splitter, usual)
    while (row) {
      records.push(row)
      weight += sizeOf(row.data) + RECORD_BYTES
      row = rowOf(record, splitter)
      if (weight < PART_BYTES || (!row && at === wait - 1)) continue
      yield { ...rest, records, more: true, isPart: true }
      records = []
      weight = 0
    }
  }
  yield { ...rest, records, ...(release && { release }) }
}

/** The record's own row, or without `usual` the next one of its lists. A failure says which record it was. */
function rowOf(record: SourceRecord, splitter: Splitter, usual?: string): SourceRecord | undefined {
  try {
    return usual === undefined ? splitter.next() : splitter.record(record, usual)
  } catch (error) {
    if (!(error instanceof BizonError)) throw error
    const { code, hint, message } = error
    throw new BizonError(code, `record ${JSON.stringify(record.id)}: ${message}`, { hint })
  }
}
