// A pooler before a PostgreSQL server, which lends connections for one transaction each, as in front of many managed databases.

import { access, chown, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { type PostgresServer, serverOwner } from './postgres.ts'
import { ServerProcess } from './process.ts'
import { serverFolder } from './shared.ts'

const PROGRAM = '/usr/sbin/pgbouncer'

export interface Pool {
  /** Connections to the server, which all clients together have. */
  readonly size: number
  /** How long a client waits for one. Default 10. */
  readonly waitSeconds?: number
}

export class Pooler {
  readonly port: number
  readonly #folder: string
  readonly #process: ServerProcess

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.port = port
    this.#process = new ServerProcess(folder, 'pgbouncer', 'SIGINT')
  }

  static async before(server: PostgresServer, { size, waitSeconds = 10 }: Pool): Promise<Pooler> {
    await access(PROGRAM).catch(() => {
      throw new Error('these tests need PgBouncer: apt-get install pgbouncer')
    })
    const folder = await serverFolder('pgbouncer')
    const pooler = new Pooler(folder, await freePort())
    const settings = join(folder, 'pgbouncer.ini')
    await writeFile(
      settings,
      `[databases]
* = host=127.0.0.1 port=${server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${pooler.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${size}
query_wait_timeout = ${waitSeconds}
`,
    )
    const owner = await serverOwner()
    if (owner) for (const path of [folder, settings]) await chown(path, owner.uid, owner.gid)
    await pooler.#process.start({
      command: PROGRAM,
      args: [settings],
      ...owner,
      cwd: '/',
      env: {},
      isReady: () => isListening(pooler.port),
    })
    return pooler
  }

  async remove(): Promise<void> {
    await this.#process.kill('SIGINT')
    await rm(this.#folder, { recursive: true, force: true })
  }

  url(database = 'postgres'): string {
    return `postgresql://postgres@127.0.0.1:${this.port}/${database}`
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
