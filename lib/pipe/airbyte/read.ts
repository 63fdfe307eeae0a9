// Of any Airbyte source: docs/airbyte.md says what it may send. Its states are opaque, and handed back as they came.

import { BizonError } from '../../errors.ts'
import { parseJson } from '../../json.ts'
import { RawJson, type SourceRecord } from '../../record.ts'
import type { Position, StreamInfo } from '../../source.ts'
import { toTell } from '../echo.ts'
import { broken, Gathering, lost, type PipePage, type PipeReader, type PipeReaderOptions } from '../read.ts'
import { readState } from '../state.ts'
import { type AirbyteRecord, type AirbyteState, type Descriptor, readAirbyteMessage } from './messages.ts'
import { withCount } from './stats.ts'
import { routeOf, Talk } from './talk.ts'

/** What is to be loaded. */
export interface Catalog {
  /** Their names hold the namespace, if there is one. */
  readonly streams: readonly StreamInfo[]
  /** What is loaded replaces what is there. */
  readonly replaces: boolean
}

interface Known {
  readonly info: StreamInfo
  readonly descriptor: Descriptor
  /** Records since the last STATE of this stream. */
  count: number
}

const LF = 0x0a
const CR = 0x0d
const SHOWN_CHARACTERS = 200
const LAST_TIME = 8.64e15

/**
 * Streams may take turns record by record: what came of each is gathered apart. Without any status the end of the input
 * is the end; else every stream must be COMPLETE.
 */
export class AirbyteReader implements PipeReader {
  readonly #options: PipeReaderOptions
  readonly #talk: Talk
  readonly #catalog: ReadonlyMap<string, StreamInfo> | undefined
  readonly #streams = new Map<string, Known>()
  readonly #strange = new Set<string>()
  readonly #gathering = new Gathering()
  #n = 0
  /** Records since the last STATE of all streams. */
  #count = 0
  #spoke = false
  #files = false
  readonly #replaces: boolean
  /** Of each stream the last STATE. */
  readonly #last = new Map<string, RawJson>()
  /** The line at which the input stopped, if it is no JSON. */
  #torn: number | undefined

  /** `catalog`: other streams than these are passed over. Absent: any is loaded. */
  constructor(options: PipeReaderOptions, catalog?: Catalog) {
    this.#options = options
    this.#catalog = catalog && new Map(catalog.streams.map((info) => [info.name, info]))
    this.#replaces = catalog?.replaces ?? false
    this.#talk = new Talk(options.log)
  }

  line(buffer: Buffer, start: number, end: number, number: number): undefined {
    const message = readAirbyteMessage(buffer, start, end)
    if (message.type === 'RECORD') this.#record(message, number)
    else if (message.type === 'STATE') this.#state(message, number)
    else if (message.type === 'TEXT') this.#text(buffer, start, end, number)
    else if (message.type === 'INVALID') throw broken(number, message.why)
    else this.#talk.hear(message, number)
  }

  /** Text like any other that is no JSON. */
  notUtf8(buffer: Buffer, start: number, end: number, number: number): void {
    this.#text(buffer, start, end, number)
  }

  take(): PipePage[] {
    return this.#gathering.take()
  }

  finish(): PipePage[] {
    if (this.#torn !== undefined) throw cutOff(`within line ${this.#torn}`)
    this.#talk.checkEnd(this.#catalog?.keys() ?? this.#streams.keys())
    if (!this.#spoke && !this.#talk.hasStatus) throw cutOff('before its first record, state or status')
    for (const info of this.#replaces ? (this.#catalog?.values() ?? []) : []) this.#gathering.name(info)
    this.#gathering.end({ next: null, ...toTell(this.#last.values()) })
    return this.take()
  }

  #record(message: AirbyteRecord, number: number): void {
    const { stream, data, bizon, file } = message
    if (bizon && !this.#catalog) throw headless(number)
    if (this.#isStrange(stream, number)) return
    if (file && !this.#files) this.#options.log.warn('records stand for files, which are not loaded with them')
    this.#files ||= file
    const known = this.#known(stream, number)
    this.#spoke = true
    this.#n += 1
    this.#count += 1
    known.count += 1
    this.#gathering.add(this.#recordOf(message), data.byteLength, known.info)
  }

  /** What ours say of a record beside its payload may have come through somebody else's hands. */
  #recordOf({ data, emittedAt, bizon }: AirbyteRecord): SourceRecord {
    if (bizon) {
      const { id, at, to } = bizon
      return { id, data, ...(at !== undefined && { timestamp: at }), ...(to !== undefined && { destinationId: to }) }
    }
    const timed = emittedAt !== undefined && emittedAt <= LAST_TIME
    return { id: String(this.#n), data, ...(timed && { timestamp: new Date(emittedAt) }) }
  }

  #isStrange(stream: Descriptor, number: number): boolean {
    const route = routeOf(stream)
    if (!this.#catalog || this.#catalog.has(route)) return false
    if (!this.#strange.has(route)) {
      this.#options.log.warn(`stream ${route} is not in the catalog and is passed over, from line ${number}`)
    }
    this.#strange.add(route)
    return true
  }

  #known(descriptor: Descriptor, number: number): Known {
    const route = routeOf(descriptor)
    const found = this.#streams.get(route)
    if (found) {
      if (found.descriptor.namespace === descriptor.namespace) return found
      throw broken(number, `two streams, of different namespaces, would both be called ${route}`)
    }
    const known = {
      info: this.#catalog?.get(route) ?? { name: route },
      descriptor,
      count: 0,
    }
    this.#streams.set(route, known)
    return known
  }

  #state(message: AirbyteState, number: number): void {
    const { kind, stream, state, value } = message
    if (value && !this.#catalog && readState(value)) throw headless(number)
    this.#spoke = true
    const known = stream && this.#known(stream, number)
    const count = known ? known.count : this.#count
    if (stream ? !this.#isStrange(stream, number) : this.#strange.size === 0) this.#compare(message, count, number)
    if (known) known.count = 0
    else for (const each of this.#streams.values()) each.count = 0
    if (kind !== 'STREAM') this.#count = 0
    const next: Position = { airbyte: parseJson(state.toString()) }
    const told = RawJson.from(withCount(message, count))
    this.#last.set(stream ? routeOf(stream) : '', told)
    this.#gathering.end({ next }, told)
  }

  /** A source that counts what it sends says so in each STATE. */
  #compare({ kind, stream, sourceCount }: AirbyteState, count: number, number: number): void {
    if (sourceCount === undefined || sourceCount === count || kind === 'LEGACY' || this.#options.allowEdited) return
    const of = stream ? ` of ${routeOf(stream)}` : ''
    const why = `the source has sent ${sourceCount} records${of} since its last STATE, and ${count} came`
    if (count < sourceCount) throw lost(number, sourceCount - count, why)
    throw broken(number, why)
  }

  /** The protocol lets programs print anything between their messages. */
  #text(buffer: Buffer, start: number, end: number, number: number): void {
    const after = buffer[end]
    if (after !== LF && after !== CR) {
      this.#torn = number
      return
    }
    const text = buffer.toString('utf8', start, end)
    const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
    this.#options.log.warn(`line ${number} of the pipe is no message, and was dropped: ${shown}`)
  }
}

function headless(number: number): BizonError {
  return broken(number, 'it is of bizon-extract, whose first line is missing')
}

function cutOff(where: string): BizonError {
  return new BizonError('incomplete', `the pipe ended ${where}: the program before it was cut off`, {
    hint: 'Look at its errors, and run the same line again. Nothing was published.',
  })
}
