// A pipeline with its state and its target elsewhere: for `bizon chaos`, which must never touch the real ones. The rest is
// as the file says, so that what is tried is the user's own.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { PipelineConfig } from '../config.ts'
import type { Destination } from '../destination.ts'
import { BizonError } from '../errors.ts'
import { findStore } from '../registry.ts'
import type { Page, SourceContext } from '../source.ts'
import { shareIn, sharing } from './share.ts'

type Blocks = Pick<PipelineConfig, 'engine' | 'transforms'> & Partial<Pick<PipelineConfig, 'source' | 'destination'>>

/** Whatever the pipeline writes goes to the folder, or where the destination's own scratch is. */
export async function inScratch<Given extends Blocks>(blocks: Given, folder: string): Promise<Given> {
  const { engine, source, destination, transforms } = blocks
  const { backend, runner } = engine
  const { broker: _, ...queue } = engine.queue
  mkdirSync(folder, { recursive: true })
  return {
    ...blocks,
    ...(source && { source: untouched(source, folder) }),
    ...(destination && { destination: scratchOf(destination, folder) }),
    transforms: transforms.map((transform, at) => ({
      ...transform,
      deadLetterPath: join(folder, `dead-letters-${at}.ndjson`),
    })),
    engine: {
      ...engine,
      // What waits at a broker is the real pipeline's.
      queue,
      backend: {
        type: 'sqlite',
        definition: await findStore('sqlite'),
        database: join(folder, 'state'),
        schema: backend.schema,
        echo: false,
      },
      runner: { ...runner, type: runner.type === 'process' ? 'thread' : runner.type },
    },
  }
}

/** What it reads from is the real one: nothing there is told to be done with. */
function untouched(source: PipelineConfig['source'], folder: string): PipelineConfig['source'] {
  const { definition, options } = source
  const share = shareIn(folder)
  const create = (own: typeof options, context: SourceContext) => {
    const made = Object.assign(definition.create(own, context), { acknowledge: undefined })
    return share ? sharing(made, share) : made
  }
  return { ...source, options: definition.scratch?.(options, folder) ?? options, definition: { ...definition, create } }
}

function scratchOf(destination: PipelineConfig['destination'], folder: string): PipelineConfig['destination'] {
  const { definition, options, name } = destination
  if (!definition.scratch || !definition.reader) {
    throw new BizonError('usage', `destination ${name} has no scratch target, so that nothing can be tried on it`, {
      hint: 'Use file, sqlite, postgres or kafka; or see docs/writing-a-destination.md for what a destination needs.',
    })
  }
  const { config, idOf } = definition.scratch(options, folder)
  return {
    ...destination,
    options: config,
    definition: { ...definition, create: (own, context) => rerouted(definition.create(own, context), idOf) },
  }
}

/** Records that name their own target must not reach the real one. */
function rerouted(destination: Destination, idOf: (id: string) => string): Destination {
  const routed = ({ records, ...page }: Page): Page => ({
    ...page,
    records: records.map((record) =>
      record.destinationId === undefined ? record : { ...record, destinationId: idOf(record.destinationId) },
    ),
  })
  const isRouted = ({ records }: Page): boolean => records.some(({ destinationId }) => destinationId !== undefined)
  return {
    open: (run, signal) => destination.open(run, signal),
    write: (page, signal) => destination.write(isRouted(page) ? routed(page) : page, signal),
    flush: (checkpoint) => destination.flush(checkpoint),
    publish: () => destination.publish(),
    close: () => destination.close(),
    outputs: () => destination.outputs?.() ?? [],
    occupies: () => destination.occupies?.() ?? [],
  }
}
