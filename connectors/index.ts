// Every connector there is: its name in YAML, and the file that is imported when a config names it.
// To add one, write the file and add its line.

import type { PlannedConnectors } from '../lib/config/planned.ts'
import type { DestinationDefinition } from '../lib/destination.ts'
import type { QueueDefinition } from '../lib/queue.ts'
import type { SourceDefinition } from '../lib/source.ts'
import type { StoreDefinition } from '../lib/state.ts'

export type Table<Definition> = { readonly [name: string]: () => Promise<{ default: Definition }> }

export const sources = {
  dummy: () => import('./sources/dummy.ts'),
  file: () => import('./sources/file.ts'),
  gbif: () => import('./sources/gbif.ts'),
  kafka: () => import('./sources/kafka.ts'),
  pokeapi: () => import('./sources/pokeapi.ts'),
  postgres: () => import('./sources/postgres.ts'),
  rest: () => import('./sources/rest.ts'),
  sqlite: () => import('./sources/sqlite.ts'),
} satisfies Table<SourceDefinition>

export const destinations = {
  file: () => import('./destinations/file.ts'),
  kafka: () => import('./destinations/kafka.ts'),
  logger: () => import('./destinations/logger.ts'),
  postgres: () => import('./destinations/postgres.ts'),
  sqlite: () => import('./destinations/sqlite.ts'),
} satisfies Table<DestinationDefinition>

export const stores = {
  postgres: () => import('./stores/postgres.ts'),
  sqlite: () => import('./stores/sqlite.ts'),
  sqlite_in_memory: () => import('./stores/sqlite_in_memory.ts'),
} satisfies Table<StoreDefinition>

export const queues = {
  python_queue: () => import('./queues/memory.ts'),
} satisfies Table<QueueDefinition>

/** Connectors of the Python bizon that are not built yet, and the release that brings each. */
export const planned = {
  sources: {
    cycle: { release: '0.5', load: () => import('./planned/cycle.ts') },
    gsheets: { release: '0.5', load: () => import('./planned/gsheets.ts') },
    hubspot: { release: '0.5', load: () => import('./planned/hubspot.ts') },
    notion: { release: '0.5', load: () => import('./planned/notion.ts') },
    periscope: { release: '0.5', load: () => import('./planned/periscope.ts') },
    sana_ai: { release: '0.5', load: () => import('./planned/sana_ai.ts') },
  },
  destinations: {
    bigquery: { release: '0.5', load: () => import('./planned/bigquery.ts') },
    bigquery_streaming: { release: '0.5', load: () => import('./planned/bigquery_streaming.ts') },
    bigquery_streaming_v2: { release: '0.5', load: () => import('./planned/bigquery_streaming_v2.ts') },
  },
  stores: { bigquery: { release: '0.5' } },
  queues: { kafka: { release: '0.4' }, rabbitmq: { release: '0.4' } },
} satisfies PlannedConnectors
