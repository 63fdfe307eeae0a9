// The columns of a table, and how a record fills them: what bizon knows of it, then its JSON text whole, or with
// `unnest` a column for each field: those of the schema, or those that follow the records (follow.ts).

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import type { RecordSchema } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { fieldsReader, stringAt } from '../../../lib/json.ts'
import type { RawJson, SourceRecord } from '../../../lib/record.ts'
import { FieldValues } from '../columns/values.ts'
import { FACT_TYPES, factText, isFree, listOf, type Naming, namingOf, type PageFacts } from '../naming.ts'
import { rawOf } from '../record.ts'
import { isHalfPair, schemaFor } from '../schemas.ts'
import type { Cells } from './cells.ts'
import type { SqliteOptions } from './config.ts'
import { checkedName, foldName, isSameName } from './names.ts'
import { declaredType, fittingText, type Kind, kindOf } from './types.ts'

export interface Column {
  readonly name: string
  readonly kind: Kind
  /** As it stands in CREATE TABLE. */
  readonly type: string
}

const KINDS = { text: 'text', timestamp: 'text', json: 'text', integer: 'integer' } as const

const QUOTE = 0x22
const LETTER_N = 0x6e
const BACKSLASH = 0x5c
const DOT = 0x2e
const ZERO = 0x30
const ONE = 0x31
const NINE = 0x39
/** So many digits, with a point or without, are within 64 bits and within a double. */
const SURE_DIGITS = 18
/** Bytes that are sooner looked through here than by a call. */
const SHORT = 40
/** Of what stands around a payload: ids and times of a row. */
const HEAD_BYTES = 160

export class TableColumns {
  readonly all: readonly Column[]
  /** Whether a value may be null. */
  readonly nullable: boolean
  readonly #naming: Naming
  /** Undefined: the payload whole. */
  readonly #fields: Fields | undefined
  /** Of the payload whole: the fields of the key, which must be there. */
  readonly #key: KeyCheck | undefined

  /** `followed`: with `unnest: columns`, those of the records' fields as they are now. */
  constructor(options: SqliteOptions, table: string, followed: readonly Column[] = []) {
    const { unnest, recordSchemas, primary_key: key } = options
    const naming = namingOf(options)
    const listed =
      unnest === true ? typedColumns(schemaFor(recordSchemas, table, 'table', isSameName), table) : undefined
    const typed = unnest === 'columns' ? followed : listed
    this.#naming = naming
    this.#fields = typed && new Fields(typed, key, table, unnest === true)
    this.#key = typed || key.length === 0 ? undefined : new KeyCheck(key, table)
    this.nullable = typed !== undefined
    const facts = naming.columns.map(({ name, fact }) => columnOf(name, KINDS[FACT_TYPES[fact]]))
    this.all = [...facts, ...(typed ?? [columnOf(naming.payload, 'text')])]
    const names = this.all.map(({ name }) => foldName(name))
    const twice = this.all.find((_, at) => names.indexOf(names[at] as string) !== at)
    if (twice !== undefined) {
      throw new InvalidKey(inDestination('record_schemas'), `table ${table} has two columns named ${twice.name}`, {
        hint: `In SQLite Name is name. ${listOf(naming)} are columns of their own, unless metadata is none.`,
      })
    }
  }

  add(record: SourceRecord, page: PageFacts, to: Cells): void {
    const { id } = record
    const raw = rawOf(record.data)
    if (this.#key) this.#key.check(raw, id)
    to.begin(raw.byteLength + 3 * (id.length + page.run.length) + HEAD_BYTES)
    for (const { fact } of this.#naming.columns) {
      const text = factText(fact, record, page)
      if (fact === 'recordId' && isHalfPair(id)) throw halfPair(id, 'its id')
      if (isFree(fact)) to.text(text)
      else to.plain(text)
    }
    if (this.#fields) this.#fields.add(raw, id, to)
    else to.bytesOf(raw.buffer, raw.start, raw.end)
  }
}

/** Rejects a record that has not every field of the key. */
class KeyCheck {
  readonly #read: (raw: RawJson) => (RawJson | undefined)[]
  readonly #names: readonly string[]
  readonly #table: string

  constructor(names: readonly string[], table: string) {
    this.#read = fieldsReader(names)
    this.#names = names
    this.#table = table
  }

  check(raw: RawJson, id: string): void {
    for (const [at, value] of this.#read(raw).entries()) {
      if (value === undefined || value.buffer[value.start] === LETTER_N) {
        throw withoutKey(this.#table, id, this.#names[at] as string)
      }
    }
  }
}

/** The fields of a record, in the order of the columns: those it does not have are null. */
class Fields {
  readonly #columns: readonly Column[]
  readonly #isKey: readonly boolean[]
  readonly #table: string
  readonly #values: FieldValues

  /** `isComplete`: a field without a column fails the run. */
  constructor(columns: readonly Column[], key: readonly string[], table: string, isComplete: boolean) {
    this.#columns = columns
    this.#isKey = columns.map(({ name }) => key.includes(name))
    this.#table = table
    const names = columns.map(({ name }) => name)
    this.#values = new FieldValues(names, isComplete ? (id, name) => unknownField(table, id, name) : undefined)
  }

  add(raw: RawJson, id: string, to: Cells): void {
    const { buffer } = raw
    const values = this.#values.of(raw, id)
    for (let at = 0; at < this.#columns.length; at++) {
      const from = values[2 * at] as number
      if (from < 0 || buffer[from] === LETTER_N) {
        if (this.#isKey[at]) throw withoutKey(this.#table, id, (this.#columns[at] as Column).name)
        to.nothing()
      } else this.#value(this.#columns[at] as Column, buffer, from, values[2 * at + 1] as number, id, to)
    }
  }

  #value(column: Column, buffer: Buffer, start: number, end: number, id: string, to: Cells): void {
    const { name, kind } = column
    const isString = buffer[start] === QUOTE
    if (isString ? kind === 'json' : fitsAsItIs(kind, buffer, start, end)) {
      to.bytesOf(buffer, start, end)
    } else if (kind === 'text' && !hasEscape(buffer, start, end)) {
      to.bytesOf(buffer, start + 1, end - 1)
    } else if (kind === 'text') {
      const text = stringAt(buffer, start, end)
      if (isHalfPair(text)) throw halfPair(id, `column ${name}`)
      to.text(text)
    } else {
      const text = isString ? stringAt(buffer, start, end) : buffer.toString('latin1', start, end)
      const value = fittingText(kind, text, isString)
      if (value === undefined) {
        const shown = buffer.toString('utf8', start, Math.min(end, start + 60))
        throw misfit(column, { id, table: this.#table, shown })
      }
      to.plain(value)
    }
  }
}

/** Of a value without quotes: whether its bytes are what is put there. What is not told here is looked at as text. */
function fitsAsItIs(kind: Kind, buffer: Buffer, start: number, end: number): boolean {
  if (kind === 'text' || kind === 'json') return true
  const first = buffer[start] as number
  if (first < ONE || first > NINE || end - start > SURE_DIGITS) return false
  if (kind === 'decimal') return true
  if (kind !== 'integer' && kind !== 'float') return false
  for (let i = start + 1; i < end; i++) {
    const byte = buffer[i] as number
    if (byte < ZERO || byte > NINE) {
      if (kind === 'integer' || byte !== DOT) return false
    }
  }
  return true
}

function hasEscape(buffer: Buffer, start: number, end: number): boolean {
  if (end - start > SHORT) return buffer.subarray(start, end).includes(BACKSLASH)
  for (let i = start; i < end; i++) if (buffer[i] === BACKSLASH) return true
  return false
}

function columnOf(name: string, kind: Kind): Column {
  return { name, kind, type: declaredType(kind) }
}

function typedColumns({ columns }: RecordSchema, table: string): Column[] {
  return columns.map(({ name, type }) => {
    return columnOf(checkedName(name, 'column'), kindOf(type, `${table}.${name}`))
  })
}

function invalid(id: string, table: string, what: string, hint: string): BizonError {
  return new BizonError('invalid_record', `table ${table}, record ${JSON.stringify(id)}: ${what}`, { hint })
}

function unknownField(table: string, id: string, name: string): BizonError {
  return invalid(
    id,
    table,
    `its field ${JSON.stringify(name)} is no column`,
    'Add it to record_schemas, or drop it in a transform.',
  )
}

function withoutKey(table: string, id: string, field: string): BizonError {
  return invalid(
    id,
    table,
    `field ${JSON.stringify(field)} of its primary_key is null or missing`,
    'Correct it in a transform, or change primary_key.',
  )
}

function halfPair(id: string, where: string): BizonError {
  return new BizonError('invalid_record', `record ${JSON.stringify(id)}, ${where}: half of a surrogate pair`, {
    hint: 'Correct it in a transform, or give the column the type JSON.',
  })
}

const SHAPES: { readonly [kind in Kind]: string } = {
  text: 'text',
  integer: 'a whole number of 64 bits',
  float: 'a number that a double can hold',
  decimal: 'a number',
  boolean: 'true or false',
  date: 'a day such as 2024-12-05',
  time: 'a time such as 2024-12-05T12:00:00Z',
  json: 'JSON',
}

function misfit(
  { name, kind, type }: Column,
  { id, table, shown }: { readonly id: string; readonly table: string; readonly shown: string },
): BizonError {
  return invalid(
    id,
    table,
    `column ${name}: ${shown} is not ${SHAPES[kind]}`,
    `Correct it in a transform, or change the type of the column (here ${type}): NUMERIC keeps any number, STRING any text.`,
  )
}
