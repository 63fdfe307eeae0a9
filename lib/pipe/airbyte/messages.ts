// One line of the Airbyte protocol to what it says. A record's bytes are found, checked and left where they are.

import { isObject, parseJson, stringOf } from '../../json.ts'
import { RawJson } from '../../record.ts'
import { isMapping } from '../../references.ts'
import { countOf, extraOf, type Parts, partsReader, type RecordExtra } from '../messages.ts'

/** A stream as messages name it. */
export interface Descriptor {
  readonly name: string
  readonly namespace?: string
}

/** What a STATE stands for: one stream, all of them, or (of old sources) all of them without saying so. */
export type StateKind = 'STREAM' | 'GLOBAL' | 'LEGACY'

/** One record of a stream. */
export interface AirbyteRecord {
  readonly type: 'RECORD'
  readonly stream: Descriptor
  readonly data: RawJson
  /** Milliseconds since 1970. */
  readonly emittedAt?: number
  /** Of a producer of ours. */
  readonly bizon?: RecordExtra
  /** It stands for a file that the source has put somewhere. */
  readonly file: boolean
}

/** A place to go on, to be handed back once everything before it is durable. */
export interface AirbyteState {
  readonly type: 'STATE'
  readonly kind: StateKind
  /** Of a STREAM. */
  readonly stream?: Descriptor
  /** Of a STREAM, where it goes on. */
  readonly value?: RawJson
  /** The payload. */
  readonly state: RawJson
  /** How many records the source has sent since the last one. */
  readonly sourceCount?: number
  /** The whole line. */
  readonly line: RawJson
  readonly destinationStats?: RawJson
}

/** What a line says. */
export type AirbyteMessage =
  | AirbyteRecord
  | AirbyteState
  | { readonly type: 'STATUS'; readonly stream: Descriptor; readonly status: string }
  | { readonly type: 'ERROR'; readonly message: string; readonly internal?: string }
  | { readonly type: 'LOG'; readonly level: string; readonly message: string }
  /** Any other, its type in upper case; of a TRACE with its inner type. */
  | { readonly type: 'OTHER'; readonly name: string }
  /** No message at all. `at`: the byte that is wrong, counted from the start of the line; undefined: it is JSON. */
  | { readonly type: 'TEXT'; readonly why: string; readonly at?: number }
  /** A message that lacks what it must have. */
  | { readonly type: 'INVALID'; readonly why: string }

const outer = partsReader(['type', 'record', 'state', 'trace', 'log'])
const recordParts = partsReader(['stream', 'namespace', 'emitted_at', 'data', 'bizon', 'file_reference'])
const stateParts = partsReader(['type', 'stream', 'global', 'data', 'sourceStats', 'destinationStats'])
const streamParts = partsReader(['stream_descriptor', 'stream_state'])
const descriptorParts = partsReader(['name', 'namespace'])
const statsParts = partsReader(['recordCount'])

/** The line `buffer[start, end)`, without its line end. */
export function readAirbyteMessage(buffer: Buffer, start: number, end: number): AirbyteMessage {
  const parts = outer(buffer, start, end)
  if ('why' in parts) return { type: 'TEXT', ...parts }
  const type = parts.type && stringOf(parts.type)?.toUpperCase()
  if (type === undefined) return { type: 'TEXT', why: 'it has no type' }
  if (type === 'RECORD') return recordOf(parts.record)
  if (type === 'STATE') return stateOf(parts.state, new RawJson(buffer, start, end))
  if (type === 'TRACE') return traceOf(parts.trace)
  if (type === 'LOG') return logOf(parts.log)
  return { type: 'OTHER', name: type }
}

function recordOf(record: RawJson | undefined): AirbyteMessage {
  if (!record || !isObject(record)) return { type: 'INVALID', why: 'a RECORD has no record' }
  const parts = recordParts(record.buffer, record.start, record.end)
  if ('why' in parts) return { type: 'INVALID', why: parts.why }
  const { data, emitted_at: emitted, bizon, file_reference: file } = parts
  const stream = descriptorOf(parts.stream, parts.namespace)
  if (!stream) return { type: 'INVALID', why: 'a RECORD has no stream' }
  if (!data || !isObject(data)) return { type: 'INVALID', why: 'a RECORD has no data, or some that is no object' }
  const extra = bizon && extraOf(bizon)
  if (bizon && !extra) return { type: 'INVALID', why: 'the key bizon of a RECORD is damaged' }
  const emittedAt = emitted && countOf(emitted)
  return {
    type: 'RECORD',
    stream,
    data,
    file: file !== undefined,
    ...(emittedAt !== undefined && { emittedAt }),
    ...(extra && { bizon: extra }),
  }
}

function stateOf(state: RawJson | undefined, line: RawJson): AirbyteMessage {
  if (!state || !isObject(state)) return { type: 'INVALID', why: 'a STATE has no state' }
  const parts = stateParts(state.buffer, state.start, state.end)
  if ('why' in parts) return { type: 'INVALID', why: parts.why }
  const kind = (parts.type && stringOf(parts.type)?.toUpperCase()) ?? 'LEGACY'
  const { destinationStats, sourceStats } = parts
  const sourceCount = sourceStats && recordCountOf(sourceStats)
  const common = {
    type: 'STATE' as const,
    state,
    line,
    ...(sourceCount !== undefined && { sourceCount }),
    ...(destinationStats && { destinationStats }),
  }
  if (kind === 'GLOBAL' || kind === 'LEGACY') return { ...common, kind }
  if (kind !== 'STREAM') return { type: 'INVALID', why: `a STATE is of type ${kind}, which there is not` }
  const inner = parts.stream && streamParts(parts.stream.buffer, parts.stream.start, parts.stream.end)
  const stream = inner && 'stream_descriptor' in inner ? readDescriptor(inner.stream_descriptor) : undefined
  if (!stream) return { type: 'INVALID', why: 'a STATE of type STREAM has no stream_descriptor' }
  const value = inner && 'stream_state' in inner ? inner.stream_state : undefined
  return { ...common, kind, stream, ...(value && { value }) }
}

/** It comes as a number with a decimal point. */
function recordCountOf(stats: RawJson): number | undefined {
  const parts = statsParts(stats.buffer, stats.start, stats.end)
  const count = 'recordCount' in parts && parts.recordCount ? Number(parts.recordCount.toString()) : Number.NaN
  return Number.isSafeInteger(count) && count >= 0 ? count : undefined
}

function traceOf(raw: RawJson | undefined): AirbyteMessage {
  const trace = raw && parseJson(raw.toString())
  if (!isMapping(trace)) return { type: 'INVALID', why: 'a TRACE has no trace' }
  const type = String(trace.type).toUpperCase()
  if (type === 'ERROR') {
    const error = isMapping(trace.error) ? trace.error : {}
    const { message, internal_message: internal } = error
    return {
      type,
      message: typeof message === 'string' && message ? message : 'it does not say why',
      ...(typeof internal === 'string' && { internal }),
    }
  }
  if (type !== 'STREAM_STATUS') return { type: 'OTHER', name: `TRACE ${type}` }
  const { stream_descriptor: descriptor, status } = isMapping(trace.stream_status) ? trace.stream_status : {}
  const { name, namespace } = isMapping(descriptor) ? descriptor : {}
  if (typeof name !== 'string') return { type: 'INVALID', why: 'a STREAM_STATUS has no stream_descriptor' }
  if (typeof status !== 'string') return { type: 'INVALID', why: 'a STREAM_STATUS has no status' }
  const stream = { name, ...(typeof namespace === 'string' && namespace && { namespace }) }
  return { type: 'STATUS', stream, status: status.toUpperCase() }
}

function logOf(raw: RawJson | undefined): AirbyteMessage {
  const log = raw && parseJson(raw.toString())
  const { level, message } = isMapping(log) ? log : {}
  if (typeof message !== 'string') return { type: 'INVALID', why: 'a LOG has no message' }
  return { type: 'LOG', level: typeof level === 'string' ? level.toUpperCase() : 'INFO', message }
}

function readDescriptor(raw: RawJson | undefined): Descriptor | undefined {
  const parts: Parts<'name' | 'namespace'> | { why: string } = raw
    ? descriptorParts(raw.buffer, raw.start, raw.end)
    : {}
  return 'why' in parts ? undefined : descriptorOf(parts.name, parts.namespace)
}

function descriptorOf(named: RawJson | undefined, spaced: RawJson | undefined): Descriptor | undefined {
  const name = named && stringOf(named)
  const namespace = spaced && stringOf(spaced)
  return name === undefined ? undefined : { name, ...(namespace && { namespace }) }
}
