// What a recorded case that asks for RABBIT_… finds: the node that tests share. The names in its pipeline.yml are replaced by what
// they stand for, since a value that came from a reference is never printed.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ServerOfCase } from './kafka-case.ts'
import { sharedRabbit } from './services/rabbitmq.ts'

export async function rabbitOfCase(folder: string): Promise<ServerOfCase> {
  const { port } = await sharedRabbit()
  const names = { RABBIT_PORT: String(port), RABBIT_USER: 'guest', RABBIT_PASSWORD: 'guest' }
  return {
    pipeline: async () =>
      Object.entries(names).reduce(
        (text, [name, found]) => text.replaceAll(name, found),
        await readFile(join(folder, 'pipeline.yml'), 'utf8'),
      ),
    placed: (said) => said.replaceAll(`127.0.0.1:${port}`, '127.0.0.1:<RABBIT_PORT>'),
  }
}
