// `streams` of a config: one source, many targets. What each stream says is copied to where the two ends look for it:
// its topic to `source.topics`, its columns to `destination.config.record_schemas`.

import type * as z from 'zod'
import { isMapping } from '../references.ts'
import type { Raw } from './connector.ts'
import type { DestinationShape, SourceShape } from './planned.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { streamsSchema } from './schema-streams.ts'
import { checkKeys, validate } from './validate.ts'
import { keysOf, leavesAt, valueAt } from './zod.ts'

export interface StreamRoute {
  readonly name: string
  /** Where it stands in the config. */
  readonly at: ConfigPath
  readonly topic?: string
  readonly tableId: string
  readonly columns?: readonly unknown[]
  readonly clusteringKeys?: readonly string[]
}

/** What would have been filled in from streams that are valid, and the rule that asks for it. */
const COPIED: readonly ConfigPath[] = [
  ['source', 'topics'],
  ['destination', 'config', 'record_schemas'],
  ['destination', 'config', 'unnest'],
]

/** The streams, none when there are problems. */
export function streamsBlock(raw: unknown, problems: Problems): readonly StreamRoute[] {
  const at: ConfigPath = ['streams']
  checkKeys([streamsSchema], raw, at, problems)
  const entries = validate(streamsSchema, raw, at, problems)
  if (!entries) for (const copied of COPIED) problems.follows(copied)
  const routes = (entries ?? []).map(({ name, source, destination }, i) => ({
    name,
    at: [...at, i],
    tableId: destination.table_id,
    ...(source.topic !== undefined && { topic: source.topic }),
    ...(destination.record_schema && { columns: destination.record_schema }),
    ...(destination.clustering_keys && { clusteringKeys: destination.clustering_keys }),
  }))
  once(routes, (route) => route.name, ['name'], problems)
  once(routes, (route) => route.tableId, ['destination', 'table_id'], problems)
  for (const { columns = [], at: place } of routes) {
    oneOfAName(columns, [...place, 'destination', 'record_schema'], problems)
  }
  return routes
}

/** Reports columns of the same name. */
export function oneOfAName(columns: readonly unknown[], at: ConfigPath, problems: Problems): void {
  const names = new Set<unknown>()
  for (const [i, column] of columns.entries()) {
    const name = valueAt(column, ['name'])
    if (names.has(name)) problems.add([...at, i, 'name'], 'there is a column of this name already')
    names.add(name)
  }
}

function once(
  routes: readonly StreamRoute[],
  of: (route: StreamRoute) => string,
  path: ConfigPath,
  problems: Problems,
): void {
  const first = new Map<string, number>()
  for (const [i, route] of routes.entries()) {
    const value = of(route)
    const place = [...route.at, ...path]
    const taken = first.get(value)
    if (taken === undefined) first.set(value, i)
    else problems.add(place, `${problems.show(place, value)} is taken by streams[${taken}]`)
  }
}

/** What streams ask of the rest: only a source without end is read for many targets at once. */
export function streamRules(streams: readonly StreamRoute[], raw: Raw, problems: Problems): void {
  if (streams.length === 0) return
  const mode = valueAt(raw, ['source', 'sync_mode'])
  const fits = 'there are streams, which need'
  if (isMapping(raw.source) && mode !== 'stream') {
    problems.add(['source', 'sync_mode'], `${fits} sync_mode stream`)
  }
  const runner = valueAt(raw, ['engine', 'runner', 'type'])
  if (runner !== undefined && runner !== null && runner !== 'stream') {
    problems.add(['engine', 'runner', 'type'], `${fits} the runner stream; write stream, or leave it out`)
  }
}

/** `source` with the topics of the streams, where it reads topics. */
export function withTopics(raw: Raw, streams: readonly StreamRoute[], shape: SourceShape): Raw {
  if (streams.length === 0 || !keysOf(shape.config, raw).includes('topics')) return raw
  const targets = new Map(
    streams.flatMap(({ topic, tableId }) => (topic === undefined ? [] : [[topic, tableId] as const])),
  )
  if (!isAbsent(raw.topics)) return { ...raw, topics: retargeted(raw.topics, targets) }
  if (targets.size === 0) return raw
  return { ...raw, topics: [...targets].map(([name, id]) => ({ name, destination_id: id })) }
}

/** Topics that are given stay, those of a stream with the stream's target. */
function retargeted(topics: unknown, targets: ReadonlyMap<string, string>): unknown {
  if (!Array.isArray(topics)) return topics
  return topics.map((topic: unknown) => {
    const target = targets.get(String(valueAt(topic, ['name'])))
    return isMapping(topic) && target !== undefined ? { ...topic, destination_id: target } : topic
  })
}

/**
 * `destination.config` with the columns of the streams. Entries that are given stay. `schema` is that of
 * `record_schemas`: what it does not accept is reported where the stream stands, what it does not know is not copied.
 */
export function withColumns(config: Raw, streams: readonly StreamRoute[], schema: z.ZodType, problems: Problems): Raw {
  const given = config.record_schemas ?? []
  if (streams.length === 0 || !Array.isArray(given)) return config
  const taken = idsOf(given)
  const [columnsSchema] = leavesAt([schema], [0, 'record_schema'])
  const knowsClustering = leavesAt([schema], [0, 'clustering_keys']).length > 0
  const added = streams.flatMap(({ at, tableId, columns, clusteringKeys }) => {
    if (columns === undefined || taken.has(tableId)) return []
    const copy = structuredClone(columns)
    const place = [...at, 'destination', 'record_schema']
    if (columnsSchema && validate(columnsSchema, copy, place, problems) === undefined) return []
    const clustering = knowsClustering && clusteringKeys ? { clustering_keys: clusteringKeys } : {}
    return [{ destination_id: tableId, record_schema: copy, ...clustering }]
  })
  // Of what was copied the problems are told where it was copied from.
  for (const i of added.keys()) problems.follows(['destination', 'config', 'record_schemas', given.length + i])
  return { ...config, record_schemas: [...given, ...added] }
}

/** The targets that the destination accepts; `unnested` are the column lists, when they are needed. */
export function targetRules(
  streams: readonly StreamRoute[],
  { tableId }: DestinationShape,
  unnested: readonly unknown[] | undefined,
  problems: Problems,
): void {
  const known = idsOf(unnested ?? [])
  for (const route of streams) {
    const place = [...route.at, 'destination']
    if (tableId) validate(tableId, route.tableId, [...place, 'table_id'], problems)
    if (unnested && route.columns === undefined && !known.has(route.tableId)) {
      problems.add([...place, 'record_schema'], 'is required, since destination.config.unnest is true')
    }
  }
}

const idsOf = (entries: readonly unknown[]): Set<unknown> =>
  new Set(entries.map((entry) => valueAt(entry, ['destination_id'])))

const isAbsent = (value: unknown): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0)
