// What an Airbyte connector answers: spec, check and discover. read and write are the two halves of a pipe.

import { pipelineJsonSchema } from '../../config/json-schema.ts'
import type { JsonSchema } from '../../config/json-schema-of.ts'
import { SECRET_KEY } from '../../config/problems.ts'
import { type ConfigInput, type ConfigPart, loadConfig } from '../../config.ts'
import { BizonError, messageOf } from '../../errors.ts'
import { extract } from '../../extract.ts'
import type { Log } from '../../log.ts'
import { redactError } from '../../redact.ts'
import { namedStreams } from '../../source.ts'
import { closeAll } from '../../wait.ts'
import { line } from './print.ts'

/** A SPEC message: what `--config` may hold. */
export async function spec(part: ConfigPart): Promise<string> {
  const { $schema, definitions = {}, required: _all, ...pipeline } = await pipelineJsonSchema()
  const named = {
    title: 'A pipeline file',
    type: 'object',
    required: ['pipeline'],
    properties: { pipeline: { type: 'string', description: 'The path of the YAML file.' } },
    additionalProperties: false,
  }
  const itself = { ...secretsMarked(pipeline), title: 'A pipeline', required: ['name', part] }
  return line('SPEC', 'spec', {
    connectionSpecification: {
      $schema,
      title: 'bizon pipeline',
      type: 'object',
      anyOf: [named, itself],
      definitions: Object.fromEntries(Object.entries(definitions).map(([name, one]) => [name, secretsMarked(one)])),
    },
    supportsIncremental: true,
    ...(part === 'destination' && { supported_destination_sync_modes: ['overwrite', 'append'] }),
  })
}

const isText = (schema: object): boolean => 'type' in schema && schema.type === 'string'

/** Whether a text is among what fits. */
function takesText(schema: object): boolean {
  return isText(schema) || ('anyOf' in schema && Array.isArray(schema.anyOf) && schema.anyOf.some(isText))
}

/** Platforms hide the values of what is marked so. */
function secretsMarked(schema: JsonSchema): JsonSchema {
  const walk = (value: unknown, key?: string): unknown => {
    if (Array.isArray(value)) return value.map((each) => walk(each))
    if (typeof value !== 'object' || value === null) return value
    const inner = Object.fromEntries(
      Object.entries(value).map(([name, each]) => [name, name === 'properties' ? marked(each as object) : walk(each)]),
    )
    return key !== undefined && takesText(value) && SECRET_KEY.test(key) ? { ...inner, airbyte_secret: true } : inner
  }
  const marked = (properties: object): object =>
    Object.fromEntries(Object.entries(properties).map(([key, each]) => [key, walk(each, key)]))
  return walk(schema) as JsonSchema
}

/** What a check works with; the signal ends it. */
export interface AskOptions {
  readonly log: Log
  readonly signal: AbortSignal
}

/**
 * A CONNECTION_STATUS message. FAILED is an answer, not a failure: what is wrong with the pipeline or what it names is
 * in it. Rejects when something is wrong with this program, or it was interrupted.
 */
export async function check(
  part: ConfigPart,
  config: () => Promise<ConfigInput>,
  options: AskOptions,
): Promise<string> {
  try {
    await (part === 'source' ? checkSource : checkDestination)(await config(), options)
    return line('CONNECTION_STATUS', 'connectionStatus', { status: 'SUCCEEDED' })
  } catch (error) {
    const isAnswer = error instanceof BizonError && !['usage', 'interrupted', 'internal'].includes(error.code)
    if (!isAnswer || options.signal.aborted) throw error
    return line('CONNECTION_STATUS', 'connectionStatus', { status: 'FAILED', message: messageOf(error) })
  }
}

async function checkSource(input: ConfigInput, { log, signal }: AskOptions): Promise<void> {
  const config = await loadConfig(input, ['source'])
  const source = await extract(config).open(log, { hasty: true })
  try {
    await source.check(signal)
  } catch (error) {
    redactError(error, config.secrets)
    throw error
  } finally {
    await source.close()
  }
}

async function checkDestination(input: ConfigInput, { log, signal }: AskOptions): Promise<void> {
  const { name, destination, engine, secrets } = await loadConfig(input, ['destination'])
  const store = engine.backend.definition.create(engine.backend, { log })
  const { definition, options } = destination
  const opened = definition.create(options, { pipeline: name, stream: 'source', mode: 'incremental', log })
  try {
    await store.open()
    await opened.check?.(signal)
  } catch (error) {
    redactError(error, secrets)
    throw error
  } finally {
    await closeAll(
      () => opened.close(),
      () => store.close(),
    )
  }
}

/** A CATALOG message: the streams that the source declares; where any name will do, the one that the config names. */
export async function discover(input: ConfigInput): Promise<string> {
  const { source } = await loadConfig(input, ['source'])
  const streams = namedStreams(source.definition.streams(source.options), source.stream)
  return line('CATALOG', 'catalog', {
    streams: streams.map(({ name, schema, incremental = false, resumable = false, primaryKey }) => ({
      name,
      json_schema: schema ?? { type: 'object', properties: {} },
      supported_sync_modes: ['full_refresh', ...(incremental ? ['incremental'] : [])],
      ...(incremental && { source_defined_cursor: true }),
      ...(primaryKey && { source_defined_primary_key: primaryKey.map((key) => [key]) }),
      is_resumable: resumable || incremental,
    })),
  })
}
