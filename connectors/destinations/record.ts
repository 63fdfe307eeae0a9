// What a record is in text: its payload, its id, its time.

import { BizonError } from '../../lib/errors.ts'
import { stringifyJson } from '../../lib/json.ts'
import { RawJson, type SourceRecord } from '../../lib/record.ts'
import { parseTime } from '../../lib/time.ts'

/** The payload as text. */
export function rawOf(data: SourceRecord['data']): RawJson {
  return data instanceof RawJson ? data : RawJson.from(stringifyJson(data))
}

/** The id, which UTF-8 can hold. */
export function idText(id: string): string {
  if (!/\p{Surrogate}/u.test(id)) return id
  throw new BizonError(
    'invalid_record',
    `record ${JSON.stringify(id)}: its id has half of a surrogate pair, which is no text`,
    {
      hint: 'Correct the record; or load it with format: json, which can write that.',
    },
  )
}

/**
 * As the Python bizon writes them: RFC 3339 in UTC with microseconds, no fraction when it is zero. A Date has only
 * milliseconds, so text keeps its own digits.
 */
export function timestampOf(date: Date): string {
  const text = date.toISOString()
  const point = text.length - 5
  const millis = text.slice(point + 1, -1)
  return withFraction(text.slice(0, point), `${millis}000`)
}

/** The time of a record. `id` is the record's, for the message. */
export function timestampText(time: Date | string, id: string): string {
  if (typeof time !== 'string') {
    if (Number.isNaN(time.getTime())) throw invalid('an invalid Date', id)
    return timestampOf(time)
  }
  const parts = parseTime(time)
  if (!parts) throw invalid(JSON.stringify(time.slice(0, 60)), id)
  const { day, clock, fraction, zone } = parts
  // The fraction is left out of the arithmetic: an offset is whole minutes.
  const instant = new Date(`${day}T${clock}${zone}`)
  return withFraction(instant.toISOString().slice(0, -5), fraction.slice(0, 6).padEnd(6, '0'))
}

function withFraction(seconds: string, micros: string): string {
  return micros === '000000' ? `${seconds}+00:00` : `${seconds}.${micros}+00:00`
}

function invalid(value: string, id: string): BizonError {
  return new BizonError('invalid_record', `record ${JSON.stringify(id)}: its timestamp is ${value}`, {
    hint: 'A timestamp is RFC 3339 text with an offset, such as 2024-12-05T12:00:00.123456Z.',
  })
}
