// How an incremental read neither skips a record nor gives one twice. The watermark is the greatest cursor value that
// the data had. The next run asks for everything from there on, the value itself included, since more records of that
// value may have come; those of it that were loaded are known by id and dropped.
//
// Data may change while it is read: a record may come in on a page that was read already, while a later one with a
// greater value is seen. So a watermark that is a time does not pass the moment at which the read began, and what was
// seen from there on is known by id as well. Values that are no times must come in at the end of the list.

import { createHash } from 'node:crypto'
import {
  type Cursor,
  type CursorFormat,
  compareCursors,
  cursorBefore,
  cursorOf,
  momentAs,
  writeCursor,
  writeMoment,
} from './cursor.ts'
import { BizonError } from './errors.ts'
import type { Json, JsonObject } from './record.ts'
import type { Watermark } from './source.ts'

/** So many ids are kept. The records of more come a second time, which is said in the log; none is skipped. */
export const MOST_IDS = 10_000
/** A longer id is kept as its hash. */
const LONGEST_ID = 32

export interface IncrementOptions {
  /** Path of the values. A watermark of other values says nothing about these. */
  readonly field: string
  readonly format: CursorFormat
  /** How much earlier than the watermark to begin: seconds, for plain numbers their own unit. */
  readonly lookback: number
  /** Where the first read begins; absent: with everything. */
  readonly startValue?: string | undefined
}

/** One incremental read. What it knows is in `state`, for the position of each page. */
export class Increment {
  readonly #options: IncrementOptions
  /** When the read began, resumes included. */
  readonly #began: Date
  readonly #from: Cursor | undefined
  /** What was loaded before this read: `id` to cursor value, from the watermark on. */
  readonly #known = new Map<string, string>()
  /** Records seen that the next read could be given again. */
  readonly #seen = new Map<string, string>()
  #greatest: Cursor | undefined
  /** The value before: often the next has the same. */
  #last: Cursor | undefined
  /** When the read began, in the terms of the values. */
  #moment: Cursor | undefined
  #momentLike: Cursor | undefined
  #forgotten = 0
  #missing = 0
  #dropped = 0
  #early = 0

  /** Begins; or goes on with what `state` was at some page. */
  constructor(options: IncrementOptions, since: Watermark | undefined, state?: JsonObject, now: Date = new Date()) {
    this.#options = options
    const saved = state as State | undefined
    refuseOther(options.field, since)
    // Values are often whole seconds, rounded down.
    this.#began = saved ? new Date(saved.began) : new Date(Math.floor(now.getTime() / 1000) * 1000)
    this.#from = saved ? optional(saved.from) : beginning(options, since)
    const before = saved ? undefined : (since?.value as Saved | undefined)
    this.#greatest = optional(saved?.greatest ?? before?.value)
    fill(this.#known, saved?.known ?? before?.ids, before?.value)
    fill(this.#seen, saved?.seen ?? before?.ids, saved?.greatest ?? before?.value)
    if (!saved) return
    this.#missing = saved.missing
    this.#forgotten = saved.forgotten
  }

  /** What the request asks from, inclusive; undefined: for everything. */
  get since(): string | undefined {
    return this.#from && writeCursor(this.#from, this.#options.format)
  }

  /** What the request asks up to: the moment at which the read began. */
  get until(): string {
    const { format, startValue } = this.#options
    return writeMoment(this.#began, this.#greatest ?? optional(startValue), format)
  }

  /** When the read began, to the second; resumes keep it. */
  get began(): Date {
    return this.#began
  }

  /** Records that had no cursor value; no read can tell whether they are new. */
  get missing(): number {
    return this.#missing
  }

  /** Records beyond MOST_IDS, which the next read may give again. */
  get forgotten(): number {
    return this.#forgotten
  }

  /** Records left out because the run before has them. */
  get dropped(): number {
    return this.#dropped
  }

  /** Records from before the bound that was asked for. */
  get early(): number {
    return this.#early
  }

  /** Whether the values are times; undefined: there were none. */
  get isTimed(): boolean | undefined {
    const greatest = this.#greatest
    return greatest && momentAs(this.#began, greatest, this.#options.format) !== undefined
  }

  /** Takes note of a record. False: the run before has it already, so that it is to be left out. */
  take(id: string, value: string | undefined): boolean {
    if (value === undefined) {
      this.#missing += 1
      return true
    }
    const key = keyOf(id)
    const cursor = value === this.#last?.text ? this.#last : cursorOf(value)
    this.#last = cursor
    if (this.#from && compareCursors(cursor, this.#from) < 0) this.#early += 1
    const known = this.#known.get(key)
    if (known !== undefined && (known === value || compareCursors(cursorOf(known), cursor) === 0)) {
      this.#dropped += 1
      return false
    }
    if (this.#greatest === undefined || compareCursors(cursor, this.#greatest) > 0) this.#raise(cursor)
    this.#remember(key, cursor)
    return true
  }

  /** For the position that follows. */
  get state(): JsonObject {
    return {
      began: this.#began.toISOString(),
      from: this.#from?.text ?? null,
      greatest: this.#greatest?.text ?? null,
      missing: this.#missing,
      forgotten: this.#forgotten,
      known: listOf(this.#known),
      seen: listOf(this.#seen, this.#greatest?.text),
    } satisfies State
  }

  /** For the last page; undefined when there was no cursor value at all. */
  get watermark(): Json | undefined {
    const greatest = this.#greatest
    if (greatest === undefined) return undefined
    const { text } = this.#floor(greatest)
    return { field: this.#options.field, value: text, ids: listOf(this.#seen, text) } satisfies Saved
  }

  /** The watermark, if this is the greatest value. */
  #floor(greatest: Cursor): Cursor {
    const like = this.#momentLike
    if (like?.kind !== greatest.kind || like.time?.shape !== greatest.time?.shape) {
      this.#moment = momentAs(this.#began, greatest, this.#options.format)
      this.#momentLike = greatest
    }
    const moment = this.#moment
    return moment && compareCursors(moment, greatest) < 0 ? moment : greatest
  }

  #raise(cursor: Cursor): void {
    const before = this.#greatest && this.#floor(this.#greatest)
    this.#greatest = cursor
    const floor = this.#floor(cursor)
    if (floor === before) return
    for (const [key, text] of this.#seen) {
      if (compareCursors(cursorOf(text), floor) < 0) this.#seen.delete(key)
    }
    if (this.#seen.size === 0) this.#forgotten = 0
  }

  #remember(key: string, cursor: Cursor): void {
    const greatest = this.#greatest as Cursor
    if (cursor !== greatest && compareCursors(cursor, this.#floor(greatest)) < 0) return
    if (this.#seen.size >= MOST_IDS && !this.#seen.has(key)) this.#forgotten += 1
    else this.#seen.set(key, cursor.text)
  }
}

/** An id, and its value where that is not the one that most of the list has. */
type Ids = readonly (string | readonly [id: string, value: string])[]

/** The watermark as the state store keeps it. */
interface Saved {
  readonly [key: string]: Json
  readonly field: string
  readonly value: string
  readonly ids: Ids
}

interface State {
  readonly [key: string]: Json
  readonly began: string
  readonly from: string | null
  readonly greatest: string | null
  readonly missing: number
  readonly forgotten: number
  readonly known: Ids
  readonly seen: Ids
}

/**
 * Where to begin: at the last watermark; when no run saw a value yet, at the start value; and when there is none, at
 * the time of the last run, if that can be said in the request's terms.
 */
function beginning({ format, lookback, startValue }: IncrementOptions, since: Watermark | undefined) {
  const saved = since?.value as Saved | undefined
  if (saved) {
    const from = cursorBefore(cursorOf(saved.value), lookback, format)
    const start = optional(startValue)
    return start && compareCursors(from, start) < 0 ? start : from
  }
  if (startValue !== undefined) return cursorOf(startValue)
  const moment = since && momentAs(since.time, undefined, format)
  return moment && cursorBefore(moment, lookback, format)
}

/** Throws when the watermark is one of other values. */
export function refuseOther(field: string, since: Watermark | undefined): void {
  const saved = since?.value as Saved | undefined
  if (saved === undefined || saved.field === field) return
  throw new BizonError(
    'config',
    `cursor_field is ${JSON.stringify(field)} now, and the last run went by ${JSON.stringify(saved.field)}: its watermark, ${JSON.stringify(saved.value)}, cannot be gone on from`,
    { hint: 'Run once with --reset, which loads everything again; or go back to the former cursor_field.' },
  )
}

const optional = (text: string | null | undefined): Cursor | undefined =>
  typeof text === 'string' ? cursorOf(text) : undefined

/** To know an id again by, in few bytes. */
export function keyOf(id: string): string {
  return id.length <= LONGEST_ID ? id : createHash('sha256').update(id).digest('base64url').slice(0, 22)
}

function listOf(ids: ReadonlyMap<string, string>, most?: string): Ids {
  return [...ids].map(([id, value]) => (value === most ? id : [id, value]))
}

function fill(map: Map<string, string>, ids: Ids | undefined, most: string | null | undefined): void {
  for (const entry of ids ?? []) {
    if (typeof entry !== 'string') map.set(entry[0], entry[1])
    else if (typeof most === 'string') map.set(entry, most)
  }
}
