// Records to columns of values, gathered until they make a row group. Bytes are copied: those of a page may change once it
// was written.

import type { RecordSchema, Run } from '../../../../lib/destination.ts'
import { BizonError } from '../../../../lib/errors.ts'
import { RawJson } from '../../../../lib/record.ts'
import { idPrefixOf, idSuffixOf } from '../../../../lib/row-id.ts'
import type { Column, Value } from '../../../parquet.ts'
import { idText, RECORD_COLUMNS, rawOf, timestampText } from '../../record.ts'
import { schemaFor } from '../../schemas.ts'
import { Columns } from '../columns.ts'
import type { FormatOptions, Part } from '../format.ts'
import { converted, micros, nameOf, typeOf } from './types.ts'

/** What a value takes in memory besides its bytes. */
const VALUE_BYTES = 16

/** Rows of one target that are not written yet. */
export class Gathering {
  readonly values: Value[][]
  bytes = 0

  constructor(columns: readonly Column[]) {
    this.values = columns.map(() => [])
  }

  get rows(): number {
    return this.values[0]?.length ?? 0
  }

  add(values: readonly Value[]): void {
    for (const [at, value] of values.entries()) {
      ;(this.values[at] as Value[]).push(value)
      this.bytes += VALUE_BYTES + (typeof value === 'object' && value !== null ? value.length : 0)
      if (typeof value === 'string') this.bytes += value.length
    }
  }

  clear(): void {
    for (const at of this.values.keys()) this.values[at] = []
    this.bytes = 0
  }
}

export interface Rows {
  gather(part: Part, extractedAt: Date, file: string, into: Gathering): void
}

export const BIZON: readonly Column[] = RECORD_COLUMNS.map((name) => ({
  name,
  type: { kind: name.endsWith('_at') || name === 'source_timestamp' ? 'timestamp' : 'string' },
}))

/** Of the target whose destination id is the one meant; undefined: `record_schemas` has none for it. */
export function columnsFor(
  { unnest, recordSchemas }: FormatOptions,
  isMeant: (destinationId: string) => boolean,
): readonly Column[] | undefined {
  if (!unnest) return BIZON
  const schema = recordSchemas.find(({ destinationId }) => isMeant(destinationId))
  return schema?.columns.map(({ name, type }) => ({ name, type: typeOf(type, name) }))
}

/** `count`: how many rows the run has already. */
export function rowsOf({ unnest, metadata, recordSchemas }: FormatOptions, run: Run, count: number): Rows {
  if (!unnest) {
    if (metadata === 'none') throw noColumns()
    return { gather: bizonRows(run, count) }
  }
  const known = new Map<string, TypedRows>()
  return {
    gather(part, _, file, into) {
      const rows = known.get(part.id) ?? new TypedRows(schemaFor(recordSchemas, part.id, 'destination id'))
      known.set(part.id, rows)
      rows.gather(part, file, into)
    },
  }
}

export function noColumns(): BizonError {
  return new BizonError('config', 'destination.config: format parquet with metadata none has no columns to write', {
    hint: 'Set unnest: true and name the columns in record_schemas, or leave metadata at bizon.',
  })
}

function bizonRows(run: Run, count: number): Rows['gather'] {
  const prefix = idPrefixOf(run.id, run)
  let row = count
  return ({ records }, extractedAt, _, into) => {
    const extracted = microsOf(extractedAt)
    const loaded = microsOf(new Date())
    for (const { id, data, timestamp } of records) {
      const time = timestamp === undefined ? extracted : (micros(timestampText(timestamp, id)) as bigint)
      const payload = Buffer.from(rawOf(data).bytes())
      into.add([prefix + idSuffixOf(row), extracted, loaded, idText(id), time, payload])
      row += 1
    }
  }
}

function microsOf(date: Date): bigint {
  return BigInt(date.getTime()) * 1000n
}

class TypedRows {
  readonly #columns: Columns
  readonly #types: readonly Column['type'][]

  constructor(schema: RecordSchema) {
    this.#columns = new Columns(schema)
    this.#types = schema.columns.map(({ name, type }) => typeOf(type, name))
  }

  gather({ records }: Part, file: string, into: Gathering): void {
    const { names } = this.#columns
    this.#columns.each(records, file, ({ buffer }, ranges, { id }) => {
      into.add(
        this.#types.map((type, at) => {
          const raw = new RawJson(buffer, ranges[2 * at] as number, ranges[2 * at + 1] as number)
          if (raw.buffer[raw.start] === LOWER_N) return null
          const value = converted(raw, type)
          if (value === undefined) throw misfit(id, file, names[at] as string, raw, nameOf(type))
          return value
        }),
      )
    })
  }
}

const LOWER_N = 0x6e
const SHOWN = 60

function misfit(id: string, file: string, column: string, raw: RawJson, type: string): BizonError {
  const text = raw.toString()
  const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
  return new BizonError(
    'invalid_record',
    `record ${JSON.stringify(id)} for ${file}: column ${JSON.stringify(column)} of type ${type} cannot hold ${shown} as it is`,
    { hint: 'Correct the record, or give the column another type in record_schemas: string holds everything.' },
  )
}
