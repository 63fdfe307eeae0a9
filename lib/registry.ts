// Name to definition. A connector is imported when a config names it, through the one table in connectors/index.ts:
// this dynamic import is the only way from lib to a connector.

import type { DestinationDefinition } from './destination.ts'
import { BizonError } from './errors.ts'
import type { QueueDefinition } from './queue.ts'
import type { SourceDefinition } from './source.ts'
import type { StoreDefinition } from './state.ts'
import { suggestion } from './suggest.ts'

export type ConnectorTable<Definition> = {
  readonly [name: string]: () => Promise<{ readonly default: Definition }>
}

/** The shape of connectors/index.ts. */
export interface Connectors {
  readonly sources: ConnectorTable<SourceDefinition>
  readonly destinations: ConnectorTable<DestinationDefinition>
  readonly stores: ConnectorTable<StoreDefinition>
  readonly queues: ConnectorTable<QueueDefinition>
}

/** Names that files of the Python bizon may hold. */
const PYTHON_NAMES: { readonly [kind in keyof Connectors]: readonly string[] } = {
  sources: ['cycle', 'gbif', 'gsheets', 'hubspot', 'kafka', 'notion', 'periscope', 'pokeapi', 'sana_ai'],
  destinations: ['bigquery', 'bigquery_streaming', 'bigquery_streaming_v2'],
  stores: ['bigquery', 'postgres'],
  queues: ['kafka', 'rabbitmq'],
}

/** All of these reject with code `config` for a name that is not there; the message says what is. */
export async function findSource(name: string, connectors?: Connectors): Promise<SourceDefinition> {
  const { sources } = connectors ?? (await builtIn())
  return find(sources, 'sources', 'source', name)
}

export async function findDestination(name: string, connectors?: Connectors): Promise<DestinationDefinition> {
  const { destinations } = connectors ?? (await builtIn())
  return find(destinations, 'destinations', 'destination', name)
}

export async function findStore(type: string, connectors?: Connectors): Promise<StoreDefinition> {
  const { stores } = connectors ?? (await builtIn())
  return find(stores, 'stores', 'backend', type)
}

export async function findQueue(type: string, connectors?: Connectors): Promise<QueueDefinition> {
  const { queues } = connectors ?? (await builtIn())
  return find(queues, 'queues', 'queue', type)
}

export interface Listed<Definition> {
  readonly name: string
  readonly definition: Definition
}

/** All sources, by name. Imports every one of them. */
export async function listSources(connectors?: Connectors): Promise<readonly Listed<SourceDefinition>[]> {
  return list((connectors ?? (await builtIn())).sources)
}

/** All destinations, by name. Imports every one of them. */
export async function listDestinations(connectors?: Connectors): Promise<readonly Listed<DestinationDefinition>[]> {
  return list((connectors ?? (await builtIn())).destinations)
}

async function builtIn(): Promise<Connectors> {
  return import('../connectors/index.ts')
}

async function find<Definition>(
  table: ConnectorTable<Definition>,
  kind: keyof Connectors,
  label: string,
  name: string,
): Promise<Definition> {
  const load = Object.hasOwn(table, name) ? table[name] : undefined
  if (load) return (await load()).default
  const names = Object.keys(table)
  if (PYTHON_NAMES[kind].includes(name)) {
    const instead = kind === 'stores' || kind === 'queues' ? `; use ${names.sort().join(' or ')}` : ''
    throw new BizonError('config', `${label} ${name} is known, but not available in this version${instead}`)
  }
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)
  throw new BizonError('config', `unknown ${label} ${shown}${suggestion(name, names, 'known')}`, {
    hint: kind === 'sources' || kind === 'destinations' ? `bizon ${label} list` : undefined,
  })
}

async function list<Definition>(table: ConnectorTable<Definition>): Promise<readonly Listed<Definition>[]> {
  const entries = Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1))
  return Promise.all(entries.map(async ([name, load]) => ({ name, definition: (await load()).default })))
}
