// The other formats of the file destination in the crash tests. CSV goes the way of NDJSON, but for its header; Parquet has
// one of its own.

import { lines, pipelineFile, ROWS, type Scenario } from './scenario.ts'

const ALL = lines(0, ROWS)
const OLD = lines(0, 60, 'old')
const EARLIER = lines(0, 60)

const csv = {
  target: { path: 'out/records.csv', readBy: 'csv', holds: 'six columns' },
  sidecar: 'out/.records.csv.state.json',
} as const
const parquet = {
  target: { path: 'out/records', readBy: 'duckdb', holds: 'six columns' },
  sidecar: 'out/.records.parquet.state.json',
} as const

type Mode = Parameters<typeof pipelineFile>[0]['mode']
const file = (format: string, mode: Mode): string => pipelineFile({ mode, destination: [`format: ${format}`] })

const csvFullRefresh: Scenario = {
  title: 'csv, full refresh over a published file',
  earlier: { 'pipeline.yml': file('csv', 'full_refresh'), 'source.ndjson': OLD },
  files: { 'source.ndjson': ALL },
  targets: [{ ...csv.target, before: OLD, after: ALL }],
  sidecar: csv.sidecar,
}

const csvAppend: Scenario = {
  title: 'csv, incremental, appending',
  earlier: { 'pipeline.yml': file('csv', 'incremental'), 'source.ndjson': EARLIER },
  files: { 'source.ndjson': ALL },
  targets: [{ ...csv.target, before: EARLIER, after: ALL }],
  meanwhile: 'part of what was added',
  sidecar: csv.sidecar,
}

const csvStream: Scenario = {
  title: 'csv, stream',
  files: { 'pipeline.yml': file('csv', 'stream'), 'source.ndjson': ALL },
  targets: [{ ...csv.target, after: ALL }],
  meanwhile: 'part of what was added',
  stopAt: ROWS,
  sidecar: csv.sidecar,
}

const parquetFullRefresh: Scenario = {
  title: 'parquet, full refresh over a published version',
  earlier: { 'pipeline.yml': file('parquet', 'full_refresh'), 'source.ndjson': OLD },
  files: { 'source.ndjson': ALL },
  targets: [{ ...parquet.target, before: OLD, after: ALL }],
  sidecar: parquet.sidecar,
}

const parquetAppend: Scenario = {
  title: 'parquet, incremental, appending',
  earlier: { 'pipeline.yml': file('parquet', 'incremental'), 'source.ndjson': EARLIER },
  files: { 'source.ndjson': ALL },
  targets: [{ ...parquet.target, before: EARLIER, after: ALL }],
  addsAtOnce: true,
  sidecar: parquet.sidecar,
}

const parquetStream: Scenario = {
  title: 'parquet, stream',
  files: { 'pipeline.yml': file('parquet', 'stream'), 'source.ndjson': ALL },
  targets: [{ ...parquet.target, after: ALL }],
  meanwhile: 'part of what was added',
  stopAt: ROWS,
  sidecar: parquet.sidecar,
}

export const formatScenarios = {
  csvFullRefresh,
  csvAppend,
  csvStream,
  parquetFullRefresh,
  parquetAppend,
  parquetStream,
} satisfies Record<string, Scenario>
