// An endpoint made ready: the paths that are looked for in its answers, compiled, and its parent's.

import {
  type Found,
  glance,
  type Item,
  type JsonPath,
  type LookedUp,
  lookup,
  parsePath,
  valuesReader,
} from '../../../lib/json/path.ts'
import type { RawJson } from '../../../lib/record.ts'
import type { StreamInfo } from '../../../lib/source.ts'
import type { EndpointConfig } from './config.ts'

export interface Endpoint {
  readonly name: string
  readonly config: EndpointConfig
  readonly parent: Endpoint | undefined
  /** What becomes of a record without the id that is configured. */
  readonly missingId: 'fail' | 'place'
  /** What it means when an answer lacks `is_last`. */
  readonly missingLast: 'ends' | 'goes on'
  read(body: Buffer): LookedUp
  /** The values of an answer whose records are not looked at yet; undefined: they cannot all be told before. */
  glance(body: Buffer): Found | undefined
  /** Of a record. */
  readonly field: {
    /** The first id that it has. */
    id(found: Found): RawJson | undefined
    timestamp(found: Found): RawJson | undefined
    cursor(found: Found): RawJson | undefined
    lastRecord(found: Found): RawJson | undefined
    /** What the child's placeholders stand for, in its order. */
    forChild(found: Found): Found
  }
  /** Of an answer as a whole. */
  value(name: ValueName, found: Found): RawJson | undefined
}

export type ValueName = 'cursor' | 'next' | 'total' | 'total_pages' | 'has_more' | 'is_last' | 'stop_when'

export interface EndpointOptions {
  readonly missingId?: 'fail' | 'place'
  readonly missingLast?: 'ends' | 'goes on'
}

/** The endpoint of that name, with those that it is a child of. */
export function endpointOf(
  name: string,
  endpoints: Readonly<Record<string, EndpointConfig>>,
  options: EndpointOptions = {},
): Endpoint {
  return compile(name, endpoints, [], options)
}

function compile(
  name: string,
  endpoints: Readonly<Record<string, EndpointConfig>>,
  forChild: readonly string[],
  { missingId = 'fail', missingLast = 'goes on' }: EndpointOptions,
): Endpoint {
  const config = endpoints[name]
  if (config === undefined) throw new TypeError(`no endpoint ${name}`)
  const { id = [], timestamp, incremental, pagination, parent } = config
  const fields = new Slots()
  const ids = id.map((one) => fields.add(one))
  const time = fields.add(timestamp)
  const cursor = fields.add(incremental?.cursor_field)
  const lastRecord = fields.add(pagination.type === 'cursor' ? pagination.last_record : undefined)
  const childFrom = fields.paths.length
  for (const one of forChild) fields.add(one)

  const values = new Slots()
  const named = new Map<ValueName, number | undefined>(
    Object.entries({ ...pagination, stop_when: config.stop_when?.path })
      .filter((entry): entry is [ValueName, string] => isValueName(entry[0]) && typeof entry[1] === 'string')
      .map(([key, path]) => [key, values.add(path)]),
  )
  const list = parsePath(config.records)
  const page = lookup({ list, fields: fields.paths, values: values.paths })
  const ahead = glance({ list, values: values.paths })
  const fieldsOfOne = valuesReader(fields.paths)
  const at = (found: Found, slot: number | undefined) => (slot === undefined ? undefined : found[slot])
  return {
    name,
    config,
    missingId,
    missingLast,
    parent: parent && compile(parent.stream, endpoints, Object.values(parent.fields), {}),
    read(body) {
      const found = page(body)
      if (!config.single || found.items !== undefined || found.list === undefined) return found
      const items: Item[] = [{ value: found.list, fields: fieldsOfOne(found.list) }]
      return { ...found, items }
    },
    glance: (body) => (config.single ? undefined : ahead(body)),
    field: {
      id: (found) => {
        for (const slot of ids) {
          const raw = at(found, slot)
          if (raw !== undefined && !isNull(raw)) return raw
        }
        return undefined
      },
      timestamp: (found) => at(found, time),
      cursor: (found) => at(found, cursor),
      lastRecord: (found) => at(found, lastRecord),
      forChild: (found) => found.slice(childFrom),
    },
    value: (key, found) => at(found, named.get(key)),
  }
}

const VALUE_NAMES: readonly string[] = ['cursor', 'next', 'total', 'total_pages', 'has_more', 'is_last', 'stop_when']
const isValueName = (name: string): name is ValueName => VALUE_NAMES.includes(name)

class Slots {
  readonly paths: JsonPath[] = []

  add(path: string | undefined): number | undefined {
    if (path === undefined) return undefined
    this.paths.push(parsePath(path))
    return this.paths.length - 1
  }
}

export const isNull = ({ buffer, start }: RawJson): boolean => buffer[start] === 0x6e

/** What is known of a stream from its config. */
export function streamOf(name: string, endpoints: Readonly<Record<string, EndpointConfig>>): StreamInfo {
  const { incremental, primary_key, schema } = endpoints[name] as EndpointConfig
  return {
    name,
    incremental: incremental !== undefined,
    resumable: isResumable(name, endpoints),
    ...(primary_key && { primaryKey: primary_key }),
    ...(schema && { schema }),
  }
}

/** Numbers of pages and records mean other records when some came or went meanwhile; tokens and links hold. */
function isResumable(name: string, endpoints: Readonly<Record<string, EndpointConfig>>): boolean {
  const { resumable, pagination, parent } = endpoints[name] as EndpointConfig
  const own = resumable ?? (pagination.type !== 'page_number' && pagination.type !== 'offset')
  return own && (parent === undefined || isResumable(parent.stream, endpoints))
}
