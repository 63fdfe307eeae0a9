// `engine` of a config: where the state is kept, what is between the two ends, and how they share the machine.

import type { EngineConfig } from '../config.ts'
import { isMapping } from '../references.ts'
import { type Connectors, findQueue, findStore } from '../registry.ts'
import type { PostgresServer } from '../state.ts'
import { lookUp, withoutIgnored } from './connector.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { engineSchema } from './schema.ts'
import type { SslMode } from './schema-tls.ts'
import { checkKeys, validate } from './validate.ts'
import { valueAt } from './zod.ts'

/** Examples of the Python bizon have it beside `type`, where it does nothing. */
export const IGNORED = { syncCursorInDBEvery: 'it belongs under "config"' }

/** `engine`, or undefined when there are problems. `fallback` is the runner of a config that names none. */
export async function engineBlock(
  raw: unknown,
  fallback: EngineConfig['runner']['type'],
  problems: Problems,
  connectors?: Connectors,
): Promise<EngineConfig | undefined> {
  const at: ConfigPath = ['engine']
  const given = isMapping(raw) ? { ...raw } : raw
  if (isMapping(given) && isMapping(given.backend)) {
    given.backend = withoutIgnored(given.backend, IGNORED, [...at, 'backend'], problems)
  }
  checkKeys([engineSchema], given, at, problems)
  const keys = validate(engineSchema.prefault({}), given, at, problems)
  const find = <Found>(block: string, usual: string, look: (type: string, table?: Connectors) => Promise<Found>) => {
    const type = valueAt(given, [block, 'type']) ?? usual
    return lookUp(type, [...at, block, 'type'], problems, (one) => look(one, connectors))
  }
  const store = await find('backend', 'sqlite', findStore)
  const line = await find('queue', 'python_queue', findQueue)
  if (!keys || !store || !line) return undefined
  const { backend, queue, runner } = keys
  const named = valueAt(given, ['runner', 'type']) ?? undefined
  return {
    backend: {
      type: backend.type,
      database: backend.config.database,
      schema: backend.config.schema,
      echo: backend.config.echoEngine,
      ...(backend.type === 'postgres' && { server: serverOf(backend.config) }),
      definition: store,
    },
    checkpointPages: backend.config.syncCursorInDBEvery,
    queue: {
      type: queue.type,
      maxPages: queue.type === 'python_queue' ? queue.config.queue.max_size : 0,
      definition: line,
    },
    runner: { type: named === undefined ? fallback : runner.type, logLevel: runner.log_level },
  }
}

function serverOf({
  host,
  port,
  username,
  password,
  sslmode = 'prefer',
  sslrootcert,
  sslcert,
  sslkey,
}: Omit<PostgresServer, 'sslmode'> & { sslmode?: SslMode | undefined }): PostgresServer {
  return { host, port, username, password, sslmode, sslrootcert, sslcert, sslkey }
}
