// Every connector there is: its name in YAML, and the file that is imported when a config names it.
// To add one, write the file and add its line.

import type { DestinationDefinition } from '../lib/destination.ts'
import type { QueueDefinition } from '../lib/queue.ts'
import type { SourceDefinition } from '../lib/source.ts'
import type { StoreDefinition } from '../lib/state.ts'

export type Table<Definition> = { readonly [name: string]: () => Promise<{ default: Definition }> }

export const sources = {
  dummy: () => import('./sources/dummy.ts'),
  file: () => import('./sources/file.ts'),
  gbif: () => import('./sources/gbif.ts'),
  pokeapi: () => import('./sources/pokeapi.ts'),
  rest: () => import('./sources/rest.ts'),
} satisfies Table<SourceDefinition>

export const destinations = {
  file: () => import('./destinations/file.ts'),
  logger: () => import('./destinations/logger.ts'),
} satisfies Table<DestinationDefinition>

export const stores = {
  sqlite: () => import('./stores/sqlite.ts'),
  sqlite_in_memory: () => import('./stores/sqlite_in_memory.ts'),
} satisfies Table<StoreDefinition>

export const queues = {
  python_queue: () => import('./queues/memory.ts'),
} satisfies Table<QueueDefinition>
