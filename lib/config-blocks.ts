// The blocks of a config, each with the connector it names: the connector's schema beside the common one,
// then the rules that need both.

import * as z from 'zod'
import type { DestinationConfig, EngineConfig, SourceConfig } from './config.ts'
import {
  destinationConfigSchema,
  destinationSchema,
  engineSchema,
  pipelineSchema,
  sourceSchema,
} from './config-schema.ts'
import type { RecordSchema } from './destination.ts'
import { BizonError } from './errors.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { isMapping } from './references.ts'
import { type Connectors, findDestination, findQueue, findSource, findStore } from './registry.ts'
import { keysOf, valueAt } from './schema.ts'
import { findStream, type SourceDefinition } from './source.ts'
import { suggestion } from './suggest.ts'
import { checkKeys, validate } from './validate.ts'

const MIB = 1024 * 1024
const LATER = 'is not available in this version'
/** Top-level blocks that are empty or refused, never silently without effect. */
const LATER_BLOCKS = ['transforms', 'alerting', 'monitoring', 'secrets', 'streams']
const LATER_TYPES = [
  { block: 'backend', types: ['postgres', 'bigquery'], instead: 'sqlite or sqlite_in_memory' },
  { block: 'queue', types: ['kafka', 'rabbitmq'], instead: 'python_queue' },
  { block: 'runner', types: ['process'], instead: 'thread, which overlaps extract and load in one process' },
]
/** Keys that a connector may give a shape of its own. */
const OVERRIDABLE = ['authentication', 'api_config', 'record_schemas', 'init_pipeline']

export interface Blocks {
  readonly name: string
  readonly source?: SourceConfig
  readonly destination?: DestinationConfig
  readonly engine: EngineConfig
}

/** The whole config. Undefined means that problems were added; a problem may be added all the same. */
export async function pipelineBlocks(
  raw: unknown,
  problems: Problems,
  connectors?: Connectors,
): Promise<Blocks | undefined> {
  if (!isMapping(raw)) {
    const got = raw === null || raw === undefined ? 'nothing' : problems.show([], raw)
    problems.add([], `expected a mapping with name, source and destination, got ${got}`)
    return undefined
  }
  checkKeys([pipelineSchema], raw, [], problems)
  for (const block of LATER_BLOCKS) {
    const value = raw[block]
    const isEmpty =
      (Array.isArray(value) && value.length === 0) || (isMapping(value) && Object.keys(value).length === 0)
    if (typeof value === 'object' && value !== null && !isEmpty) problems.add([block], LATER, { part: 'key' })
  }
  const top = validate(pipelineSchema, { ...raw }, [], problems)
  const source = isAbsent(raw.source) ? undefined : await sourceBlock(raw.source, problems, connectors)
  const destination = isAbsent(raw.destination)
    ? undefined
    : await destinationBlock(raw.destination, problems, connectors)
  const engine = await engineBlock(raw.engine, problems, connectors)
  if (!top || !engine) return undefined
  return { name: top.name, ...(source && { source }), ...(destination && { destination }), engine }
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null

/** `source`, or undefined when there are problems. */
async function sourceBlock(
  raw: unknown,
  problems: Problems,
  connectors?: Connectors,
): Promise<SourceConfig | undefined> {
  const at: ConfigPath = ['source']
  if (!isMapping(raw)) {
    problems.add(at, `expected a mapping, got ${problems.show(at, raw)}`)
    return undefined
  }
  if (typeof raw.source_file_path === 'string') {
    problems.add([...at, 'source_file_path'], 'custom source files are not available in this version')
  }
  const definition = await named(raw, at, problems, (name) => findSource(name, connectors))
  const { common, own } = split(sourceSchema, definition?.config, raw, at, problems)
  const keys = validate(sourceSchema, common, at, problems)
  const options = definition && validate(definition.config, own, at, problems)
  if (definition) checkStream(definition, options, raw, problems)
  if (!keys || !definition) return undefined
  return {
    name: keys.name,
    stream: keys.stream,
    mode: keys.sync_mode,
    ...(keys.cursor_field !== undefined && { cursorField: keys.cursor_field }),
    forceIgnoreCheckpoint: keys.force_ignore_checkpoint,
    reset: keys.reset,
    ...(keys.max_iterations !== undefined && { maxIterations: keys.max_iterations }),
    definition,
    options,
  }
}

function checkStream(definition: SourceDefinition, options: unknown, raw: Raw, problems: Problems): void {
  const { name, stream, sync_mode: mode } = raw
  if (typeof stream !== 'string' || stream === '') return
  const streams = definition.streams(options)
  const info = findStream(streams, stream)
  const path = ['source', 'stream']
  if (!info) {
    const names = streams.map((one) => one.name)
    const meant = problems.isHidden(path) ? '' : suggestion(stream, names, 'streams')
    problems.add(path, `unknown stream ${problems.show(path, stream)} of ${name}${meant}`, {
      hint: `bizon stream list ${name}`,
    })
  } else if (mode === 'incremental' && !info.incremental) {
    const able = streams.filter((one) => one.incremental).map((one) => one.name)
    const instead = able.length > 0 ? `; of ${name} these can: ${able.sort().join(', ')}` : '; use full_refresh'
    problems.add(
      ['source', 'sync_mode'],
      `stream ${problems.show(path, stream)} cannot be read incrementally${instead}`,
    )
  }
}

/** `destination`, or undefined when there are problems. */
async function destinationBlock(
  raw: unknown,
  problems: Problems,
  connectors?: Connectors,
): Promise<DestinationConfig | undefined> {
  const at: ConfigPath = ['destination']
  if (!isMapping(raw)) {
    problems.add(at, `expected a mapping, got ${problems.show(at, raw)}`)
    return undefined
  }
  const definition = await named(raw, at, problems, (name) => findDestination(name, connectors))
  const keys = validate(destinationSchema, { ...raw }, at, problems)
  if (!definition) return undefined

  const inside = [...at, 'config']
  const { config: given, ...outer } = raw
  checkKeys([destinationSchema.extend({ config: destinationConfigSchema })], outer, at, problems)
  const config = given ?? {}
  if (!isMapping(config)) return undefined
  const { common, own } = split(destinationConfigSchema, definition.config, config, inside, problems)
  const shared = validate(destinationConfigSchema, common, inside, problems)
  const options = validate(definition.config, own, inside, problems)
  if (!keys || !shared) return undefined
  const recordSchemas = columnsOf(shared.record_schemas, [...inside, 'record_schemas'], problems)
  if (shared.unnest && recordSchemas.length === 0 && !Object.hasOwn(own, 'record_schemas')) {
    problems.add([...inside, 'unnest'], 'true needs columns: add record_schemas with one entry for each destination_id')
  }
  return {
    name: keys.name,
    alias: keys.alias ?? keys.name,
    definition,
    options: {
      ...(isMapping(options) && options),
      destinationId: shared.destination_id,
      unnest: shared.unnest,
      recordSchemas,
    },
    bufferBytes: shared.buffer_size * MIB,
    flushTimeoutSeconds: shared.buffer_flush_timeout,
  }
}

function columnsOf(
  schemas: z.output<typeof destinationConfigSchema>['record_schemas'],
  at: ConfigPath,
  problems: Problems,
): RecordSchema[] {
  const ids = new Set<string>()
  return schemas.map(({ destination_id: destinationId, record_schema }, i) => {
    if (ids.has(destinationId)) problems.add([...at, i, 'destination_id'], 'there is an entry for this one already')
    ids.add(destinationId)
    const names = new Set<string>()
    for (const [j, { name }] of record_schema.entries()) {
      if (names.has(name))
        problems.add([...at, i, 'record_schema', j, 'name'], 'there is a column of this name already')
      names.add(name)
    }
    const columns = record_schema.map(({ name, type, description }) => ({ name, type, description }))
    return { destinationId, columns }
  })
}

/** `engine`, or undefined when there are problems. */
async function engineBlock(
  raw: unknown,
  problems: Problems,
  connectors?: Connectors,
): Promise<EngineConfig | undefined> {
  const at: ConfigPath = ['engine']
  checkKeys([engineSchema], raw, at, problems)
  for (const { block, types, instead } of LATER_TYPES) {
    const type = valueAt(raw, [block, 'type'])
    if (typeof type === 'string' && types.includes(type)) {
      problems.add([...at, block, 'type'], `${type} ${LATER}; use ${instead}`)
    }
  }
  const keys = validate(engineSchema.prefault({}), raw, at, problems)
  if (keys?.queue.type !== 'python_queue') return undefined
  const { backend, queue, runner } = keys
  if (backend.type !== 'sqlite' && backend.type !== 'sqlite_in_memory') return undefined
  const { type, config } = backend
  return {
    backend: {
      type,
      database: config.database,
      schema: config.schema,
      echo: config.echoEngine,
      definition: await findStore(type, connectors),
    },
    checkpointPages: config.syncCursorInDBEvery,
    queue: {
      type: queue.type,
      maxPages: queue.config.queue.max_size,
      definition: await findQueue(queue.type, connectors),
    },
    runner: { type: runner.type, logLevel: runner.log_level },
  }
}

type Raw = Readonly<Record<string, unknown>>

/** The definition that the block's `name` names; undefined, and reported, when there is none. */
async function named<Definition>(
  { name }: Raw,
  at: ConfigPath,
  problems: Problems,
  find: (name: string) => Promise<Definition>,
): Promise<Definition | undefined> {
  const path = [...at, 'name']
  if (typeof name !== 'string' || name === '' || problems.has(path)) return undefined
  try {
    return await find(name)
  } catch (error) {
    if (!(error instanceof BizonError) || error.code !== 'config') throw error
    const said = problems.isHidden(path)
      ? `there is no ${at[0]} of the name ${problems.show(path, name)}`
      : error.message
    problems.add(path, said, { hint: error.hint })
    return undefined
  }
}

/**
 * Which keys of a block go to the common schema and which to the connector's. A key that both know goes to both,
 * unless the connector gives it a shape of its own.
 */
function split(
  commonSchema: z.ZodObject,
  ownSchema: z.ZodType | undefined,
  raw: Raw,
  at: ConfigPath,
  problems: Problems,
): { common: Record<string, unknown>; own: Record<string, unknown> } {
  const commonKeys = new Set(Object.keys(commonSchema.shape))
  const ownKeys = new Set(ownSchema ? keysOf(ownSchema, raw) : [])
  const common: Record<string, unknown> = {}
  const own: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(raw)) {
    const isCommon = commonKeys.has(key) && !(ownKeys.has(key) && OVERRIDABLE.includes(key))
    if (isCommon) common[key] = value
    if (!isCommon || ownKeys.has(key)) own[key] = value
  }
  if (ownSchema) {
    const kept = Object.entries(commonSchema.shape).filter(([key]) => !(ownKeys.has(key) && OVERRIDABLE.includes(key)))
    const rest = z.object(Object.fromEntries(kept))
    checkKeys([rest, ownSchema], raw, at, problems)
  }
  return { common, own }
}
