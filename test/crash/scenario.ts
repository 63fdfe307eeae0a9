// What is loaded in the crash tests: for each mode a small pipeline, what an earlier run has published, and what must
// be there once the killed run has been resumed to its end. The records hold what programs like to change.

import type { Files } from './workspace.ts'

export interface Target {
  /** The published file, of Parquet the folder. */
  readonly path: string
  /** Which program reads it. Default: jq, lines of JSON. */
  readonly readBy?: 'csv' | 'duckdb'
  /** The lines that readers see before the run and after it, as the source has them; undefined: there is no file. */
  readonly before?: string | undefined
  readonly after: string
  /** What the file holds of a record: six columns around its text, or the bytes alone. */
  readonly holds: 'six columns' | 'bytes'
}

export interface Scenario {
  readonly title: string
  /** Files and options of the run that is killed. */
  readonly files: Files
  readonly args?: readonly string[]
  /** Files of a run before it, which succeeded. */
  readonly earlier?: Files
  readonly targets: readonly Target[]
  /** The `n` of records that are passed over: each is in this file in the end, once or more often. */
  readonly deadLetters?: { readonly path: string; readonly records: readonly number[] }
  /** What readers may meet between kill and resume besides the old and the new content. */
  readonly meanwhile?: 'part of what was added'
  /** Rows are added to those of the run before, all at one moment. */
  readonly addsAtOnce?: true
  /** The run has no end of its own: it is stopped by SIGTERM as soon as this many rows are durable. */
  readonly stopAt?: number
  /** Run again after it succeeded it would load everything a second time. */
  readonly once?: true
  /** Path of the destination's state file. */
  readonly sidecar: string
}

/** Line `n` of a source: numbers that a double changes, escapes, white space, now and then one larger than a page. */
export function line(n: number, version = 'a'): string {
  const pad = n % 40 === 7 ? 'long '.repeat(900) : '.'.repeat((n * 37) % 180)
  return `{"id":"${version}${n}","price":${n}.10,"big":90071992547409${930 + n}, "zero":-0,"text":"é\\n\\"\\u0041\\\\ 𝄞","nested":{"a":[1,null,{}],"b":1E400},"pad":"${pad}"}`
}

/** Whole lines from `from` up to but without `to`. */
export function lines(from: number, to: number, version?: string): string {
  return Array.from({ length: to - from }, (_, at) => `${line(from + at, version)}\n`).join('')
}

/** Fewer rows in a file that is longer than the one with all: a full refresh does not go on in one that was cut. */
export function grown(rows: string): string {
  return rows + '\n'.repeat(Math.max(0, ALL.length - rows.length) + ROWS * 8)
}

interface Pipeline {
  readonly mode: 'full_refresh' | 'incremental' | 'stream'
  /** Further lines below `source:` and `destination.config:`. */
  readonly source?: readonly string[]
  readonly destination?: readonly string[]
  readonly runner?: string
  readonly format?: string
}

/** A pipeline from `source.ndjson` to `out/records.json` with a checkpoint after every page. */
export function pipelineFile({ mode, source = [], destination = [], runner = 'thread', format = 'ndjson' }: Pipeline) {
  return `name: crash
source:
  name: file
  stream: records
  sync_mode: ${mode}
  path: source.${format}
  page_bytes: 4096
  poll_interval: 0.01
${source.map((key) => `  ${key}\n`).join('')}destination:
  name: file
  config:
    destination_id: out/records
    buffer_size: 0
${destination.map((key) => `    ${key}\n`).join('')}engine:
  backend:
    type: sqlite
    config:
      database: state
      syncCursorInDBEvery: 1
  runner:
    type: ${runner}
`
}

export const ROWS = 110
const OLD = lines(0, 60, 'old')
const ALL = lines(0, ROWS)
const EARLIER = lines(0, 60)

const PLAIN = ['metadata: none']
const COLUMNS = ['pad', 'id', 'price', 'big', 'zero', 'text', 'nested']
const UNNEST = [
  'unnest: true',
  'record_schemas:',
  '  - destination_id: out/records',
  `    record_schema: [${COLUMNS.map((name) => `{ name: ${name}, type: STRING }`).join(', ')}]`,
]
/** As the columns are ordered: `pad` first. */
const UNNESTED = ALL.replaceAll(/^\{(.*), ("zero".*),("pad":"[^"]*")\}$/gm, '{$3,$1,$2}')

const main = { path: 'out/records.json', holds: 'six columns' } as const
const sidecar = 'out/.records.state.json'

/** Six columns, into a folder where nothing is yet. */
export function fullRefreshOf(all: string): Scenario {
  return {
    title: 'full refresh',
    files: { 'pipeline.yml': pipelineFile({ mode: 'full_refresh' }), 'source.ndjson': all },
    targets: [{ ...main, after: all }],
    sidecar,
  }
}

/** A first run of what was there earlier, and one that adds the rest. */
export function appendOf(earlier: string, all: string): Scenario {
  return {
    title: 'incremental, appending',
    earlier: { 'pipeline.yml': pipelineFile({ mode: 'incremental' }), 'source.ndjson': earlier },
    files: { 'source.ndjson': all },
    targets: [{ ...main, before: earlier, after: all }],
    meanwhile: 'part of what was added',
    sidecar,
  }
}

const fullRefresh = fullRefreshOf(ALL)

const fullRefreshOver: Scenario = {
  title: 'full refresh over a published file, bytes alone',
  earlier: {
    'pipeline.yml': pipelineFile({ mode: 'full_refresh', destination: PLAIN }),
    'source.ndjson': OLD,
  },
  files: { 'source.ndjson': ALL },
  targets: [{ ...main, holds: 'bytes', before: OLD, after: ALL }],
  sidecar,
}

const incrementalFirst: Scenario = {
  title: 'incremental, first run',
  files: { 'pipeline.yml': pipelineFile({ mode: 'incremental' }), 'source.ndjson': ALL },
  targets: [{ ...main, after: ALL }],
  sidecar,
}

const incrementalAppend = appendOf(EARLIER, ALL)

const reset: Scenario = {
  title: 'incremental, reset',
  earlier: { 'pipeline.yml': pipelineFile({ mode: 'incremental' }), 'source.ndjson': OLD },
  files: { 'source.ndjson': ALL },
  args: ['--reset'],
  targets: [{ ...main, before: OLD, after: ALL }],
  sidecar,
}

const stream: Scenario = {
  title: 'stream',
  files: { 'pipeline.yml': pipelineFile({ mode: 'stream' }), 'source.ndjson': ALL },
  targets: [{ ...main, after: ALL }],
  meanwhile: 'part of what was added',
  stopAt: ROWS,
  sidecar,
}

const unnest: Scenario = {
  title: 'full refresh of columns (unnest)',
  files: { 'pipeline.yml': pipelineFile({ mode: 'full_refresh', destination: UNNEST }), 'source.ndjson': ALL },
  targets: [{ ...main, holds: 'bytes', after: UNNESTED }],
  sidecar,
}

/** The creatures of the dummy source name a second file, from the page between the others. */
const routed: Scenario = {
  title: 'stream to several files',
  files: {
    'pipeline.yml': pipelineFile({ mode: 'stream', destination: PLAIN })
      .replace(/name: file\n {2}stream: records/, 'name: dummy\n  stream: creatures')
      .replaceAll(/ {2}(path|page_bytes|poll_interval): .*\n/g, '')
      .replace('out/records', 'creatures'),
  },
  targets: [
    {
      path: 'creatures.json',
      holds: 'bytes',
      after:
        '{"id":9898,"name":"bizon","age":26}\n{"id":88787,"name":"croco","age":23}\n{"id":56565,"name":"poulpo","age":26}\n',
    },
    {
      path: 'routed.json',
      holds: 'bytes',
      after: '{"id":98,"name":"froggy","age":26}\n{"id":3333,"name":"turtle","age":23}\n',
    },
  ],
  meanwhile: 'part of what was added',
  once: true,
  sidecar: '.creatures.state.json',
}

const pageByPage: Scenario = {
  ...incrementalAppend,
  title: 'incremental, appending, runner stream, bytes alone',
  earlier: {
    'pipeline.yml': pipelineFile({ mode: 'incremental', runner: 'stream', destination: PLAIN }),
    'source.ndjson': EARLIER,
  },
  targets: [{ ...main, holds: 'bytes', before: EARLIER, after: ALL }],
}

export const scenarios = {
  fullRefresh,
  fullRefreshOver,
  incrementalFirst,
  incrementalAppend,
  reset,
  stream,
  unnest,
  routed,
  pageByPage,
} satisfies Record<string, Scenario>
