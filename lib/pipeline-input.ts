// The mapping of a pipeline file as TypeScript sees it, from the same schemas that validate it. Types only: nothing of
// a connector is loaded by importing them.

import type * as z from 'zod'
import type {
  destinationConfigSchema,
  destinationSchema,
  engineSchema,
  pipelineSchema,
  sourceSchema,
} from './config/schema.ts'
import type { DestinationDefinition } from './destination.ts'
import type { SourceDefinition } from './source.ts'

type BuiltIn = typeof import('../connectors/index.ts')
type Definition<Load> = Load extends () => Promise<{ default: infer Found }> ? Found : never
type KeysOf<Found> =
  Found extends SourceDefinition<infer Schema>
    ? z.input<Schema>
    : Found extends DestinationDefinition<infer Schema>
      ? z.input<Schema>
      : never

/** The names of the built-in sources and destinations. */
export type SourceName = keyof BuiltIn['sources']
export type DestinationName = keyof BuiltIn['destinations']

/** The `source` block of one connector: the keys that all have, and its own. */
export type SourceInput<Name extends SourceName = SourceName> = {
  [Each in Name]: { name: Each } & Omit<z.input<typeof sourceSchema>, 'name'> &
    KeysOf<Definition<BuiltIn['sources'][Each]>>
}[Name]

/** The `destination` block of one connector. */
export type DestinationInput<Name extends DestinationName = DestinationName> = {
  [Each in Name]: { name: Each } & Omit<z.input<typeof destinationSchema>, 'name' | 'config'> & {
      config: z.input<typeof destinationConfigSchema> & KeysOf<Definition<BuiltIn['destinations'][Each]>>
    }
}[Name]

/** A whole pipeline with built-in connectors: `const config: PipelineInput = { … }`, then `extract(config)`. */
export type PipelineInput = Omit<z.input<typeof pipelineSchema>, 'source' | 'destination' | 'engine'> & {
  source: SourceInput
  destination: DestinationInput
  engine?: z.input<typeof engineSchema>
}
