// A throw-away schema registry: Apicurio, from Maven Central, which also speaks Confluent's API. Tests share one, which the
// first of them starts and the set-up of the whole run ends (see set-up.ts).

import { execFile } from 'node:child_process'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cached, JAVA_OPTIONS, maven } from './jars.ts'
import { freePort } from './ports.ts'
import { ServerProcess } from './process.ts'
import { serverFolder, sharedAddress } from './shared.ts'

const run = promisify(execFile)
/** The newest that runs on Java 17. */
const VERSION = '3.0.9'

export interface RegistryAddress {
  /** What a config names for Confluent's API: `GET /schemas/ids/1` below it. */
  readonly confluent: string
  /** The server: Apicurio's own API is below `/apis/registry/v2` and `/apis/registry/v3`. */
  readonly apicurio: string
}

export class SchemaRegistry {
  readonly folder: string
  readonly port: number
  readonly #process: ServerProcess

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
    this.#process = new ServerProcess(folder, 'schema-registry')
  }

  static async create(): Promise<SchemaRegistry> {
    return SchemaRegistry.at(await serverFolder('schema-registry'), await freePort())
  }

  /** With the schemas that are in the folder, if there are any. */
  static async at(folder: string, port: number): Promise<SchemaRegistry> {
    const registry = new SchemaRegistry(folder, port)
    await registry.start()
    return registry
  }

  /** Started again after a kill it has the same address and schemas. */
  async start(): Promise<void> {
    const program = await registryProgram()
    const settings = {
      'apicurio.datasource.url': `jdbc:h2:file:${join(this.folder, 'data')};WRITE_DELAY=0`,
      'quarkus.http.host': '127.0.0.1',
      'quarkus.http.port': String(this.port),
      'quarkus.log.level': 'WARN',
    }
    const isReady = async (): Promise<boolean> =>
      (await fetch(`${this.address.confluent}/subjects`, { signal: AbortSignal.timeout(2000) })).ok
    await this.#process.start({
      command: 'java',
      args: [
        ...JAVA_OPTIONS,
        '-Xmx256m',
        ...Object.entries(settings).map(([name, value]) => `-D${name}=${value}`),
        ...['-jar', program],
      ],
      cwd: this.folder,
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
      isReady: () => isReady().catch(() => false),
    })
  }

  get address(): RegistryAddress {
    const apicurio = `http://127.0.0.1:${this.port}`
    return { apicurio, confluent: `${apicurio}/apis/ccompat/v7` }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#process.kill(signal)
  }

  async remove(): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}

let shared: Promise<RegistryAddress> | undefined

/** The registry that all tests share. The first of all processes to ask starts it. */
export function sharedRegistry(): Promise<RegistryAddress> {
  shared ??= sharedAddress('schema-registry', async () => (await SchemaRegistry.create()).address)
  return shared
}

async function registryProgram(): Promise<string> {
  const folder = await cached(`apicurio-${VERSION}`, async (made) => {
    const artifact = `-Dartifact=io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`
    await maven('dependency:get', '-Dtransitive=false', artifact)
    await maven('dependency:copy', '-Dmdep.useBaseVersion=true', artifact, `-DoutputDirectory=${made}`)
    for (const name of await readdir(made)) {
      await run('tar', ['-xzf', join(made, name), '-C', made])
      await rm(join(made, name))
    }
  })
  const program = (await readdir(folder)).find((name) => /^apicurio-registry-app-.*-runner\.jar$/.test(name))
  if (program === undefined) throw new Error(`there is no registry in ${folder}`)
  return join(folder, program)
}
