// The fields of records and the kinds of their values, in one pass over the text. Records of a stream mostly have the
// same fields in the same order: a field is looked for where the record before had it, by its bytes.

import { BizonError } from '../../../lib/errors.ts'
import { isSpelled, members, stringAt } from '../../../lib/json.ts'
import type { RawJson } from '../../../lib/record.ts'
import { joined, type Kind, kindOf } from './kinds.ts'
import type { SeenValues } from './seen.ts'

/** How many names of fields are remembered of a table: more are no names. */
export const MOST_NAMES = 10_000

/** How many fields a record may lack and the next one still be found by its bytes. */
const NEAR = 16

interface Field {
  readonly name: string
  /** As it stands in the text, quotes included. */
  readonly spelling: Buffer
  /** Its place among those met. */
  readonly place: number
  kind: Kind | undefined
}

export class Fields {
  readonly #table: string
  readonly #byName = new Map<string, Field>()
  /** In the order in which they were first met. */
  readonly #order: Field[] = []
  /** Since they were last asked for. */
  #changed = new Set<Field>()
  readonly #seen: SeenValues | undefined

  /** `seen`: told where the values are, of the fields in the order of `names`. */
  constructor(table: string, seen?: SeenValues) {
    this.#table = table
    this.#seen = seen
  }

  /** Of all fields so far, in the order in which they were first met. */
  get names(): readonly string[] {
    return this.#order.map(({ name }) => name)
  }

  get count(): number {
    return this.#order.length
  }

  /** Adds what a record has. Of members with the same name the last counts, which every kind of both takes. Throws at one name too many. */
  observe(raw: RawJson, record: string): void {
    const { buffer, start, end } = raw
    let at = 0
    members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
      const field = this.#near(at, buffer, keyStart, keyEnd) ?? this.#find(buffer, keyStart, keyEnd, record)
      at = field.place + 1
      this.#seen?.add(field.place, valueStart, valueEnd)
      const kind = kindOf(buffer, valueStart, valueEnd)
      if (kind === undefined || kind === field.kind) return
      const both = field.kind === undefined ? kind : joined(field.kind, kind)
      if (both === field.kind) return
      field.kind = both
      this.#changed.add(field)
    })
    this.#seen?.end(raw)
  }

  /**
   * Fields that had no value before the last call, or only narrower ones, with the kind that takes all they had. No others, so
   * that a page costs what is new in it, however many names there were.
   */
  changed(): Map<string, Kind> {
    const fields = [...this.#changed].sort((one, other) => one.place - other.place)
    this.#changed.clear()
    return new Map(fields.map(({ name, kind }) => [name, kind as Kind]))
  }

  /** The field of that spelling, when it is the next one, or one that follows soon. */
  #near(at: number, buffer: Buffer, start: number, end: number): Field | undefined {
    const last = Math.min(at + NEAR, this.#order.length)
    for (let place = at; place < last; place++) {
      const field = this.#order[place] as Field
      if (isSpelled(buffer, start, end, field.spelling)) return field
    }
    return undefined
  }

  #find(buffer: Buffer, keyStart: number, keyEnd: number, record: string): Field {
    const name = stringAt(buffer, keyStart, keyEnd)
    let field = this.#byName.get(name)
    if (!field) {
      if (this.#order.length === MOST_NAMES) throw tooManyNames(`record ${JSON.stringify(record)} for ${this.#table}`)
      const spelling = Buffer.from(buffer.subarray(keyStart, keyEnd))
      field = { name, spelling, place: this.#order.length, kind: undefined }
      this.#byName.set(name, field)
      this.#order.push(field)
    }
    return field
  }
}

function tooManyNames(of: string): BizonError {
  return new BizonError(
    'invalid_record',
    `${of}: there are more than ${MOST_NAMES} names of fields by now: they look like values`,
    {
      hint: 'Make a list of names and values of them in a transform, or load the records whole with unnest: false.',
    },
  )
}

/** The kind of the record's value of that name, if the column does not take it. */
export function otherKind(
  { buffer, start, end }: RawJson,
  name: string,
  takes: (kind: Kind) => boolean,
): Kind | undefined {
  let found: Kind | undefined
  members(buffer, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    if (stringAt(buffer, keyStart, keyEnd) !== name) return
    const kind = kindOf(buffer, valueStart, valueEnd)
    if (kind !== undefined && !takes(kind)) found = kind
  })
  return found
}
