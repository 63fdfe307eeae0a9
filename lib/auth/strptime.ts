// Dates in a form that the user gives, written as for strptime: `%Y-%m-%d %H:%M:%S`. Only for reading; only what
// servers use to say when a token ends.

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const LONG_MONTHS = [
  'january',
  'february',
  'march',
  'april',
  'may',
  'june',
  'july',
  'august',
  'september',
  'october',
  'november',
  'december',
]

/** What each directive reads, as the source of a regular expression with at most one group. */
const DIRECTIVES: Readonly<Record<string, string>> = {
  Y: '(\\d{4})',
  y: '(\\d{2})',
  m: '(\\d{1,2})',
  d: '(\\d{1,2})',
  H: '(\\d{1,2})',
  I: '(\\d{1,2})',
  M: '(\\d{1,2})',
  S: '(\\d{1,2})',
  f: '(\\d{1,9})',
  p: '([AaPp][Mm])',
  b: `(${MONTHS.join('|')})`,
  B: `(${LONG_MONTHS.join('|')})`,
  a: '(mon|tue|wed|thu|fri|sat|sun)',
  A: '(monday|tuesday|wednesday|thursday|friday|saturday|sunday)',
  z: '(Z|[+-]\\d{2}:?\\d{2})',
  Z: '(Z|UTC|GMT)',
  s: '(\\d{1,13})',
}
/** Directives that stand for several. */
const SHORTHANDS: Readonly<Record<string, string>> = { T: '%H:%M:%S', F: '%Y-%m-%d', D: '%m/%d/%y', R: '%H:%M' }

/** Why the format cannot be used; undefined when it can. */
export function dateFormatProblem(format: string): string | undefined {
  const compiled = compile(format)
  return typeof compiled === 'string' ? compiled : undefined
}

/** Milliseconds since 1970; undefined when the text is not in that format. Without a zone it is UTC. */
export function parseDate(text: string, format: string): number | undefined {
  const compiled = compile(format)
  if (typeof compiled === 'string') return undefined
  const found = compiled.pattern.exec(text.trim())
  if (!found) return undefined
  const fields = new Map(compiled.letters.map((letter, i) => [letter, found[i + 1] as string]))
  return timeOf(fields)
}

function timeOf(fields: ReadonlyMap<string, string>): number | undefined {
  const number = (letter: string) => (fields.has(letter) ? Number(fields.get(letter)) : undefined)
  const seconds = number('s')
  if (seconds !== undefined) return seconds * 1000
  const short = number('y')
  const year = number('Y') ?? (short === undefined ? 1970 : short < 69 ? 2000 + short : 1900 + short)
  const month = number('m') ?? monthOf(fields) ?? 1
  const day = number('d') ?? 1
  const hour = hourOf(number('H'), number('I'), fields.get('p'))
  const minute = number('M') ?? 0
  const second = number('S') ?? 0
  const millisecond = Number((fields.get('f') ?? '0').padEnd(3, '0').slice(0, 3))
  const time = Date.UTC(year, month - 1, day, hour, minute, second, millisecond)
  const back = new Date(time)
  const exists = back.getUTCMonth() === month - 1 && back.getUTCDate() === day && hour < 24 && minute < 60
  return exists && second <= 60 ? time - offsetOf(fields.get('z')) : undefined
}

function monthOf(fields: ReadonlyMap<string, string>): number | undefined {
  const name = (fields.get('b') ?? fields.get('B'))?.toLowerCase().slice(0, 3)
  return name === undefined ? undefined : MONTHS.indexOf(name) + 1
}

function hourOf(of24: number | undefined, of12: number | undefined, half: string | undefined): number {
  if (of24 !== undefined || of12 === undefined) return of24 ?? 0
  return (of12 % 12) + (half?.toLowerCase() === 'pm' ? 12 : 0)
}

/** In milliseconds. */
function offsetOf(zone: string | undefined): number {
  const [, sign, hours, minutes] = /^([+-])(\d{2}):?(\d{2})$/.exec(zone ?? '') ?? []
  const size = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60_000
  return sign === '-' ? -size : size
}

interface Compiled {
  readonly pattern: RegExp
  /** The directive of each group. */
  readonly letters: readonly string[]
}

function compile(format: string): Compiled | string {
  const letters: string[] = []
  let problem: string | undefined
  const whole = format.replace(/%(.)/gs, (token, letter: string) => SHORTHANDS[letter] ?? token)
  const source = whole.replace(/%(.?)|([\\^$.*+?()[\]{}|/])/gs, (token, letter: string | undefined, special) => {
    if (special !== undefined) return `\\${special}`
    if (letter === '%') return '%'
    const pattern = DIRECTIVES[letter ?? '']
    if (pattern === undefined) {
      problem ??= `${JSON.stringify(token)} is not understood; known: %${Object.keys(DIRECTIVES).join(' %')}`
      return ''
    }
    letters.push(letter as string)
    return pattern
  })
  if (problem !== undefined) return problem
  if (letters.length === 0) return 'holds no directive such as %Y or %s'
  return { pattern: new RegExp(`^${source}$`, 'i'), letters }
}
