// `engine` of a config: where the state is kept, what is between the two ends, and how they share the machine.

import type { EngineConfig } from './config.ts'
import { engineSchema } from './config-schema.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { type Connectors, findQueue, findStore } from './registry.ts'
import { valueAt } from './schema.ts'
import { checkKeys, validate } from './validate.ts'

const LATER = 'is not available in this version'
const LATER_TYPES = [
  { block: 'backend', types: ['postgres', 'bigquery'], instead: 'sqlite or sqlite_in_memory' },
  { block: 'queue', types: ['kafka', 'rabbitmq'], instead: 'python_queue' },
  { block: 'runner', types: ['process'], instead: 'thread, which overlaps extract and load in one process' },
]

/** `engine`, or undefined when there are problems. */
export async function engineBlock(
  raw: unknown,
  problems: Problems,
  connectors?: Connectors,
): Promise<EngineConfig | undefined> {
  const at: ConfigPath = ['engine']
  checkKeys([engineSchema], raw, at, problems)
  for (const { block, types, instead } of LATER_TYPES) {
    const type = valueAt(raw, [block, 'type'])
    if (typeof type === 'string' && types.includes(type)) {
      problems.add([...at, block, 'type'], `${type} ${LATER}; use ${instead}`)
    }
  }
  const keys = validate(engineSchema.prefault({}), raw, at, problems)
  if (keys?.queue.type !== 'python_queue') return undefined
  const { backend, queue, runner } = keys
  if (backend.type !== 'sqlite' && backend.type !== 'sqlite_in_memory') return undefined
  const { type, config } = backend
  return {
    backend: {
      type,
      database: config.database,
      schema: config.schema,
      echo: config.echoEngine,
      definition: await findStore(type, connectors),
    },
    checkpointPages: config.syncCursorInDBEvery,
    queue: {
      type: queue.type,
      maxPages: queue.config.queue.max_size,
      definition: await findQueue(queue.type, connectors),
    },
    runner: { type: runner.type, logLevel: runner.log_level },
  }
}
