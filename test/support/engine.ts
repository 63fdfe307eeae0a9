// A config for tests of the engine, with connectors that no table knows.

import { join } from 'node:path'
import * as z from 'zod'
import { defineBroker } from '../../lib/channel.ts'
import { loadConfig, type PipelineConfig } from '../../lib/config.ts'
import type { DestinationDefinition } from '../../lib/destination.ts'
import type { SourceDefinition } from '../../lib/source.ts'
import type { MemoryBroker } from './memory-broker.ts'

export interface TestConfig {
  /** A folder of the test's own, for the state database. */
  readonly folder: string
  readonly source: SourceDefinition
  readonly destination: DestinationDefinition
  /** More keys of the `source` block, as in YAML. */
  readonly sourceKeys?: { readonly [key: string]: unknown }
  /** As in YAML. */
  readonly transforms?: readonly object[]
  readonly runner?: 'thread' | 'process' | 'stream'
  readonly checkpointPages?: number
  /** Between the two ends. Default: the memory of the process. */
  readonly broker?: MemoryBroker
}

export async function testConfig(parts: TestConfig): Promise<PipelineConfig> {
  const {
    folder,
    source,
    destination,
    sourceKeys = {},
    transforms = [],
    runner = 'thread',
    checkpointPages = 1,
    broker,
  } = parts
  const backend = { database: join(folder, 'state'), schema: '', syncCursorInDBEvery: checkpointPages }
  const config = await loadConfig(
    {
      name: 'test',
      source: { name: 'scripted', stream: 'numbers', ...sourceKeys },
      destination: { name: 'shelf', config: {} },
      transforms,
      engine: {
        backend: { type: 'sqlite', config: backend },
        runner: { type: runner },
        ...(broker && { queue: { type: 'kafka', config: {} } }),
      },
    },
    ['source', 'destination'],
    {},
    {
      sources: { scripted: async () => ({ default: source }) },
      destinations: { shelf: async () => ({ default: destination }) },
      stores: { sqlite: () => import('../../connectors/stores/sqlite.ts') },
      queues: {
        python_queue: () => import('../../connectors/queues/memory.ts'),
        ...(broker && { kafka: async () => ({ default: brokerDefinition(broker) }) }),
      },
    },
  )
  return config as PipelineConfig
}

const brokerDefinition = (broker: MemoryBroker) =>
  defineBroker({ summary: 'As a test says.', config: z.object({}), connect: () => broker.channel() })
