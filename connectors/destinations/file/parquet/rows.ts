// Records to columns of values, gathered until they make a row group. Bytes are copied: those of a page may change once it
// was written.

import { InvalidKey, inDestination } from '../../../../lib/config/invalid-key.ts'
import type { RecordSchema, Run } from '../../../../lib/destination.ts'
import { BizonError } from '../../../../lib/errors.ts'
import { RawJson, type SourceRecord } from '../../../../lib/record.ts'
import { idPrefixOf, idSuffixOf } from '../../../../lib/row-id.ts'
import type { Column, Value } from '../../../parquet.ts'
import { FACT_TYPES, factText, type Naming, namingOf } from '../../naming.ts'
import { idText, rawOf, timestampOf } from '../../record.ts'
import { schemaFor } from '../../schemas.ts'
import { Columns } from '../columns.ts'
import { type FormatOptions, namingOfFile, type Part } from '../format.ts'
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

const KINDS = { text: 'string', timestamp: 'timestamp', json: 'json', integer: 'int64' } as const

const factColumns = ({ columns }: Naming): Column[] =>
  columns.map(({ name, fact }) => ({ name, type: { kind: KINDS[FACT_TYPES[fact]] } }))

const wholeColumns = (naming: Naming): Column[] => [
  ...factColumns(naming),
  { name: naming.payload, type: { kind: 'string' } },
]

/** Of a part without rows whose columns nobody has told. */
export const BIZON: readonly Column[] = wholeColumns(namingOf({ metadata: 'bizon', unnest: false }))

/** Of the target whose destination id is the one meant; undefined: `record_schemas` has none for it. */
export function columnsFor(
  options: FormatOptions,
  isMeant: (destinationId: string) => boolean,
): readonly Column[] | undefined {
  const naming = namingOfFile(options)
  if (!options.unnest) return wholeColumns(naming)
  const facts = factColumns(naming)
  const schema = options.recordSchemas.find(({ destinationId }) => isMeant(destinationId))
  return schema && [...facts, ...schema.columns.map(({ name, type }) => ({ name, type: typeOf(type, name) }))]
}

/** `count`: how many rows the run has already. */
export function rowsOf(options: FormatOptions, run: Run, count: number): Rows {
  const { unnest, metadata, recordSchemas } = options
  const facts = factsOf(namingOfFile(options), run, count)
  if (!unnest) {
    if (metadata === 'none') throw noColumns()
    return {
      gather({ records }, extractedAt, _, into) {
        const valuesOf = facts(extractedAt)
        for (const record of records) {
          const payload = Buffer.from(rawOf(record.data).bytes())
          into.add([...valuesOf(record), payload])
        }
      },
    }
  }
  const known = new Map<string, TypedRows>()
  return {
    gather(part, extractedAt, file, into) {
      const rows = known.get(part.id) ?? new TypedRows(schemaFor(recordSchemas, part.id, 'destination id'))
      known.set(part.id, rows)
      rows.gather(part, file, facts(extractedAt), into)
    },
  }
}

export function noColumns(): BizonError {
  return new InvalidKey(inDestination('format'), 'parquet with metadata none has no columns to write', {
    hint: 'Set unnest: true and name the columns in record_schemas, or leave metadata at bizon.',
  })
}

type ValuesOf = (record: SourceRecord) => Value[]

/** The values of a naming's columns, row after row. */
function factsOf({ columns }: Naming, run: Run, count: number): (extractedAt: Date) => ValuesOf {
  const prefix = idPrefixOf(run.id, run)
  let row = count
  return (extractedAt) => {
    const page = {
      extractedAt: timestampOf(extractedAt),
      loadedAt: timestampOf(new Date()),
      run: run.id,
      nextId: () => prefix + idSuffixOf(row++),
    }
    const times = { extractedAt: microsOf(extractedAt), loadedAt: microsOf(new Date()) }
    return (record) =>
      columns.map(({ fact }): Value => {
        if (fact === 'extractedAt' || fact === 'loadedAt') return times[fact]
        if (fact === 'timestamp' && record.timestamp === undefined) return times.extractedAt
        const text = factText(fact, record, page)
        const type = FACT_TYPES[fact]
        if (type === 'timestamp') return micros(text) as bigint
        if (type === 'integer') return BigInt(text)
        if (type === 'json') return Buffer.from(text)
        return fact === 'recordId' ? idText(text) : text
      })
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

  gather({ records }: Part, file: string, factsOf: ValuesOf, into: Gathering): void {
    const { names } = this.#columns
    this.#columns.each(records, file, ({ buffer }, ranges, record) => {
      const { id } = record
      into.add([
        ...factsOf(record),
        ...this.#types.map((type, at) => {
          const raw = new RawJson(buffer, ranges[2 * at] as number, ranges[2 * at + 1] as number)
          if (raw.buffer[raw.start] === LOWER_N) return null
          const value = converted(raw, type)
          if (value === undefined) throw misfit(id, file, names[at] as string, raw, nameOf(type))
          return value
        }),
      ])
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
