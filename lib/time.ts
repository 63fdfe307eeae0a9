// RFC 3339, as records write the time: text, so that no digit is lost. `Date` alone would take February 30 for March 1.

const RFC3339 =
  /^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** RFC 3339 text in its parts. */
export interface TimeParts {
  /** `2024-12-05` */
  readonly day: string
  /** `12:00:00` */
  readonly clock: string
  /** The digits of the second's fraction, as many as there are. */
  readonly fraction: string
  /** `Z`, or an offset such as `+02:00`. */
  readonly zone: string
}

/** The parts of a time in RFC 3339; undefined if the text is none, or names a day that no calendar has. */
export function parseTime(text: string): TimeParts | undefined {
  const match = RFC3339.exec(text)
  if (match === null) return undefined
  const [, day = '', clock = '', fraction = '', zone = ''] = match
  return isDay(day) ? { day, clock, fraction, zone: zone.toUpperCase() } : undefined
}

/** Of a day from 1 to 31. */
function isDay(day: string): boolean {
  return Number(day.slice(8)) <= 28 || new Date(`${day}T00:00:00Z`).toISOString().startsWith(day)
}
