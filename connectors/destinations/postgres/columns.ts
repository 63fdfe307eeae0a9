// The columns of a table, and how a record fills them: what bizon knows of it, then its JSON text whole, or with
// `unnest` a column for each field: those of the schema, or those that follow the records (follow.ts).

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import type { RecordSchema } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { stringAt } from '../../../lib/json.ts'
import type { RawJson, SourceRecord } from '../../../lib/record.ts'
import type { FollowedColumns } from '../columns/table.ts'
import { FieldValues } from '../columns/values.ts'
import { FACT_TYPES, factText, isFree, listOf, type Naming, namingOf, type PageFacts as RowFacts } from '../naming.ts'
import { rawOf } from '../record.ts'
import { isHalfPair, schemaFor } from '../schemas.ts'
import { BinaryRows } from './binary.ts'
import type { PostgresOptions } from './config.ts'
import { CopyRows, type Watch } from './copy.ts'
import { checkedName } from './names.ts'
import { fieldOf, merges, withoutNul } from './nul.ts'
import { typeOf } from './types.ts'
import { FORM, formOf, type Shape, shapeOf, sureOf } from './values.ts'

export interface Column {
  readonly name: string
  /** As `format_type` of PostgreSQL spells it. */
  readonly type: string
  readonly description?: string | undefined
}

const TYPES = { text: 'text', timestamp: 'timestamp with time zone', json: 'jsonb', integer: 'bigint' } as const

/** What an id cannot be written with, or seems so. */
const HALF_OR_NUL = /[\0\ud800-\udfff]/
const QUOTE = 0x22
const LETTER_N = 0x6e
/** Of what stands around a payload: id and times of a row. */
const HEAD_BYTES = 160

/** What all rows of a page have in common. */
export interface PageFacts extends RowFacts {
  readonly watch: Watch
}

/** In binary where the payload is whole: its columns are ours, of types that are known. */
export type Rows = CopyRows | BinaryRows

export class TableColumns {
  readonly all: readonly Column[]
  readonly #options: Pick<PostgresOptions, 'on_nul' | 'primary_key'>
  readonly #naming: Naming
  /** Undefined: the payload whole. */
  readonly #fields: Fields | undefined

  /**
   * `followed`: with `unnest: columns`, those of the records' fields as they are now. `valuesFor`: see FollowedColumns.
   */
  constructor(
    options: PostgresOptions,
    table: string,
    followed: readonly Column[] = [],
    valuesFor?: FollowedColumns['valuesFor'],
  ) {
    const { unnest, recordSchemas } = options
    const naming = namingOf(options)
    const listed = unnest === true ? typedColumns(schemaFor(recordSchemas, table, 'table'), table) : undefined
    const typed = unnest === 'columns' ? followed : listed
    this.#options = options
    this.#naming = naming
    this.#fields = typed && new Fields(typed, unnest === true, valuesFor)
    const facts = naming.columns.map(({ name, fact }) => ({ name, type: TYPES[FACT_TYPES[fact]] }))
    this.all = [...facts, ...(typed ?? [{ name: naming.payload, type: TYPES.json }])]
    const twice = this.all.find(({ name }, at) => this.all.findIndex((other) => other.name === name) !== at)
    if (twice !== undefined) {
      throw new InvalidKey(inDestination('record_schemas'), `table ${table} has two columns named ${twice.name}`, {
        hint: `${listOf(naming)} are columns of their own, unless metadata is none.`,
      })
    }
  }

  /** For rows with these columns. */
  newRows(): Rows {
    return this.#fields ? new CopyRows() : new BinaryRows()
  }

  /** `to` is of `newRows`. */
  add(record: SourceRecord, page: PageFacts, to: Rows): void {
    const { on_nul: onNul } = this.#options
    let { id } = record
    const came = rawOf(record.data)
    const raw = page.watch.nul(came) ? this.#checked(came, id, onNul) : came
    if (HALF_OR_NUL.test(id)) {
      if (isHalfPair(id)) throw half(id, 'its id', 'Correct it in a transform.')
      if (onNul === 'fail' && id.includes('\0')) throw holdsNul(id, 'its id')
      id = id.replaceAll('\0', '')
    }
    if (to instanceof BinaryRows) this.#addWhole(record, raw, id, page, to)
    else this.#addFields(record, raw, id, page, to)
  }

  #addWhole(record: SourceRecord, raw: RawJson, id: string, page: PageFacts, to: BinaryRows): void {
    to.begin(id, this.all.length, raw.byteLength + 3 * (id.length + page.run.length) + HEAD_BYTES)
    for (const { fact } of this.#naming.columns) {
      const text = fact === 'recordId' ? id : factText(fact, record, page)
      if (isFree(fact)) to.text(text)
      else if (FACT_TYPES[fact] === 'timestamp') to.time(text, id)
      else if (FACT_TYPES[fact] === 'integer') to.bigint(Number(text))
      else if (FACT_TYPES[fact] === 'json') to.jsonb(Buffer.from(text), 0, text.length)
      else to.ascii(text)
    }
    to.jsonb(raw.buffer, raw.start, raw.end)
  }

  #addFields(record: SourceRecord, raw: RawJson, id: string, page: PageFacts, to: CopyRows): void {
    to.begin(id, raw.byteLength + 3 * (id.length + page.run.length) + HEAD_BYTES + 3 * this.all.length)
    let plain = ''
    for (const { fact } of this.#naming.columns) {
      const text = fact === 'recordId' ? id : factText(fact, record, page)
      if (isFree(fact)) {
        to.plain(plain)
        to.text(text)
        plain = '\t'
      } else plain += `${text}\t`
    }
    if (plain !== '') to.plain(plain)
    this.#fields?.add(raw, id, to)
    to.end()
  }

  /** The record with its JSON text as it is written. */
  textOf(record: SourceRecord, watch: Watch): SourceRecord {
    const came = rawOf(record.data)
    const data = watch.nul(came) ? this.#checked(came, record.id, this.#options.on_nul) : came
    return data === record.data ? record : { ...record, data }
  }

  #checked(raw: RawJson, id: string, onNul: 'fail' | 'strip'): RawJson {
    const stripped = withoutNul(raw)
    if (stripped === raw) return raw
    if (onNul === 'fail') throw holdsNul(id, 'its data')
    if (merges(raw, stripped)) throw alike(id, 'two of its fields')
    const changed = this.#options.primary_key.find((name) => fieldOf(raw, name) !== fieldOf(stripped, name))
    if (changed !== undefined) throw alike(id, `its primary_key ${changed} and that of another record`)
    return stripped
  }
}

/** The fields of a record, in the order of the columns: those it does not have are null. */
class Fields {
  readonly #columns: readonly Column[]
  readonly #shapes: readonly (Shape | undefined)[]
  readonly #isJson: readonly boolean[]
  /** Forms of values that a column keeps, or refuses, without a look at them. */
  readonly #sure: readonly number[]
  readonly #values: FieldValues

  /** `isComplete`: a field without a column fails the run. */
  constructor(columns: readonly Column[], isComplete: boolean, valuesFor?: FollowedColumns['valuesFor']) {
    this.#columns = columns
    this.#shapes = columns.map(({ type }) => shapeOf(type))
    this.#isJson = columns.map(({ type }) => type === 'jsonb' || type === 'json')
    this.#sure = columns.map(({ type }) => sureOf(type))
    const names = columns.map(({ name }) => name)
    this.#values = new FieldValues(names, isComplete ? unknownField : undefined, valuesFor?.(names))
  }

  add(raw: RawJson, id: string, to: CopyRows): void {
    const values = this.#values.of(raw, id)
    const count = this.#columns.length
    for (let at = 0; at < count; at++) {
      if (at > 0) to.next()
      this.#value(at, values, raw.buffer, id, to)
    }
  }

  #value(at: number, values: Int32Array, buffer: Buffer, id: string, to: CopyRows): void {
    const [start, end] = [values[2 * at] as number, values[2 * at + 1] as number]
    const first = buffer[start] as number
    if (start < 0 || first === LETTER_N) {
      to.nothing()
      return
    }
    const form = formOf(first)
    const isSure = ((this.#sure[at] as number) & form) !== 0
    if (this.#isJson[at] || (isSure && form !== FORM.string)) to.json(buffer, start, end)
    else if (!isSure || !to.inside(buffer, start + 1, end - 1)) this.#checked(at, buffer, start, end, id, to)
  }

  /** A value that the column may not take as it is, or that has escapes. */
  #checked(at: number, buffer: Buffer, start: number, end: number, id: string, to: CopyRows): void {
    const { name } = this.#columns[at] as Column
    const isString = buffer[start] === QUOTE
    const text = isString ? stringAt(buffer, start, end) : buffer.toString('utf8', start, end)
    const changed = this.#shapes[at]?.(text, isString)
    if (changed !== undefined) throw misshapen(id, name, buffer.toString('utf8', start, end), changed)
    if (isHalfPair(text)) throw half(id, `column ${name}`, 'Correct it in a transform.')
    to.text(text)
  }
}

function typedColumns({ columns }: RecordSchema, table: string): Column[] {
  return columns.map(({ name, type, description }) => ({
    name: checkedName(name, 'column'),
    type: typeOf(type, `${table}.${name}`),
    description,
  }))
}

function misshapen(id: string, name: string, value: string, what: string): BizonError {
  const shown = value.length > 100 ? `${value.slice(0, 100)}…` : value
  return new BizonError('invalid_record', `record ${JSON.stringify(id)}, column ${name}: ${shown} ${what}`, {
    hint: 'Correct it in a transform, or change the type of the column.',
  })
}

function half(id: string, where: string, hint: string): BizonError {
  return new BizonError('invalid_record', `record ${JSON.stringify(id)}, ${where}: half of a surrogate pair`, { hint })
}

function alike(id: string, what: string): BizonError {
  return new BizonError(
    'invalid_record',
    `record ${JSON.stringify(id)}: without the character U+0000, ${what} could be the same`,
    { hint: 'Change one in a transform.' },
  )
}

function holdsNul(id: string, where: string): BizonError {
  return new BizonError(
    'invalid_record',
    `record ${JSON.stringify(id)}: ${where} holds the character U+0000, which PostgreSQL cannot store`,
    {
      hint: 'Set on_nul to strip, or take it out in a transform.',
    },
  )
}

function unknownField(id: string, name: string): BizonError {
  return new BizonError(
    'invalid_record',
    `record ${JSON.stringify(id)}: its field ${JSON.stringify(name)} is no column`,
    {
      hint: 'Add it to record_schemas, or drop it in a transform.',
    },
  )
}
