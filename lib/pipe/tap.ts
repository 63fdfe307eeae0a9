// Of any Singer tap: docs/pipe-format.md says which messages it may send.

import { BizonError } from '../errors.ts'
import { fieldsReader, parseJson, stringOf } from '../json.ts'
import { type JsonObject, RawJson } from '../record.ts'
import type { Position, StreamInfo } from '../source.ts'
import { type RecordMessage, readMessage, type SchemaMessage } from './messages.ts'
import { broken, Gathering, type PipePage, type PipeReader, type PipeReaderOptions, refuse } from './read.ts'
import { readState } from './state.ts'

interface Known {
  readonly info: StreamInfo
  readonly keys: readonly string[]
  readonly keysOf: ReturnType<typeof fieldsReader>
}

/** Of any Singer tap. Its STATE values are opaque; the end of the input is the end. */
export class SingerReader implements PipeReader {
  readonly #options: PipeReaderOptions
  readonly #gathering = new Gathering()
  readonly #streams = new Map<string, Known>()
  readonly #unknown = new Set<string>()
  #stream: StreamInfo | undefined
  #n = 0

  constructor(options: PipeReaderOptions) {
    this.#options = options
  }

  line(buffer: Buffer, start: number, end: number, number: number): void {
    const message = readMessage(buffer, start, end)
    if (message.type === 'RECORD') this.#record(message, number)
    else if (message.type === 'SCHEMA') this.#schema(message, number)
    else if (message.type === 'STATE') this.#state(message.value, number)
    else if (message.type === 'OTHER') this.#other(message.name, number)
    else refuse(message, buffer, start, end, number)
  }

  take(): PipePage[] {
    return this.#gathering.take()
  }

  finish(): PipePage[] {
    this.#gathering.end(this.#stream, { next: null })
    return this.take()
  }

  #state(given: RawJson, number: number): void {
    if (readState(given)) throw headless(number)
    const value = new RawJson(Buffer.from(given.bytes()))
    const next: Position = { singer: parseJson(value.toString()) }
    this.#gathering.end(this.#stream, { next }, value)
  }

  /** The standard allows any other type; it is for somebody else. */
  #other(name: string, number: number): void {
    if (UNSUPPORTED.includes(name)) throw notYet(name, number)
    if (this.#unknown.has(name)) return
    this.#unknown.add(name)
    this.#options.log.warn(`messages of type ${name} are passed over; the first is line ${number}`)
  }

  #schema({ stream, schema, keys }: SchemaMessage, number: number): void {
    const described = parseJson(schema.toString()) as JsonObject
    const names = keys === undefined ? [] : parseJson(keys.toString())
    if (!Array.isArray(names) || !names.every((name): name is string => typeof name === 'string')) {
      throw broken(number, `key_properties of ${stream} is no list of names`)
    }
    this.#gathering.spill(this.#stream)
    const info = { name: stream, schema: described, ...(names.length > 0 && { primaryKey: names }) }
    this.#streams.set(stream, { info, keys: names, keysOf: fieldsReader(names) })
    if (this.#stream?.name === stream) this.#stream = info
  }

  #record({ stream, record, extractedAt, bizon }: RecordMessage, number: number): void {
    if (bizon) throw headless(number)
    const known = this.#streams.get(stream)
    if (!known) throw broken(number, `a RECORD of ${stream} comes before its SCHEMA`)
    if (known.info !== this.#stream) {
      this.#gathering.spill(this.#stream)
      this.#stream = known.info
    }
    this.#n += 1
    const id = known.keys.length > 0 ? keyOf(record, known, number) : String(this.#n)
    const timed = extractedAt === undefined ? {} : { timestamp: extractedAt }
    this.#gathering.add({ id, data: record, ...timed }, record.byteLength, this.#stream)
  }
}

const UNSUPPORTED: readonly string[] = ['BATCH', 'ACTIVATE_VERSION']

function headless(number: number): BizonError {
  return broken(number, 'it is of bizon-extract, whose first line is missing')
}

function notYet(name: string, number: number): BizonError {
  return new BizonError('source', `line ${number} of the pipe: this version cannot load ${name} messages`, {
    hint: 'Configure the tap to send records instead.',
  })
}

function keyOf(record: RawJson, { info, keys, keysOf }: Known, number: number): string {
  return keysOf(record)
    .map((value, index) => {
      if (value === undefined) throw broken(number, `a RECORD of ${info.name} has no ${keys[index]}, which is a key`)
      return stringOf(value) ?? value.toString()
    })
    .join('_')
}
