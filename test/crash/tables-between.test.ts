// Targets with columns between a kill and the next run: the columns are others by then, or another process has the same
// target in hand. Every row is there once, and every column once.

import { afterAll, describe, expect, test } from 'vitest'
import { duckdb } from '../support/duckdb.ts'
import { dropDatabase, freshDatabase, psql } from '../support/services/postgres.ts'
import { type Ended, isStopped, until, Workspace } from './workspace.ts'

const database = await freshDatabase()
afterAll(() => dropDatabase(database))

interface Target {
  readonly name: string
  readonly destination: string
  readonly mode: 'full_refresh' | 'incremental'
  /** Keys of its config. */
  config(place: Workspace): object
  /** Names of the columns, then rows with and without a `kind`. */
  look(place: Workspace): Promise<readonly [columns: string, rows: number, kinds: number]>
}

const ofSql = (answer: string): readonly [string, number, number] => {
  const [columns = '', rows, kinds] = answer.trim().split('|')
  return [columns, Number(rows), Number(kinds)]
}

const sqlite: Target = {
  name: 'sqlite',
  destination: 'sqlite',
  mode: 'incremental',
  config: (place) => ({ path: place.path('data.sqlite3'), destination_id: 'rows' }),
  async look(place) {
    const sql = `SELECT (SELECT group_concat(name) FROM pragma_table_info('rows')), count(DISTINCT id), count(kind) FROM rows`
    return ofSql((await place.execute(['sqlite3', '-bail', 'data.sqlite3', sql])).stdout)
  },
}
const postgres: Target = {
  name: 'postgres',
  destination: 'postgres',
  mode: 'incremental',
  config: () => ({ url: database.url, destination_id: 'rows' }),
  async look() {
    const names = `SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'rows'::regclass AND attnum > 0`
    return ofSql(await psql(database.url, `SELECT (${names}), count(DISTINCT id), count(kind) FROM rows`))
  },
}
const csv: Target = {
  name: 'csv',
  destination: 'file',
  mode: 'full_refresh',
  config: () => ({ format: 'csv', destination_id: 'out/rows' }),
  async look(place) {
    const [head = '', ...lines] = ((await place.read('out/rows.csv'))?.toString() ?? '').trimEnd().split(/\r?\n/)
    const ids = new Set(lines.map((line) => line.split(',')[0]))
    return [head, ids.size === lines.length ? ids.size : -1, lines.filter((line) => line.endsWith('new')).length]
  },
}
const parquet: Target = {
  name: 'parquet',
  destination: 'file',
  mode: 'full_refresh',
  config: () => ({ format: 'parquet', destination_id: 'out/rows' }),
  async look(place) {
    const parts = `read_parquet('${place.path('out/rows/current/*.parquet')}')`
    const columns = await duckdb(`SELECT column_name FROM (DESCRIBE SELECT * FROM ${parts})`)
    const [counts] = await duckdb(
      `SELECT count(*)::INT AS n, count(DISTINCT id)::INT AS ids, count(kind)::INT AS kinds FROM ${parts}`,
    )
    const { n, ids, kinds } = counts as { n: number; ids: number; kinds: number }
    return [columns.map((row) => (row as { column_name: string }).column_name).join(), n === ids ? n : -1, kinds]
  },
}

const rows = (from: number, to: number, kind = ''): string =>
  Array.from({ length: to - from }, (_, at) => `{"id":${from + at}${kind}}\n`).join('')

function pipelineFile(
  { name, destination, mode, config }: Target,
  place: Workspace,
  columns: readonly string[],
): string {
  const { destination_id, ...keys } = config(place) as { destination_id: string }
  return JSON.stringify({
    name,
    source: { name: 'file', stream: 'rows', path: 'source.ndjson', page_bytes: 100, sync_mode: mode },
    destination: {
      name: destination,
      config: {
        destination_id,
        ...keys,
        buffer_size: 0,
        metadata: 'none',
        unnest: true,
        record_schemas: [
          {
            destination_id,
            record_schema: columns.map((column) => ({ name: column, type: column === 'id' ? 'INTEGER' : 'STRING' })),
          },
        ],
      },
    },
    engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
  })
}

/** One run has published 20 rows; the one that is looked at has 40 more. */
async function begun(target: Target, columns = ['id']): Promise<Workspace> {
  const place = await Workspace.create({ 'source.ndjson': rows(0, 20) })
  await place.write({ 'pipeline.yml': pipelineFile(target, place, columns) })
  expect(await place.bizon()).toMatchObject({ code: 0 })
  await place.write({ 'source.ndjson': rows(0, 60) })
  return place
}

describe('a column that is new since a kill', () => {
  test.each([sqlite, postgres, csv, parquet])('$name: it is there once, and every row once', async (target) => {
    const place = await begun(target)
    try {
      expect(await place.bizon({ failpoint: 'commit.after@5:kill' })).toMatchObject({ signal: 'SIGKILL' })
      await place.write({
        'pipeline.yml': pipelineFile(target, place, ['id', 'kind']),
        // A table has null where a record has no such field; files take none without.
        'source.ndjson':
          rows(0, 60, target.mode === 'full_refresh' ? ',"kind":null' : '') + rows(60, 80, ',"kind":"new"'),
      })
      expect(await place.bizon()).toMatchObject({ code: 0, stderr: expect.any(String) })
      expect(await target.look(place)).toEqual(['id,kind', 80, 20])
    } finally {
      await place.remove()
      await psql(database.url, 'DROP TABLE IF EXISTS rows, _bizon_state')
    }
  })
})

describe('two processes with one target', () => {
  /** The same pipeline with a state store of its own, as on another machine. */
  async function elsewhere(target: Target, first: Workspace): Promise<Ended> {
    const other = await first.copy()
    try {
      await other.write({ 'pipeline.yml': pipelineFile(target, first, ['id', 'kind']) })
      return await other.bizon()
    } finally {
      await other.remove()
    }
  }

  test.each([sqlite, postgres])(
    '$name: one with a state store of its own is refused with 3 while the other is asleep, and that one goes on',
    async (target) => {
      const place = await begun(target, ['id', 'kind'])
      try {
        let second: Ended | undefined
        const first = await place.bizon({
          failpoint: 'cursor.after@3:stop',
          async during(child) {
            await until('it sleeps', () => isStopped(child), child)
            second = await elsewhere(target, place)
            child.kill('SIGCONT')
          },
        })
        expect(first).toMatchObject({ code: 0, stderr: '' })
        expect(second).toMatchObject({ code: 3, stderr: expect.stringMatching(/rows.*\nTry: Wait until it has/) })
        expect(await target.look(place)).toEqual(['id,kind', 60, 0])
      } finally {
        await place.remove()
        await psql(database.url, 'DROP TABLE IF EXISTS rows, _bizon_state')
      }
    },
  )
})
