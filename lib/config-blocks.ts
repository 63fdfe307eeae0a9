// A whole config, block by block: each with the connector it names, the connector's schema beside the common one,
// then the rules that need both.

import type { DestinationConfig, EngineConfig, SourceConfig } from './config.ts'
import { withoutIgnored } from './config-connector.ts'
import { destinationBlock } from './config-destination.ts'
import { engineBlock } from './config-engine.ts'
import { pipelineSchema, sourceSchema } from './config-schema.ts'
import { sourceBlock } from './config-source.ts'
import { streamRules, streamsBlock } from './config-streams.ts'
import type { Problems } from './problems.ts'
import { isMapping } from './references.ts'
import type { Connectors } from './registry.ts'
import { checkKeys, validate } from './validate.ts'

const LATER = 'is not available in this version'
/** Top-level blocks that are empty or refused, never silently without effect. */
const LATER_BLOCKS = ['transforms']
/** An example of the Python bizon has them, where they do nothing. */
const IGNORED = { backend: 'it belongs under "engine"', pipeline: 'leave it out' }

export interface Blocks {
  readonly name: string
  readonly source?: SourceConfig
  readonly destination?: DestinationConfig
  readonly engine: EngineConfig
  /** `secrets.gsm.project_id`. */
  readonly gsmProject?: string
}

/** The whole config. Undefined means that problems were added; a problem may be added all the same. */
export async function pipelineBlocks(
  given: unknown,
  problems: Problems,
  connectors?: Connectors,
): Promise<Blocks | undefined> {
  if (!isMapping(given)) {
    const got = given === null || given === undefined ? 'nothing' : problems.show([], given)
    problems.add([], `expected a mapping with name, source and destination, got ${got}`)
    return undefined
  }
  const raw = withoutIgnored(given, IGNORED, [], problems)
  checkKeys([pipelineSchema], raw, [], problems)
  for (const block of LATER_BLOCKS) {
    const value = raw[block]
    const isEmpty =
      (Array.isArray(value) && value.length === 0) || (isMapping(value) && Object.keys(value).length === 0)
    if (typeof value === 'object' && value !== null && !isEmpty) problems.add([block], LATER, { part: 'key' })
  }
  const top = validate(pipelineSchema, { ...raw }, [], problems)
  const streams = streamsBlock(raw.streams ?? undefined, problems)
  const source = isAbsent(raw.source) ? undefined : await sourceBlock(raw.source, streams, problems, connectors)
  const destination = isAbsent(raw.destination)
    ? undefined
    : await destinationBlock(raw.destination, { streams, resets: resets(raw.source, problems) }, problems, connectors)
  const engine = await engineBlock(raw.engine, streams.length > 0 ? 'stream' : 'thread', problems, connectors)
  streamRules(streams, raw, problems)
  if (!top || !engine) return undefined
  if (top.alerting) problems.warn(['alerting'], 'this version sends no alerts', { part: 'key' })
  if (top.monitoring) problems.warn(['monitoring'], 'this version sends no metrics', { part: 'key' })
  const gsmProject = top.secrets?.gsm?.project_id
  return {
    name: top.name,
    ...(source && { source }),
    ...(destination && { destination }),
    engine,
    ...(gsmProject !== undefined && { gsmProject }),
  }
}

/** Whether the next run is to replace what was loaded. */
function resets(source: unknown, problems: Problems): boolean {
  if (!isMapping(source)) return false
  const { reset, sync_mode } = source
  const keys = validate(sourceSchema.pick({ reset: true, sync_mode: true }), { reset, sync_mode }, ['source'], problems)
  return keys?.reset === true && keys.sync_mode === 'incremental'
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null
