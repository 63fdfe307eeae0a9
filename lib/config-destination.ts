// `destination` of a config: the keys that all destinations share beside those of the connector it names.

import type * as z from 'zod'
import type { DestinationConfig } from './config.ts'
import { fileIn, fromFile, named, split } from './config-connector.ts'
import { destinationConfigSchema, destinationSchema } from './config-schema.ts'
import type { DestinationDefinition, RecordSchema } from './destination.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { isMapping } from './references.ts'
import { type Connectors, findDestination } from './registry.ts'
import { checkKeys, validate } from './validate.ts'

const MIB = 1024 * 1024

/** `destination`, or undefined when there are problems. */
export async function destinationBlock(
  raw: unknown,
  problems: Problems,
  connectors?: Connectors,
): Promise<DestinationConfig | undefined> {
  const at: ConfigPath = ['destination']
  if (!isMapping(raw)) {
    problems.add(at, `expected a mapping, got ${problems.show(at, raw)}`)
    return undefined
  }
  const file = fileIn(raw, 'destination_file_path')
  const definition =
    file === undefined
      ? await named(raw, at, problems, (name) => findDestination(name, connectors))
      : await fromFile(file, [...at, 'destination_file_path'], problems, loadCustom)
  const keys = validate(destinationSchema, { ...raw }, at, problems)
  if (!definition) return undefined

  const inside = [...at, 'config']
  const { config: given, ...outer } = raw
  checkKeys([destinationSchema.extend({ config: destinationConfigSchema })], outer, at, problems)
  const config = given ?? {}
  if (!isMapping(config)) return undefined
  const { common, own } = split(destinationConfigSchema, definition.config, config, inside, problems)
  const shared = validate(destinationConfigSchema, common, inside, problems)
  const options = validate(definition.config, own, inside, problems)
  if (!keys || !shared) return undefined
  const recordSchemas = columnsOf(shared.record_schemas, [...inside, 'record_schemas'], problems)
  if (shared.unnest && recordSchemas.length === 0 && !Object.hasOwn(own, 'record_schemas')) {
    problems.add([...inside, 'unnest'], 'true needs columns: add record_schemas with one entry for each destination_id')
  }
  return {
    name: keys.name,
    alias: keys.alias ?? keys.name,
    ...(file !== undefined && { file }),
    definition,
    options: {
      ...(isMapping(options) && options),
      destinationId: shared.destination_id,
      unnest: shared.unnest,
      recordSchemas,
    },
    bufferBytes: shared.buffer_size * MIB,
    flushTimeoutSeconds: shared.buffer_flush_timeout,
  }
}

const loadCustom = async (file: string): Promise<DestinationDefinition> =>
  (await import('./custom-definition.ts')).customDestination(file)

function columnsOf(
  schemas: z.output<typeof destinationConfigSchema>['record_schemas'],
  at: ConfigPath,
  problems: Problems,
): RecordSchema[] {
  const ids = new Set<string>()
  return schemas.map(({ destination_id: destinationId, record_schema }, i) => {
    if (ids.has(destinationId)) problems.add([...at, i, 'destination_id'], 'there is an entry for this one already')
    ids.add(destinationId)
    const names = new Set<string>()
    for (const [j, { name }] of record_schema.entries()) {
      if (names.has(name))
        problems.add([...at, i, 'record_schema', j, 'name'], 'there is a column of this name already')
      names.add(name)
    }
    const columns = record_schema.map(({ name, type, description }) => ({ name, type, description }))
    return { destinationId, columns }
  })
}
