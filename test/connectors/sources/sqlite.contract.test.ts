import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { sourceContract } from '../../contract/source.ts'
import { openTable } from '../../support/table-source.ts'

const ROWS = 40
const numbers = Array.from({ length: ROWS }, (_, at) => String(at + 1))
const series = `WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < ${ROWS})`

interface Case {
  readonly sql: string
  readonly ids: readonly string[]
  readonly config?: object
  readonly mode?: 'incremental'
  readonly resumable?: boolean
}

const CASES: { readonly [name: string]: Case } = {
  'a key': {
    sql: `CREATE TABLE records (id INTEGER PRIMARY KEY, note); ${series} INSERT INTO records SELECT g, 'é' || g FROM s`,
    ids: numbers,
  },
  'a composite key, without rowid': {
    sql: `CREATE TABLE records (a TEXT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID; ${series} INSERT INTO records SELECT char(97 + g / 9), g % 9 FROM s`,
    ids: numbers.map((n) =>
      JSON.stringify([String.fromCharCode(97 + Math.floor(Number(n) / 9)), String(Number(n) % 9)]),
    ),
  },
  'a query, large pages': {
    sql: `CREATE TABLE records (id INT, note); ${series} INSERT INTO records SELECT g, hex(zeroblob(g * 30)) FROM s`,
    ids: numbers,
    config: { query: 'SELECT * FROM records', primary_key: ['id'], page_size: 1000, page_bytes: 5000 },
  },
  'no key': {
    sql: `CREATE TABLE records (id INT); ${series} INSERT INTO records SELECT g FROM s`,
    ids: numbers,
    resumable: false,
  },
  'incremental, values that many rows have': {
    sql: `CREATE TABLE records (id INTEGER PRIMARY KEY, seen INT); ${series} INSERT INTO records SELECT g, g / 9 FROM s`,
    ids: numbers,
    config: { cursor_field: 'seen' },
    mode: 'incremental',
  },
}

for (const [name, { sql, ids, config, mode, resumable = true }] of Object.entries(CASES)) {
  for (const journal of mode ? ['wal', 'delete'] : ['wal']) {
    sourceContract(`sqlite: ${name}, ${journal}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'bizon-sqlite-'))
      const path = join(folder, 'data.sqlite')
      const database = new Sqlite(path)
      database.pragma(`journal_mode = ${journal}`)
      database.exec(sql)
      database.close()
      const options = { page_size: 7, page_bytes: 4000, ...config, path }
      return {
        open: () => openTable('sqlite', options, mode && { mode }),
        openBroken: () => openTable('sqlite', { path: join(folder, 'none.sqlite') }),
        ids,
        resumable,
        maxPageBytes: 10_000,
        dispose: () => rm(folder, { recursive: true, force: true }),
      }
    })
  }
}
