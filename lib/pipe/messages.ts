// One line of a Singer pipe to what it says. A record's bytes are found, checked and left where they are.

import { isKey, scanMembers, skipWhitespace, stringOf } from '../json.ts'
import { RawJson } from '../record.ts'

export interface RecordMessage {
  readonly type: 'RECORD'
  readonly stream: string
  readonly record: RawJson
  /** When it was read, as the line has it. */
  readonly extractedAt?: string
  /** Of a table that is sent whole: which sending it is of. */
  readonly version?: string
  /** Of a producer of ours. */
  readonly bizon?: RecordExtra
}

/** What our producer says of a record beside its payload. */
export interface RecordExtra {
  /** Its number in the run, from 1. */
  readonly n: number
  readonly id: string
  /** Its time at the source. */
  readonly at?: string
  /** Where it is routed to. */
  readonly to?: string
}

export interface SchemaMessage {
  readonly type: 'SCHEMA'
  readonly stream: string
  readonly schema: RawJson
  /** `key_properties`, as the line has it. */
  readonly keys: RawJson | undefined
}

/** Records that are in files. */
export interface BatchMessage {
  readonly type: 'BATCH'
  readonly stream: string
  readonly encoding: RawJson | undefined
  readonly manifest: RawJson
  readonly version?: string
}

export type Message =
  | RecordMessage
  | SchemaMessage
  | { readonly type: 'STATE'; readonly value: RawJson }
  | { readonly type: 'ACTIVATE_VERSION'; readonly stream: string; readonly version: string }
  | BatchMessage
  /** Any other type, its name in upper case. */
  | { readonly type: 'OTHER'; readonly name: string }
  /**
   * `at`: the byte that is wrong, counted from the start of the line; undefined: it is JSON, but no message. `isRecord`
   * is false when it is a message without which the others cannot be understood.
   */
  | {
      readonly type: 'INVALID'
      readonly why: string
      readonly at?: number
      readonly isRecord?: false
      /** A RECORD that names a stream, as one of Airbyte does not. */
      readonly ofStream?: true
    }

const BRACE = 0x7b
const NINE = 0x39
const ZERO = 0x30

const keys = [
  'type',
  'stream',
  'record',
  'bizon',
  'time_extracted',
  'version',
  'schema',
  'key_properties',
  'value',
  'encoding',
  'manifest',
] as const

export type Parts<Name extends string> = Partial<Record<Name, RawJson>>

/** Why a line is no JSON object, and from which byte on, counted from its start. */
export interface NotAnObject {
  readonly why: string
  readonly at: number
}

/** Looks up members of many objects, each in one pass that also finds out whether it is valid. */
export function partsReader<Name extends string>(
  names: readonly Name[],
): (buffer: Buffer, start: number, end: number) => Parts<Name> | NotAnObject {
  const spelled = names.map((name) => ({ name, spelling: Buffer.from(JSON.stringify(name)) }))
  return (buffer, start, end) => {
    const parts: Parts<Name> = {}
    const after = collect(buffer, start, end, spelled, parts)
    if (after < 0) return { why: 'it is no JSON object', at: ~after - start }
    const rest = skipWhitespace(buffer, after, end)
    return rest < end ? { why: 'more follows the object', at: rest - start } : parts
  }
}

const outer = partsReader(keys)
const inner = partsReader(['n', 'id', 'at', 'to'])

/** The line `buffer[start, end)`, without its line end. */
export function readMessage(buffer: Buffer, start: number, end: number): Message {
  const parts = outer(buffer, start, end)
  if ('why' in parts) return { type: 'INVALID', ...parts }
  const type = parts.type && stringOf(parts.type)?.toUpperCase()
  if (type === undefined) return { type: 'INVALID', why: 'it has no type' }
  switch (type) {
    case 'RECORD':
      return recordOf(parts)
    case 'STATE':
      return parts.value ? { type, value: parts.value } : unclear('a STATE has no value')
    case 'SCHEMA': {
      const stream = parts.stream && stringOf(parts.stream)
      if (stream === undefined) return unclear('a SCHEMA has no stream')
      if (!isObjectAt(parts.schema)) return unclear('a SCHEMA has no schema')
      return { type, stream, schema: parts.schema, keys: parts.key_properties }
    }
    case 'ACTIVATE_VERSION': {
      const stream = parts.stream && stringOf(parts.stream)
      const version = versionOf(parts.version)
      if (stream === undefined) return unclear('an ACTIVATE_VERSION has no stream')
      return version === undefined ? unclear('an ACTIVATE_VERSION has no version') : { type, stream, version }
    }
    case 'BATCH': {
      const { encoding, manifest } = parts
      const stream = parts.stream && stringOf(parts.stream)
      const version = versionOf(parts.version)
      if (stream === undefined) return unclear('a BATCH has no stream')
      if (!manifest) return unclear('a BATCH has no manifest')
      return { type, stream, encoding, manifest, ...(version !== undefined && { version }) }
    }
    default:
      return { type: 'OTHER', name: type }
  }
}

const unclear = (why: string): Message => ({ type: 'INVALID', why, isRecord: false })

/** A number, as its text; null is as good as none. */
function versionOf(raw: RawJson | undefined): string | undefined {
  const text = raw?.toString()
  return text === undefined || text === 'null' ? undefined : text
}

function recordOf({
  stream: named,
  record,
  bizon,
  time_extracted: time,
  version: versioned,
}: Parts<(typeof keys)[number]>): Message {
  const stream = named && stringOf(named)
  if (stream === undefined) return { type: 'INVALID', why: 'a RECORD has no stream' }
  if (!isObjectAt(record)) {
    return { type: 'INVALID', why: 'a RECORD has no record, or one that is no object', ofStream: true }
  }
  const extractedAt = time && stringOf(time)
  const extra = bizon && extraOf(bizon)
  if (bizon && !extra) return { type: 'INVALID', why: 'the key bizon of a RECORD is damaged' }
  const version = versionOf(versioned)
  return {
    type: 'RECORD',
    stream,
    record,
    ...(version !== undefined && { version }),
    ...(extractedAt !== undefined && { extractedAt }),
    ...(extra && { bizon: extra }),
  }
}

/** Undefined: it is not what ours says. */
export function extraOf({ buffer, start, end }: RawJson): RecordExtra | undefined {
  const parts = inner(buffer, start, end)
  if ('why' in parts) return undefined
  const n = parts.n && countOf(parts.n)
  const id = parts.id && stringOf(parts.id)
  if (n === undefined || id === undefined) return undefined
  const at = parts.at && stringOf(parts.at)
  const to = parts.to && stringOf(parts.to)
  return { n, id, ...(at !== undefined && { at }), ...(to !== undefined && { to }) }
}

/** As JSON.parse does, the last of duplicates counts. */
function collect<Name extends string>(
  buffer: Buffer,
  start: number,
  end: number,
  names: readonly { readonly name: Name; readonly spelling: Buffer }[],
  parts: Parts<Name>,
): number {
  return scanMembers(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    for (const { name, spelling } of names) {
      if (!isKey(buffer, keyStart, keyEnd, spelling, name)) continue
      parts[name] = new RawJson(buffer, valueStart, valueEnd)
      return
    }
  })
}

const isObjectAt = (raw: RawJson | undefined): raw is RawJson => raw !== undefined && raw.buffer[raw.start] === BRACE

/** A whole number from 0, of at most 15 digits. */
export function countOf({ buffer, start, end }: RawJson): number | undefined {
  if (end - start > 15) return undefined
  let count = 0
  for (let i = start; i < end; i++) {
    const digit = buffer[i] as number
    if (digit < ZERO || digit > NINE) return undefined
    count = count * 10 + digit - ZERO
  }
  return count
}
