// Connectors that files of the Python bizon name and that are not built yet: what such a file may hold is known, so
// that it is validated whole before it is said which release brings the connector.

import type { z } from 'zod'
import type { DestinationDefinition } from '../destination.ts'
import type { SourceDefinition } from '../source.ts'

/** A source without its code. When it is built, its file moves and gains `create`. */
export type SourceShape<Schema extends z.ZodType = z.ZodType> = Omit<SourceDefinition<Schema>, 'create'>

/** A destination without its code. */
export type DestinationShape<Schema extends z.ZodType = z.ZodType> = Omit<DestinationDefinition<Schema>, 'create'>

export interface Release {
  /** Line of releases that brings it: `0.5`. */
  readonly release: string
}

export interface PlannedShape<Shape> extends Release {
  readonly load: () => Promise<{ readonly default: Shape }>
}

/** Known names, by kind. Keys of stores and queues are in the schema of `engine`. */
export interface PlannedConnectors {
  readonly sources: { readonly [name: string]: PlannedShape<SourceShape> }
  readonly destinations: { readonly [name: string]: PlannedShape<DestinationShape> }
  readonly stores: { readonly [type: string]: Release }
  readonly queues: { readonly [type: string]: Release }
}

export function defineSourceShape<Schema extends z.ZodType>(shape: SourceShape<Schema>): SourceShape<Schema> {
  return shape
}

export function defineDestinationShape<Schema extends z.ZodType>(
  shape: DestinationShape<Schema>,
): DestinationShape<Schema> {
  return shape
}

export function notBuilt(name: string, { release }: Release): string {
  return `${name} is not built yet; it comes with bizon ${release}`
}
