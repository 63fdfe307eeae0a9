// Name to definition. A connector is imported when a config names it, through the one table in connectors/index.ts:
// this dynamic import is the only way from lib to a connector.

import type { BrokerDefinition } from './channel.ts'
import {
  type DestinationShape,
  notBuilt,
  type PlannedConnectors,
  type PlannedShape,
  type Release,
  type SourceShape,
} from './config/planned.ts'
import type { DestinationDefinition } from './destination.ts'
import { BizonError } from './errors.ts'
import type { QueueDefinition } from './queue.ts'
import type { SourceDefinition } from './source.ts'
import type { StoreDefinition } from './state.ts'
import { nearest, suggestion } from './suggest.ts'

export type ConnectorTable<Definition> = {
  readonly [name: string]: () => Promise<{ readonly default: Definition }>
}

/** The shape of connectors/index.ts. */
export interface Connectors {
  readonly sources: ConnectorTable<SourceDefinition>
  readonly destinations: ConnectorTable<DestinationDefinition>
  readonly stores: ConnectorTable<StoreDefinition>
  readonly queues: ConnectorTable<QueueDefinition | BrokerDefinition>
  readonly planned?: PlannedConnectors
}

/** A name that a config may hold: what to validate with, and the definition or the release that brings it. */
export type Known<Definition extends Shape, Shape> =
  | { readonly shape: Shape; readonly definition: Definition }
  | ({ readonly shape: Shape; readonly definition?: undefined } & Release)

/** All of these reject with code `config` for a name that is not there; the message says what is. */
export async function knownSource(
  name: string,
  connectors?: Connectors,
): Promise<Known<SourceDefinition, SourceShape>> {
  const { sources, planned } = connectors ?? (await builtIn())
  return known(sources, planned?.sources, 'source', name)
}

export async function knownDestination(
  name: string,
  connectors?: Connectors,
): Promise<Known<DestinationDefinition, DestinationShape>> {
  const { destinations, planned } = connectors ?? (await builtIn())
  return known(destinations, planned?.destinations, 'destination', name)
}

export async function findStore(type: string, connectors?: Connectors): Promise<StoreDefinition> {
  const { stores, planned } = connectors ?? (await builtIn())
  refusePlanned(planned?.stores, type, Object.keys(stores))
  return find(stores, 'backend', type)
}

export async function findQueue(type: string, connectors?: Connectors): Promise<QueueDefinition | BrokerDefinition> {
  const { queues, planned } = connectors ?? (await builtIn())
  refusePlanned(planned?.queues, type, Object.keys(queues))
  return find(queues, 'queue', type)
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

export interface PlannedListed<Shape> {
  readonly name: string
  readonly release: string
  readonly shape: Shape
}

/** Sources that are not built yet, by name. */
export async function listPlannedSources(connectors?: Connectors): Promise<readonly PlannedListed<SourceShape>[]> {
  return listPlanned((connectors ?? (await builtIn())).planned?.sources)
}

/** Destinations that are not built yet, by name. */
export async function listPlannedDestinations(
  connectors?: Connectors,
): Promise<readonly PlannedListed<DestinationShape>[]> {
  return listPlanned((connectors ?? (await builtIn())).planned?.destinations)
}

/** Parts of `engine` that are not built yet, by type. */
export async function plannedEngine(
  connectors?: Connectors,
): Promise<Readonly<Record<'backend' | 'queue', { readonly [type: string]: Release }>>> {
  const { planned } = connectors ?? (await builtIn())
  return { backend: planned?.stores ?? {}, queue: planned?.queues ?? {} }
}

/** What stands under `engine.queue.config` of each broker. Imports every one of them, but no client. */
export async function brokerConfigs(
  connectors?: Connectors,
): Promise<{ readonly [type: string]: BrokerDefinition['config'] }> {
  const queues = await list((connectors ?? (await builtIn())).queues)
  return Object.fromEntries(
    queues.flatMap(({ name, definition }) => ('connect' in definition ? [[name, definition.config]] : [])),
  )
}

async function listPlanned<Shape>(
  planned: { readonly [name: string]: PlannedShape<Shape> } = {},
): Promise<readonly PlannedListed<Shape>[]> {
  const entries = Object.entries(planned).sort(([a], [b]) => (a < b ? -1 : 1))
  return Promise.all(
    entries.map(async ([name, { release, load }]) => ({ name, release, shape: (await load()).default })),
  )
}

async function builtIn(): Promise<Connectors> {
  return import('../connectors/index.ts')
}

async function known<Definition extends Shape, Shape>(
  table: ConnectorTable<Definition>,
  planned: { readonly [name: string]: PlannedShape<Shape> } | undefined,
  label: string,
  name: string,
): Promise<Known<Definition, Shape>> {
  const later = own(planned, name)
  if (later && !Object.hasOwn(table, name)) {
    return { shape: (await later.load()).default, release: later.release }
  }
  const definition = await find(table, label, name, Object.keys(planned ?? {}))
  return { shape: definition, definition }
}

function refusePlanned(planned: PlannedConnectors['stores'] | undefined, type: string, instead: string[]): void {
  const later = own(planned, type)
  if (later) {
    throw new BizonError('config', `${notBuilt(type, later)}; until then use ${either(instead.sort())}`)
  }
}

async function find<Definition>(
  table: ConnectorTable<Definition>,
  label: string,
  name: string,
  later: readonly string[] = [],
): Promise<Definition> {
  const load = own(table, name)
  if (load) return (await load()).default
  const near = nearest(name, [...Object.keys(table), ...later])
  const meant = suggestion(name, near === undefined ? Object.keys(table) : [near], 'known')
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)
  throw new BizonError('config', `unknown ${label} ${shown}${meant}`, {
    hint: label === 'source' || label === 'destination' ? `bizon ${label} list` : undefined,
  })
}

const own = <Value>(table: { readonly [name: string]: Value } | undefined, name: string): Value | undefined =>
  table && Object.hasOwn(table, name) ? table[name] : undefined

async function list<Definition>(table: ConnectorTable<Definition>): Promise<readonly Listed<Definition>[]> {
  const entries = Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1))
  return Promise.all(entries.map(async ([name, load]) => ({ name, definition: (await load()).default })))
}

function either(names: readonly string[]): string {
  return names.length < 3 ? names.join(' or ') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}
