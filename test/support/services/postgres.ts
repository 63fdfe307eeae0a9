// Throw-away PostgreSQL servers, from the machine's own package: data in a temporary folder, a free port on loopback, no
// password. Tests share one, which the first of them starts and the set-up of the whole run ends (see set-up.ts); a test
// that kills its server has one to itself.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'

const run = promisify(execFile)
/** A loaded machine takes its time. */
const LIMIT_MS = 120_000
const STEP_MS = 20
const VERSIONS = '/usr/lib/postgresql'

/** Started again after a kill it has the same address and data: without fsync they outlive a process, not a machine. */
export class PostgresServer {
  readonly folder: string
  readonly port: number
  #child: ChildProcess | undefined

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
  }

  static async create(): Promise<PostgresServer> {
    const folder = await mkdtemp(join(process.env.BIZON_TEST_DISK ?? tmpdir(), 'bizon-postgres-'))
    const data = join(folder, 'data')
    await mkdir(data, { mode: 0o700 })
    const owner = await ownerOf()
    if (owner) {
      await chmod(folder, 0o711)
      await chown(data, owner.uid, owner.gid)
    }
    const initdb = ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync']
    await run(await program('initdb'), initdb, { ...owner, cwd: '/', env: ENV })
    const server = new PostgresServer(folder, await freePort())
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
    const args = ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
    // Not a pipe: the server may outlive this process.
    const path = join(this.folder, 'log')
    const log = await open(path, 'a')
    const child = spawn(await program('postgres'), args, {
      ...(await ownerOf()),
      cwd: '/',
      env: ENV,
      stdio: ['ignore', 'ignore', log.fd],
      detached: true,
    })
    this.#child = child
    child.unref()
    // So that the set-up can end it, should a test not come to that.
    const services = process.env[FOLDER_VARIABLE]
    if (services !== undefined) {
      await writeFile(join(services, basename(this.folder)), JSON.stringify({ pid: child.pid, folder: this.folder }))
    }
    await log.close()
    const said = async (): Promise<string> => (await readFile(path, 'utf8')).slice(-4000)
    const ready = await program('pg_isready')
    for (const deadline = performance.now() + LIMIT_MS; ; await sleep(STEP_MS)) {
      if (child.exitCode !== null) throw new Error(`postgres stopped while it started: ${await said()}`)
      if (performance.now() > deadline) throw new Error(`postgres is not ready: ${await said()}`)
      const asked = run(ready, ['-q', '-h', '127.0.0.1', '-p', String(this.port), '-U', 'postgres'])
      if (
        await asked.then(
          () => true,
          () => false,
        )
      )
        return
    }
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Makes an empty file of the data folder that only the server may read. Resolves to its path. */
  async own(name: string): Promise<string> {
    const path = join(this.folder, 'data', name)
    await writeFile(path, '', { mode: 0o600 })
    const owner = await ownerOf()
    if (owner) await chown(path, owner.uid, owner.gid)
    return path
  }

  /** From the next connection on. */
  async requirePasswords(): Promise<void> {
    await writeFile(join(this.folder, 'data', 'pg_hba.conf'), 'host all all 127.0.0.1/32 scram-sha-256\n')
    this.#child?.kill('SIGHUP')
    const ready = async (): Promise<boolean> =>
      psql(this.url(), 'SELECT 1').then(
        () => false,
        () => true,
      )
    while (!(await ready())) await sleep(STEP_MS)
  }

  /** As an operator or the kernel would: nothing is finished. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.ref()
    child.kill(signal)
    await gone
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
async function ownerOf(): Promise<{ uid: number; gid: number } | undefined> {
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

/** Free at this moment; nobody else asks for it in the same breath. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Where the processes of one test run meet; set by set-up.ts. */
export const FOLDER_VARIABLE = 'BIZON_TEST_SERVICES'

let shared: Promise<number> | undefined

/** The port of the shared server. The first of all processes to ask starts it. */
function sharedPort(): Promise<number> {
  shared ??= findOrStart()
  return shared
}

async function findOrStart(): Promise<number> {
  const folder = process.env[FOLDER_VARIABLE]
  if (folder === undefined) throw new Error(`${FOLDER_VARIABLE} is not set: run with --config test/vitest.config.ts`)
  const [lock, address] = [join(folder, 'lock'), join(folder, 'address')]
  const isFirst = await mkdir(lock).then(
    () => true,
    () => false,
  )
  if (isFirst) {
    const started = PostgresServer.create()
    const said = await started.then(
      ({ port }) => JSON.stringify({ port }),
      (error: unknown) => JSON.stringify({ error: String(error) }),
    )
    await writeFile(address, said)
  }
  for (const deadline = performance.now() + LIMIT_MS; performance.now() < deadline; await sleep(STEP_MS)) {
    const text = await readFile(address, 'utf8').catch(() => '')
    if (!text.endsWith('}')) continue
    const { port, error } = JSON.parse(text) as { port?: number; error?: string }
    if (port !== undefined) return port
    throw new Error(error)
  }
  throw new Error('the shared PostgreSQL server did not come')
}

/** Ends every server that was started by this run of the tests and still runs. */
export async function endServers(services: string): Promise<void> {
  const names = (await readdir(services)).filter((name) => name.startsWith('bizon-postgres-'))
  await Promise.all(names.map((name) => endServer(join(services, name))))
}

async function endServer(note: string): Promise<void> {
  const { pid, folder } = JSON.parse(await readFile(note, 'utf8')) as { pid: number; folder: string }
  // Not only the number: a process that died long ago may have left it to another.
  const isOurs = async (): Promise<boolean> =>
    (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(folder)
  for (let waited = 0; await isOurs(); waited += STEP_MS) {
    if (waited === 0) process.kill(pid, 'SIGINT')
    if (waited > 10_000) process.kill(pid, 'SIGKILL')
    await sleep(STEP_MS)
  }
  await rm(folder, { recursive: true, force: true })
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
