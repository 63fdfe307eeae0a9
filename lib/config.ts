// From a YAML file (or the same mapping as an object) to one frozen, validated config.
// Every problem is found at once, each with file:line:column, path, value and a suggestion.

import type { DestinationDefinition, DestinationOptions } from './destination.ts'
import type { LogLevel } from './log.ts'
import type { SourceDefinition, SyncMode } from './source.ts'
import type { StoreConfig, StoreDefinition } from './state.ts'

export interface SourceConfig {
  readonly name: string
  readonly stream: string
  readonly mode: SyncMode
  readonly cursorField?: string
  /** Cancel an unfinished job and start over. */
  readonly forceIgnoreCheckpoint: boolean
  /** Incremental only: fetch everything again and replace the target. */
  readonly reset: boolean
  /** Pages this run may fetch; absent: all. Never an end. */
  readonly maxIterations?: number
  readonly definition: SourceDefinition
  /** What `definition.config` made of the connector's own keys. */
  readonly options: unknown
}

export interface DestinationConfig {
  readonly name: string
  readonly alias: string
  readonly definition: DestinationDefinition
  /** What `definition.config` made of the connector's own keys, and the shared keys. */
  readonly options: DestinationOptions
  /** Payload bytes between two checkpoints; 0: after every page. */
  readonly bufferBytes: number
  /** Age in seconds at which what is not yet durable is flushed, also when nothing arrives; 0: no limit. */
  readonly flushTimeoutSeconds: number
}

export interface EngineConfig {
  readonly backend: StoreConfig & { readonly definition: StoreDefinition }
  /** Pages between two checkpoints: `syncCursorInDBEvery`. */
  readonly checkpointPages: number
  readonly queue: {
    readonly type: 'python_queue' /** Pages waiting at most; 0: bounded by bytes alone. */
    readonly maxPages: number
  }
  readonly runner: { readonly type: 'thread' | 'process' | 'stream'; readonly logLevel: LogLevel }
}

export interface PipelineConfig {
  /** The file, or `<config>` for an object: the prefix of error messages. */
  readonly path: string
  readonly name: string
  readonly source: SourceConfig
  readonly destination: DestinationConfig
  readonly engine: EngineConfig
}

/** Which blocks the caller uses; only those are demanded. Either block is validated when present. */
export type ConfigPart = 'source' | 'destination'
export type ConfigOf<Part extends ConfigPart> = Omit<PipelineConfig, ConfigPart> &
  Pick<PipelineConfig, Part> &
  Partial<PipelineConfig>

/** Command-line flags that win over the file when given. */
export interface ConfigOverrides {
  readonly runner?: string
  readonly logLevel?: string
  readonly reset?: boolean
  readonly stream?: string
  readonly customSource?: string
  /** Loaded instead of `.env` of the working directory; variables already set win. */
  readonly envFile?: string
}

/** A path, the mapping itself, or a config that was loaded before. */
export type ConfigInput = string | { readonly [key: string]: unknown } | PipelineConfig

export declare function loadConfig<Part extends ConfigPart>(
  input: ConfigInput,
  parts: readonly Part[],
  overrides?: ConfigOverrides,
): Promise<ConfigOf<Part>>
