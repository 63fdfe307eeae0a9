// Of any Singer tap: docs/pipe-format.md says which messages it may send.

import { isDeepStrictEqual } from 'node:util'
import { BizonError } from '../errors.ts'
import { fieldsReader, isObject, scanValue, skipWhitespace, stringOf } from '../json.ts'
import type { Log } from '../log.ts'
import { type Json, type JsonObject, RawJson } from '../record.ts'
import type { Position, StreamInfo } from '../source.ts'
import { filesOf, linesOf } from './batch.ts'
import { toTell } from './echo.ts'
import type { InvalidLines } from './invalid.ts'
import { type BatchMessage, type RecordMessage, readMessage, type SchemaMessage } from './messages.ts'
import { broken, eachLine, Gathering, notJson, notUtf8, type PipePage, type PipeReader } from './read.ts'
import { streamOf } from './schema.ts'
import { plain, readState } from './state.ts'
import { Versions } from './versions.ts'

export interface SingerOptions {
  readonly log: Log
  readonly invalid: InvalidLines
  /** Its records have versions, and what they were before goes: see `Versions`. */
  readonly replaces: boolean
}

interface Known {
  readonly info: StreamInfo
  readonly keys: readonly string[]
  readonly keysOf: ReturnType<typeof fieldsReader>
}

/** Of any Singer tap. Its STATE values are opaque; the end of the input is the end. */
export class SingerReader implements PipeReader {
  readonly #options: SingerOptions
  readonly #gathering = new Gathering()
  readonly #streams = new Map<string, Known>()
  readonly #versions: Versions
  readonly #told = new Set<string>()
  #batch: { readonly message: BatchMessage; readonly number: number } | undefined
  /** Of a load that replaces: told only once all is published, because no part of it is of use to anybody. */
  #state: RawJson | undefined
  /** The last one that says anything. */
  #last: RawJson | undefined
  #number = 0
  #heard = false
  #n = 0
  #records = 0

  constructor(options: SingerOptions) {
    this.#options = options
    this.#versions = new Versions(options.replaces)
  }

  line(buffer: Buffer, start: number, end: number, number: number): boolean | undefined {
    this.#number = number
    const message = readMessage(buffer, start, end)
    if (message.type !== 'OTHER' && message.type !== 'INVALID') this.#heard = true
    switch (message.type) {
      case 'RECORD':
        this.#record(message, { buffer, start, end, number })
        return undefined
      case 'SCHEMA':
        this.#schema(message, number)
        return undefined
      case 'STATE':
        this.#stateOf(message.value, number)
        return undefined
      case 'ACTIVATE_VERSION':
        this.#versions.activate(message.stream, message.version, number)
        return undefined
      case 'BATCH':
        this.#batch = { message, number }
        return true
      case 'OTHER':
        this.#tell(`messages of type ${message.name} are passed over; the first is line ${number}`, message.name)
        return undefined
      case 'INVALID': {
        const error = notJson(buffer, start, end, number, message)
        if (message.isRecord === false || isOtherMessage(buffer, start, end)) throw error
        this.#options.invalid.report({ buffer, start, end, number }, error)
        return undefined
      }
      default:
        return message satisfies never
    }
  }

  notUtf8(buffer: Buffer, start: number, end: number, number: number): void {
    this.#options.invalid.report({ buffer, start, end, number }, notUtf8(buffer, start, end, number))
  }

  async *referred(signal: AbortSignal): AsyncGenerator<readonly PipePage[], void, void> {
    if (!this.#batch) return
    const { message, number } = this.#batch
    const { stream, version } = message
    this.#batch = undefined
    const known = this.#known(stream, 'BATCH', number)
    for (const file of filesOf(message, number)) {
      this.#versions.record(stream, version, number)
      let first = 1
      for await (const block of linesOf(file, signal)) {
        first = eachLine(block, first, new BareRecords(file.path, this.#options.invalid, this.#adder(known))).number
        yield this.take()
      }
    }
  }

  take(): PipePage[] {
    return this.#gathering.take()
  }

  finish(): PipePage[] {
    if (!this.#heard) throw notSinger(this.#number)
    this.#versions.finish(this.#number)
    this.#options.invalid.finish(this.#records)
    for (const stream of this.#versions.replaced()) {
      const known = this.#streams.get(stream)
      if (known) this.#gathering.name(known.info)
    }
    this.#gathering.end({ next: null, ...toTell(this.#last ? [this.#last] : []) }, this.#state)
    return this.take()
  }

  #stateOf(given: RawJson, number: number): void {
    if (readState(given)) throw headless(number)
    const value = new RawJson(Buffer.from(given.bytes()))
    const parsed = value.parse()
    const next: Position = { singer: parsed }
    const told = isNothing(parsed) ? undefined : value
    this.#last = told ?? this.#last
    if (this.#options.replaces) {
      this.#state = told ?? this.#state
      this.#gathering.end({ next })
    } else {
      this.#gathering.end({ next }, told)
    }
  }

  /** The standard allows any other type; it is for somebody else. */
  #tell(what: string, once: string): void {
    if (this.#told.has(once)) return
    this.#told.add(once)
    this.#options.log.warn(what)
  }

  #schema(message: SchemaMessage, number: number): void {
    const { stream, keys: given } = message
    const info = streamOf(message, number)
    const { schema: described = {}, primaryKey: keys = [] } = info
    if (given === undefined && described.key_properties !== undefined) {
      const what = `line ${number}: key_properties of ${stream} is inside its schema, where it says nothing: the stream has no key`
      this.#tell(what, `key_properties ${stream}`)
    }
    this.#versions.describe(stream)
    const before = this.#streams.get(stream)
    if (before && isDeepStrictEqual([before.keys, plainOf(before.info.schema)], [keys, plainOf(described)])) return
    this.#gathering.spill() // what came before is of the schema before
    this.#streams.set(stream, { info, keys, keysOf: fieldsReader(keys) })
  }

  #record({ stream, record, extractedAt, version, bizon }: RecordMessage, line: Line): void {
    if (bizon) throw headless(line.number)
    const known = this.#known(stream, 'RECORD', line.number)
    this.#versions.record(stream, version, line.number)
    const problem = this.#add(known, record, extractedAt)
    if (problem !== undefined) this.#options.invalid.report(line, missingKey(line, problem))
  }

  #known(stream: string, what: string, number: number): Known {
    const known = this.#streams.get(stream)
    if (known) return known
    throw broken(number, `a ${what} of ${stream} comes before its SCHEMA`)
  }

  #adder(known: Known): (record: RawJson) => string | undefined {
    return (record) => this.#add(known, record, undefined)
  }

  /** Returns what is wrong with the record, if anything. */
  #add({ info, keys, keysOf }: Known, record: RawJson, extractedAt: string | undefined): string | undefined {
    let id: string
    if (keys.length === 0) {
      id = String(++this.#n)
    } else {
      const values = keysOf(record)
      const missing = values.indexOf(undefined)
      if (missing >= 0) return `a record of ${info.name} has no ${keys[missing]}, which is a key`
      id = (values as RawJson[]).map((value) => stringOf(value) ?? value.toString()).join('_')
    }
    const timed = extractedAt === undefined ? {} : { timestamp: extractedAt }
    this.#records += 1
    this.#gathering.add({ id, data: record, ...timed }, record.byteLength, info)
    return undefined
  }
}

interface Line {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  readonly number: number
}

/** Lines of a file that a BATCH names. */
class BareRecords {
  readonly #file: string
  readonly #invalid: InvalidLines
  readonly #add: (record: RawJson) => string | undefined

  constructor(file: string, invalid: InvalidLines, add: (record: RawJson) => string | undefined) {
    this.#file = file
    this.#invalid = invalid
    this.#add = add
  }

  line(buffer: Buffer, start: number, end: number, number: number): undefined {
    const line = { buffer, start, end, number, file: this.#file }
    const after = scanValue(buffer, start, end)
    if (after < 0 || skipWhitespace(buffer, after, end) < end) {
      this.#invalid.report(line, notJson(buffer, start, end, number, { file: this.#file }))
      return
    }
    const record = new RawJson(buffer, skipWhitespace(buffer, start, end), after)
    const problem = isObject(record) ? this.#add(record) : 'it is no JSON object'
    if (problem !== undefined) {
      this.#invalid.report(line, notJson(buffer, start, end, number, { why: problem, file: this.#file }))
    }
  }

  notUtf8(buffer: Buffer, start: number, end: number, number: number): void {
    const line = { buffer, start, end, number, file: this.#file }
    this.#invalid.report(line, notUtf8(buffer, start, end, number, this.#file))
  }
}

/** A line that is no JSON, but meant to be a message without which the others cannot be understood. */
function isOtherMessage(buffer: Buffer, start: number, end: number): boolean {
  return OTHER_MESSAGE.test(buffer.toString('latin1', start, Math.min(end, start + TYPE_BYTES)))
}

const TYPE_BYTES = 200
const OTHER_MESSAGE = /^\s*\{(?!.*"type"\s*:\s*"record").*"type"\s*:\s*"(?:schema|state|batch|activate_version)"/is

function notSinger(lines: number): BizonError {
  return new BizonError('source', `none of the ${lines} lines of the pipe is a message of a Singer tap`, {
    hint: 'Leave out --from singer: what comes says itself what it is.',
  })
}

function headless(number: number): BizonError {
  return broken(number, 'it is of bizon-extract, whose first line is missing')
}

function missingKey({ buffer, start, end, number }: Line, problem: string): BizonError {
  return notJson(buffer, start, end, number, { why: problem })
}

/** Nothing that could be gone on from: it must not take the place of a value that somebody keeps. */
function isNothing(value: Json): boolean {
  return value === null || (typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0)
}

const plainOf = (schema: JsonObject | undefined): unknown => plain(schema ?? null)
