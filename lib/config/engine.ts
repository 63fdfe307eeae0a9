// `engine` of a config: where the state is kept, what is between the two ends, and how they share the machine.

import type { BrokerDefinition } from '../channel.ts'
import type { EngineConfig } from '../config.ts'
import { isMapping } from '../references.ts'
import { type Connectors, findQueue, findStore } from '../registry.ts'
import type { PostgresServer } from '../state.ts'
import { lookUp, withoutIgnored } from './connector.ts'
import { located } from './located.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { engineSchemaWith } from './schema.ts'
import type { SslMode } from './schema-tls.ts'
import { checkKeys, validate } from './validate.ts'
import { valueAt } from './zod.ts'

/** Examples of the Python bizon have it beside `type`, where it does nothing. */
export const IGNORED = { syncCursorInDBEvery: 'it belongs under "config"' }

const MEMORY = 'python_queue'

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
  const broker = await brokerOf(valueAt(given, ['queue', 'type']), connectors)
  const schema = engineSchemaWith(broker ? { [broker.type]: broker.definition.config } : {})
  checkKeys([schema], given, at, problems)
  const keys = validate(schema.prefault({}), given, at, problems)
  const find = <Found>(block: string, usual: string, look: (type: string, table?: Connectors) => Promise<Found>) => {
    const type = valueAt(given, [block, 'type']) ?? usual
    return lookUp(type, [...at, block, 'type'], problems, (one) => look(one, connectors))
  }
  const store = await find('backend', 'sqlite', findStore)
  const line = broker ? await findQueue(MEMORY, connectors) : await find('queue', MEMORY, findQueue)
  if (broker) warnIdle(given, broker.definition, [...at, 'queue', 'config'], problems)
  if (!keys || !store || !line || 'connect' in line) return undefined
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
      maxPages: queue.type === MEMORY ? queue.config.queue.max_size : 0,
      definition: line,
      ...(broker && { broker: { definition: located(broker.definition, 'connect', problems), options: queue.config } }),
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

/** Undefined: the type is not that of a broker. */
async function brokerOf(
  type: unknown,
  connectors?: Connectors,
): Promise<{ readonly type: string; readonly definition: BrokerDefinition } | undefined> {
  const found = typeof type === 'string' ? await findQueue(type, connectors).catch(() => undefined) : undefined
  return found && 'connect' in found ? { type: String(type), definition: found } : undefined
}

/** Keys of a broker's config that do nothing. */
function warnIdle(engine: unknown, { ignored = {} }: BrokerDefinition, at: ConfigPath, problems: Problems): void {
  for (const [path, instead] of Object.entries(ignored)) {
    const keys = path.split('.')
    if (valueAt(engine, ['queue', 'config', ...keys]) === undefined) continue
    problems.warn([...at, ...keys], `has no effect; ${instead}`, { part: 'key' })
  }
}
