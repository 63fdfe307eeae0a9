// The first contract: where pages come from. A source is an async generator of pages and knows nothing of
// what follows it; backpressure is that nobody asks for the next page yet.

import type { z } from 'zod'
import type { CreateHttp } from './http.ts'
import type { Log } from './log.ts'
import type { Json, JsonObject, SourceRecord } from './record.ts'

export type SyncMode = 'full_refresh' | 'incremental' | 'stream'

/** Where to go on reading: opaque to all but the source that made it. Its JSON round trip must be loss-free. */
export type Position = JsonObject

/** What a source declares of a stream; never guessed. */
export interface StreamInfo {
  readonly name: string
  /** Whether `sync_mode: incremental` works: `read` honours `since`. Default false. */
  readonly incremental?: boolean
  /**
   * Whether a position is still good in a later process, after hours, so that a killed full refresh may go on
   * where it was. Default false: an interrupted full refresh starts over. Incremental reads always resume.
   */
  readonly resumable?: boolean
  readonly primaryKey?: readonly string[]
  /** JSON Schema of `data`, when known. */
  readonly schema?: JsonObject
}

/** Some records of one stream, and the position that follows them. */
export interface Page {
  readonly records: readonly SourceRecord[]
  /** The position after this page; `null` says that the source is exhausted, and is the only proof of that. */
  readonly next: Position | null
  /**
   * More records of the same page follow, so that no checkpoint may stand behind this one, whose `next` does not count.
   * For a page that is too large to be held at once. Default false.
   */
  readonly more?: boolean
  /** The stream of these records; absent: the pipeline's. A new object when its schema changes. */
  readonly stream?: StreamInfo
  /** Handed back as `since.value` by the first run after the one that publishes this page. */
  readonly watermark?: Json
  /** Size of the payloads in bytes. Absent: the engine measures. */
  readonly bytes?: number
  /**
   * Called at most once, when the page is written and nobody can hold on to its records any more: the source may use
   * its buffers again. Not called for a page that a transform or a script has seen.
   */
  readonly release?: () => void
  /** More of a page that the source gave as one follows. Set by the engine. */
  readonly isPart?: boolean
  /** When the page was asked for. Set by the engine. */
  readonly extractedAt?: Date
  /** Of one in partitions: what is the same only of readings that gave all partitions together the same keys so far. Set by the engine. */
  readonly reading?: string
}

/** Where an incremental read begins: what the last published run already has. */
export interface Watermark {
  /** Start of the last published run's fetch. */
  readonly time: Date
  /** What that run's source left as `page.watermark`; preferred over `time`. */
  readonly value?: Json
  /** `source.cursor_field` of the config. */
  readonly cursorField?: string
}

export interface Start {
  /** Go on after this position; absent: from the beginning. Wins over `since`. */
  readonly position?: Position
  /** Incremental: only what is newer. Absent: everything. */
  readonly since?: Watermark
}

export interface Source {
  /**
   * Called once. From a position it yields the pages that followed it, and they end where those ended, unless the data
   * have changed. Yields pages until one has `next: null`, then returns; in stream mode it need not end.
   * Must stop waiting when the signal aborts, and release what it holds in `finally`. A throw fails the run.
   */
  read(from: Start, signal: AbortSignal): AsyncGenerator<Page, void, void>
  /** Rejects, saying why, if reading cannot work. Called before the first page and by `bizon check`. */
  check?(signal: AbortSignal): Promise<void>
  /** How many records there are, for progress only; a failure is ignored. */
  count?(signal: AbortSignal): Promise<number | undefined>
  /**
   * What a `read` from there would read, as known now; changes nothing, and rejects as that would. Called by `bizon plan`, after
   * `check`.
   */
  plan?(from: Start, signal: AbortSignal): Promise<readonly PlannedRead[]>
  /** Whether it would read this local path, if it were there; the engine refuses a destination that writes there. */
  reads?(path: string): boolean
  /**
   * Everything before the position is durable downstream; at the end, that of the last page with a next one. Called while `read` is under way, also with a position that an
   * earlier process has read; may be called again with the same one.
   */
  acknowledge?(position: Position): Promise<void>
  /** Always called, also after a failed `check`. Safe twice. */
  close?(): Promise<void>
}

/** A part of what a read would read. */
export interface PlannedRead {
  /** `orders/3` */
  readonly what: string
  /** What `from` and `to` count: `offset`. */
  readonly unit: string
  readonly from: number
  /** The one behind the last. */
  readonly to: number
  /** At most so many. */
  readonly records?: number
  /** It does not end there, which is what waits now. */
  readonly goesOn?: boolean
}

/** What a connector is told about the pipeline it works in. */
export interface SourceContext {
  readonly pipeline: string
  readonly stream: string
  readonly mode: SyncMode
  readonly log: Log
  /** The source's way to the network; with it retries, rate limits, `--record` and `--replay` work. */
  readonly http: CreateHttp
  /** Whether it may fetch a page before it is asked for. Not with the runner `stream`. Default true. */
  readonly readAhead?: boolean
}

/** One per source file, its default export; `connectors/index.ts` maps a name to it. */
export interface SourceDefinition<Schema extends z.ZodType = z.ZodType> {
  /** One sentence, shown by `bizon source list`. */
  readonly summary: string
  /** The keys under `source:` that are this connector's own. */
  readonly config: Schema
  /** Keys of `config` that change how it reads, not what: an unfinished run is gone on with after they change. */
  readonly tuning?: readonly string[]
  /** Keys without effect that examples of the Python bizon show, and what to do instead: a warning, not an error. */
  readonly ignored?: Readonly<Record<string, string>>
  /** The streams, given the config if there is one. A stream named `*` stands for any name. */
  streams(config?: z.output<Schema>): readonly StreamInfo[]
  /** Why it gives records as objects, for `bizon run --explain`; undefined, or left out: it gives their JSON text. */
  parses?(config: z.output<Schema>, stream: string): string | undefined
  /** Does no I/O. */
  create(config: z.output<Schema>, context: SourceContext): Source
  /**
   * The config with the files that it writes, such as dead letters, in the folder: for `bizon chaos`, which also never
   * calls `acknowledge`. Does no I/O. Absent: it writes none.
   */
  scratch?(config: z.output<Schema>, folder: string): z.output<Schema>
}

/** Types a source definition; see docs/writing-a-source.md for a whole one. */
export function defineSource<Schema extends z.ZodType>(definition: SourceDefinition<Schema>): SourceDefinition<Schema> {
  return definition
}

/** The declared streams; where any name will do, the one that is configured. */
export function namedStreams(streams: readonly StreamInfo[], configured: string): readonly StreamInfo[] {
  return streams.map((stream) => (stream.name === '*' ? { ...stream, name: configured } : stream))
}

/** The declared stream of that name; one called `*` stands for any name. */
export function findStream(streams: readonly StreamInfo[], name: string): StreamInfo | undefined {
  const wildcard = streams.find((stream) => stream.name === '*')
  return streams.find((stream) => stream.name === name) ?? (wildcard && { ...wildcard, name })
}
