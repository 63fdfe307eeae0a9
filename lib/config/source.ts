// `source` of a config: the common keys beside those of the connector it names, and whether it has the stream.

import type { SourceConfig } from '../config.ts'
import { BizonError } from '../errors.ts'
import { isMapping } from '../references.ts'
import { type Connectors, knownSource } from '../registry.ts'
import { findStream, type SourceDefinition, type StreamInfo } from '../source.ts'
import { suggestion } from '../suggest.ts'
import { addNotBuilt, fileIn, fromFile, named, type Raw, split, withoutIgnored } from './connector.ts'
import { located } from './located.ts'
import type { SourceShape } from './planned.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { sourceSchema } from './schema.ts'
import { type StreamRoute, withTopics } from './streams.ts'
import { validate } from './validate.ts'

/** `source`, or undefined when there are problems. */
export async function sourceBlock(
  raw: unknown,
  streams: readonly StreamRoute[],
  problems: Problems,
  connectors?: Connectors,
): Promise<SourceConfig | undefined> {
  const at: ConfigPath = ['source']
  if (!isMapping(raw)) {
    problems.add(at, `expected a mapping, got ${problems.show(at, raw)}`)
    return undefined
  }
  const file = fileIn(raw, 'source_file_path')
  const found =
    file === undefined
      ? await named(raw, at, problems, (name) => knownSource(name, connectors))
      : await fromFile(file, [...at, 'source_file_path'], problems, loadCustom)
  const shape = found?.shape
  const useful = shape ? withTopics(withoutIgnored(raw, shape.ignored, at, problems), streams, shape) : raw
  const { common, own } = split(sourceSchema, shape?.config, useful, at, problems)
  const keys = validate(sourceSchema, common, at, problems)
  const options = shape && validate(shape.config, own, at, problems)
  if (shape) checkStream(shape, options, raw, problems)
  if (found && !found.definition) addNotBuilt(raw, at, found, problems)
  const definition = found?.definition
  if (!keys || !definition) return undefined
  return {
    name: keys.name,
    stream: keys.stream,
    ...(file !== undefined && { file }),
    mode: keys.sync_mode,
    ...(keys.cursor_field !== undefined && { cursorField: keys.cursor_field }),
    forceIgnoreCheckpoint: keys.force_ignore_checkpoint,
    reset: keys.reset,
    ...(keys.max_iterations !== undefined && { maxIterations: keys.max_iterations }),
    definition: located(definition, 'create', problems),
    options,
  }
}

const loadCustom = async (file: string): Promise<SourceDefinition> =>
  (await import('../custom/definition.ts')).customSource(file)

function checkStream(definition: SourceShape, options: unknown, raw: Raw, problems: Problems): void {
  const { name, stream, sync_mode: mode } = raw
  if (typeof stream !== 'string' || stream === '') return
  const file = fileIn(raw, 'source_file_path')
  const streams = streamsOf(definition, options, problems)
  if (!streams) return
  const info = findStream(streams, stream)
  const path = ['source', 'stream']
  if (!info) {
    const names = streams.map((one) => one.name)
    const meant = problems.isHidden(path) ? '' : suggestion(stream, names, 'streams')
    problems.add(path, `unknown stream ${problems.show(path, stream)} of ${name}${meant}`, {
      hint: file === undefined ? `bizon stream list ${name}` : `bizon stream list --custom-source ${file}`,
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

/** The declared streams. Those of a custom source may need options that are not valid yet, or fail. */
function streamsOf(definition: SourceShape, options: unknown, problems: Problems): readonly StreamInfo[] | undefined {
  try {
    return definition.streams(options)
  } catch (error) {
    if (!(error instanceof BizonError) || error.code !== 'config') throw error
    if (options !== undefined) problems.add(['source', 'source_file_path'], problems.scrub(error.message))
    return undefined
  }
}
