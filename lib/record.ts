// What travels: records, and the JSON text they are made of.
// A payload is a parsed object or the text as it came (RawJson). Whatever only moves records works on both,
// and text reaches the destination byte for byte.

import { parseJson, stringifyJson } from './json.ts'

export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

/** Of a parsed JSON value. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value, or one without members where it is no object. */
export const objectOr = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})

/**
 * One JSON value as UTF-8 text, by reference: `buffer[start, end)`.
 * Whoever makes one has checked that it is complete, valid JSON; whoever holds one must not write to the buffer.
 */
export class RawJson {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.buffer = buffer
    this.start = start
    this.end = end
  }

  static from(text: string): RawJson {
    return new RawJson(Buffer.from(text))
  }

  get byteLength(): number {
    return this.end - this.start
  }

  /** The bytes, not copied. */
  bytes(): Buffer {
    return this.buffer.subarray(this.start, this.end)
  }

  toString(): string {
    return this.buffer.toString('utf8', this.start, this.end)
  }

  /** Parsed; numbers that a double would change become exact-number objects that print as they came. */
  parse(): Json {
    return parseJson(this.toString())
  }
}

export interface SourceRecord {
  /** Identity in the source; unique within a stream if the source has keys. */
  readonly id: string
  /** The payload: an object, or its JSON text as it came. */
  readonly data: JsonObject | RawJson
  /** When the source says it happened: a Date, or RFC 3339 text so that microseconds survive. Absent: the time of extraction. */
  readonly timestamp?: Date | string
  /** Routes the record to one of several tables or files. Absent: the destination's configured one. */
  readonly destinationId?: string
}

/** The payload as JSON text. */
export function textOf(data: JsonObject | RawJson): string {
  return data instanceof RawJson ? data.toString() : stringifyJson(data)
}

/** The payload as an object. Parses text: this is what the engine avoids. */
export function objectOf(data: JsonObject | RawJson): JsonObject {
  return data instanceof RawJson ? (data.parse() as JsonObject) : data
}

/** Roughly the bytes that a payload takes: exact for text, a quick look at objects. */
export function sizeOf(data: JsonObject | RawJson): number {
  return data instanceof RawJson ? data.byteLength : sizeOfValue(data)
}

function sizeOfValue(value: Json): number {
  if (typeof value === 'string') return value.length + 2
  if (value === null || typeof value !== 'object') return 8
  let size = 2
  for (const [key, inner] of Object.entries(value)) size += key.length + 4 + sizeOfValue(inner as Json)
  return size
}
