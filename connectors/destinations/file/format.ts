// What differs between files of rows: how a row is written, what a file begins with, and what its name ends in. How the
// bytes get there and what survives a crash is the same for all of them.

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import type { DestinationOptions, Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import { listOf, type Metadata, type Naming, namingOf } from '../naming.ts'
import { csv } from './csv.ts'
import type { Output } from './data.ts'
import { json } from './json.ts'

export interface FormatOptions extends DestinationOptions {
  readonly metadata: Metadata
}

/** As in the Python program, beside the record's own columns there are none of `bizon`. */
export function namingOfFile({ metadata, unnest, recordSchemas }: FormatOptions): Naming {
  const naming = namingOf({ metadata: unnest !== false && metadata === 'bizon' ? 'none' : metadata, unnest })
  for (const { destinationId, columns } of unnest ? recordSchemas : []) {
    const twice = naming.columns.find(({ name }) => columns.some((column) => column.name === name))
    if (twice === undefined) continue
    throw new InvalidKey(inDestination('record_schemas'), `${destinationId} has two columns named ${twice.name}`, {
      hint: `${listOf(naming)} are columns of their own, unless metadata is none.`,
    })
  }
  return naming
}

export interface Format {
  /** With the point. */
  readonly extension: string
  /** Between the target's name and `.state.json`: files of two formats may lie side by side. */
  readonly label: string
  /**
   * What a file begins with, of the target whose destination id is the one meant; empty if none is known. It is no row: it
   * is there once, however often rows are added.
   */
  header(isMeant: (destinationId: string) => boolean): Buffer
  /** Column that each line names first, where it names them. */
  readonly firstColumn?: string | undefined
  /** `rows`: how many the run has already. */
  rows(run: Run, rows: number): Rows
}

export interface Rows {
  /** Checks all the records before a byte of one is written. `file` is for messages. */
  prepare(part: Part, file: string, extractedAt: Date): Write
}

/** Records of one destination id. */
export interface Part {
  readonly id: string
  readonly records: readonly SourceRecord[]
}

/** A page's records by the id of their destination. One part, without a copy, as a rule. */
export function partsOf({ records }: Pick<Page, 'records'>, usual: string): Part[] {
  if (records.length === 0) return []
  const first = records[0]?.destinationId
  if (records.every((record) => record.destinationId === first)) return [{ id: first ?? usual, records }]
  const parts = new Map<string, SourceRecord[]>()
  for (const record of records) {
    const id = record.destinationId ?? usual
    const part = parts.get(id)
    if (part) part.push(record)
    else parts.set(id, [record])
  }
  return [...parts].map(([id, of]) => ({ id, records: of }))
}

export type Write = (out: Output) => Promise<void>

const FORMATS = { json, csv } as const

/** Parquet is no file of rows: see parquet.ts. */
export function formatOf(options: FormatOptions & { readonly format: string }): Format {
  if (options.format !== 'json' && options.format !== 'csv') {
    throw new BizonError('internal', `format ${options.format} is not one of rows`)
  }
  return FORMATS[options.format](options)
}
