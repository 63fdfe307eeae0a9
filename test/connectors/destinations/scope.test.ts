import { describe, expect, test } from 'vitest'
import type { Metadata } from '../../../connectors/destinations/naming.ts'
import type { Visibility } from '../../../connectors/destinations/recovery.ts'
import type { Destination, Run } from '../../../lib/destination.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { failAt, load, never, runOf } from '../../support/load.ts'
import { postgresDestination } from '../../support/postgres-destination.ts'
import { psql } from '../../support/services/postgres.ts'
import { sqlite3 } from '../../support/sqlite-destination.ts'
import { TableGround } from '../../support/table-ground.ts'

const ground = await TableGround.make()

interface Options {
  readonly unnest?: boolean
  readonly replace_scope?: string[]
  readonly metadata?: Metadata
  readonly primary_key?: string[]
  readonly visibility?: Visibility
}

interface Target {
  create(mode: SyncMode, options?: Options, before?: (operation: string) => void): Destination
  query(sql: string): Promise<string>
  readonly table: () => string
}

const recordSchemas = [
  {
    destinationId: 'main',
    columns: [
      { name: 'id', type: 'string' },
      { name: 'day', type: 'string' },
      { name: 'scope_0', type: 'integer' },
    ],
  },
]

const targets: { readonly [name: string]: Target } = {
  postgres: {
    create: (mode, options, before) =>
      ground.postgres(mode, { replace_scope: ['day'], recordSchemas, ...options }, before),
    query: (sql) => psql(ground.url, sql),
    table: () => `${ground.schema}.main`,
  },
  sqlite: {
    create: (mode, options, before) =>
      ground.sqlite(mode, { replace_scope: ['day'], recordSchemas, ...options }, before),
    query: (sql) => sqlite3(ground.file, sql),
    table: () => 'main',
  },
}

const record = (id: string, day: string | null | undefined, n?: number): SourceRecord => ({
  id,
  data: RawJson.from(JSON.stringify({ id, day, scope_0: n })),
})
const page = (...records: SourceRecord[]) => [{ records, next: null }]
const first = runOf('first', 'incremental', 1, true)
const adding = (id: string, epoch: number, more: Partial<Run> = {}): Run => ({
  ...runOf(id, 'incremental', epoch),
  previous: 'first',
  ...more,
})

describe.each(Object.keys(targets))('%s', (name) => {
  const target = targets[name] as Target
  const ids = async (unnest = false): Promise<string[]> => {
    const id = unnest ? 'id' : "source_data ->> 'id'"
    return (await target.query(`SELECT ${id} FROM ${target.table()} ORDER BY 1`)).split('\n').slice(0, -1)
  }
  const OLD = page(
    record('a1', 'a'),
    record('a2', 'a'),
    record('b1', 'b'),
    record('none', undefined),
    record('null', null),
  )

  test.each([true, false])(
    'rows of a scope that comes are replaced, others stay; null is a scope: unnest %s',
    async (unnest) => {
      await load(target.create('incremental', { unnest }), first, OLD)
      await load(
        target.create('incremental', { unnest }),
        adding('second', 2),
        page(record('a3', 'a'), record('c1', 'c')),
      )
      expect(await ids(unnest)).toEqual(['a3', 'b1', 'c1', 'none', 'null'])
      await load(
        target.create('incremental', { unnest }),
        adding('third', 3, { previous: 'second' }),
        page(record('null2', null)),
      )
      expect(await ids(unnest)).toEqual(['a3', 'b1', 'c1', 'null2'])
      // Nothing comes, nothing goes; a reset replaces everything.
      await load(target.create('incremental', { unnest }), adding('fourth', 4, { previous: 'third' }), page())
      expect(await ids(unnest)).toEqual(['a3', 'b1', 'c1', 'null2'])
      await load(target.create('incremental', { unnest }), runOf('reset', 'full_refresh', 5), page(record('z', 'z')))
      expect(await ids(unnest)).toEqual(['z'])
    },
  )

  test.each([true, false])(
    'a scope of several fields is one when all are the same, nulls as well: unnest %s',
    async (unnest) => {
      const options = { unnest, replace_scope: ['day', 'scope_0'] }
      const rows = [
        record('a1', 'a', 1),
        record('a2', 'a', 2),
        record('aN', 'a'),
        record('N1', null, 1),
        record('NN', null),
      ]
      await load(target.create('incremental', options), first, page(...rows))
      const next = page(record('a1+', 'a', 1), record('aN+', 'a'), record('NN+', null))
      await load(target.create('incremental', options), adding('second', 2), next)
      expect((await ids(unnest)).sort()).toEqual(['N1', 'NN+', 'a1+', 'a2', 'aN+'])
    },
  )

  test('killed anywhere, and when the state store has lost the run: no scope is half there, none is there twice', async () => {
    const next = page(record('a3', 'a'), record('c1', 'c'))
    for (let at = 1, done = false; !done; at += 3) {
      await ground.renew()
      await load(target.create('incremental'), first, OLD)
      const failing = failAt(at)
      await load(target.create('incremental', {}, failing.before), adding('second', 2), next).catch(() => {})
      done = failing.passed() < at
      const seen = await ids()
      const old = ['a1', 'a2', 'b1', 'none', 'null']
      expect([old, ['a3', 'b1', 'c1', 'none', 'null']], `operation ${at}`).toContainEqual(seen)
      const run = done ? adding('third', 3) : adding('second', 3)
      await load(target.create('incremental', { metadata: 'bizon' }), run, next)
      expect(await ids(), `operation ${at}`).toEqual(['a3', 'b1', 'c1', 'none', 'null'])
    }
  })

  test('rows that a trigger keeps fail the run, and nothing has changed', async () => {
    await load(target.create('incremental'), first, OLD)
    const table = target.table()
    await target.query(
      name === 'sqlite'
        ? 'CREATE TRIGGER kept BEFORE DELETE ON main BEGIN SELECT raise(ignore); END'
        : `CREATE FUNCTION ${ground.schema}.kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
           CREATE TRIGGER kept BEFORE DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${ground.schema}.kept()`,
    )
    await expect(load(target.create('incremental'), adding('second', 2), page(record('a3', 'a')))).rejects.toThrow(
      /2 rows (stay|are still there)/,
    )
    expect(await ids()).toEqual(['a1', 'a2', 'b1', 'none', 'null'])
  })

  test.each<[string, SyncMode, Options, RegExp]>([
    ['a key', 'incremental', { primary_key: ['id'] }, /replace_scope: cannot be together with primary_key/],
    ['batches', 'incremental', { visibility: 'batch' }, /cannot be together with visibility: batch/],
    ['a stream', 'stream', {}, /cannot be together with sync_mode stream/],
    [
      'a column that is not there',
      'incremental',
      { unnest: true, replace_scope: ['month'] },
      /no column month, by which/,
    ],
  ])('is refused with %s', (_, mode, options, message) => {
    expect(() => target.create(mode, options)).toThrow(message)
  })
})

test('postgres: it needs the right to delete, and check says so', async () => {
  const target = targets.postgres as Target
  await load(target.create('incremental'), first, page(record('a', 'a')))
  await psql(
    ground.url,
    `DROP ROLE IF EXISTS scoped; CREATE ROLE scoped LOGIN; GRANT ALL ON SCHEMA ${ground.schema} TO scoped;
     GRANT INSERT, SELECT ON ${target.table()} TO scoped; GRANT ALL ON ${ground.schema}._bizon_state TO scoped`,
  )
  const destination = postgresDestination({
    url: ground.url.replace(/\/\/[^@/]*@/, '//scoped@'),
    mode: 'incremental',
    options: { replace_scope: ['day'], schema: ground.schema },
  })
  await expect(destination.check(never)).rejects.toMatchObject({ hint: expect.stringContaining('GRANT DELETE') })
})
