// Collects the records that the parsers find, with their id and time, until they make a page.

import { isUtf8 } from 'node:buffer'
import { fieldReader } from '../../../lib/json.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import type { Fault, Invalid } from './invalid.ts'
import { Pool } from './pool.ts'

/** Room in a pooled buffer for what the block before left over. */
const CARRY_BYTES = 16 * 1024

export interface RowOptions {
  readonly id_field?: string | undefined
  readonly timestamp_field?: string | undefined
  readonly max_record_bytes: number
  readonly page_bytes: number
}

/** What a parser needs to know of the bytes it is given. */
export interface Block {
  readonly buffer: Buffer
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
  /** Hands on the complete records of the block and returns the index of the first byte it has no use for yet. */
  parse(block: Block): number
  /** Before a resume: reads what the file says at its start about all the rest. Returns whether that was all there. */
  readHead?(block: Block): boolean
}

export class Rows {
  readonly maxBytes: number
  /** Where parsers and inputs get the buffers that records refer to. */
  readonly pool: Pool
  readonly #invalid: Invalid
  readonly #id: ((raw: RawJson) => RawJson | undefined) | undefined
  readonly #idField: string | undefined
  readonly #time: ((raw: RawJson) => RawJson | undefined) | undefined
  readonly #timeField: string | undefined
  #file = ''
  #prefix = ''
  #records: SourceRecord[] = []
  #bytes = 0

  constructor({ id_field, timestamp_field, max_record_bytes, page_bytes }: RowOptions, invalid: Invalid) {
    this.maxBytes = max_record_bytes
    this.pool = new Pool(page_bytes + CARRY_BYTES)
    this.#invalid = invalid
    this.#idField = id_field
    this.#id = id_field === undefined ? undefined : fieldReader(id_field)
    this.#timeField = timestamp_field
    this.#time = timestamp_field === undefined ? undefined : fieldReader(timestamp_field)
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
    if (this.#id === undefined && this.#time === undefined) this.#records.push({ id: this.#prefix + line, data })
    else if (!this.#addWithFields(data, line)) return
    this.#bytes += end - start
  }

  /** A record that is not valid; throws if that ends the run. */
  reject(line: number, problem: string, text: Buffer, column?: number): void {
    this.#invalid.report({ file: this.file, line, column, problem, text } satisfies Fault)
  }

  /** Rejects the record if its bytes are not UTF-8. */
  checkUtf8(buffer: Buffer, start: number, end: number, line: number): boolean {
    if (isUtf8(buffer.subarray(start, end))) return true
    const at = firstBadByte(buffer, start, end)
    const byte = `0x${(buffer[at] as number).toString(16).padStart(2, '0')}`
    this.reject(line, `is not UTF-8: byte ${at - start + 1} of it is ${byte}`, buffer.subarray(start, end))
    return false
  }

  #addWithFields(data: RawJson, line: number): boolean {
    const id = this.#id === undefined ? this.#prefix + line : this.#idOf(data, line)
    if (id === undefined) return false
    const time = this.#time?.(data)
    if (time === undefined || isAbsent(time)) {
      this.#records.push({ id, data })
      return true
    }
    const timestamp = timeOf(time)
    if (timestamp === undefined) {
      const problem = `${this.#timeField} is not a time (RFC 3339, or seconds or milliseconds since 1970): ${time}`
      this.reject(line, problem, data.bytes())
      return false
    }
    this.#records.push({ id, data, timestamp })
    return true
  }

  #idOf(data: RawJson, line: number): string | undefined {
    const value = this.#id?.(data)
    const text = value?.toString() ?? ''
    if (text.startsWith('"')) return JSON.parse(text) as string
    if (/^-?\d+$/.test(text)) return text
    const problem = value === undefined ? 'is missing' : `is neither a string nor an integer: ${text.slice(0, 60)}`
    this.reject(line, `id_field ${this.#idField} ${problem}`, data.bytes())
    return undefined
  }
}

function isAbsent(value: RawJson): boolean {
  const text = value.byteLength <= 4 ? value.toString() : ''
  return text === 'null' || text === '""'
}

const RFC3339 =
  /^(\d{4}-\d\d-\d\d)[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** RFC 3339 text stays text, so that no digit is lost; epochs, in CSV also as text, become a Date. */
function timeOf(value: RawJson): string | Date | undefined {
  const json = value.toString()
  const text = json.startsWith('"') ? (JSON.parse(json) as string) : json
  const date = RFC3339.exec(text)?.[1]
  if (date !== undefined) return isDay(date) ? text : undefined
  if (!/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return undefined
  const number = Number(text)
  // As seconds 1e11 is the year 5138, as milliseconds 1973.
  const time = new Date(Math.abs(number) < 1e11 ? number * 1000 : number)
  return Number.isNaN(time.getTime()) ? undefined : time
}

function isDay(date: string): boolean {
  const time = new Date(`${date}T00:00:00Z`)
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(date)
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
