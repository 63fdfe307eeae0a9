// A row out of the envelope in which Debezium tells of a change: the row as it is now or, of a deleted row, as it was,
// and beside its columns what the Python bizon's example adds. All of it stays text.

import { fieldsReader, isObject, stringOf } from '../../../lib/json.ts'
import { RawJson } from '../../../lib/record.ts'
import type { TextBuffer } from './text.ts'
import { Undecodable } from './undecodable.ts'

const COMMA = 0x2c
const BRACE = 0x7b
const BRACE_END = 0x7d

const envelopeOf = fieldsReader(['op', 'before', 'after', 'source', 'payload'])
const sourceOf = fieldsReader(['name', 'ts_ms'])

export interface Place {
  readonly partition: number
  readonly offset: number
  /** Of the message: JSON text; it has the key columns of a deleted row. */
  readonly key: Buffer | undefined
}

/**
 * Writes the row that the envelope is of. False: it tells of no row, as when a table was truncated. Throws `Undecodable`
 * if it is no envelope.
 */
export function addRow(value: Buffer, place: Place, out: TextBuffer): boolean {
  let [op, before, after, source, payload] = envelopeOf(new RawJson(value))
  // The JSON converter of Kafka Connect puts the schema beside it.
  if (op === undefined && payload !== undefined) [op, before, after, source] = envelopeOf(payload)
  const kind = op && stringOf(op)
  if (kind === undefined || source === undefined) {
    throw new Undecodable('is no envelope of Debezium: it has no op and source', 'Leave out source.debezium.')
  }
  if (kind === 't' || kind === 'm') return false
  const isDeleted = kind === 'd'
  const row = isDeleted ? (given(before) ?? keyOf(place.key)) : given(after)
  if (row === undefined || !isObject(row)) {
    throw new Undecodable(`is an envelope of Debezium with op ${JSON.stringify(kind)} and no row`)
  }
  const [cluster, time] = sourceOf(source)
  addOpen(row, out)
  out.addAscii(`"__deleted":${isDeleted},"__cluster":`)
  const name = cluster && stringOf(cluster)
  if (name === undefined) out.addAscii('null')
  else out.addString(name.replaceAll('_', '-'))
  out.addAscii(`,"__kafka_partition":${place.partition},"__kafka_offset":${place.offset},"__event_timestamp":`)
  out.addAscii(timeText(time))
  out.addByte(BRACE_END)
  return true
}

/** The object without its last brace, and a comma if it has members. */
function addOpen({ buffer, start, end }: RawJson, out: TextBuffer): void {
  let last = end - 1
  while (buffer[last] !== BRACE_END) last--
  let before = last - 1
  while ((buffer[before] as number) <= 0x20) before--
  out.add(buffer.subarray(start, before + 1))
  if (buffer[before] !== BRACE) out.addByte(COMMA)
}

function keyOf(key: Buffer | undefined): RawJson | undefined {
  if (key === undefined) return undefined
  const raw = new RawJson(key)
  if (!isObject(raw)) return undefined
  const payload = envelopeOf(raw)[4]
  return payload !== undefined && isObject(payload) ? payload : raw
}

/** JSON null is as good as nothing. */
function given(value: RawJson | undefined): RawJson | undefined {
  return value !== undefined && value.toString() !== 'null' ? value : undefined
}

function timeText(time: RawJson | undefined): string {
  const date = new Date(Number(time?.toString() ?? Number.NaN))
  return Number.isNaN(date.getTime()) ? 'null' : `"${date.toISOString()}"`
}
