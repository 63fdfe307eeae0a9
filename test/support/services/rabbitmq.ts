// Throw-away nodes of RabbitMQ, from the machine's own package, apart from the system's service. Tests share one, which the
// first of them starts and the set-up of the whole run ends (see set-up.ts); a test that kills its node has one to itself.

import { execFile } from 'node:child_process'
import { access, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './ports.ts'
import { ServerProcess } from './process.ts'
import { serverFolder, sharedAddress } from './shared.ts'

const run = promisify(execFile)
/** The package's own programs: those on the PATH change to the system's user first. */
const PROGRAMS = '/usr/lib/rabbitmq/bin'

export interface RabbitAddress {
  readonly folder: string
  readonly port: number
  /** Erlang nodes find one another by a name server. This one is private, so that many may have the same name. */
  readonly namePort: number
}

export class RabbitServer {
  readonly address: RabbitAddress
  readonly #node: ServerProcess
  readonly #names: ServerProcess

  private constructor(address: RabbitAddress) {
    this.address = address
    this.#node = new ServerProcess(address.folder, 'rabbitmq')
    this.#names = new ServerProcess(address.folder, 'epmd')
  }

  static async create(): Promise<RabbitServer> {
    return RabbitServer.at(await serverFolder('rabbitmq'), await freePort())
  }

  /** With the data that is in the folder, if there is any. */
  static async at(folder: string, port: number): Promise<RabbitServer> {
    const server = new RabbitServer({ folder, port, namePort: await freePort() })
    await server.start()
    return server
  }

  /** Started again after a kill it has the same address, its durable queues and what is persistent in them. */
  async start(): Promise<void> {
    const { folder, port, namePort } = this.address
    await access(join(PROGRAMS, 'rabbitmq-server')).catch(() => {
      throw new Error('these tests need RabbitMQ: apt-get install rabbitmq-server')
    })
    const env = envOf(this.address)
    if (this.#names.pid === undefined) {
      await this.#names.start({
        command: 'epmd',
        args: ['-address', '127.0.0.1', '-port', String(namePort)],
        env,
        isReady: () => answers(namePort, Buffer.from([0, 1, 'n'.charCodeAt(0)])),
      })
    }
    await writeFile(join(folder, 'enabled_plugins'), '[].\n')
    await writeFile(join(folder, 'rabbitmq.conf'), '')
    // Counts of quorum queues are 5 seconds old else.
    await writeFile(join(folder, 'advanced.config'), '[{rabbit, [{quorum_tick_interval, 100}]}].\n')
    await this.#node.start({
      command: join(PROGRAMS, 'rabbitmq-server'),
      args: [],
      env: { ...env, RABBITMQ_DIST_PORT: String(await freePort()) },
      // The header of the protocol is answered by a method frame.
      isReady: async () => (await answerOf(port, Buffer.from('AMQP\0\0\x09\x01', 'latin1')))?.[0] === 1,
    })
  }

  /** As an operator or the kernel would: nothing is finished. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#node.kill(signal)
  }

  async remove(): Promise<void> {
    await this.kill()
    await this.#names.kill('SIGKILL')
    await rm(this.address.folder, { recursive: true, force: true })
  }

  url(vhost?: string, user?: string, password?: string): string {
    return rabbitUrl(this.address, vhost, user, password)
  }
}

export function rabbitUrl({ port }: RabbitAddress, vhost = '/', user = 'guest', password = 'guest'): string {
  return `amqp://${user}:${password}@127.0.0.1:${port}${vhost === '/' ? '' : `/${encodeURIComponent(vhost)}`}`
}

let shared: Promise<RabbitAddress> | undefined

/** The node that all tests share. The first of all processes to ask starts it. */
export function sharedRabbit(): Promise<RabbitAddress> {
  shared ??= sharedAddress('rabbitmq', async () => (await RabbitServer.create()).address)
  return shared
}

/** What RabbitMQ's own program says: `rabbitmqctl('add_vhost', 'v')`. */
export async function rabbitmqctl(address: RabbitAddress, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(join(PROGRAMS, 'rabbitmqctl'), ['--quiet', ...args], { env: envOf(address) })
  return stdout
}

/**
 * Resolves when the names of all quorum queues are on the disk. The node gets to that some seconds after they were declared;
 * killed before, it has forgotten them, with what it had confirmed for them.
 */
export async function queuesOnDisk(address: RabbitAddress): Promise<void> {
  await rabbitmqctl(address, 'eval', '[dets:sync(Table) || Table <- dets:all()].')
}

function envOf({ folder, port, namePort }: RabbitAddress): Readonly<Record<string, string | undefined>> {
  return {
    PATH: process.env.PATH,
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    HOME: folder,
    ERL_EPMD_PORT: String(namePort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_CRASH_DUMP: join(folder, 'erl_crash.dump'),
    RABBITMQ_NODENAME: 'rabbit@localhost',
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_SCHEMA_DIR: join(folder, 'schema'),
    RABBITMQ_LOG_BASE: folder,
    RABBITMQ_LOGS: '-',
    RABBITMQ_PID_FILE: join(folder, 'node.pid'),
  }
}

async function answers(port: number, question: Buffer): Promise<boolean> {
  return (await answerOf(port, question)) !== undefined
}

/** The first bytes that come back. */
function answerOf(port: number, question: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(question))
    socket.setTimeout(2000, () => socket.destroy())
    socket.once('data', (chunk) => {
      resolve(chunk)
      socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(undefined))
  })
}
