// A whole config, block by block: each with the connector it names, the connector's schema beside the common one,
// then the rules that need both.

import type { DestinationConfig, EngineConfig, SourceConfig } from './config.ts'
import { destinationBlock } from './config-destination.ts'
import { engineBlock } from './config-engine.ts'
import { pipelineSchema } from './config-schema.ts'
import { sourceBlock } from './config-source.ts'
import type { Problems } from './problems.ts'
import { isMapping } from './references.ts'
import type { Connectors } from './registry.ts'
import { type TransformConfig, transformsBlock } from './transform-config.ts'
import { checkKeys, validate } from './validate.ts'

const LATER = 'is not available in this version'
/** Top-level blocks that are empty or refused, never silently without effect. */
const LATER_BLOCKS = ['alerting', 'monitoring', 'secrets', 'streams']

export interface Blocks {
  readonly name: string
  readonly source?: SourceConfig
  readonly destination?: DestinationConfig
  readonly transforms: readonly TransformConfig[]
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
  const { transforms: scripts, ...rest } = raw
  const top = validate(pipelineSchema, rest, [], problems)
  const source = isAbsent(raw.source) ? undefined : await sourceBlock(raw.source, problems, connectors)
  const destination = isAbsent(raw.destination)
    ? undefined
    : await destinationBlock(raw.destination, problems, connectors)
  const transforms = transformsBlock(scripts, top?.name ?? '', problems)
  const engine = await engineBlock(raw.engine, problems, connectors)
  if (!top || !engine) return undefined
  return { name: top.name, ...(source && { source }), ...(destination && { destination }), transforms, engine }
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null
