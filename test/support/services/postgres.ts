// Throw-away PostgreSQL servers, from the machine's own package: data in a temporary folder, a free port on loopback, no
// password. Tests share one, which the first of them starts and the set-up of the whole run ends (see set-up.ts); a test
// that kills its server has one to itself.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, chmod, chown, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { freePort } from './ports.ts'
import { ServerProcess, STEP_MS } from './process.ts'
import { serverFolder, sharedAddress } from './shared.ts'

const run = promisify(execFile)
const VERSIONS = '/usr/lib/postgresql'

/** Started again after a kill it has the same address and data: without fsync they outlive a process, not a machine. */
export class PostgresServer {
  readonly folder: string
  readonly port: number
  readonly #process: ServerProcess

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
    this.#process = new ServerProcess(folder, 'postgres', 'SIGINT')
  }

  static async create(): Promise<PostgresServer> {
    return PostgresServer.at(await serverFolder('postgres'), await freePort())
  }

  /** With the data that is in the folder, if there is any. */
  static async at(folder: string, port: number): Promise<PostgresServer> {
    const data = join(folder, 'data')
    const isNew = await access(data).then(
      () => false,
      () => true,
    )
    if (isNew) {
      await mkdir(data, { mode: 0o700 })
      const owner = await serverOwner()
      if (owner) {
        await chmod(folder, 0o711)
        await chown(data, owner.uid, owner.gid)
      }
      const initdb = ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync']
      await run(await program('initdb'), initdb, { ...owner, cwd: '/', env: ENV })
    }
    const server = new PostgresServer(folder, port)
    await server.start()
    return server
  }

  /** Settings given here are for this start. */
  async start(given: Readonly<Record<string, string>> = {}): Promise<void> {
    const data = join(this.folder, 'data')
    const settings = {
      listen_addresses: '127.0.0.1',
      port: String(this.port),
      unix_socket_directories: '',
      shared_buffers: '32MB',
      max_connections: '200',
      fsync: 'off',
      full_page_writes: 'off',
      ...given,
    }
    const ready = await program('pg_isready')
    await this.#process.start({
      command: await program('postgres'),
      args: ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      ...(await serverOwner()),
      cwd: '/',
      env: ENV,
      isReady: () =>
        run(ready, ['-q', '-h', '127.0.0.1', '-p', String(this.port), '-U', 'postgres']).then(
          () => true,
          () => false,
        ),
    })
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Makes an empty file of the data folder that only the server may read. Resolves to its path. */
  async own(name: string): Promise<string> {
    const path = join(this.folder, 'data', name)
    await writeFile(path, '', { mode: 0o600 })
    const owner = await serverOwner()
    if (owner) await chown(path, owner.uid, owner.gid)
    return path
  }

  /** From the next connection on. */
  async requirePasswords(): Promise<void> {
    await writeFile(join(this.folder, 'data', 'pg_hba.conf'), 'host all all 127.0.0.1/32 scram-sha-256\n')
    this.#process.signal('SIGHUP')
    const ready = async (): Promise<boolean> =>
      psql(this.url(), 'SELECT 1').then(
        () => false,
        () => true,
      )
    while (!(await ready())) await sleep(STEP_MS)
  }

  /** As an operator or the kernel would: nothing is finished. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#process.kill(signal)
  }

  async remove(): Promise<void> {
    await this.kill('SIGINT')
    await rm(this.folder, { recursive: true, force: true })
  }

  /** The URL of a database there. */
  url(database = 'postgres', user = 'postgres'): string {
    return urlOf(this.port, database, user)
  }
}

const ENV = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' }

const urlOf = (port: number, database: string, user = 'postgres'): string =>
  `postgresql://${user}@127.0.0.1:${port}/${database}`

/** The server refuses to run as root. */
export async function serverOwner(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const id = async (flag: string): Promise<number> => Number((await run('id', [flag, 'postgres'])).stdout)
  return { uid: await id('-u'), gid: await id('-g') }
}

/** Debian keeps the server's programs of each version in a folder of its own. */
async function program(name: string): Promise<string> {
  const versions = await readdir(VERSIONS).catch(() => [])
  const newest = versions.sort((a, b) => Number(a) - Number(b)).at(-1)
  if (newest === undefined) throw new Error(`these tests need PostgreSQL: apt-get install postgresql`)
  return join(VERSIONS, newest, 'bin', name)
}

let shared: Promise<number> | undefined

/** The port of the shared server. The first of all processes to ask starts it. */
function sharedPort(): Promise<number> {
  shared ??= sharedAddress('postgres', async () => (await PostgresServer.create()).port)
  return shared
}

export interface TestDatabase {
  readonly name: string
  readonly url: string
}

/** A new database of the shared server: empty, or a copy of another one, to which nobody is connected. */
export async function freshDatabase(template = 'template1'): Promise<TestDatabase> {
  const name = `t_${randomBytes(8).toString('hex')}`
  await asAdmin(`CREATE DATABASE ${name} TEMPLATE ${template}`)
  return { name, url: urlOf(await sharedPort(), name) }
}

export async function dropDatabase({ name }: TestDatabase): Promise<void> {
  await asAdmin(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
}

async function asAdmin(sql: string): Promise<void> {
  const client = new Client({ connectionString: urlOf(await sharedPort(), 'postgres') })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** What PostgreSQL's own client says: rows as lines, columns separated by `|`. */
export async function psql(url: string, sql: string): Promise<string> {
  return spawnPsql(url, ['-v', 'ON_ERROR_STOP=1', '-c', sql])
}

/** The same of several statements, each by itself: one that fails says nothing. */
export async function psqlEach(url: string, statements: readonly string[]): Promise<string[]> {
  const mark = '-- next --'
  const args = statements.flatMap((sql) => ['-c', sql, '-c', `SELECT '${mark}'`])
  return (await spawnPsql(url, args)).split(`${mark}\n`).slice(0, -1)
}

async function spawnPsql(url: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run('psql', ['-X', '-q', '-A', '-t', '-w', '-d', url, ...args], {
    env: { ...ENV, PGCLIENTENCODING: 'UTF8', PGOPTIONS: '-c client_min_messages=warning' },
    maxBuffer: 1 << 28,
  })
  return stdout
}
