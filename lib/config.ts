// From a YAML file (or the same mapping as an object) to one frozen, validated config.
// Every problem is found at once, each with file:line:column, path, value and a suggestion.

import type { CassetteConfig } from './cassette.ts'
import { pipelineBlocks } from './config/blocks.ts'
import { readConfigFile } from './config/file.ts'
import type { PipelineInput } from './config/input.ts'
import type { Invalid } from './config/located.ts'
import { type Locate, Problems } from './config/problems.ts'
import type { DestinationDefinition, DestinationOptions } from './destination.ts'
import { BizonError } from './errors.ts'
import type { LogLevel } from './log.ts'
import type { Partition } from './partition.ts'
import type { QueueConfig } from './queue.ts'
import { REDACTED, redactor } from './redact.ts'
import { type Environment, isMapping, type Resolved, readEnvironment, resolveReferences } from './references.ts'
import type { Connectors } from './registry.ts'
import type { SourceDefinition, SyncMode } from './source.ts'
import type { StoreConfig, StoreDefinition } from './state.ts'
import type { TransformConfig } from './transform/config.ts'

export interface SourceConfig {
  readonly name: string
  readonly stream: string
  /** Of a source that another process reads: which of its partitions. */
  readonly partition?: Partition
  /** The file that defines it, of a custom source. */
  readonly file?: string
  readonly mode: SyncMode
  readonly cursorField?: string
  /** Cancel an unfinished job and start over. */
  readonly forceIgnoreCheckpoint: boolean
  /** Incremental only: fetch everything again and replace the target. */
  readonly reset: boolean
  /** Pages this run may fetch; absent: all. Never an end. */
  readonly maxIterations?: number
  readonly definition: SourceDefinition
  /** Of a source that another process reads: what that one says it is configured to read, see `sourceHashOf`. */
  readonly hash?: string
  /** What `definition.config` made of the connector's own keys. */
  readonly options: unknown
}

export interface DestinationConfig {
  readonly name: string
  readonly alias: string
  /** The file that defines it, of a custom destination. */
  readonly file?: string
  readonly definition: DestinationDefinition
  /** What `definition.config` made of the connector's own keys, and the shared keys. */
  readonly options: DestinationOptions
  /** Payload bytes between two checkpoints; 0: after every page. */
  readonly bufferBytes: number
  /** Age in seconds at which what is not yet durable is flushed, also when nothing arrives; 0: no limit. */
  readonly flushTimeoutSeconds: number
  /** Percent of its rows by which a full refresh may shrink what is published; absent: any. */
  readonly maxShrinkPct?: number
}

export interface EngineConfig {
  readonly backend: StoreConfig & { readonly definition: StoreDefinition }
  /** Pages between two checkpoints: `syncCursorInDBEvery`. */
  readonly checkpointPages: number
  readonly queue: QueueConfig
  readonly runner: {
    readonly type: 'thread' | 'process' | 'stream'
    readonly logLevel: LogLevel
  }
}

export interface PipelineConfig {
  /** The file, or `<config>` for an object: the prefix of error messages. */
  readonly path: string
  readonly name: string
  readonly source: SourceConfig
  readonly destination: DestinationConfig
  /** In the order in which records go through them. */
  readonly transforms: readonly TransformConfig[]
  readonly engine: EngineConfig
  /** Keep digests of what is loaded, for `bizon verify`. */
  readonly verify: boolean
  /** What references stand for, to be kept out of logs; only what is long enough to be recognised. */
  readonly secrets: readonly string[]
  /** Each reference, as it was written, to what it stands for: see seal.ts. */
  readonly referenced: ReadonlyMap<string, string>
  /** What has no effect, one line each; logged when a run begins. */
  readonly warnings: readonly string[]
  /** What is wrong with a key, found when all of them were valid. */
  readonly invalid: Invalid
  /** Where what the source and its API say to each other is kept, or taken from. */
  readonly cassette?: CassetteConfig
}

/** The path of a config that came from no file. */
export const NO_FILE = '<config>'

/** Which blocks the caller uses; only those are demanded. Either block is validated when present. */
export type ConfigPart = 'source' | 'destination'
export type ConfigOf<Part extends ConfigPart> = Omit<PipelineConfig, ConfigPart> &
  Pick<PipelineConfig, Part> &
  Partial<PipelineConfig>

/** Command-line flags that win over the file when given; undefined: not given. */
export interface ConfigOverrides {
  readonly runner?: string | undefined
  readonly logLevel?: string | undefined
  readonly reset?: boolean | undefined
  readonly stream?: string | undefined
  readonly syncMode?: SyncMode | undefined
  readonly customSource?: string | undefined
  readonly customDestination?: string | undefined
  /** Loaded instead of `.env` of the working directory; variables already set win. */
  readonly envFile?: string | undefined
  /** Keep what the source asks its API, and the answers, in this new file. */
  readonly record?: string | undefined
  /** Answer the source from such a file, without a network. */
  readonly replay?: string | undefined
  /** Keep the state, and what is loaded, in this folder instead: see chaos/scratch.ts. */
  readonly scratch?: string | undefined
}

/** A path, the mapping itself, or a config that was loaded before. */
export type ConfigInput = string | PipelineInput | { readonly [key: string]: unknown } | PipelineConfig

/** Configs made here, which need not be validated again. */
const loaded = new WeakSet<object>()

/**
 * Reads, resolves and validates. Rejects with one BizonError of code `config` that has a line for every problem.
 * A config that was loaded before is returned as it is, without the overrides. `connectors` stands in for the
 * table of built-in ones.
 */
export async function loadConfig<Part extends ConfigPart>(
  input: ConfigInput,
  parts: readonly Part[],
  overrides: ConfigOverrides = {},
  connectors?: Connectors,
): Promise<ConfigOf<Part>> {
  if (isLoaded(input)) {
    const problems = new Problems(input.path, nowhere)
    demand(input, parts, problems)
    problems.throwIfAny()
    return input
  }
  const replays = checkCassette(overrides)
  const isFile = typeof input === 'string'
  const path = isFile ? input : NO_FILE
  const { value, locate } = isFile ? await readConfigFile(input) : { value: input, locate: nowhere }
  const { raw, flags } = override(value, overrides)
  const problems = new Problems(path, locate, flags)

  const environment = await environmentOf(overrides.envFile)
  // Whoever is sent a cassette has not got the secrets, and needs none: what they would be sent in is not sent.
  const placeholder = replays ? REDACTED : undefined
  const found = await resolveReferences(raw, problems, environment, { placeholder, envFile: overrides.envFile })
  const { value: resolved, references, secrets, referenced, unset } = found
  problems.hide(references, redactor(secrets))
  if (isMapping(resolved)) demand(resolved, parts, problems)
  const blocks = await pipelineBlocks(resolved, problems, connectors)
  problems.throwIfAny()
  if (!blocks) throw new BizonError('internal', `${path}: the config is not valid, and no problem was found`)
  const warnings = problems.warnings()
  const cassette = cassetteOf(overrides, unset)
  const { scratch } = overrides
  const placed = scratch === undefined ? blocks : await (await import('./chaos/scratch.ts')).inScratch(blocks, scratch)
  const invalid: Invalid = (...about) => problems.said(...about)
  const config = deepFreeze({ path, ...placed, secrets, referenced, warnings, invalid, ...(cassette && { cassette }) })
  loaded.add(config)
  return config as ConfigOf<Part>
}

/** Every reference of a pipeline file, looked up as a run looks it up, and what they stand for. Nothing is validated. */
export async function lookUpReferences(
  path: string,
  { envFile }: Pick<ConfigOverrides, 'envFile'> = {},
): Promise<Pick<Resolved, 'occurrences' | 'secrets'>> {
  const { value, locate } = await readConfigFile(path)
  return resolveReferences(value, new Problems(path, locate), await environmentOf(envFile), { envFile })
}

/** Whether a cassette is replayed. */
function checkCassette({ record, replay }: ConfigOverrides): boolean {
  if (record !== undefined && replay !== undefined) {
    throw new BizonError('usage', 'record and replay cannot be used together')
  }
  return replay !== undefined
}

function cassetteOf({ record, replay }: ConfigOverrides, unset: readonly string[]): CassetteConfig | undefined {
  if (record !== undefined) return { mode: 'record', path: record }
  return replay === undefined ? undefined : { mode: 'replay', path: replay, unset }
}

function isLoaded<Part extends ConfigPart>(input: ConfigInput): input is ConfigOf<Part> & PipelineConfig {
  return typeof input !== 'string' && loaded.has(input)
}

const nowhere: Locate = () => undefined

function demand(config: object, parts: readonly ConfigPart[], problems: Problems): void {
  for (const part of parts) {
    const block: unknown = (config as Partial<Record<ConfigPart, unknown>>)[part]
    if (block === undefined || block === null) problems.add([part], 'is required')
  }
}

/** A file that was asked for is read at once, so that a missing one is told; `.env` only for the first reference. */
async function environmentOf(envFile: string | undefined): Promise<() => Promise<Environment>> {
  if (envFile === undefined) return () => readEnvironment(undefined)
  const environment = await readEnvironment(envFile)
  return async () => environment
}

/** The mapping with the command line's values, and which option stands at which path. */
function override(value: unknown, given: ConfigOverrides): { raw: unknown; flags: ReadonlyMap<string, string> } {
  const flags = new Map<string, string>()
  if (!isMapping(value)) return { raw: value, flags }
  const raw: Record<string, unknown> = { ...value }
  const set = (flag: string, path: readonly [string, ...string[]], setting: unknown) => {
    if (setting === undefined) return
    let block = raw
    for (const key of path.slice(0, -1)) {
      const inner = block[key] ?? (key === 'source' || key === 'destination' ? undefined : {})
      if (!isMapping(inner)) return
      block = block[key] = { ...inner }
    }
    block[path[path.length - 1] as string] = setting
    flags.set(path.join('.'), flag)
  }
  set('--stream', ['source', 'stream'], given.stream)
  set('sync mode', ['source', 'sync_mode'], given.syncMode)
  set('--reset', ['source', 'reset'], given.reset)
  set('--custom-source', ['source', 'source_file_path'], given.customSource)
  set('--custom-destination', ['destination', 'destination_file_path'], given.customDestination)
  set('--runner', ['engine', 'runner', 'type'], given.runner)
  set('--log-level', ['engine', 'runner', 'log_level'], given.logLevel)
  return { raw, flags }
}

/** Freezes what is ours: mappings and lists, not the definitions in them. */
function deepFreeze<Value>(value: Value): Value {
  if (!Array.isArray(value) && !isMapping(value)) return value
  for (const [key, inner] of Object.entries(value)) if (key !== 'definition') deepFreeze(inner)
  return Object.freeze(value)
}
