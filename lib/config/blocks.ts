// A whole config, block by block: each with the connector it names, the connector's schema beside the common one,
// then the rules that need both.

import type { DestinationConfig, EngineConfig, SourceConfig } from '../config.ts'
import { isMapping } from '../references.ts'
import type { Connectors } from '../registry.ts'
import { type TransformConfig, transformsBlock } from '../transform/config.ts'
import { withoutIgnored } from './connector.ts'
import { destinationBlock } from './destination.ts'
import { engineBlock } from './engine.ts'
import type { Problems } from './problems.ts'
import { pipelineSchema, sourceSchema } from './schema.ts'
import { sourceBlock } from './source.ts'
import { streamRules, streamsBlock } from './streams.ts'
import { checkKeys, validate } from './validate.ts'

/** An example of the Python bizon has them, where they do nothing. */
export const IGNORED = { backend: 'it belongs under "engine"', pipeline: 'leave it out' }

interface Blocks {
  readonly name: string
  readonly source?: SourceConfig
  readonly destination?: DestinationConfig
  readonly transforms: readonly TransformConfig[]
  readonly engine: EngineConfig
  readonly verify: boolean
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
  const { transforms: scripts, ...rest } = raw
  const top = validate(pipelineSchema, rest, [], problems)
  const streams = streamsBlock(raw.streams ?? undefined, problems)
  const source = isAbsent(raw.source) ? undefined : await sourceBlock(raw.source, streams, problems, connectors)
  const destination = isAbsent(raw.destination)
    ? undefined
    : await destinationBlock(raw.destination, { streams, resets: resets(raw.source, problems) }, problems, connectors)
  const transforms = transformsBlock(scripts, top?.name ?? '', problems)
  const engine = await engineBlock(raw.engine, streams.length > 0 ? 'stream' : 'thread', problems, connectors)
  streamRules(streams, raw, problems)
  if (!top || !engine) return undefined
  if (top.alerting) problems.warn(['alerting'], 'this version sends no alerts', { part: 'key' })
  if (top.monitoring) problems.warn(['monitoring'], 'this version sends no metrics', { part: 'key' })
  return {
    name: top.name,
    ...(source && { source }),
    ...(destination && { destination }),
    transforms,
    engine,
    verify: top.verify,
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
