import { afterAll } from 'vitest'
import { sourceContract } from '../../contract/source.ts'
import { dropDatabase, freshDatabase, psql } from '../../support/services/postgres.ts'
import { openTable } from '../../support/table-source.ts'

const ROWS = 40

interface Case {
  readonly sql: string
  readonly ids: readonly string[]
  readonly config?: object
  readonly mode?: 'incremental'
  readonly resumable?: boolean
}

const numbers = Array.from({ length: ROWS }, (_, at) => String(at + 1))
const filled = `INSERT INTO records SELECT g, repeat('é', g % 9) FROM generate_series(1, ${ROWS}) g`

const CASES: { readonly [name: string]: Case } = {
  'a key': { sql: `CREATE TABLE records (id bigint PRIMARY KEY, note text); ${filled}`, ids: numbers },
  'large pages': {
    sql: `CREATE TABLE records (id int PRIMARY KEY, note text);
      INSERT INTO records SELECT g, repeat('x', 5000 + 31 * g) FROM generate_series(1, ${ROWS}) g`,
    ids: numbers,
    config: { page_bytes: 60_000, page_size: 1000 },
  },
  'a composite key': {
    sql: `CREATE TABLE records (n int, day date, word text, PRIMARY KEY (word, day));
      INSERT INTO records SELECT g, date '2026-01-01' + g % 7, 'w"' || g / 7 FROM generate_series(0, ${ROWS - 1}) g`,
    ids: Array.from({ length: ROWS }, (_, at) => [`w"${Math.floor(at / 7)}`, `2026-01-0${(at % 7) + 1}`] as const)
      .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : 1))
      .map((pair) => JSON.stringify(pair)),
  },
  'a query': {
    sql: `CREATE TABLE records (id bigint, note text); ${filled}`,
    ids: numbers,
    config: { query: 'SELECT id, note FROM case_3.records; ', primary_key: ['id'] },
  },
  'no key': {
    sql: `CREATE TABLE records (id bigint, note text); ${filled}`,
    ids: numbers,
    resumable: false,
  },
  'incremental, values that many rows have': {
    sql: `CREATE TABLE records (id bigint PRIMARY KEY, seen int, note text);
      INSERT INTO records SELECT g, g / 9, 'n' FROM generate_series(1, ${ROWS}) g`,
    ids: numbers,
    config: { cursor_field: 'seen' },
    mode: 'incremental',
  },
}

const database = await freshDatabase()
afterAll(() => dropDatabase(database))

for (const [at, [name, { sql, ids, config, mode, resumable = true }]] of Object.entries(CASES).entries()) {
  const schema = `case_${at}`
  await psql(database.url, `CREATE SCHEMA ${schema}; SET search_path = ${schema}; ${sql}`)
  sourceContract(`postgres: ${name}`, async () => {
    const place = config && 'query' in config ? {} : { schema }
    const options = { page_size: 7, page_bytes: 4000, ...place, ...config, url: database.url, sslmode: 'disable' }
    return {
      open: () => openTable('postgres', options, mode && { mode }),
      openBroken: () => openTable('postgres', { url: database.url, table: 'recods' }),
      ids,
      resumable,
      maxPageBytes: 70_000,
    }
  })
}
