// Collects the records that the parsers find, with their id and time, until they make a page.

import { isUtf8 } from 'node:buffer'
import { RECORD_BYTES } from '../../../lib/checkpoint.ts'
import { fieldsReader } from '../../../lib/json.ts'
import { checkRecordSize, memorySizes } from '../../../lib/memory.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import { idOf, isAbsent, timeOf } from '../../../lib/record-fields.ts'
import type { Page } from '../../../lib/source.ts'
import { excerpt, type Fault, type Invalid } from './invalid.ts'
import { Pool } from './pool.ts'

/** Room in a pooled buffer for what the block before left over. */
const CARRY_BYTES = 16 * 1024
/** A page may have so many records, however small `page_bytes` is. */
const FEW_RECORDS = 64

export interface RowOptions {
  readonly id_field?: string | undefined
  readonly timestamp_field?: string | undefined
  readonly max_record_bytes: number
  readonly page_bytes: number
}

/** What a parser needs to know of the bytes it is given. */
export interface Block {
  readonly buffer: Buffer
  /** Where the buffer begins in the file. */
  readonly offset: number
  /** Where what is not parsed yet begins. */
  readonly start: number
  /** Nothing follows. */
  readonly last: boolean
  /** All of it is known to be UTF-8; else each record must be looked at. */
  readonly utf8: boolean
}

/** Turns blocks of one file into records. */
export interface Parser {
  /** Lines parsed so far, in JSON files records. */
  line: number
  /** Whether its records are parts of the blocks. */
  readonly byReference: boolean
  /** Whether the end of what was parsed is a place to resume at. */
  readonly settled: boolean
  /**
   * Hands on the complete records of the block, until `Rows.pausing`, and returns the index of the first byte that it
   * did not use.
   */
  parse(block: Block): number
  /** Before a resume: reads what the file says at its start about all the rest. Returns whether that was all there. */
  readHead?(block: Block): boolean
}

export class Rows {
  /** A longer record is not valid, or there is no room for it. */
  readonly maxBytes: number
  readonly #ownMaxBytes: number
  /** Where parsers and inputs get the buffers that records refer to. */
  readonly pool: Pool
  readonly #invalid: Invalid
  /** Finds the values of id_field and timestamp_field. */
  readonly #fields: FieldFinder | undefined
  readonly #maxRecords: number
  readonly #idField: string | undefined
  readonly #timeField: string | undefined
  #file = ''
  #prefix = ''
  #records: SourceRecord[] = []
  #bytes = 0

  constructor({ id_field, timestamp_field, max_record_bytes, page_bytes }: RowOptions, invalid: Invalid) {
    this.#ownMaxBytes = max_record_bytes
    this.maxBytes = Math.min(max_record_bytes, memorySizes().record)
    this.pool = new Pool(page_bytes + CARRY_BYTES)
    this.#invalid = invalid
    this.#maxRecords = Math.max(FEW_RECORDS, Math.ceil(page_bytes / RECORD_BYTES))
    this.#idField = id_field
    this.#timeField = timestamp_field
    this.#fields = fieldsOf(id_field, timestamp_field)
  }

  get file(): string {
    return this.#file
  }

  set file(name: string) {
    this.#file = name
    this.#prefix = `${name}:`
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether the records make a page: however small they are, so many take as much memory as large ones. */
  get full(): boolean {
    return this.#records.length >= this.#maxRecords
  }

  /** Whether to stop parsing, also in the middle of a block, until what there is was taken or written. */
  get pausing(): boolean {
    return this.#records.length >= this.#maxRecords || this.#invalid.due
  }

  /** Takes the records so far. */
  take(): Pick<Page, 'records' | 'bytes' | 'release'> {
    const taken = { records: this.#records, bytes: this.#bytes, release: this.pool.seal() }
    this.#records = []
    this.#bytes = 0
    return taken
  }

  /** A record, valid JSON text of an object: `buffer[start, end)`. */
  add(buffer: Buffer, start: number, end: number, line: number): void {
    const data = new RawJson(buffer, start, end)
    if (this.#fields === undefined) {
      this.#records.push({ id: this.#prefix + line, data })
      this.#bytes += end - start
    } else {
      this.#addWithFields(data, line, this.#fields(data))
    }
  }

  /** A record that is not valid; throws if that ends the run. */
  reject(line: number, problem: string, text: Buffer, column?: number): void {
    this.#invalid.report({ file: this.file, line, column, problem, text } satisfies Fault)
  }

  /** The same of one with more than `maxBytes`; throws if it is the memory that is too small. */
  rejectLong(line: number, text: Buffer): void {
    const hint =
      'Raise source.max_record_bytes; or set source.on_invalid to skip or dead_letter to load the others without it.'
    this.#invalid.report({ file: this.file, line, problem: this.tooLong(line), text, hint })
  }

  /** What is wrong with such a record. */
  tooLong(line: number): string {
    const most = this.#ownMaxBytes
    if (this.maxBytes < most) checkRecordSize(this.maxBytes + 1, `${this.#file}:${line}: the record`, { upTo: most })
    return `is longer than max_record_bytes (${most} bytes)`
  }

  /** Rejects the record if its bytes are not UTF-8. */
  checkUtf8(buffer: Buffer, start: number, end: number, line: number): boolean {
    if (isUtf8(buffer.subarray(start, end))) return true
    const at = firstBadByte(buffer, start, end)
    const byte = `0x${(buffer[at] as number).toString(16).padStart(2, '0')}`
    this.reject(line, `is not UTF-8: byte ${at - start + 1} of it is ${byte}`, buffer.subarray(start, end))
    return false
  }

  #addWithFields(data: RawJson, line: number, [idValue, time]: readonly (RawJson | undefined)[]): void {
    const id = this.#idField === undefined ? this.#prefix + line : idOf(idValue)
    if (id === undefined) {
      const why =
        idValue === undefined ? 'is missing' : `is neither a string nor an integer: ${excerpt(idValue.bytes())}`
      this.reject(line, `id_field ${this.#idField} ${why}`, data.bytes())
      return
    }
    const timestamp = time === undefined || isAbsent(time) ? undefined : timeOf(time)
    if (timestamp !== undefined) {
      this.#records.push({ id, data, timestamp })
    } else if (time === undefined || isAbsent(time)) {
      this.#records.push({ id, data })
    } else {
      const what = `is not a time (RFC 3339, or seconds or milliseconds since 1970): ${excerpt(time.bytes())}`
      this.reject(line, `${this.#timeField} ${what}`, data.bytes())
      return
    }
    this.#bytes += data.byteLength
  }
}

type FieldFinder = (raw: RawJson) => readonly (RawJson | undefined)[]

/** Finds the values of the two fields, those that are configured, in one pass. */
function fieldsOf(id: string | undefined, time: string | undefined): FieldFinder | undefined {
  if (id === undefined && time === undefined) return undefined
  if (time === undefined) return fieldsReader([id as string])
  if (id !== undefined) return fieldsReader([id, time])
  const timeOnly = fieldsReader([time])
  return (raw) => [undefined, ...timeOnly(raw)]
}

function firstBadByte(buffer: Buffer, start: number, end: number): number {
  let at = start
  while (at < end) {
    const lead = buffer[at] as number
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    if (at + length > end || !isUtf8(buffer.subarray(at, at + length))) return at
    at += length
  }
  return start
}
