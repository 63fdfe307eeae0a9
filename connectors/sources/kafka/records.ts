// Messages to records, whose JSON text is put around the text of key and value without parsing those.
//
//   decode.ts     keys and values: JSON as it is (json.ts), Avro (framing.ts, schemas.ts, avro/), text, bytes
//   headers.ts    their object
//   debezium.ts   a row instead of the message
//   rejects.ts    what is left out

import { BizonError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { checkRecordSize } from '../../../lib/memory.ts'
import type { SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import type { Batch, Message } from '../../kafka/reader.ts'
import { addRow } from './debezium.ts'
import { type Decoder, NotPlain } from './decode.ts'
import { addHeaders, type DUPLICATES } from './headers.ts'
import type { Repair } from './json.ts'
import { idOf } from './message.ts'
import type { Rejects } from './rejects.ts'
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

/** Messages of one partition, in order. */
export type Messages = Pick<Batch, 'topic' | 'partition' | 'messages'>

type Made = Pick<Page, 'records' | 'bytes' | 'release'>

/** Of the year 9999: in milliseconds nobody has sent a message later. */
const MOST_TIME = Date.UTC(10_000, 0) - 1

const beyond = (timestamp: number): Undecodable =>
  new Undecodable(`is of the time ${timestamp}, which is beyond the year 9999: perhaps it is not in milliseconds`)

/** What the records of a partition have in common. */
interface Place {
  readonly partition: number
  /** How their ids begin. */
  readonly id: string
  /** How their texts do. */
  readonly text: string
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
  #date = new Date(0)

  constructor(options: RecordOptions, rejects: Rejects, log: Log) {
    this.#options = options
    this.#rejects = rejects
    this.#log = log
  }

  /** The records of a page. Rejects with a BizonError when a message, or the schema registry, ends the run. */
  async of(batches: readonly Messages[], signal: AbortSignal): Promise<Made> {
    await this.#loadSchemas(batches, signal)
    const records = this.#quickly(batches) ?? (await this.#carefully(batches))
    await this.#rejects.settle()
    const { bytes } = this.#out
    return { records, bytes, release: this.#out.take() }
  }

  /** Undefined if there is a message that asks for care; nothing is told of it. */
  #quickly(batches: readonly Messages[]): SourceRecord[] | undefined {
    const out = this.#out
    const records: SourceRecord[] = []
    let empty = 0
    try {
      for (const { topic, partition, messages } of batches) {
        const place = this.#place(topic, partition)
        for (const message of messages) {
          if (this.#isEmpty(message)) empty++
          else records.push(this.#record(place, message, undefined) as SourceRecord)
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

  async #carefully(batches: readonly Messages[]): Promise<SourceRecord[]> {
    const records: SourceRecord[] = []
    const repaired = (repair: Repair, id: string): void => this.#tell(repair, id)
    for (const { topic, partition, messages } of batches) {
      const place = this.#place(topic, partition)
      for (const message of messages) {
        if (this.#isEmpty(message)) {
          this.#rejects.unwanted('an empty value')
          continue
        }
        try {
          const id = idOf(topic, partition, message.offset)
          const record = this.#record(place, message, (repair) => repaired(repair, id))
          if (record) records.push(record)
          else this.#rejects.unwanted('no row to unwrap')
        } catch (error) {
          if (!(error instanceof Fault)) throw error
          await this.#rejects.report(error.part, error.problem, { topic, partition, message })
        }
      }
    }
    return records
  }

  /** Undefined: a change that is of no row. */
  #record(place: Place, message: Message, repaired: ((repair: Repair) => void) | undefined): SourceRecord | undefined {
    const { offset, timestamp, value } = message
    const out = this.#out
    out.begin()
    const id = place.id + offset
    if (value) checkRecordSize(value.length, id)
    if (timestamp > MOST_TIME) throw new Fault('value', beyond(timestamp))
    if (!this.#options.unwrap) this.#addMessage(place, message, repaired)
    else if (!this.#addRow(place.partition, message, repaired)) return undefined
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

  #addMessage(place: Place, message: Message, repaired: ((repair: Repair) => void) | undefined): void {
    const { offset, timestamp, key, value, headers } = message
    const out = this.#out
    const beginning = `${place.text}${offset},"timestamp":${timestamp >= 0 ? timestamp : null},"keys":`
    if (key && key.length > 0) {
      out.addAscii(beginning)
      this.#addKey(key, repaired)
      out.addAscii(',"headers":')
    } else {
      out.addAscii(`${beginning}${this.#options.noKey},"headers":`)
    }
    addHeaders(headers, this.#options.duplicateHeaders, out)
    out.addAscii(',"value":')
    const schema = this.#addValue(value, repaired)
    if (schema && this.#options.includeSchema) {
      out.addAscii(',"schema":')
      out.add(schema)
      out.addAscii('}')
    } else {
      out.addAscii(',"schema":{}}')
    }
  }

  #addRow(partition: number, message: Message, repaired: ((repair: Repair) => void) | undefined): boolean {
    const out = this.#out
    let key: Buffer | undefined
    if (message.key && message.key.length > 0) {
      this.#addKey(message.key, repaired)
      key = out.copyFrom(0)
      out.begin()
    }
    this.#addValue(message.value, repaired)
    const value = out.copyFrom(0)
    out.begin()
    try {
      return addRow(value, { partition, offset: message.offset, key }, out)
    } catch (error) {
      throw asFault('value', error)
    }
  }

  #addKey(key: Buffer, repaired: ((repair: Repair) => void) | undefined): void {
    try {
      this.#options.key.add(key, this.#out, repaired)
    } catch (error) {
      throw asFault('key', error)
    }
  }

  /** Returns the schema, if there is one. */
  #addValue(value: Buffer | null, repaired: ((repair: Repair) => void) | undefined): Buffer | undefined {
    const { value: decoder, includeSchema } = this.#options
    if (!value || value.length === 0) {
      this.#out.addAscii('null')
      return undefined
    }
    try {
      decoder.add(value, this.#out, repaired)
    } catch (error) {
      throw asFault('value', error)
    }
    return includeSchema ? decoder.schemas?.all.get(decoder.schemas.of(value)).text : undefined
  }

  /** Nothing can be unwrapped from what has no value. */
  #isEmpty({ value }: Message): boolean {
    return (value === null || value.length === 0) && (this.#options.skipEmpty || this.#options.unwrap)
  }

  #place(topic: string, partition: number): Place {
    const text = `{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":`
    return { partition, id: idOf(topic, partition, ''), text, target: this.#options.targets.get(topic) }
  }

  async #loadSchemas(batches: readonly Messages[], signal: AbortSignal): Promise<void> {
    this.#options.value.schemas?.all.trim()
    this.#options.key.schemas?.all.trim()
    for (const part of ['key', 'value'] as const) {
      const { schemas } = this.#options[part]
      if (!schemas) continue
      for (const { topic, partition, messages } of batches) {
        for (const message of messages) {
          const bytes = message[part]
          if (!bytes || bytes.length === 0) continue
          const id = idIn(bytes, schemas.of)
          if (id === undefined || schemas.all.known(id)) continue
          await schemas.all.load(id, signal).catch((error) => {
            throw signal.aborted ? error : placed(error, idOf(topic, partition, message.offset))
          })
        }
      }
    }
  }

  /** Once for each kind. */
  #tell(repair: Repair, id: string): void {
    if (this.#repairs.has(repair)) return
    this.#repairs.add(repair)
    this.#log.warn(`${id} has ${repair}, which are mended; others like it are not told`)
  }
}

function placed(error: unknown, id: string): unknown {
  if (!(error instanceof BizonError)) return error
  const { code, message, hint, retriable } = error
  return new BizonError(code, `${id}: ${message}`, { hint, retriable, cause: error })
}

function asFault(part: 'key' | 'value', error: unknown): unknown {
  return error instanceof Undecodable ? new Fault(part, error) : error
}

/** Undefined: that there is none is told when the message is decoded. */
function idIn(bytes: Buffer, of: (bytes: Buffer) => string): string | undefined {
  try {
    return of(bytes)
  } catch (error) {
    if (error instanceof Undecodable) return undefined
    throw error
  }
}
