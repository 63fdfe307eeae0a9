// A stream in three partitions of a topic, and loaders of it in processes of their own, at one table of PostgreSQL.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { backendOf } from '../support/postgres-store.ts'
import { sharedKafka } from '../support/services/kafka.ts'
import { freshDatabase, psql } from '../support/services/postgres.ts'
import { type Ended, type Execution, ROOT, Workspace } from './workspace.ts'

export const PARTITIONS = 3
const LOAD = join(ROOT, 'dist', 'bin', 'bizon-load.js')
const EXTRACT = join(ROOT, 'dist', 'bin', 'bizon-extract.js')

export interface Loading extends Pick<Execution, 'failpoint' | 'during'> {
  /** A bundle of bizon-load. */
  readonly program?: string
  /** Whether it says which partitions it is given and lets go of. */
  readonly isTalking?: boolean
}

/** A pipeline with a topic and a database of its own. */
export class Shared {
  readonly place: Workspace
  readonly url: string

  private constructor(place: Workspace, url: string) {
    this.place = place
    this.url = url
  }

  static async create(mode: string, rows: number): Promise<Shared> {
    const [{ plain }, { url }] = [await sharedKafka(), await freshDatabase()]
    // Of its own: groups and transactions are called after it, and others run beside it.
    const name = `p-${randomBytes(6).toString('hex')}`
    const place = await Workspace.create({
      'pipeline.yml': `name: ${name}
source: {name: file, stream: numbers, sync_mode: ${mode}, path: source.ndjson, id_field: n, page_bytes: 4096}
destination:
  name: postgres
  config: {url: "${url}", sslmode: disable, destination_id: main, buffer_size: 0, reconnect_timeout: 2}
engine:
  ${backendOf(url)}
  queue:
    type: kafka
    config:
      queue: {bootstrap_server: "${plain}", topic: ${name}, partitions: ${PARTITIONS}, message_bytes: 16384, linger_ms: 0}
      consumer: {session_timeout_ms: 2000}
`,
    })
    const shared = new Shared(place, url)
    await shared.has(rows)
    return shared
  }

  /** What the source holds from now on. */
  async has(rows: number): Promise<void> {
    const lines = Array.from({ length: rows }, (_, n) => `{"n":${n},"text":"${'x'.repeat(60)}"}\n`)
    await this.place.write({ 'source.ndjson': lines.join('') })
  }

  extract(execution: Pick<Loading, 'failpoint' | 'during'> = {}): Promise<Ended> {
    return this.#start([EXTRACT, 'pipeline.yml', '--to-queue'], execution)
  }

  load({ program = LOAD, ...execution }: Loading = {}): Promise<Ended> {
    return this.#start([program, 'pipeline.yml', '--from-queue'], execution)
  }

  /** Two who load until a run is published. */
  async finish(program?: string): Promise<Ended[]> {
    return Promise.all([this.load({ ...(program !== undefined && { program }) }), this.load()])
  }

  async #start(args: readonly string[], { failpoint, during, isTalking = false }: Loading): Promise<Ended> {
    const env = failpoint === undefined ? {} : { BIZON_FAILPOINT: failpoint }
    return this.place.execute(
      [process.execPath, ...args, ...(isTalking ? ['--log-level', 'DEBUG'] : ['--quiet'])],
      env,
      during,
    )
  }

  async query(sql: string): Promise<string> {
    return (await psql(this.url, sql)).trim()
  }

  /** How many rows there are, and how many different ones. */
  content(): Promise<string> {
    return this.query(`SELECT count(*), count(DISTINCT source_data->>'n'), max((source_data->>'n')::int) FROM main`)
  }

  /** As if the servers had lost sight of every loader that is connected now. */
  async cutAll(): Promise<void> {
    await this.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    )
  }

  async remove(): Promise<void> {
    await this.place.remove()
  }
}

export const rowsOf = (rows: number): string => `${rows}|${rows}|${rows - 1}`
