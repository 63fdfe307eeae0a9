import { existsSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll } from 'vitest'
import { SqliteReader } from '../../../connectors/destinations/sqlite/reader.ts'
import { SqliteThread } from '../../../connectors/sqlite/thread.ts'
import { destinationContract } from '../../contract/destination.ts'
import { sqliteDestination, sqliteOptions } from '../../support/sqlite-destination.ts'

// Starting a thread a thousand times would take most of the time here.
const thread = new SqliteThread()
afterAll(() => thread.stop())

const pathIn = (folder: string): string => join(folder, 'data.sqlite3')

destinationContract('sqlite', {
  create: (folder, { mode, before }) =>
    sqliteDestination({
      path: pathIn(folder),
      mode,
      // Nothing here cuts the power.
      options: { durability: 'process' },
      seams: { thread, ...(before && { before }) },
    }),
  async readBack(folder, target) {
    if (!existsSync(pathIn(folder))) return undefined
    const database = new Database(pathIn(folder), { readonly: true })
    try {
      const found = database.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(target)
      if (!found) return undefined
      return database.prepare(`SELECT source_record_id FROM "${target}" ORDER BY rowid`).pluck().all() as string[]
    } finally {
      database.close()
    }
  },
  // A database that was closed has no log beside it.
  copy: (from, to) => copyFile(pathIn(from), pathIn(to)),
  step: 3,
  noticed: /INSERT INTO "main"/,
  idOf: (_, target) => target,
  reader: (folder) => new SqliteReader(sqliteOptions(pathIn(folder))),
})
