// `destination` of a config: the keys that all destinations share beside those of the connector it names.

import type * as z from 'zod'
import type { DestinationConfig } from '../config.ts'
import type { DestinationDefinition, RecordSchema } from '../destination.ts'
import { isMapping } from '../references.ts'
import { type Connectors, knownDestination } from '../registry.ts'
import { addNotBuilt, fileIn, fromFile, named, split, withoutIgnored } from './connector.ts'
import { located } from './located.ts'
import type { DestinationShape } from './planned.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { destinationConfigSchema, destinationSchema } from './schema.ts'
import { oneOfAName, type StreamRoute, targetRules, withColumns } from './streams.ts'
import { checkKeys, validate } from './validate.ts'
import { keysOf, leavesAt, valueAt } from './zod.ts'

const MIB = 1024 * 1024
const DEFAULT_DEPTH = 10

/** `destination`, or undefined when there are problems. */
export async function destinationBlock(
  raw: unknown,
  { streams, resets }: { readonly streams: readonly StreamRoute[]; readonly resets: boolean },
  problems: Problems,
  connectors?: Connectors,
): Promise<DestinationConfig | undefined> {
  const at: ConfigPath = ['destination']
  if (!isMapping(raw)) {
    problems.add(at, `expected a mapping, got ${problems.show(at, raw)}`)
    return undefined
  }
  const file = fileIn(raw, 'destination_file_path')
  const found =
    file === undefined
      ? await named(raw, at, problems, (name) => knownDestination(name, connectors))
      : await fromFile(file, [...at, 'destination_file_path'], problems, loadCustom)
  const { config: given, ...outer } = withoutIgnored(raw, found?.shape.ignoredBeside, at, problems)
  const keys = validate(destinationSchema, { ...outer, config: given }, at, problems)
  if (!found) return undefined

  const { shape, definition } = found
  if (shape.appendOnly && resets) {
    problems.add(['source', 'reset'], `destination ${problems.show([...at, 'name'], raw.name)} can only add rows`)
  }
  const inside = [...at, 'config']
  checkKeys([destinationSchema.extend({ config: destinationConfigSchema })], outer, at, problems)
  const config = given ?? {}
  if (!isMapping(config)) return undefined
  const owns = keysOf(shape.config, config).includes('record_schemas')
  const [recordSchemas] = leavesAt([owns ? shape.config : destinationConfigSchema], ['record_schemas'], config)
  const filled = recordSchemas ? withColumns(config, streams, recordSchemas, problems) : config
  const useful = withoutIgnored(filled, shape.ignored, inside, problems)
  const { common, own } = split(destinationConfigSchema, shape.config, useful, inside, problems)
  const shared = validate(destinationConfigSchema, common, inside, problems)
  const options = validate(shape.config, own, inside, problems)
  const entries = (owns ? valueAt(options, ['record_schemas']) : shared?.record_schemas) ?? []
  const lists = Array.isArray(entries) ? entries : []
  if (shared) columnRules(lists, shared.unnest === true, streams, shape, problems)
  if (shared?.unnest === 'columns' && !shape.findsColumns) {
    const name = problems.show([...at, 'name'], raw.name)
    problems.add([...inside, 'unnest'], `destination ${name} writes no columns but those of record_schemas: write true`)
  }
  const depth = shared && depthOf(shared, { shape, options, name: problems.show([...at, 'name'], raw.name) }, problems)
  if (found.definition === undefined) addNotBuilt(raw, at, found, problems)
  if (!keys || !shared || !definition) return undefined
  return {
    name: keys.name,
    alias: keys.alias ?? shape.alias ?? keys.name,
    ...(file !== undefined && { file }),
    definition: located(definition, 'create', problems),
    options: {
      ...(isMapping(options) && options),
      destinationId: shared.destination_id,
      unnest: shared.unnest === 'tables' ? 'columns' : shared.unnest,
      ...(depth !== undefined && { unnestDepth: depth }),
      recordSchemas: plainRecordSchemas(lists),
    },
    bufferBytes: shared.buffer_size * MIB,
    ...(shared.max_shrink_pct !== undefined && { maxShrinkPct: shared.max_shrink_pct }),
    flushTimeoutSeconds: shared.buffer_flush_timeout,
  }
}

/** How deep records are taken apart; undefined: they are not. */
function depthOf(
  { unnest, unnest_depth: depth }: z.output<typeof destinationConfigSchema>,
  { shape, options, name }: { readonly shape: DestinationShape; readonly options: unknown; readonly name: string },
  problems: Problems,
): number | undefined {
  const at: ConfigPath = ['destination', 'config']
  if (unnest !== 'tables') return undefined
  const { childTables } = shape
  const why = childTables ? options && childTables.refuses?.(options) : `destination ${name} has no child tables`
  if (why) problems.add([...at, 'unnest'], `tables cannot be: ${why}`)
  return depth ?? DEFAULT_DEPTH
}

const loadCustom = async (file: string): Promise<DestinationDefinition> =>
  (await import('../custom/definition.ts')).customDestination(file)

function columnRules(
  lists: readonly unknown[],
  unnest: boolean,
  streams: readonly StreamRoute[],
  shape: DestinationShape,
  problems: Problems,
): void {
  const at: ConfigPath = ['destination', 'config']
  const ids = new Set<unknown>()
  for (const [i, list] of lists.entries()) {
    const id = valueAt(list, ['destination_id'])
    const place = [...at, 'record_schemas', i]
    if (ids.has(id)) problems.add([...place, 'destination_id'], 'there is an entry for this one already')
    ids.add(id)
    const columns = valueAt(list, ['record_schema'])
    if (Array.isArray(columns)) oneOfAName(columns, [...place, 'record_schema'], problems)
  }
  targetRules(streams, shape, unnest ? lists : undefined, problems)
  if (unnest && lists.length === 0 && streams.length === 0) {
    problems.add([...at, 'unnest'], 'true needs columns: add record_schemas with one entry for each destination_id')
  }
}

/** What every destination may use of the column lists, whatever else its own know. */
function plainRecordSchemas(lists: readonly unknown[]): RecordSchema[] {
  const { data = [] } = destinationConfigSchema.shape.record_schemas.safeParse(lists)
  return data.map(({ destination_id: destinationId, record_schema }) => ({
    destinationId,
    columns: record_schema.map(({ name, type, description }) => ({ name, type, description })),
  }))
}
