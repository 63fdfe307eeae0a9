// `start KIND DIR PORT`: a server of the tests for a person, or for the examples. Prints its address, and stays after this
// program has ended. `stop DIR` ends it, its data stay, and the next start in the same folder has them.

import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { KafkaServer } from './kafka.ts'
import { PostgresServer } from './postgres.ts'
import { endProcesses } from './process.ts'
import { RabbitServer } from './rabbitmq.ts'
import { SchemaRegistry } from './schema-registry.ts'

const KINDS: Readonly<Record<string, (folder: string, port: number) => Promise<string>>> = {
  kafka: async (folder, port) => (await KafkaServer.at(folder, port)).address.plain,
  postgres: async (folder, port) => (await PostgresServer.at(folder, port)).url(),
  rabbitmq: async (folder, port) => (await RabbitServer.at(folder, port)).url(),
  'schema-registry': async (folder, port) => (await SchemaRegistry.at(folder, port)).address.confluent,
}

export async function startByHand([kind = '', folder = '', port = '']: readonly string[]): Promise<string> {
  const start = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
  if (!start || folder === '' || !/^\d+$/.test(port)) {
    throw new Error(`usage: start.mjs ${Object.keys(KINDS).join('|')} DIR PORT`)
  }
  await mkdir(folder, { recursive: true })
  await endProcesses(resolve(folder))
  return start(resolve(folder), Number(port))
}

export async function stopByHand([folder]: readonly string[]): Promise<void> {
  if (folder === undefined) throw new Error('usage: stop.mjs DIR')
  await endProcesses(resolve(folder))
}
