// Tables, views and queries of a SQLite file, which may be that of a running program. SQLite makes the JSON text of each
// row, which reaches the destination as it is.
//
//   sqlite/config.ts      its keys
//   sqlite/file.ts        the file, opened to be read and left as it was
//   sqlite/catalogue.ts   what a table is made of, and its key
//   sqlite/statement.ts   the SQL
//   sqlite/read.ts        rows to pages

import { resolve } from 'node:path'
import { defineSource } from '../../lib/source.ts'
import { anyTable } from '../keyset/pages.ts'
import { checkKeys, config, tuning } from './sqlite/config.ts'
import { withFile } from './sqlite/file.ts'
import { look, readPages } from './sqlite/read.ts'

export default defineSource({
  summary: 'Tables, views and queries of a SQLite file, by key and from one moment, also while a program writes to it.',
  config,
  tuning,
  streams: anyTable,
  create(options, context) {
    checkKeys(options, context.mode)
    const path = resolve(options.path)
    const parts = { options: { ...options, path }, context }
    let rows: number | undefined
    return {
      async check() {
        rows = await withFile(parts.options, async (database) => look(database, parts).count)
      },
      read: (from, signal) => readPages(parts, from, signal),
      count: async () => rows,
      reads: (other) => [path, `${path}-wal`, `${path}-shm`, `${path}-journal`].includes(other),
    }
  },
})
