// What the lines of ours hold under the key `bizon`, above all a STATE. It is all that a producer needs to go on (so
// that `--state` and the state store say the same), and all that a loader needs to know that nothing was lost on the way.

import { Damaged } from '../errors.ts'
import { isObject, parseJson, stringifyJson } from '../json.ts'
import type { Partition } from '../partition.ts'
import type { Json, JsonObject, RawJson, SourceRecord } from '../record.ts'
import { isMapping } from '../references.ts'
import type { Position, SyncMode } from '../source.ts'

/** How a pipe begins: what is read, and from where on. In its first line only. */
export interface Beginning {
  readonly pipeline: string
  readonly source: string
  readonly stream: string
  readonly mode: SyncMode
  /** Whether positions of the stream survive, so that an interrupted full refresh goes on. */
  readonly resumable: boolean
  /** Incremental: everything is read again, to replace the target. */
  readonly reset: boolean
  /** What an earlier run left is not gone on with. */
  readonly startOver: boolean
  /** Of what the source is configured to read. */
  readonly hash: string
  /** Of the transforms that the records have been through; empty: of none. */
  readonly transforms: string
  /** Which of the partitions of the stream it is. Absent: it is the whole stream. */
  readonly partition?: Partition
  /** Of a whole stream: in how many partitions it is. Absent: in one. */
  readonly partitions?: number
}

/** Where a pipe stands: behind so many pages and records of the run. */
export interface PipeState {
  /** 32 hex digits. */
  readonly run: string
  /** When the run began to read. */
  readonly at: Date
  /** What it is a run of. Absent: nobody says. */
  readonly of?: { readonly pipeline: string; readonly stream: string }
  /** Incremental: the published run from whose watermark it reads on. */
  readonly previous?: string
  readonly page: number
  /** Records of the run so far; the number of the last record. */
  readonly rows: number
  /** Nothing more follows, because the source is exhausted. */
  readonly end: boolean
  /** Records of the run so far, by partition. Absent: there is one, or nobody knows. */
  readonly partitions?: readonly number[]
  /** Where the source goes on; null at the end, and before the first page. */
  readonly position: Position | null
  readonly watermark?: Json
  /** See `Page`. */
  readonly reading?: string
  readonly begin?: Beginning
}

/** The value of a STATE line, as JSON text. */
export function writeState(given: PipeState): string {
  const { run, at, of, previous, page, rows, partitions, end, position, watermark, reading, begin } = given
  const state: Record<string, Json> = { run, at: at.toISOString() }
  if (of && !begin) Object.assign(state, of)
  if (previous !== undefined) state.previous = previous
  Object.assign(state, { page, rows, ...(partitions && { partitions }), end, position })
  if (watermark !== undefined) state.watermark = watermark
  if (reading !== undefined) state.reading = reading
  if (begin) {
    const { pipeline, source, stream, mode, resumable, reset, startOver, hash, transforms } = begin
    const { partition, partitions: count } = begin
    state.begin = {
      ...{ pipeline, source, stream, mode, resumable, reset, start_over: startOver, hash, transforms },
      ...(partition && { partition: partition.index, partitions: partition.of }),
      ...(count !== undefined && { partitions: count }),
    }
  }
  return stringifyJson({ bizon: state })
}

/** What our producer says of a record beside its payload. */
export function writeExtra({ id, timestamp, destinationId }: SourceRecord, n: number): string {
  let extra = `{"n":${n},"id":${JSON.stringify(id)}`
  if (timestamp !== undefined) {
    extra += `,"at":${JSON.stringify(timestamp instanceof Date ? timestamp.toISOString() : timestamp)}`
  }
  if (destinationId !== undefined) extra += `,"to":${JSON.stringify(destinationId)}`
  return `${extra}}`
}

/** What a producer of ours meant; undefined: the value is somebody else's. Throws if ours is damaged. */
export function readState(value: RawJson): PipeState | undefined {
  return isObject(value) ? readStateOf(parseJson(value.toString())) : undefined
}

/** The same of a parsed value. */
export function readStateOf(value: unknown): PipeState | undefined {
  const given = isMapping(value) ? value.bizon : undefined
  if (given === undefined) return undefined
  const state = isMapping(given) ? given : {}
  const { run, at, pipeline, stream, previous, page, rows, partitions, end, position, watermark, reading, begin } =
    state
  const wrong = firstWrong(state, STATE)
  if (wrong !== undefined) {
    throw new Damaged('source', `a STATE of bizon is damaged: ${wrong}`, { hint: LOOK })
  }
  return {
    run: run as string,
    at: new Date(String(at)),
    ...(typeof pipeline === 'string' && typeof stream === 'string' && { of: { pipeline, stream } }),
    ...(typeof previous === 'string' && { previous }),
    page: page as number,
    rows: rows as number,
    ...(Array.isArray(partitions) && { partitions: partitions.map(Number) }),
    end: end as boolean,
    position: position as Position | null,
    ...(watermark !== undefined && { watermark: watermark as Json }),
    ...(typeof reading === 'string' && { reading }),
    ...(begin !== undefined && { begin: readBeginning(begin) }),
  }
}

const LOOK = 'See docs/pipe-format.md for what it holds.'
const MODES: readonly unknown[] = ['full_refresh', 'incremental', 'stream'] satisfies SyncMode[]
type Rules = { readonly [key: string]: readonly [expected: string, fits: (value: unknown) => boolean] }

const text: Rules[string] = ['text', (value) => typeof value === 'string']
const flag: Rules[string] = ['true or false', (value) => typeof value === 'boolean']
const count: Rules[string] = ['a whole number', (value) => Number.isSafeInteger(value) && (value as number) >= 0]
const STATE: Rules = {
  run: ['32 hexadecimal digits', (value) => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)],
  at: ['a time as RFC 3339 has it', (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value))],
  page: count,
  rows: count,
  end: flag,
  position: ['an object or null', (value) => value === null || isMapping(value)],
}
const BEGIN: Rules = {
  pipeline: text,
  source: text,
  stream: text,
  mode: [MODES.join(', '), (value) => MODES.includes(value)],
  resumable: flag,
  reset: flag,
  start_over: flag,
  hash: text,
  transforms: text,
  partition: count,
  partitions: count,
}

/** The first key whose value does not fit. */
function firstWrong(given: { readonly [key: string]: unknown }, rules: Rules): string | undefined {
  for (const [key, [expected, fits]] of Object.entries(rules)) {
    const value = given[key]
    if (fits(value)) continue
    return `${key}: expected ${expected}, got ${value === undefined ? 'nothing' : stringifyJson(value as Json).slice(0, 100)}`
  }
  return undefined
}

function readBeginning(given: unknown): Beginning {
  const begin = (isMapping(given) ? given : {}) as JsonObject
  const { pipeline, source, stream, mode, resumable = false, reset = false, start_over: startOver = false } = begin
  const { hash = '', transforms = '', partition, partitions = 1 } = begin
  const wrong = firstWrong(
    {
      ...{ pipeline, source, stream, mode, resumable, reset, start_over: startOver, hash, transforms, partitions },
      partition: partition ?? 0,
    },
    BEGIN,
  )
  if (wrong !== undefined) {
    throw new Damaged('source', `the first line of the pipe is damaged: begin.${wrong}`, { hint: LOOK })
  }
  if (OUTSIDE.test(stream as string)) {
    throw new Damaged(
      'source',
      `the first line of the pipe names stream ${stream}, which is a path out of its folder`,
      {
        hint: 'The stream of a pipe may choose a file below the destination, and no other.',
      },
    )
  }
  return {
    ...{ pipeline, source, stream, mode, resumable, reset, startOver, hash, transforms },
    ...(partition !== undefined && { partition: { index: partition, of: partitions } }),
    ...(partition === undefined && partitions !== 1 && { partitions }),
  } as Beginning
}

/** `destination_id` may hold the name of the stream, and may be a path. */
const OUTSIDE = /(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]/

/** As it is after a round trip, for comparing. */
export const plain = (position: Position | null): unknown => JSON.parse(stringifyJson(position))
