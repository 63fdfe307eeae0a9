// Messages to records, whose JSON text is put around the text of key and value without parsing those.
//
//   decode.ts     keys and values: JSON as it is (json.ts), Avro (framing.ts, schemas.ts, avro/), text, bytes
//   headers.ts    their object
//   debezium.ts   a row instead of the message
//   rejects.ts    what is left out

import type { Log } from '../../../lib/log.ts'
import { checkRecordSize } from '../../../lib/memory.ts'
import type { SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import type { Messages } from '../../kafka/messages.ts'
import { addRow } from './debezium.ts'
import { type Decoder, NotPlain } from './decode.ts'
import { addHeaders, type DUPLICATES } from './headers.ts'
import type { Repair } from './json.ts'
import { idOf } from './message.ts'
import { loadSchemas } from './needed.ts'
import type { Rejects } from './rejects.ts'
import type { Span } from './span.ts'
import { TextBuffer } from './text.ts'
import { Undecodable } from './undecodable.ts'

export interface RecordOptions {
  readonly key: Decoder
  readonly value: Decoder
  /** What stands for a message without a key. */
  readonly noKey: '{}' | 'null'
  readonly skipEmpty: boolean
  readonly duplicateHeaders: (typeof DUPLICATES)[number]
  readonly includeSchema: boolean
  readonly unwrap: boolean
  /** By topic; none: the destination's own. */
  readonly targets: ReadonlyMap<string, string>
}

type Made = Pick<Page, 'records' | 'bytes' | 'release'>

/** Of the year 9999: in milliseconds nobody has sent a message later. */
const MOST_TIME = Date.UTC(10_000, 0) - 1

const beyond = (timestamp: number): Undecodable =>
  new Undecodable(`is of the time ${timestamp}, which is beyond the year 9999: perhaps it is not in milliseconds`)

const TIMESTAMP = Buffer.from(',"timestamp":')
const KEYS = Buffer.from(',"keys":')
const HEADERS = Buffer.from(',"headers":')
const VALUE = Buffer.from(',"value":')
const VALUE_WITHOUT_HEADERS = Buffer.from(',"headers":{},"value":')
const NO_SCHEMA = Buffer.from(',"schema":{}}')
const NULL = Buffer.from('null')

type Repaired = ((repair: Repair) => void) | undefined

/** What the records of a partition have in common. */
interface Place {
  readonly partition: number
  /** How their ids begin. */
  readonly id: string
  /** How their texts do. */
  readonly text: Buffer
  readonly target: string | undefined
}

/** Something that cannot be decoded, while it may still turn out that nobody asks for it. */
class Fault extends Error {
  readonly part: 'key' | 'value'
  readonly problem: Undecodable

  constructor(part: 'key' | 'value', problem: Undecodable) {
    super(problem.message)
    this.part = part
    this.problem = problem
  }
}

export class Records {
  readonly #options: RecordOptions
  readonly #rejects: Rejects
  readonly #log: Log
  readonly #out = new TextBuffer()
  readonly #repairs = new Set<Repair>()
  readonly #noKey: Buffer
  #date = new Date(0)

  constructor(options: RecordOptions, rejects: Rejects, log: Log) {
    this.#options = options
    this.#noKey = Buffer.from(options.noKey)
    this.#rejects = rejects
    this.#log = log
  }

  /** The records of a page. Rejects with a BizonError when a message, or the schema registry, ends the run. */
  async of(spans: readonly Span[], signal: AbortSignal): Promise<Made> {
    await loadSchemas(this.#options, spans, signal)
    const records = this.#quickly(spans) ?? (await this.#carefully(spans))
    await this.#rejects.settle()
    const { bytes } = this.#out
    return { records, bytes, release: this.#out.take() }
  }

  /** Undefined if there is a message that asks for care; nothing is told of it. */
  #quickly(spans: readonly Span[]): SourceRecord[] | undefined {
    const out = this.#out
    const records: SourceRecord[] = []
    let empty = 0
    try {
      for (const { topic, partition, messages, start, end } of spans) {
        const place = this.#place(topic, partition)
        for (let at = start; at < end; at++) {
          if (this.#isEmpty(messages, at)) empty++
          else records.push(this.#record(place, messages, at, undefined) as SourceRecord)
        }
      }
      if (out.plain && !records.includes(undefined as never)) {
        for (let i = 0; i < empty; i++) this.#rejects.unwanted('an empty value')
        return records
      }
    } catch (error) {
      if (!(error instanceof Fault || error instanceof NotPlain)) throw error
    }
    out.restart()
    return undefined
  }

  async #carefully(spans: readonly Span[]): Promise<SourceRecord[]> {
    const records: SourceRecord[] = []
    const repaired = (repair: Repair, id: string): void => this.#tell(repair, id)
    for (const { topic, partition, messages, start, end } of spans) {
      const place = this.#place(topic, partition)
      for (let at = start; at < end; at++) {
        if (this.#isEmpty(messages, at)) {
          this.#rejects.unwanted('an empty value')
          continue
        }
        try {
          const id = idOf(topic, partition, messages.offset(at))
          const record = this.#record(place, messages, at, (repair) => repaired(repair, id))
          if (record) records.push(record)
          else this.#rejects.unwanted('no row to unwrap')
        } catch (error) {
          if (!(error instanceof Fault)) throw error
          await this.#rejects.report(error.part, error.problem, { topic, partition, message: messages.message(at) })
        }
      }
    }
    return records
  }

  /** Undefined: a change that is of no row. */
  #record(place: Place, messages: Messages, at: number, repaired: Repaired): SourceRecord | undefined {
    const out = this.#out
    const timestamp = messages.timestamp(at)
    out.begin()
    const id = place.id + messages.offset(at)
    checkRecordSize(messages.valueEnd(at) - messages.value(at), id)
    if (timestamp > MOST_TIME) throw new Fault('value', beyond(timestamp))
    if (!this.#options.unwrap) this.#addMessage(place, messages, at, repaired)
    else if (!this.#addRow(place.partition, messages, at, repaired)) return undefined
    const data = out.end()
    const { target: destinationId } = place
    // Written out, since this is done for each message.
    if (destinationId === undefined)
      return timestamp >= 0 ? { id, data, timestamp: this.#dateOf(timestamp) } : { id, data }
    return timestamp >= 0
      ? { id, data, timestamp: this.#dateOf(timestamp), destinationId }
      : { id, data, destinationId }
  }

  /** Messages that were sent together have one time. */
  #dateOf(timestamp: number): Date {
    if (this.#date.getTime() !== timestamp) this.#date = new Date(timestamp)
    return this.#date
  }

  #addMessage(place: Place, messages: Messages, at: number, repaired: Repaired): void {
    const out = this.#out
    const timestamp = messages.timestamp(at)
    out.add(place.text)
    out.addInteger(messages.offset(at))
    out.add(TIMESTAMP)
    if (timestamp >= 0) out.addInteger(timestamp)
    else out.add(NULL)
    out.add(KEYS)
    if (messages.keyEnd(at) > messages.key(at)) this.#addKey(messages, at, repaired)
    else out.add(this.#noKey)
    if (messages.hasHeaders(at)) {
      out.add(HEADERS)
      addHeaders(messages.headers(at), this.#options.duplicateHeaders, out)
      out.add(VALUE)
    } else {
      out.add(VALUE_WITHOUT_HEADERS)
    }
    const schema = this.#addValue(messages, at, repaired)
    if (schema && this.#options.includeSchema) {
      out.addAscii(',"schema":')
      out.add(schema)
      out.addAscii('}')
    } else {
      out.add(NO_SCHEMA)
    }
  }

  #addRow(partition: number, messages: Messages, at: number, repaired: Repaired): boolean {
    const out = this.#out
    let key: Buffer | undefined
    if (messages.keyEnd(at) > messages.key(at)) {
      this.#addKey(messages, at, repaired)
      key = out.copyFrom(0)
      out.begin()
    }
    this.#addValue(messages, at, repaired)
    const value = out.copyFrom(0)
    out.begin()
    try {
      return addRow(value, { partition, offset: messages.offset(at), key }, out)
    } catch (error) {
      throw asFault('value', error)
    }
  }

  #addKey(messages: Messages, at: number, repaired: Repaired): void {
    try {
      this.#options.key.add(messages.bytes, messages.key(at), messages.keyEnd(at), this.#out, repaired)
    } catch (error) {
      throw asFault('key', error)
    }
  }

  /** Returns the schema, if there is one. */
  #addValue(messages: Messages, at: number, repaired: Repaired): Buffer | undefined {
    const { value: decoder, includeSchema } = this.#options
    const { bytes } = messages
    const [start, end] = [messages.value(at), messages.valueEnd(at)]
    if (end === start) {
      this.#out.add(NULL)
      return undefined
    }
    try {
      decoder.add(bytes, start, end, this.#out, repaired)
    } catch (error) {
      throw asFault('value', error)
    }
    return includeSchema ? decoder.schemas?.all.get(decoder.schemas.of(bytes.subarray(start, end))).text : undefined
  }

  /** Nothing can be unwrapped from what has no value. */
  #isEmpty(messages: Messages, at: number): boolean {
    return messages.valueEnd(at) === messages.value(at) && (this.#options.skipEmpty || this.#options.unwrap)
  }

  #place(topic: string, partition: number): Place {
    const text = Buffer.from(`{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":`)
    return { partition, id: idOf(topic, partition, ''), text, target: this.#options.targets.get(topic) }
  }

  /** Once for each kind. */
  #tell(repair: Repair, id: string): void {
    if (this.#repairs.has(repair)) return
    this.#repairs.add(repair)
    this.#log.warn(`${id} has ${repair}, which are mended; others like it are not told`)
  }
}

function asFault(part: 'key' | 'value', error: unknown): unknown {
  return error instanceof Undecodable ? new Fault(part, error) : error
}
