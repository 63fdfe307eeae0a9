// The last contract: where pages go. open → write* → flush* → publish → close.
// A destination that can holds its own checkpoints, in the same atomic step as the rows they cover;
// it is asked first on every start, because it is the truth.

import type { z } from 'zod'
import type { Reader, Scratch } from './audit/reader.ts'
import type { Checkpoint, Receipt } from './checkpoint.ts'
import type { Links, NameRules } from './child-tables/names.ts'
import type { Log } from './log.ts'
import type { Partition } from './partition.ts'
import type { JsonObject } from './record.ts'
import type { Page, SyncMode } from './source.ts'

/** One run of a pipeline, as a destination sees it. */
export interface Run {
  /** Created once, before the first fetch; every resume of the run has the same. */
  readonly id: string
  readonly pipeline: string
  readonly source: string
  readonly stream: string
  /** Of a stream in partitions: which of them. `stream` is then the partition's own. */
  readonly partition?: Partition
  /** What to do at the end: replace the target, append to it, or write to it directly. A reset arrives as full_refresh. */
  readonly mode: SyncMode
  /** Fencing epoch: greater in every later process. A commit is refused where a greater one was seen. */
  readonly epoch: number
  /** Whether the records are all there is (no watermark was given), so that publishing replaces. */
  readonly complete: boolean
  /**
   * Full refresh, of a program that is not ours: it takes the place of the streams that it names, by records or by a page
   * without any, and of no others. Absent: of all that was published before.
   */
  readonly keepsOthers?: boolean
  /**
   * Incremental, adding: the run whose watermark this one starts from, so that what is published must be what that run
   * left. Absent: nothing is known of it.
   */
  readonly previous?: string
  /** Unfinished runs in whose place this one comes: what one of them has added comes again, and is to be taken back. */
  readonly givenUp?: readonly string[]
  /** `force_ignore_checkpoint`: nothing that an earlier run read is gone on with. */
  readonly startOver?: boolean
  /** The run's last checkpoint as the state store remembers it. May be behind the destination, never the truth. */
  readonly stored?: Checkpoint & { readonly receipt?: Receipt }
}

export interface Destination {
  /**
   * First call. Connects and recovers: what was staged for another run is dropped, what is behind the last
   * commit of this run is cut off. Resolves to the run's last checkpoint that is durable here; a destination
   * that cannot hold one returns `run.stored`.
   */
  open(run: Run, signal: AbortSignal): Promise<Checkpoint | undefined>
  /**
   * Stages a page; may buffer, within bounds, but a copy: once it resolves, the bytes of the page's records may
   * change. Rejecting fails the run.
   */
  write(page: Page, signal: AbortSignal): Promise<void>
  /**
   * Makes everything written so far durable together with the checkpoint, or rejects. Not cancelled by a signal.
   * Resolves to what recovery needs besides the checkpoint, if anything; the state store keeps it.
   */
  flush(checkpoint: Checkpoint): Promise<Receipt | undefined>
  /**
   * Makes the run's rows visible. Called only once a checkpoint with `end` is flushed; may be called again after a crash.
   * Of a partition: together with those of all others, by whichever comes last; resolves to `waits` until then, and is asked again.
   */
  publish(): Promise<Published>
  /**
   * Of a partition: the checkpoint that each of them, this one too, holds of the run, in order; undefined: none. Asked for after `open`.
   * Left out: what the state store knows of them has to do.
   */
  parts?(): Promise<readonly (Checkpoint | undefined)[]>
  /** Always the last call, also after a failed `open`; safe twice; never publishes. */
  close(): Promise<void>
  /** Rejects, saying why, if writing cannot work; changes nothing. Called by `bizon check`. */
  check?(signal: AbortSignal): Promise<void>
  /**
   * What a run would find here, and do; changes nothing, and leaves nothing but a `close` to be done. Instead of `open`,
   * and rejects as that would, but for a target that another run holds. Called by `bizon plan`.
   */
  plan?(run: Run, signal: AbortSignal): Promise<DestinationPlan>
  /** Where a person finds what was published: paths, table names. Asked for after `publish`. */
  outputs?(): readonly string[]
  /** How often it did again what had failed in passing; left out: it does not count. For the report of the run. */
  retries?(): number
  /** Local paths it writes; a source must not read them. Absolute, and known before `open`. */
  occupies?(): readonly string[]
}

// biome-ignore lint/suspicious/noConfusingVoidType: most have nothing to say
export type Published = 'waits' | void

export interface DestinationPlan {
  /** What `open` would resolve to. */
  readonly durable: Checkpoint | undefined
  /** Another run that has the target, in words for people. */
  readonly heldBy?: string | undefined
  /** In the order in which they are made. Targets that only the records name are left out. */
  readonly changes: readonly PlannedChange[]
}

export interface PlannedChange {
  /** A path, or the name of a table. */
  readonly target: string
  /**
   * `create`: there is no such target. `replace`, `append`, `merge`, `replace_scope`: what becomes of what is there. `empty`: no rows
   * are left. `keep`: as it is. `remove`, `cut`: what an earlier run has left. `alter`: its columns.
   */
  readonly action: 'create' | 'replace' | 'append' | Adds | 'empty' | 'keep' | 'remove' | 'cut' | 'alter'
  /** Size of the target as it is, where that is known at no cost. */
  readonly bytes?: number
  /** Why, or when, in words for people. */
  readonly reason?: string
  /** The statement, where there is one. */
  readonly sql?: string
}

export interface DestinationContext {
  readonly pipeline: string
  /** The pipeline's stream: the default name of the target. */
  readonly stream: string
  /** Only this one of its partitions is loaded; the target is that of all of them. */
  readonly partition?: Partition
  readonly mode: SyncMode
  /** JSON Schema of the stream's records, where it is known and no transform changes them. */
  readonly schema?: JsonObject
  /** Whether a transform changes the records, so that the schema of a page's stream does not say what they are. */
  readonly isTransformed?: boolean
  readonly log: Log
}

/** How new rows come to those that are there, if they are not just added. */
export type Adds = 'merge' | 'replace_scope'

/** One per destination file, its default export; `connectors/index.ts` maps a name to it. */
export interface DestinationDefinition<Schema extends z.ZodType = z.ZodType> {
  /** One sentence, shown by `bizon destination list`. */
  readonly summary: string
  /** The keys under `destination.config:` that are this connector's own. */
  readonly config: Schema
  /** Keys of `config` that change how it writes, not what: an unfinished run is gone on with after they change. */
  readonly tuning?: readonly string[]
  /** The config as it counts for that: the same for two spellings of one target. Absent: as it is. */
  hashed?(config: z.output<Schema> & DestinationOptions): object
  /** Default of `destination.alias`. Absent: the name. */
  readonly alias?: string
  /** Keys without effect that examples of the Python bizon show, and what to do instead: a warning, not an error. */
  readonly ignored?: Readonly<Record<string, string>>
  /** The same for keys beside `config`. */
  readonly ignoredBeside?: Readonly<Record<string, string>>
  /** What `streams[].destination.table_id` must look like. Absent: any name. */
  readonly tableId?: z.ZodType<string>
  /** It knows `unnest: columns`. Default false. */
  readonly findsColumns?: boolean
  /** It knows `unnest: tables`. Absent: it does not. */
  readonly childTables?: ChildTables<z.output<Schema>>
  /** It can only add rows, so that a reset is refused. */
  readonly appendOnly?: boolean
  /** What is there stays: a run that fetches everything adds it once more. */
  readonly onlyAdds?: boolean
  /** Whether records go to standard output, where nothing else may be written then. */
  prints?(config: z.output<Schema> & DestinationOptions): boolean
  /** Why the partitions of a stream cannot be written by a loader each; undefined: they can. Absent: they cannot. */
  refusesPartitions?(config: z.output<Schema> & DestinationOptions, mode: SyncMode): string | undefined
  /** How what an incremental run brings comes to what is there. Absent, or undefined: it is added. */
  adds?(config: z.output<Schema> & DestinationOptions): Adds | undefined
  /** When readers see what an incremental run adds: at its end, or `batch` by batch. Absent, or undefined: at its end. */
  shows?(config: z.output<Schema> & DestinationOptions): 'run' | 'batch' | undefined
  /** Why it needs records as objects, for `bizon run --explain`; undefined, or left out: it writes their JSON text. */
  parses?(config: z.output<Schema> & DestinationOptions): string | undefined
  /** Does no I/O. `config` also holds the keys that all destinations share. */
  create(config: z.output<Schema> & DestinationOptions, context: DestinationContext): Destination
  /**
   * How `bizon verify` and `bizon chaos` read back what was published. Does no I/O. Absent: they refuse. Throws where this
   * config writes to what cannot be read.
   */
  reader?(config: z.output<Schema> & DestinationOptions, context: DestinationContext): Reader
  /**
   * The config with another target of the same kind, for `bizon chaos`: all of it in the folder, which is absolute and empty,
   * or under the folder's name, which no other has. Does no I/O. Absent: it refuses.
   */
  scratch?(
    config: z.output<Schema> & DestinationOptions,
    folder: string,
  ): Scratch<z.output<Schema> & DestinationOptions>
}

/**
 * Of a destination that finds columns: each record may come as rows of several tables, which name each other by their
 * `bizon_id`. It must number rows in the order of the page, and publish all tables at once.
 */
export interface ChildTables<Config> extends NameRules {
  /** Why this config has none; undefined: it has. */
  refuses?(config: Config): string | undefined
  /** What the columns are called that name other rows. */
  links(config: Config): Links
}

/** A column list for one target, as `record_schemas` gives it. */
export interface RecordSchema {
  readonly destinationId: string
  readonly columns: readonly {
    readonly name: string
    readonly type: string
    readonly description?: string | undefined
  }[]
}

/** Keys that every destination shares. */
export interface DestinationOptions {
  /** Name of the target. `{stream}` stands for the name of the page's stream. Default `{stream}`. */
  readonly destinationId: string
  /**
   * Whether to write columns instead of one JSON payload: those of `recordSchemas`, or with `columns` those that the records
   * have, or the schema of the stream says.
   */
  readonly unnest: boolean | 'columns'
  /**
   * `unnest: tables`: how deep records are taken apart before they come, each as rows of several tables. `unnest` is then
   * `columns`.
   */
  readonly unnestDepth?: number
  readonly recordSchemas: readonly RecordSchema[]
}

/** Types a destination definition; see docs/writing-a-destination.md for a whole one. */
export function defineDestination<Schema extends z.ZodType>(
  definition: DestinationDefinition<Schema>,
): DestinationDefinition<Schema> {
  return definition
}
