// Rows in the order of their key to pages, which are cut by size alone: a page depends on where it begins, and on nothing
// else. And what sources of tables have in common in their config.

import * as z from 'zod'
import { InvalidKey } from '../../lib/config/invalid-key.ts'
import { BizonError } from '../../lib/errors.ts'
import type { JsonObject, RawJson, SourceRecord } from '../../lib/record.ts'
import type { StreamInfo, SyncMode } from '../../lib/source.ts'
import { suggestion } from '../../lib/suggest.ts'
import type { Boundary, Span } from './boundary.ts'

export const tableKeys = {
  primary_key: z
    .array(z.string().min(1))
    .min(1)
    .refine((names) => new Set(names).size === names.length, 'each column once')
    .optional()
    .describe(
      'Columns that tell rows apart, none of them null: the order of reading, the id of a record, and where a run goes on. Default: the key of the table.',
    )
    .meta({ examples: [['id']] }),
  cursor_field: z
    .string()
    .min(1)
    .optional()
    .describe(
      '`sync_mode: incremental`: the column whose value is greater in every new or changed row, never null. Default: none, which only a full refresh can do without.',
    ),
  columns: z
    .array(z.string().min(1))
    .min(1)
    .refine((names) => new Set(names).size === names.length, 'each column once')
    .optional()
    .describe('Columns to read, in this order. Default: all.'),
  page_size: z.number().int().min(1).max(100_000).default(10_000).describe('Most rows of a page.'),
  page_bytes: z
    .number()
    .int()
    .min(1)
    .default(1024 * 1024)
    .describe('Bytes of JSON text after which a page ends (1 MiB), within its last row.'),
}

/** Keys of `tableKeys` that change how is read, not what. */
export const tableTuning = ['page_size', 'page_bytes'] as const

/** What such a source declares before it has looked: any table, whose key may be given. */
export function anyTable(options: { readonly primary_key?: readonly string[] | undefined } | undefined): StreamInfo[] {
  const key = options?.primary_key
  return [{ name: '*', incremental: true, resumable: true, ...(key && { primaryKey: key }) }]
}

/** Throws when an incremental read has nothing to go by. */
export function checkCursor(cursorField: string | undefined, mode: SyncMode): void {
  if (mode !== 'incremental' || cursorField !== undefined) return
  throw new InvalidKey(['source', 'sync_mode'], 'incremental needs source.cursor_field', {
    hint: 'Name the column whose value is greater in every new or changed row, such as updated_at.',
  })
}

/** The column that a key of the config names. */
export function columnNamed<Column extends { readonly name: string }>(
  name: string,
  key: 'primary_key' | 'cursor_field' | 'columns',
  { label, columns }: { readonly label: string; readonly columns: readonly Column[] },
): Column {
  const found = columns.find((column) => column.name === name)
  if (found) return found
  const names = columns.map((column) => column.name)
  throw new InvalidKey(
    ['source', key],
    `${label} has no column ${JSON.stringify(name)}${suggestion(name, names, 'columns')}`,
    { hint: 'Name a column that is there, as it is spelt there.', shown: name },
  )
}

/** Where a page ends. */
export interface Place extends JsonObject {
  /** The columns by which rows are ordered. */
  readonly order: readonly string[]
  /** Their values in the last row of the page. */
  readonly after: readonly string[]
}

/** Of an incremental read. */
export interface SpanPlace extends Place {
  readonly span: Span
  readonly boundary: JsonObject
}

/** The records of a page until it is full. */
export class Gathering {
  readonly #most: { readonly page_size: number; readonly page_bytes: number }
  #records: SourceRecord[] = []
  #bytes = 0

  constructor(most: { readonly page_size: number; readonly page_bytes: number }) {
    this.#most = most
  }

  get full(): boolean {
    return this.#records.length >= this.#most.page_size || this.#bytes >= this.#most.page_bytes
  }

  add(id: string, data: RawJson): void {
    this.#records.push({ id, data })
    this.#bytes += data.byteLength
  }

  take(): { readonly records: readonly SourceRecord[]; readonly bytes: number } {
    const taken = { records: this.#records, bytes: this.#bytes }
    this.#records = []
    this.#bytes = 0
    return taken
  }
}

/** One value is the id itself; several are a JSON list. */
export function idOf(values: readonly string[]): string {
  return values.length === 1 ? (values[0] as string) : JSON.stringify(values)
}

/** Tells the rows of a key that is none: in the order of the key, two of the same stand side by side. */
export class KeyCheck {
  readonly #label: string
  readonly #key: readonly string[]
  #before: string | undefined

  constructor(label: string, key: readonly string[]) {
    this.#label = label
    this.#key = key
  }

  next(id: string): void {
    if (id === this.#before) throw this.#wrong(`has two rows of the key ${id}`)
    this.#before = id
  }

  missing(): BizonError {
    return this.#wrong('has a row whose key is null')
  }

  #wrong(what: string): BizonError {
    return new BizonError('invalid_record', `${this.#label} ${what} (${this.#key.join(', ')})`, {
      hint: 'Name columns in source.primary_key that tell its rows apart and are never null.',
    })
  }
}

/** Throws when a run stands in another order than the table has now. */
export function checkOrder(label: string, place: Place, order: readonly string[]): void {
  if (place.order.length === order.length && place.order.every((name, at) => name === order[at])) return
  throw new BizonError(
    'source',
    `${label} is read by ${order.join(', ')} now, and the run stands at a row of the order ${place.order.join(', ')}: its key has changed`,
    { hint: 'Start over: set source.force_ignore_checkpoint to true for one run.' },
  )
}

/** The place in the order, with what an incremental read must not forget. */
export function placeOf(
  order: readonly string[],
  after: readonly string[],
  boundary: Boundary | undefined,
): Place | SpanPlace {
  const place = { order, after }
  return boundary ? { ...place, span: boundary.span, boundary: boundary.state } : place
}
