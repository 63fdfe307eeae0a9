// The report of a run, for programs: what it did, how it ended, and which end of it was the slower one. Keys are in
// snake_case, since it is written as JSON; docs/report.md shows one. Keys may be added, and are not taken away.

import type { ConfigOf, PipelineConfig } from './config.ts'
import { BizonError, messageOf } from './errors.ts'
import { stringifyJson } from './json.ts'
import { peakMemory } from './memory.ts'
import type { Counts, Meter } from './meter.ts'
import { stepsOf } from './plan.ts'
import type { Json } from './record.ts'
import { redactor } from './redact.ts'
import type { SyncMode, Watermark } from './source.ts'

export interface RunReport {
  /** Of this shape; raised when a key changes its meaning. */
  readonly report_version: 1
  /** Of the program. */
  readonly bizon_version: string
  readonly command: 'run' | 'extract' | 'load'
  /** Null: the pipeline file could not be read. */
  readonly pipeline: string | null
  /** `stopped`: by a signal or `max_iterations`; the next run goes on. */
  readonly outcome: 'succeeded' | 'failed' | 'stopped'
  readonly exit_code: number
  /** Why it failed or was stopped; null: no error. Secrets are `***`. */
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null
  readonly started_at: string
  readonly ended_at: string
  readonly seconds: number
  /** The most memory that was in use, in bytes: of this process, and of the one that reads the source (runner `process`). */
  readonly peak_memory: { readonly process: number; readonly source_process: number | null }
  /** One for each stream, in partitions one for each that was loaded here; empty: it failed before it knew of one. */
  readonly streams: readonly StreamReport[]
}

export interface StreamReport {
  readonly source: string
  readonly stream: string
  /** Null for bizon-extract. */
  readonly destination: string | null
  readonly mode: SyncMode
  /** Of a stream in partitions: which of them it is of, from 1. */
  readonly partition?: { readonly number: number; readonly of: number }
  /** Id of the run; null: it did not begin. */
  readonly run: string | null
  /** From 1; null for bizon-extract, which does not count them. */
  readonly attempt: number | null
  /** Where an earlier attempt stood that this one went on from; null: from the beginning. */
  readonly resumed_from: Place | null
  readonly reasons: readonly string[]
  /** Of this attempt, before transforms; bytes are of JSON payloads. */
  readonly read: { readonly rows: number; readonly bytes: number }
  /** Of this attempt, after transforms. */
  readonly written: {
    readonly rows: number
    readonly bytes: number
    readonly pages: number
    readonly checkpoints: number
  }
  /** The last checkpoint that is durable, over all attempts; for bizon-extract the last one written. */
  readonly durable: Place | null
  readonly published: boolean
  /** Files or tables. Empty unless published or written directly. */
  readonly outputs: readonly string[]
  /** Incremental: where this run began, and where the next one does; `after` is null until this one is published. */
  readonly watermark: { readonly before: Mark | null; readonly after: Mark | null }
  /** Seconds in which one half waited for the other; the `slower` one made it wait. Null: neither did. */
  readonly waits: {
    readonly source_seconds: number
    readonly destination_seconds: number
    readonly slower: 'source' | 'destination' | null
  }
  /** What was tried again: HTTP requests of the source, work of the destination; null: it does not count. */
  readonly retries: { readonly http: number; readonly destination: number | null }
  /** The steps that need records as objects, as `bizon run --explain` names them, and how many they were given. */
  readonly parsed: readonly ParsedStep[]
}

export interface Place {
  readonly page: number
  readonly rows: number
  readonly end: boolean
}

export interface Mark {
  readonly time: string
  /** What the source left; null: it goes by the time. */
  readonly value: Json
}

export interface ParsedStep {
  readonly step: 'source' | 'transform' | 'destination'
  readonly does: string
  readonly why: string
  readonly records: number
}

/** What only the source knows of itself, once it is closed. */
export interface SourceFacts {
  readonly httpRetries?: number
  /** Of a source that another process has read: that process's report. */
  readonly report?: RunReport | undefined
}

export interface Ending {
  readonly command: RunReport['command']
  readonly version: string
  readonly startedAt: Date
  /** Configs that were loaded, one for each stream. */
  readonly configs: readonly Partial<ConfigOf<'source'>>[]
  readonly meter: Meter
  readonly outcome: RunReport['outcome']
  readonly exitCode: number
  readonly error?: unknown
  readonly outputs?: readonly string[]
}

export function reportOf(ending: Ending): RunReport {
  const { meter, startedAt, configs, error } = ending
  const endedAt = new Date()
  const parts = meter.parts.flatMap((part) => part.streams.filter(({ beginning }) => beginning))
  const whole = meter.streams.filter(({ beginning }, at) => beginning ?? (parts.length === 0 && configs[at]?.source))
  const known = [...whole, ...parts]
  const streams = known.map((counts, at) => streamReport(counts, configs[at] ?? {}, ending))
  const child = meter.streams[0]?.source.report
  return {
    report_version: 1,
    bizon_version: ending.version,
    command: ending.command,
    pipeline: configs[0]?.name ?? null,
    outcome: ending.outcome,
    exit_code: ending.exitCode,
    error: error === undefined ? null : errorOf(error),
    started_at: startedAt.toISOString(),
    ended_at: endedAt.toISOString(),
    seconds: (endedAt.getTime() - startedAt.getTime()) / 1000,
    peak_memory: {
      process: peakMemory(),
      source_process: child?.peak_memory.process ?? null,
    },
    streams,
  }
}

/** As JSON, without secrets. */
export function reportText(report: RunReport, secrets: readonly string[]): string {
  return `${redactor(secrets)(stringifyJson(report as unknown as Json))}\n`
}

function errorOf(error: unknown): RunReport['error'] {
  const { code = 'internal', hint = null } = error instanceof BizonError ? error : {}
  return { code, message: messageOf(error), hint: hint ?? null }
}

function streamReport(
  counts: Counts,
  config: Partial<ConfigOf<'source'>>,
  { command, outputs, outcome }: Ending,
): StreamReport {
  const { beginning, durable, written, waited, source: facts } = counts
  const known = (beginning?.config ?? config) as PipelineConfig
  const { source, transforms } = known
  const destination = command === 'extract' ? undefined : known.destination
  const { since, began } = beginning ?? {}
  const [child] = facts.report?.streams ?? []
  const { source: forSource, destination: forDestination } = waited
  const after = source.mode === 'incremental' && counts.published && outcome === 'succeeded' && began
  return {
    source: source.name,
    stream: source.stream,
    destination: destination?.name ?? null,
    mode: source.mode,
    ...(source.partition && { partition: { number: source.partition.index + 1, of: source.partition.of } }),
    run: beginning?.run ?? null,
    attempt: beginning?.attempt ?? null,
    resumed_from: placeOf(beginning?.from),
    reasons: beginning?.reasons ?? [],
    read: child?.read ?? counts.read,
    written,
    durable: placeOf(durable),
    published: counts.published,
    outputs: outputs ?? [],
    watermark: {
      before: since ? markOf(since) : null,
      after: after ? markOf({ time: after, value: durable?.watermark ?? since?.value }) : null,
    },
    waits: {
      source_seconds: rounded(forSource),
      destination_seconds: rounded(forDestination),
      slower: forSource === forDestination ? null : forSource > forDestination ? 'source' : 'destination',
    },
    retries: {
      http: child?.retries.http ?? facts.httpRetries ?? 0,
      destination: counts.destinationRetries ?? null,
    },
    parsed: parsedBy({ source, transforms, ...(destination && { destination }) }, counts, child),
  }
}

function placeOf(place: Place | undefined): Place | null {
  return place && place.page > 0 ? { page: place.page, rows: place.rows, end: place.end } : null
}

function markOf({ time, value }: { time: Date; value?: Watermark['value'] | undefined }): Mark {
  return { time: time.toISOString(), value: value ?? null }
}

const rounded = (seconds: number): number => Math.round(seconds * 1e6) / 1e6

function parsedBy(
  config: Pick<PipelineConfig, 'source' | 'transforms'> & Partial<Pick<PipelineConfig, 'destination'>>,
  { read, written, transformed }: Counts,
  child: StreamReport | undefined,
): readonly ParsedStep[] {
  let transforms = 0
  const steps = stepsOf(config).flatMap(({ kind, does, parses }): ParsedStep[] => {
    const records = { source: read.rows, transform: 0, destination: written.rows }[kind]
    const given = kind === 'transform' ? (transformed[transforms++] ?? 0) : records
    return parses === undefined ? [] : [{ step: kind, does, why: parses, records: given }]
  })
  if (!child) return steps
  return [...child.parsed, ...steps.filter(({ step }) => step === 'destination')]
}
