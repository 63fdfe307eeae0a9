// Texts of what Avro calls logical types: dates and times as ISO 8601, decimals with all their digits.

const MILLISECONDS_A_DAY = 86_400_000
/** What a Date can hold. */
const MOST_MILLISECONDS = 8.64e15

/** Big-endian two's complement. */
export function integerOf(bytes: Buffer): bigint {
  if (bytes.length === 0) return 0n
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`))
}

/** `-12.30` of -1230 and 2. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale <= 0) return `${unscaled}${unscaled === 0n ? '' : '0'.repeat(-scale)}`
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** `2023-11-14T22:13:20.123456`; undefined beyond the years that have a name. `digits`: of the second's fraction. */
export function momentText(value: number | bigint, digits: 3 | 6 | 9): string | undefined {
  const [milliseconds, rest] = divided(value, 10 ** (digits - 3))
  const days = Math.floor(milliseconds / MILLISECONDS_A_DAY)
  const date = dateText(days)
  return date && `${date}T${clockText(milliseconds - days * MILLISECONDS_A_DAY, rest, digits)}`
}

// Records that follow each other are often of one day.
let lastDays = 0
let lastDate = '1970-01-01'

export function dateText(days: number): string | undefined {
  if (days === lastDays) return lastDate
  const milliseconds = days * MILLISECONDS_A_DAY
  if (Math.abs(milliseconds) > MOST_MILLISECONDS) return undefined
  const text = new Date(milliseconds).toISOString().slice(0, -'T00:00:00.000Z'.length)
  lastDays = days
  lastDate = text
  return text
}

/** `22:13:20.123`; undefined if it is no time of a day. */
export function timeText(value: number | bigint, digits: 3 | 6): string | undefined {
  const [milliseconds, rest] = divided(value, 10 ** (digits - 3))
  if (milliseconds < 0 || milliseconds >= MILLISECONDS_A_DAY) return undefined
  return clockText(milliseconds, rest, digits)
}

/** Milliseconds of a day, and what is below them. */
function clockText(milliseconds: number, rest: number, digits: 3 | 6 | 9): string {
  const seconds = Math.floor(milliseconds / 1000)
  const minutes = Math.floor(seconds / 60)
  const fraction = pad(milliseconds % 1000, 3) + (digits === 3 ? '' : pad(rest, digits - 3))
  return `${pad(Math.floor(minutes / 60), 2)}:${pad(minutes % 60, 2)}:${pad(seconds % 60, 2)}.${fraction}`
}

const pad = (value: number, digits: number): string => String(value).padStart(digits, '0')

/** Months, days and milliseconds: `P1M2DT3.004S`. */
export function durationText(bytes: Buffer): string {
  const [months, days, milliseconds] = [0, 4, 8].map((at) => bytes.readUInt32LE(at)) as [number, number, number]
  const seconds = decimalText(BigInt(milliseconds), 3)
  return `P${months}M${days}DT${seconds}S`
}

export function uuidText(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** Rounded down, with what is left. */
function divided(value: number | bigint, by: number): [quotient: number, rest: number] {
  if (typeof value === 'number') {
    const quotient = Math.floor(value / by)
    return [quotient, value - quotient * by]
  }
  const divisor = BigInt(by)
  const rest = ((value % divisor) + divisor) % divisor
  return [Number((value - rest) / divisor), Number(rest)]
}
