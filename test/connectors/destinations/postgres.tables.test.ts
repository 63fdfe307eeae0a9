// Whose a table is, and what a run may do with it: told when it opens, or when a record first names it. psql looks.

import { beforeEach, describe, expect, test } from 'vitest'
import type { PostgresOptions } from '../../../connectors/destinations/postgres/config.ts'
import type { Run } from '../../../lib/destination.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { load, never, pagesOf, recordOf, runOf } from '../../support/load.ts'
import { idsIn, postgresDestination } from '../../support/postgres-destination.ts'
import { freshDatabase, psql } from '../../support/services/postgres.ts'

let url = ''
let epoch = 0
beforeEach(async () => {
  url = (await freshDatabase()).url
  epoch = 0
})

const MODES = ['full_refresh', 'incremental', 'stream'] as const

/** A run of its own, with one page that ends it. */
function loaded(
  mode: SyncMode,
  records: Page['records'],
  { run = {}, options = {} }: { run?: Partial<Run>; options?: Partial<PostgresOptions> } = {},
) {
  const all: Run = { ...runOf(`run${++epoch}`, mode, epoch), startOver: true, ...run }
  return load(postgresDestination({ url, mode, options }), all, [{ records, next: null }])
}
const tables = () =>
  psql(url, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1")

describe('a table that records name', () => {
  test.each(MODES)('%s: is the first pipeline’s; another is refused, and changes nothing', async (mode) => {
    await loaded(mode, [recordOf('a', 'shared'), recordOf('b')])
    const other = { run: { pipeline: 'other' }, options: { destinationId: 'others' } }
    const refused = {
      code: 'destination',
      message: 'table public.shared belongs to target main of pipeline trial/test/main',
      hint: expect.stringContaining('_bizon_state'),
    }
    await expect(loaded(mode, [recordOf('x', 'shared')], other)).rejects.toMatchObject(refused)
    await expect(
      loaded(mode, [recordOf('x')], { ...other, options: { destinationId: 'shared' } }),
    ).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('table shared belongs to target main of pipeline trial/test/main'),
    })
    expect(await idsIn(url, 'shared')).toEqual(['a'])
    // Also of the same pipeline, from another target.
    await expect(
      loaded(mode, [recordOf('x', 'shared')], { options: { destinationId: 'others' } }),
    ).rejects.toMatchObject({ message: expect.stringMatching(/belongs to/) })
    await loaded(mode, [recordOf('c', 'shared')])
    expect(await idsIn(url, 'shared')).toEqual(mode === 'full_refresh' ? ['c'] : ['a', 'c'])
  })

  test('is not another pipeline’s target', async () => {
    await loaded('incremental', [recordOf('a')], { run: { pipeline: 'other' }, options: { destinationId: 'theirs' } })
    await expect(loaded('incremental', [recordOf('x', 'theirs')])).rejects.toMatchObject({
      message: 'table public.theirs belongs to target theirs of pipeline other/test/main',
    })
    expect(await idsIn(url, 'theirs')).toEqual(['a'])
  })

  test('and was never published is free again once the run is given up', async () => {
    const given = runOf('given up', 'full_refresh', ++epoch)
    await load(postgresDestination({ url }), given, [{ records: [recordOf('a', 'shared')], next: null }], {
      publish: false,
    })
    const other = { run: { pipeline: 'other' }, options: { destinationId: 'others' } }
    await expect(loaded('full_refresh', [recordOf('x', 'shared')], other)).rejects.toThrow('belongs to target main')
    await loaded('full_refresh', [recordOf('b')])
    await loaded('full_refresh', [recordOf('x', 'shared')], other)
    expect(await idsIn(url, 'shared')).toEqual(['x'])
  })

  test('two that begin at once: one gets it, the other is told', async () => {
    const results = await Promise.allSettled(
      ['one', 'two'].map((pipeline) =>
        loaded('stream', [recordOf(pipeline, 'shared')], { run: { pipeline }, options: { destinationId: pipeline } }),
      ),
    )
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await psql(url, 'SELECT count(*) FROM shared')).toBe('1\n')
  })

  test.each([
    ['full_refresh', {}],
    ['incremental', { complete: true }],
    ['incremental', {}],
    ['stream', {}],
  ] as const)('and has rows of a person is neither replaced nor added to: %s %o', async (mode, run) => {
    await psql(url, 'CREATE TABLE theirs (note text); INSERT INTO theirs VALUES ($$mine$$)')
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(loaded(mode, [recordOf('a', 'theirs')], { run })).rejects.toMatchObject({
        code: 'edited',
        message: expect.stringContaining('public.theirs exists, and public._bizon_state does not say'),
        hint: expect.stringContaining('let the records name another table'),
      })
    }
    expect(await psql(url, 'SELECT * FROM theirs')).toBe('mine\n')
    await psql(url, 'DELETE FROM theirs')
    await loaded(mode, [recordOf('a', 'theirs')], { run })
    expect(await idsIn(url, 'theirs')).toEqual(['a'])
  })

  test('stays the pipeline’s when the row of its target is deleted, to begin anew', async () => {
    await loaded('full_refresh', [recordOf('a', 'shared')])
    await psql(url, "DELETE FROM _bizon_state WHERE target = 'main'")
    await loaded('full_refresh', [recordOf('b', 'shared')])
    expect(await idsIn(url, 'shared')).toEqual(['b'])
  })

  test('is told to be unfit before anything is copied', async () => {
    await psql(url, 'CREATE VIEW seen AS SELECT 1 AS n; CREATE TABLE other (source_data text)')
    await expect(loaded('full_refresh', [recordOf('a', 'seen')])).rejects.toThrow('public.seen is not a table')
    await expect(loaded('stream', [recordOf('a', 'other')])).rejects.toThrow('source_data is text, not jsonb')
  })

  test.each(['rename', 'truncate_insert'] as const)(
    '%s: and was dropped is forgotten by the next full refresh',
    async (replace_strategy) => {
      const options = { replace_strategy }
      await loaded('full_refresh', [recordOf('a'), recordOf('b', 'gone')], { options })
      await psql(url, 'DROP TABLE gone')
      await loaded('full_refresh', [recordOf('c')], { options })
      expect(await tables()).toBe('_bizon_state\nmain\n')
      await loaded('incremental', [recordOf('d')], { options })
      expect(await idsIn(url, 'main')).toEqual(['c', 'd'])
    },
  )
})

test('a state row that is gone while the table is there: what is new is not put behind rows that nobody knows', async () => {
  await loaded('incremental', [recordOf('a')])
  await psql(url, 'DELETE FROM _bizon_state')
  await expect(loaded('incremental', [recordOf('b')], { run: { previous: 'run1' } })).rejects.toMatchObject({
    code: 'edited',
    message: expect.stringContaining('the row of "main" in public._bizon_state is missing'),
    hint: expect.stringContaining('--reset'),
  })
  expect(await idsIn(url, 'main')).toEqual(['a'])
})

describe('what is done to a table while a run is under way', () => {
  const staged = async (options: Partial<PostgresOptions> = {}): Promise<void> => {
    await loaded('full_refresh', [recordOf('old')])
    await psql(url, 'ALTER TABLE main ADD COLUMN n int DEFAULT 1, ADD COLUMN m int, ADD CHECK (n > 0)')
    await load(postgresDestination({ url, options }), runOf('new', 'full_refresh', 2), pagesOf('new', 1), {
      publish: false,
    })
  }
  const publish = (options: Partial<PostgresOptions> = {}) =>
    load(postgresDestination({ url, options }), runOf('new', 'full_refresh', ++epoch + 5), [])

  test.each([
    ['a column', 'ADD COLUMN note text', 'column note'],
    ['a default', 'ALTER n SET DEFAULT 2', 'column n'],
    ['NOT NULL', 'ALTER n SET NOT NULL', 'column n'],
    ['a type', 'ALTER m TYPE bigint', 'column m'],
    ['a check', 'ADD CONSTRAINT small CHECK (n < 9)', 'check small'],
    ['a check that is dropped', 'DROP CONSTRAINT main_n_check', 'check main_n_check'],
  ])('%s: the table is not replaced by one without it', async (_, change, part) => {
    await staged()
    await psql(url, `ALTER TABLE main ${change}`)
    await expect(publish()).rejects.toMatchObject({
      code: 'destination',
      message: `public.main cannot be replaced by another table: its ${part} was changed after this run began`,
      hint: expect.stringContaining('truncate_insert'),
    })
    expect(await idsIn(url, 'main')).toEqual(['old'])
    await publish({ replace_strategy: 'truncate_insert' })
    expect(await idsIn(url, 'main')).toEqual(['new0', 'new1', 'new2'])
  })

  test('somebody changes it while it is being replaced: he waits, and his change is not lost', async () => {
    await staged()
    const destination = postgresDestination({
      url,
      before: (operation) => {
        // The last look at the table's columns is behind: from here on nobody may change it.
        if (operation.includes('DROP TABLE')) change ??= psql(url, 'ALTER TABLE main ADD COLUMN late int')
      },
    })
    let change: Promise<string> | undefined
    await destination.open(runOf('new', 'full_refresh', 9), never)
    await destination.publish()
    await destination.close()
    await change
    expect(change).toBeDefined()
    expect(await psql(url, 'SELECT count(*) FROM main WHERE late IS NULL')).toBe('3\n')
  })
})

test('a foreign key that points at it is told before anything is loaded, also for truncate_insert', async () => {
  await loaded('full_refresh', [recordOf('a')])
  await psql(
    url,
    'ALTER TABLE main ADD PRIMARY KEY (bizon_id); CREATE TABLE child (of text REFERENCES main ON DELETE CASCADE); INSERT INTO child SELECT bizon_id FROM main',
  )
  for (const replace_strategy of ['rename', 'truncate_insert'] as const) {
    const destination = postgresDestination({ url, options: { replace_strategy } })
    await expect(destination.check(never)).rejects.toThrow(/constraint child_of_fkey of child/)
    await expect(loaded('full_refresh', [recordOf('b')], { options: { replace_strategy } })).rejects.toMatchObject({
      code: 'destination',
      message: expect.stringMatching(/public\.main.*constraint child_of_fkey of child/),
    })
  }
  expect(await psql(url, 'SELECT (SELECT count(*) FROM main), (SELECT count(*) FROM child)')).toBe('1|1\n')
})

test('rows that row security hides cannot be removed, and are not left there', async () => {
  await loaded('full_refresh', [recordOf('a')])
  const name = new URL(url).pathname.slice(1).replace('t_', 'r_')
  await psql(
    url,
    `CREATE ROLE ${name} LOGIN; GRANT CREATE ON SCHEMA public TO ${name}; GRANT ALL ON main, _bizon_state TO ${name};
     ALTER TABLE main ENABLE ROW LEVEL SECURITY; CREATE POLICY part ON main USING (false)`,
  )
  const options = { url: url.replace('postgres@', `${name}@`), replace_strategy: 'truncate_insert' as const }
  await expect(loaded('full_refresh', [recordOf('b')], { options })).rejects.toThrow(
    'the rows of public.main cannot be removed: row security hides some from this role',
  )
})

test('a table whose owner may not own another one in that schema is told before anything is loaded', async () => {
  await loaded('full_refresh', [recordOf('a')])
  const [owner, loader] = ['o_', 'r_'].map((start) => new URL(url).pathname.slice(1).replace('t_', start))
  await psql(
    url,
    `CREATE ROLE ${owner}; CREATE ROLE ${loader} LOGIN IN ROLE ${owner}; GRANT CREATE, USAGE ON SCHEMA public TO ${loader};
     REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT ALL ON _bizon_state TO ${loader}; ALTER TABLE main OWNER TO ${owner}`,
  )
  const options = { url: url.replace('postgres@', `${loader}@`) }
  await expect(loaded('full_refresh', [recordOf('b')], { options })).rejects.toMatchObject({
    code: 'destination',
    message: `public.main belongs to ${owner}, which may not own a new table in that schema`,
    hint: expect.stringContaining(`GRANT CREATE ON SCHEMA "public" TO "${owner}"`),
  })
  await psql(url, `GRANT CREATE ON SCHEMA public TO ${owner}`)
  await loaded('full_refresh', [recordOf('b')], { options })
  expect(await psql(url, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'main'")).toBe(`${owner}\n`)
})

test.each(['incremental', 'stream'] as const)('%s: rows that a trigger swallows are missed', async (mode) => {
  await loaded(mode, [recordOf('a')])
  await psql(
    url,
    `CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.source_record_id = 'c' THEN RETURN NULL; END IF; RETURN NEW; END $$;
     CREATE TRIGGER drop_it BEFORE INSERT ON main FOR EACH ROW EXECUTE FUNCTION drop_it()`,
  )
  for (const primary_key of [[], ['id']]) {
    await expect(
      loaded(mode, [recordOf('b'), recordOf('c'), recordOf('d')], { options: { primary_key } }),
    ).rejects.toMatchObject({
      code: 'destination',
      message: 'table main took 2 of 3 rows: a trigger or a rule of it drops some',
    })
  }
  expect(await idsIn(url, 'main')).toEqual(['a'])
})

test('a column that records cannot fill is told before anything is loaded, unless a trigger fills it', async () => {
  const copied: string[] = []
  const before = (sql: string): unknown => sql.startsWith('COPY') && copied.push(sql)
  const run = (mode: SyncMode) =>
    load(postgresDestination({ url, mode, before }), runOf(`x${++epoch}`, mode, epoch), pagesOf('a', 1))
  await psql(url, 'CREATE TABLE main (n int NOT NULL)')
  for (const mode of MODES) {
    await expect(run(mode)).rejects.toThrow('public.main: column n is NOT NULL, and records have none')
  }
  await psql(url, "DROP TABLE main; CREATE TABLE main (source_data jsonb GENERATED ALWAYS AS ('{}') STORED)")
  for (const mode of MODES) await expect(run(mode)).rejects.toThrow('column source_data is computed, not jsonb')
  expect(copied).toEqual([])
  await psql(
    url,
    `DROP TABLE main; CREATE TABLE main (n int NOT NULL);
     CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n = 1; RETURN NEW; END $$;
     CREATE TRIGGER fill BEFORE INSERT ON main FOR EACH ROW EXECUTE FUNCTION fill()`,
  )
  await run('incremental')
  expect(await psql(url, 'SELECT sum(n) FROM main')).toBe('3\n')
})

test('a computed column of a person is kept by a table that takes the place', async () => {
  await loaded('full_refresh', [recordOf('a')])
  await psql(
    url,
    'ALTER TABLE main ADD COLUMN n int NOT NULL DEFAULT 3, ADD COLUMN twice int GENERATED ALWAYS AS (2 * n) STORED',
  )
  await loaded('full_refresh', [recordOf('b')])
  expect(await psql(url, 'SELECT source_record_id, twice FROM main')).toBe('b|6\n')
  expect(
    await psql(url, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'main'::regclass AND attgenerated <> ''"),
  ).toBe('1\n')
})

test('rows that a trigger keeps are not left beside those that should replace them', async () => {
  const options = { replace_strategy: 'truncate_insert' } as const
  await loaded('full_refresh', [recordOf('a')])
  await psql(
    url,
    `CREATE FUNCTION keep_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
     CREATE TRIGGER keep_it BEFORE DELETE ON main FOR EACH ROW EXECUTE FUNCTION keep_it()`,
  )
  for (const records of [[recordOf('b')], []]) {
    await expect(loaded('full_refresh', records, { options })).rejects.toMatchObject({
      code: 'destination',
      message: 'table main: 1 rows stay when they are deleted: a trigger or a rule of it keeps them',
    })
  }
  expect(await idsIn(url, 'main')).toEqual(['a'])
})

test('a table that was renamed keeps its key index, and the next one is told that it needs the name', async () => {
  const options = { primary_key: ['id'] }
  await loaded('full_refresh', [recordOf('a')], { options })
  await psql(url, 'ALTER TABLE main RENAME TO kept')
  const copied: string[] = []
  const next = { ...runOf('next', 'full_refresh', ++epoch), startOver: true }
  const destination = postgresDestination({ url, options, before: (sql) => sql.startsWith('COPY') && copied.push(sql) })
  await expect(load(destination, next, pagesOf('b', 1))).rejects.toMatchObject({
    code: 'destination',
    message: expect.stringMatching(/^public\.main needs an index (main__bizon_key_\w+), and one of public\.kept has/),
    hint: expect.stringContaining('DROP INDEX'),
  })
  expect(copied).toEqual([])
  // Another key needs another one: the old one is not its to drop.
  await psql(url, 'CREATE TABLE main (LIKE kept)')
  await loaded('stream', [recordOf('b'), recordOf('c')], { options: { primary_key: ['exact'] } })
  expect(await idsIn(url, 'main')).toEqual(['c'])
  expect(await psql(url, "SELECT tablename FROM pg_indexes WHERE indexname LIKE '%key%' ORDER BY 1")).toBe(
    '_bizon_state\nkept\nmain\n',
  )
})

test('a staging table that a kill left before any state named it is dropped, and nobody else’s', async () => {
  const destination = postgresDestination({
    url,
    before: (operation) => {
      if (operation.startsWith('COPY')) throw new Error('killed')
    },
  })
  await expect(load(destination, runOf('killed', 'full_refresh', 1), pagesOf('a', 1))).rejects.toThrow('killed')
  expect(await tables()).toMatch(/^_bizon_state\nmain__bizon_staging_\w+\n$/)
  await psql(url, 'CREATE TABLE main__bizon_staging_0 ()')
  epoch = 1
  await loaded('full_refresh', [recordOf('b')])
  expect(await tables()).toBe('_bizon_state\nmain\nmain__bizon_staging_0\n')
  expect(await psql(url, "SELECT obj_description('main'::regclass) IS NULL")).toBe('t\n')
})

test('a lock on a table that people use is not held while rows come', async () => {
  await loaded('stream', [recordOf('a')])
  await psql(url, 'ALTER TABLE main DROP COLUMN source_timestamp')
  const destination = postgresDestination({ url, mode: 'stream', options: { primary_key: ['id'] } })
  await destination.open({ ...runOf('two', 'stream', 2), startOver: true }, never)
  const seen: string[] = []
  const looking: Promise<unknown>[] = []
  await destination.write(pagesOf('b', 2)[0] as Page, never)
  await destination.flush({ run: 'two', page: 1, rows: 3, position: { n: 1 }, end: false })
  await destination.close()
  const slow = postgresDestination({
    url,
    mode: 'stream',
    options: { primary_key: ['id'] },
    before: (operation) => {
      if (operation.startsWith('COPY')) {
        looking.push(
          psql(url, "SELECT count(*) FROM pg_locks WHERE relation = 'main'::regclass AND mode LIKE '%Exclusive%'").then(
            (text) => seen.push(text),
          ),
        )
      }
    },
  })
  await psql(url, 'ALTER TABLE main DROP COLUMN bizon_loaded_at')
  await slow.open(runOf('two', 'stream', 3), never)
  const large = { id: 'x', data: { id: 'x', text: 'x'.repeat(5 << 20) } }
  await slow.write({ records: [large], next: { n: 2 } }, never)
  await slow.write({ records: [], next: { n: 3 } }, never)
  await expect.poll(() => looking.length).toBe(1)
  await Promise.all(looking)
  expect(seen).toEqual(['0\n'])
  await slow.close()
})

test('on_empty keep: a table that is named without any row keeps its own', async () => {
  const named = (n: number, options: Partial<PostgresOptions>) =>
    load(
      postgresDestination({ url, options: { destinationId: '{stream}', ...options } }),
      { ...runOf(`named${n}`, 'full_refresh', n), keepsOthers: true },
      [{ records: [], next: null, stream: { name: 'main' } }],
    )
  await load(
    postgresDestination({ url, options: { destinationId: '{stream}' } }),
    runOf('old', 'full_refresh', 1),
    pagesOf('old', 1),
  )
  await named(2, { on_empty: 'keep' })
  expect(await idsIn(url, 'main')).toEqual(['old0', 'old1', 'old2'])
  await named(3, {})
  expect(await idsIn(url, 'main')).toEqual([])
})
