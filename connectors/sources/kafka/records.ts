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
import { addRow } from './debezium.ts'
import { type Decoder, NotPlain } from './decode.ts'
import { addHeaders, type DUPLICATES } from './headers.ts'
import type { Repair } from './json.ts'
import { type Batch, idOf, type Message } from './message.ts'
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

type Made = Pick<Page, 'records' | 'bytes' | 'release'>

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
  /** How the text of each partition's records begins. */
  readonly #beginnings = new Map<string, Buffer>()
  readonly #repairs = new Set<Repair>()

  constructor(options: RecordOptions, rejects: Rejects, log: Log) {
    this.#options = options
    this.#rejects = rejects
    this.#log = log
  }

  /** The records of a page. Rejects with a BizonError when a message, or the schema registry, ends the run. */
  async of(batches: readonly Batch[], signal: AbortSignal): Promise<Made> {
    await this.#loadSchemas(batches, signal)
    const records = this.#quickly(batches) ?? (await this.#carefully(batches))
    await this.#rejects.settle()
    const { bytes } = this.#out
    return { records, bytes, release: this.#out.take() }
  }

  /** Undefined if there is a message that asks for care; nothing is told of it. */
  #quickly(batches: readonly Batch[]): SourceRecord[] | undefined {
    const out = this.#out
    const records: SourceRecord[] = []
    let empty = 0
    try {
      for (const { topic, partition, messages } of batches) {
        for (const message of messages) {
          if (this.#isEmpty(message)) empty++
          else records.push(this.#record(topic, partition, message, undefined) as SourceRecord)
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

  async #carefully(batches: readonly Batch[]): Promise<SourceRecord[]> {
    const records: SourceRecord[] = []
    const repaired = (repair: Repair, id: string): void => this.#tell(repair, id)
    for (const { topic, partition, messages } of batches) {
      for (const message of messages) {
        if (this.#isEmpty(message)) {
          this.#rejects.unwanted('an empty value')
          continue
        }
        try {
          const id = idOf(topic, partition, message.offset)
          const record = this.#record(topic, partition, message, (repair) => repaired(repair, id))
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
  #record(
    topic: string,
    partition: number,
    message: Message,
    repaired: ((repair: Repair) => void) | undefined,
  ): SourceRecord | undefined {
    const { offset, timestamp, value } = message
    const out = this.#out
    out.begin()
    const id = idOf(topic, partition, offset)
    if (value) checkRecordSize(value.length, id)
    const isRecord = this.#options.unwrap
      ? this.#addRow(partition, message, repaired)
      : this.#addMessage(topic, partition, message, repaired)
    if (!isRecord) return undefined
    const data = out.end()
    const destinationId = this.#options.targets.get(topic)
    return {
      id,
      data,
      ...(timestamp >= 0 && { timestamp: new Date(timestamp) }),
      ...(destinationId !== undefined && { destinationId }),
    }
  }

  #addMessage(
    topic: string,
    partition: number,
    message: Message,
    repaired: ((repair: Repair) => void) | undefined,
  ): true {
    const { offset, timestamp, value } = message
    const out = this.#out
    out.add(this.#beginning(topic, partition))
    out.addAscii(`${offset},"timestamp":${timestamp >= 0 ? timestamp : null},"keys":`)
    this.#addKey(message, repaired)
    out.addAscii(',"headers":')
    addHeaders(message.headers, this.#options.duplicateHeaders, out)
    out.addAscii(',"value":')
    const schema = this.#addValue(value, repaired)
    out.addAscii(',"schema":')
    if (schema && this.#options.includeSchema) out.add(schema)
    else out.addAscii('{}')
    out.addAscii('}')
    return true
  }

  #addRow(partition: number, message: Message, repaired: ((repair: Repair) => void) | undefined): boolean {
    const out = this.#out
    this.#addKey(message, repaired)
    const key = message.key?.length ? out.copyFrom(0) : undefined
    out.begin()
    this.#addValue(message.value, repaired)
    const value = out.copyFrom(0)
    out.begin()
    try {
      return addRow(value, { partition, offset: message.offset, key }, out)
    } catch (error) {
      throw asFault('value', error)
    }
  }

  #addKey({ key }: Message, repaired: ((repair: Repair) => void) | undefined): void {
    try {
      if (key && key.length > 0) this.#options.key.add(key, this.#out, repaired)
      else this.#out.addAscii(this.#options.noKey)
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

  #beginning(topic: string, partition: number): Buffer {
    const name = `${topic}/${partition}`
    const known = this.#beginnings.get(name)
    if (known) return known
    const made = Buffer.from(`{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":`)
    this.#beginnings.set(name, made)
    return made
  }

  async #loadSchemas(batches: readonly Batch[], signal: AbortSignal): Promise<void> {
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
