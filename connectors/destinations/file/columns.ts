// `unnest: true`: the record's members as columns, in the order of the schema, their values' text as it came.
// A page is checked as a whole before a byte of it is written.

import type { RecordSchema } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { members, stringAt } from '../../../lib/json.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import { rawOf } from '../record.ts'

const COMMA = 0x2c
const BRACE = 0x7b
const BRACE_END = 0x7d

/** Start and end of each column's value in the record's text, column by column. Good for the one call. */
export type Values = Int32Array

export class Columns {
  readonly names: readonly string[]
  readonly #index: ReadonlyMap<string, number>
  /** `"name":` of each column. */
  readonly #keys: readonly Buffer[]
  /** Start and end of each column's value in the record at hand; -1 when it has none. */
  readonly #values: Int32Array

  constructor(schema: RecordSchema) {
    this.names = schema.columns.map(({ name }) => name)
    this.#index = new Map(this.names.map((name, at) => [name, at]))
    this.#keys = this.names.map((name) => Buffer.from(`${JSON.stringify(name)}:`))
    this.#values = new Int32Array(2 * this.names.length)
  }

  /** The records with their columns only; rejects one whose keys are not exactly the schema's. */
  apply(records: readonly SourceRecord[], file: string): SourceRecord[] {
    const lines: SourceRecord[] = []
    this.each(records, file, ({ buffer }, values, { id, timestamp }) =>
      lines.push({ id, data: this.#assemble(buffer, values), ...(timestamp !== undefined && { timestamp }) }),
    )
    return lines
  }

  /** Finds the columns of each record in turn; rejects one whose keys are not exactly the schema's. */
  each(
    records: readonly SourceRecord[],
    file: string,
    visit: (raw: RawJson, values: Values, record: SourceRecord) => void,
  ): void {
    for (const record of records) {
      const raw = rawOf(record.data)
      visit(raw, this.#find(raw, record.id, file), record)
    }
  }

  #find({ buffer, start, end }: RawJson, id: string, file: string): Values {
    const values = this.#values.fill(-1)
    const extra: string[] = []
    members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
      const name = stringAt(buffer, keyStart, keyEnd)
      const at = this.#index.get(name)
      if (at === undefined) {
        extra.push(name)
        return
      }
      values[2 * at] = valueStart
      values[2 * at + 1] = valueEnd
    })
    const missing = this.names.filter((_, at) => values[2 * at] === -1)
    if (missing.length > 0 || extra.length > 0) throw mismatch(id, file, missing, extra)
    return values
  }

  #assemble(buffer: Buffer, values: Values): RawJson {
    let size = 1 + this.#keys.length
    this.#keys.forEach((key, at) => {
      size += key.length + (values[2 * at + 1] as number) - (values[2 * at] as number)
    })
    const line = Buffer.allocUnsafe(Math.max(size, 2))
    let to = 0
    this.#keys.forEach((key, at) => {
      line[to++] = at === 0 ? BRACE : COMMA
      to += key.copy(line, to)
      to += buffer.copy(line, to, values[2 * at], values[2 * at + 1])
    })
    if (to === 0) line[to++] = BRACE
    line[to++] = BRACE_END
    return new RawJson(line, 0, to)
  }
}

function mismatch(id: string, file: string, missing: readonly string[], extra: readonly string[]): BizonError {
  const parts = [
    ...(missing.length > 0 ? [`missing ${list(missing)}`] : []),
    ...(extra.length > 0 ? [`not in the schema ${list(extra)}`] : []),
  ]
  return new BizonError(
    'invalid_record',
    `record ${JSON.stringify(id)} for ${file}: its keys are not those of record_schemas: ${parts.join('; ')}`,
    { hint: 'Make record_schemas name exactly the keys of each record, or set unnest: false.' },
  )
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 10).map((name) => JSON.stringify(name))
  return names.length > shown.length ? `${shown.join(', ')} and ${names.length - shown.length} more` : shown.join(', ')
}
