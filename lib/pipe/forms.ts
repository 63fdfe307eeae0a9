// How each format spells what flows through a pipe. The payload of a record is not spelled: its bytes go out as they came.

import { stringifyJson } from '../json.ts'
import type { SourceRecord } from '../record.ts'
import type { StreamInfo } from '../source.ts'
import { airbyteForm } from './airbyte/form.ts'
import type { Bookmarks } from './bookmarks.ts'
import type { BufferedOut } from './buffered.ts'
import { type PipeState, writeExtra, writeState } from './state.ts'

/** `singer`, `airbyte`: messages with what a loader of ours needs. `ndjson`: bare records. */
export const PIPE_FORMATS = ['singer', 'ndjson', 'airbyte'] as const
export type PipeFormat = (typeof PIPE_FORMATS)[number]

/** How it came to its end; `complete`: the source is exhausted, or is a stream, which has no end. */
export type PipeEnd = 'complete' | 'stopped' | 'failed'

/** Whole lines each, with their line ends, unless said otherwise. An empty text is not written. */
export interface PipeForm {
  /** Behind the STATE with which the pipe begins: what its records are. */
  readonly open: string
  /** Before records that follow those of another stream. */
  readonly turn: string
  /** A line that says nothing new, to find out whether somebody still reads. Empty: there is none. */
  readonly idle: string
  /** Of a page that was asked for at this time: writes what stands before the payload of each record. Absent: nothing does. */
  page(extractedAt: Date): RecordHead | undefined
  /** What stands behind each payload. */
  readonly after: string
  /** At the beginning, and behind a page. `records`: how many were written since the last one. */
  state(state: PipeState, records: number): string
  /** After all else. */
  close(end: PipeEnd): string
}

/** One of several streams. `version`: it is sent whole, and so was or will be what has another version. */
export interface Among {
  readonly bookmarks: Bookmarks
  readonly version: number | undefined
}

/** The format's way to spell records of this stream. `among`: one of several streams, for any Singer target. */
export function formOf(format: PipeFormat, stream: StreamInfo, among?: Among): PipeForm {
  if (among) return singerForm(stream, among)
  if (format === 'ndjson') return bare
  return format === 'airbyte' ? airbyteForm(stream) : singerForm(stream)
}

/** `n`: the number of the record in the run. Returns a promise only when it has to be waited for. */
export type RecordHead = (out: BufferedOut, record: SourceRecord, n: number) => Promise<void> | undefined

/** `before` and `after`: what stands around what we say of a record beside its payload. */
export function recordHead(before: string, after: string): RecordHead {
  const head = Buffer.from(`${before}{"n":`)
  const tail = Buffer.from(`"}${after}`)
  return (out, record, n) => {
    const plain = record.timestamp === undefined && record.destinationId === undefined
    if (plain && out.quick(head, n, BEFORE_ID, record.id, tail)) return undefined
    return out.text(`${before}${writeExtra(record, n)}${after}`)
  }
}

const BEFORE_ID = Buffer.from(',"id":"')
const nothing = (): string => ''
const bare: PipeForm = {
  open: '',
  turn: '',
  idle: '',
  page: () => undefined,
  after: '\n',
  state: nothing,
  close: nothing,
}

/** With others, what we say of each record is left out: it would be checked as a run of one stream. */
function singerForm({ name, schema, primaryKey = [] }: StreamInfo, among?: Among): PipeForm {
  const stream = JSON.stringify(name)
  const described = stringifyJson(schema ?? { type: 'object', properties: {} })
  const open = `{"type":"SCHEMA","stream":${stream},"schema":${described},"key_properties":${JSON.stringify(primaryKey)}}\n`
  return {
    open,
    turn: open,
    idle: open,
    page: (extractedAt) => {
      const version = among?.version === undefined ? '' : `"version":${among.version},`
      const before = `{"type":"RECORD","stream":${stream},${version}"time_extracted":"${extractedAt.toISOString()}"`
      if (!among) return recordHead(`${before},"bizon":`, ',"record":')
      const head = Buffer.from(`${before},"record":`)
      return (out) => out.bytes(head)
    },
    after: '}\n',
    state: (state) => {
      if (!among) return `{"type":"STATE","value":${writeState(state)}}\n`
      const { bookmarks, version } = among
      const isWhole = state.end && version !== undefined
      const rest = isWhole ? `{"type":"ACTIVATE_VERSION","stream":${stream},"version":${version}}\n` : ''
      return `${rest}{"type":"STATE","value":${bookmarks.move(name, state)}}\n`
    },
    close: nothing,
  }
}
