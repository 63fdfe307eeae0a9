// Values of a cursor field: what an incremental read goes by. They stay the text that the data has, so that no digit
// is lost, and are compared as what they are: numbers exactly, times as instants whatever their zone, else text.

import { parseTime } from './time.ts'

/** How a value is written into a request. */
export const CURSOR_FORMATS = ['as_is', 'rfc3339', 'date', 'epoch_seconds', 'epoch_milliseconds'] as const
export type CursorFormat = (typeof CURSOR_FORMATS)[number]

export interface Cursor {
  /** As the data has it; of a string what is inside the quotes. */
  readonly text: string
  readonly kind: 'number' | 'time' | 'text'
  readonly number?: Decimal
  readonly time?: Instant
}

/** `0.digits × 10^magnitude`; no zeros at either end of the digits, and none at all for zero. */
interface Decimal {
  readonly negative: boolean
  readonly digits: string
  readonly magnitude: number
}

interface Instant {
  /** Seconds since 1970, whole. */
  readonly seconds: number
  /** Digits of the second's fraction, without zeros at the end. */
  readonly fraction: string
  /** How it was written. */
  readonly shape: 'date' | 'local' | 'zoned'
}

const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/
const DATE = /^\d{4}-\d{2}-\d{2}$/
/** `+0200`, and `+02` as Postgres has it. */
const SHORT_ZONE = /(:\d{2}(?:\.\d+)?[+-]\d{2})(\d{2})?$/
const LOCAL = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?$/

/** A time without a zone is taken as UTC, and a date as its midnight. */
export function cursorOf(text: string): Cursor {
  const number = decimalOf(text)
  if (number) return { text, kind: 'number', number }
  const time = instantOf(text)
  return time ? { text, kind: 'time', time } : { text, kind: 'text' }
}

/** Less than 0 when `one` comes first. Times come last: no `0000-00-00` among them becomes the greatest. */
export function compareCursors(one: Cursor, other: Cursor): number {
  if (one.text === other.text) return 0
  if (one.number && other.number) return compareDecimals(one.number, other.number)
  if (one.time && other.time) return compareInstants(one.time, other.time)
  if (one.kind !== other.kind) return RANK[one.kind] - RANK[other.kind]
  return Buffer.compare(Buffer.from(one.text), Buffer.from(other.text)) // UTF-8 sorts by code point
}

const RANK = { number: 0, text: 1, time: 2 }

/** So much before: seconds for times, for a number its own unit. Other text has nothing before it. */
export function cursorBefore(cursor: Cursor, amount: number, format: CursorFormat): Cursor {
  if (amount === 0) return cursor
  const { time, kind, text } = cursor
  if (time) {
    const seconds = time.seconds - Math.ceil(amount)
    return cursorOf(time.shape === 'date' ? dayOf(seconds) : withZone(seconds, time.shape, text))
  }
  if (kind === 'number') {
    const step = format === 'epoch_milliseconds' ? amount * 1000 : amount
    if (/^-?\d+$/.test(text)) return cursorOf(String(BigInt(text) - BigInt(Math.ceil(step))))
    return cursorOf(String(Math.floor(Number(text) - step)))
  }
  return cursor
}

/** As a request has it; what the format cannot hold is rounded down, so that nothing is skipped. */
export function writeCursor(cursor: Cursor, format: CursorFormat): string {
  const { time, text } = cursor
  if (format === 'as_is') return text
  const instant = time ?? epochOf(cursor)
  if (!instant) return text
  if (cursor.kind === 'number' && format.startsWith('epoch')) return text
  switch (format) {
    case 'rfc3339':
      return zulu(instant)
    case 'date':
      return dayOf(instant.seconds)
    case 'epoch_seconds':
      return String(instant.seconds)
    default:
      return String(instant.seconds * 1000 + Number(instant.fraction.padEnd(3, '0').slice(0, 3)))
  }
}

/** A moment of the clock as a cursor that can be compared with values of that kind; undefined: they are no times. */
export function momentAs(moment: Date, like: Cursor | undefined, format: CursorFormat): Cursor | undefined {
  const milliseconds = moment.getTime()
  const isEpoch = format === 'epoch_seconds' || format === 'epoch_milliseconds'
  if (like?.kind === 'text' || (like?.kind === 'number' && !isEpoch)) return undefined
  if (like?.kind === 'number') {
    return cursorOf(String(format === 'epoch_seconds' ? Math.floor(milliseconds / 1000) : milliseconds))
  }
  if (like?.time?.shape === 'date') return cursorOf(moment.toISOString().slice(0, 10))
  return cursorOf(like?.time?.shape === 'local' ? moment.toISOString().slice(0, -1) : moment.toISOString())
}

/** A moment of the clock as a request has it, beside values like that one. */
export function writeMoment(moment: Date, like: Cursor | undefined, format: CursorFormat): string {
  return writeCursor(momentAs(moment, like, format) ?? cursorOf(moment.toISOString()), format)
}

function decimalOf(text: string): Decimal | undefined {
  const [, sign, whole = '', fraction = '', exponent = '0'] = NUMBER.exec(text) ?? []
  if (sign === undefined || whole + fraction === '') return undefined
  const all = whole + fraction
  const digits = all.replace(/^0+/, '')
  return {
    negative: sign === '-' && digits !== '',
    digits: digits.replace(/0+$/, ''),
    magnitude: whole.length - (all.length - digits.length) + Number(exponent),
  }
}

function compareDecimals(one: Decimal, other: Decimal): number {
  const sign = signOf(one) - signOf(other)
  if (sign !== 0 || one.digits === '') return sign
  const size = one.magnitude - other.magnitude || compareText(one.digits, other.digits)
  return one.negative ? -size : size
}

const signOf = ({ negative, digits }: Decimal): number => (digits === '' ? 0 : negative ? -1 : 1)

/** The time in RFC 3339, its digits as they are; undefined: it is none. */
export function rfc3339Of(text: string): string | undefined {
  const whole = withTimeAndZone(text, shapeOf(text))
  return parseTime(whole) && whole
}

function instantOf(text: string): Instant | undefined {
  const shape = shapeOf(text)
  const parts = parseTime(withTimeAndZone(text, shape))
  if (!parts) return undefined
  const seconds = Date.parse(`${parts.day}T${parts.clock}${parts.zone}`) / 1000
  return { seconds, fraction: parts.fraction.replace(/0+$/, ''), shape }
}

const shapeOf = (text: string): Instant['shape'] => (DATE.test(text) ? 'date' : LOCAL.test(text) ? 'local' : 'zoned')

function withTimeAndZone(text: string, shape: Instant['shape']): string {
  if (shape === 'date') return `${text}T00:00:00Z`
  if (shape === 'local') return `${text.replace(' ', 'T')}Z`
  return text.replace(SHORT_ZONE, (_whole, before: string, minutes = '00') => `${before}:${minutes}`)
}

function compareInstants(one: Instant, other: Instant): number {
  return one.seconds - other.seconds || compareText(one.fraction, other.fraction)
}

const compareText = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

/** As seconds a number from 1e11 on is the year 5138, as milliseconds 1973. */
function epochOf({ kind, text }: Cursor): Instant | undefined {
  if (kind !== 'number') return undefined
  const value = Number(text)
  const milliseconds = Math.floor(Math.abs(value) < 1e11 ? value * 1000 : value)
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) ? undefined : instantOf(date.toISOString())
}

function zulu({ seconds, fraction }: Pick<Instant, 'seconds' | 'fraction'>): string {
  const text = new Date(seconds * 1000).toISOString().slice(0, 19)
  return `${text}${fraction === '' ? '' : `.${fraction}`}Z`
}

/** With as many digits as `like` has: where an API compares text, `10Z` comes after `10.000Z`. */
function withZone(seconds: number, shape: Instant['shape'], like: string): string {
  const fraction = /\.(\d+)/.exec(like)?.[1] ?? ''
  const text = zulu({ seconds, fraction })
  return shape === 'local' ? text.slice(0, -1) : text
}

const dayOf = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 10)
