// Where a file of tests puts tables: one database of PostgreSQL and one thread for SQLite for all of it, and for each test a
// schema and a folder of its own.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach } from 'vitest'
import type { PostgresOptions } from '../../connectors/destinations/postgres/config.ts'
import type { SqliteOptions } from '../../connectors/destinations/sqlite/config.ts'
import { SqliteThread } from '../../connectors/sqlite/thread.ts'
import type { Destination } from '../../lib/destination.ts'
import type { SyncMode } from '../../lib/source.ts'
import { postgresDestination } from './postgres-destination.ts'
import { freshDatabase } from './services/postgres.ts'
import { sqliteDestination } from './sqlite-destination.ts'

type Before = (operation: string) => void

export class TableGround {
  /** Of the database. */
  readonly url: string
  readonly #root: string
  readonly #thread = new SqliteThread()
  #count = 0

  private constructor(url: string, root: string) {
    this.url = url
    this.#root = root
  }

  /** Called at the top of a file of tests. */
  static async make(): Promise<TableGround> {
    const { url } = await freshDatabase()
    const ground = new TableGround(url, await mkdtemp(join(tmpdir(), 'bizon-tables-')))
    beforeEach(() => ground.renew())
    afterAll(() => ground.#end())
    return ground
  }

  get schema(): string {
    return `s${this.#count}`
  }

  get folder(): string {
    return join(this.#root, `${this.#count}`)
  }

  /** The database file of SQLite. */
  get file(): string {
    return join(this.folder, 'main.sqlite3')
  }

  /** As another test would have it. */
  async renew(): Promise<void> {
    this.#count += 1
    await mkdir(this.folder)
  }

  postgres(mode: SyncMode, options: Partial<PostgresOptions> = {}, before?: Before): Destination {
    const { url, schema } = this
    return postgresDestination({
      url,
      mode,
      ...(before && { before }),
      options: { ...options, schema, create_schema: true },
    })
  }

  sqlite(mode: SyncMode, options: Partial<SqliteOptions> = {}, before?: Before): Destination {
    return sqliteDestination({
      path: this.file,
      mode,
      options: { durability: 'process', ...options },
      seams: { thread: this.#thread, ...(before && { before }) },
    })
  }

  async #end(): Promise<void> {
    await this.#thread.stop()
    await rm(this.#root, { recursive: true })
  }
}
