// Values that PostgreSQL would take for a typed column, and silently change: a date with a time, a time with an offset that
// the column does not keep, more digits than it has. They are refused; what it refuses itself is left to it.

const [QUOTE, NINE, LETTER_F, LETTER_T] = [0x22, 0x39, 0x66, 0x74]
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.(\d+))?(?:[eE][+-]?\d+)?$/
const INTEGER = /^-?\d+$/
const DAY = String.raw`\d{4,}-\d\d-\d\d`
// Of a leap second PostgreSQL makes the next one.
const CLOCK = String.raw`\d\d:\d\d(?::[0-5]\d(?:\.\d{1,6}0*)?)?`
const DATE = new RegExp(`^${DAY}$`)
const TIME = new RegExp(`^${CLOCK}$`)
const LOCAL = new RegExp(`^${DAY}[T ]${CLOCK}$`)
const INSTANT = new RegExp(`^${DAY}[Tt ]${CLOCK}(?: ?(?:[Zz]|[+-]\\d\\d(?::?\\d\\d)?))?$`)

/** Why the value would be changed, or may be; undefined: it would not. `text`: of a string its inside, else its JSON. */
export type Shape = (text: string, isString: boolean) => string | undefined

/** Undefined: a column of the type keeps, or refuses, whatever comes. */
export function shapeOf(type: string): Shape | undefined {
  const [, name = type, precision, scale] = /^(.*?)\((\d+)(?:,(\d+))?\)$/.exec(type) ?? []
  switch (name) {
    case 'smallint':
    case 'integer':
    case 'bigint':
      return (text, isString) => (isString && !INTEGER.test(text) ? 'is not a whole number' : undefined)
    case 'real':
    case 'double precision':
      return (text, isString) => (isString && !NUMBER.test(text) ? 'is not a number' : undefined)
    case 'numeric':
      return (text) => numberFor(text, scale === undefined ? undefined : Number(scale))
    case 'boolean':
      return (text) => (text === 'true' || text === 'false' ? undefined : 'is neither true nor false')
    case 'date':
      return written(DATE, 'a date, YYYY-MM-DD')
    case 'time without time zone':
      return written(TIME, 'a time of the day without offset, HH:MM:SS, to the microsecond')
    case 'timestamp without time zone':
      return written(LOCAL, 'a date and time without offset, YYYY-MM-DD HH:MM:SS, to the microsecond')
    case 'timestamp with time zone':
      return written(INSTANT, 'a time, YYYY-MM-DDTHH:MM:SS+HH:MM, to the microsecond')
    case 'character varying':
      // Blanks that are too many are cut off; other letters are refused.
      return (text) =>
        text.endsWith(' ') && precision !== undefined && [...text].length > Number(precision)
          ? `has more than ${precision} characters`
          : undefined
    default:
      return undefined
  }
}

/** What the first byte of a JSON value says of it. */
export const FORM = { string: 1, number: 2, word: 4, nested: 8 } as const
const ANY = 15

/** Of any value but null. */
export function formOf(first: number): number {
  if (first === QUOTE) return FORM.string
  if (first <= NINE) return FORM.number
  return first === LETTER_T || first === LETTER_F ? FORM.word : FORM.nested
}

/** Forms of which no value would be changed by a column of the type: its shape need not be asked. */
export function sureOf(type: string): number {
  if (!shapeOf(type)) return ANY
  switch (type) {
    case 'smallint':
    case 'integer':
    case 'bigint':
    case 'real':
    case 'double precision':
      return ANY & ~FORM.string
    case 'numeric':
      return FORM.number
    case 'boolean':
      return FORM.word
    default:
      return 0
  }
}

function written(pattern: RegExp, what: string): Shape {
  return (text, isString) => (isString && pattern.test(text) ? undefined : `is not ${what}`)
}

/** Of `1.500e1` the scale is 2. */
function numberFor(text: string, scale: number | undefined): string | undefined {
  const fraction = NUMBER.exec(text)?.[1]
  if (fraction === undefined && !NUMBER.test(text)) return 'is not a number'
  if (scale === undefined) return undefined
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  const digits = mantissa.split('.')[1]?.replace(/0+$/, '').length ?? 0
  const zeros = digits === 0 ? (/0*$/.exec(mantissa.split('.')[0] ?? '')?.[0].length ?? 0) : 0
  const needed = /[1-9]/.test(mantissa) ? digits - zeros - Number(exponent) : 0
  return needed > scale ? `has more than ${scale} digits behind the point` : undefined
}
