// What publishing does to a table that people use: what they have put on it stays, what cannot stay is told before
// anything is loaded. psql looks.

import { Client } from 'pg'
import { beforeEach, describe, expect, test } from 'vitest'
import type { PostgresOptions } from '../../../connectors/destinations/postgres/config.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { load, pagesOf, runOf } from '../../support/load.ts'
import { idsIn, postgresDestination } from '../../support/postgres-destination.ts'
import { freshDatabase, psql } from '../../support/services/postgres.ts'

let url = ''
let epoch = 0
beforeEach(async () => {
  url = (await freshDatabase()).url
  epoch = 0
})

function published(id: string, options: Partial<PostgresOptions> = {}, mode: SyncMode = 'full_refresh') {
  const run = runOf(id, mode, ++epoch, mode === 'full_refresh')
  return load(postgresDestination({ url, mode, options }), run, pagesOf(id, 2))
}

const STRATEGIES = ['rename', 'truncate_insert'] as const
const NEW = ['new0', 'new1', 'new2', 'new3', 'new4', 'new5']

describe.each(STRATEGIES)('a full refresh with replace_strategy %s', (replace_strategy) => {
  const replaced = () => published('new', { replace_strategy })

  test('keeps indexes, constraints, comments, grants, columns of others and the owner', async () => {
    await published('old')
    await psql(
      url,
      `CREATE ROLE reader_${process.pid}_${replace_strategy}; CREATE ROLE owner_${process.pid}_${replace_strategy};
       ALTER TABLE main ADD COLUMN seen timestamptz DEFAULT now(), ADD COLUMN note text CHECK (note <> 'x');
       ALTER TABLE main ADD CONSTRAINT "the key" PRIMARY KEY (bizon_id), ADD CONSTRAINT once UNIQUE (source_record_id);
       CREATE INDEX "by USING" ON main USING gin (source_data jsonb_path_ops);
       COMMENT ON INDEX "by USING" IS 'it''s fast'; COMMENT ON CONSTRAINT once ON main IS 'said once';
       ALTER TABLE main SET (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off);
       ALTER TABLE main ALTER bizon_id SET NOT NULL, ALTER bizon_id SET STATISTICS 7, ALTER source_record_id SET (n_distinct = 5);
       ALTER TABLE main CLUSTER ON "the key"; ALTER TABLE main REPLICA IDENTITY USING INDEX "the key";
       CREATE UNIQUE INDEX partly ON main (lower(source_record_id) DESC) INCLUDE (bizon_id) WHERE source_data->>'id' <> 'it''s';
       COMMENT ON TABLE main IS 'it''s ours'; COMMENT ON COLUMN main.source_data IS 'as it came';
       GRANT USAGE, CREATE ON SCHEMA public TO owner_${process.pid}_${replace_strategy};
       GRANT SELECT ON main TO PUBLIC; GRANT INSERT, UPDATE ON main TO reader_${process.pid}_${replace_strategy} WITH GRANT OPTION;
       GRANT SELECT (bizon_id) ON main TO reader_${process.pid}_${replace_strategy};
       ALTER TABLE main OWNER TO owner_${process.pid}_${replace_strategy}`,
    )
    const before = await described()
    await replaced()
    expect(await idsIn(url, 'main')).toEqual(NEW)
    expect(await described()).toBe(before)
    expect(await psql(url, 'SELECT count(*) FROM main WHERE seen IS NULL')).toBe('0\n')
  })

  /** As `pg_dump` has it: everything but the rows. */
  const described = () =>
    psql(
      url,
      `SELECT attname, format_type(atttypid, atttypmod), attnotnull, attacl::text, col_description(attrelid, attnum), pg_get_expr(adbin, adrelid)
         FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = 'main'::regclass AND attnum > 0 ORDER BY attnum;
       SELECT attstattarget, attoptions FROM pg_attribute WHERE attrelid = 'main'::regclass AND attnum > 0 ORDER BY attnum;
       SELECT c.reloptions, t.reloptions, c.relreplident FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = 'main'::regclass;
       SELECT relname, pg_get_indexdef(oid), obj_description(oid), indisclustered, indisreplident FROM pg_class JOIN pg_index ON indexrelid = oid WHERE indrelid = 'main'::regclass ORDER BY relname;
       SELECT conname, pg_get_constraintdef(oid), obj_description(oid) FROM pg_constraint WHERE conrelid = 'main'::regclass ORDER BY conname;
       SELECT obj_description(oid), pg_get_userbyid(relowner), (SELECT array_agg(x ORDER BY x::text) FROM unnest(relacl) x) FROM pg_class WHERE oid = 'main'::regclass`,
    )

  test('publishes an empty table when nothing came, and leaves it alone with on_empty keep', async () => {
    await published('old')
    const nothing = (options: Partial<PostgresOptions>) =>
      load(
        postgresDestination({ url, options: { replace_strategy, ...options } }),
        runOf(`none${epoch}`, 'full_refresh', ++epoch),
        [{ records: [], next: null }],
      )
    await nothing({ on_empty: 'keep' })
    expect(await psql(url, 'SELECT count(*) FROM main')).toBe('6\n')
    await nothing({})
    expect(await psql(url, 'SELECT count(*) FROM main')).toBe('0\n')
    await nothing({ destinationId: 'other' })
    expect(await psql(url, 'SELECT count(*) FROM other')).toBe('0\n')
  })

  test('leaves nothing but the table and the state', async () => {
    await published('old')
    await replaced()
    expect(
      await psql(
        url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S') ORDER BY 1",
      ),
    ).toBe('_bizon_state\nmain\n')
  })
})

describe.each(STRATEGIES)('while a table is replaced with %s', (replace_strategy) => {
  test('readers see all of the old rows or all of the new ones, at every moment', async () => {
    await published('old', { replace_strategy })
    const reader = new Client({ connectionString: url })
    await reader.connect()
    const seen: string[] = []
    let isDone = false
    const reading = (async () => {
      while (!isDone) {
        const { rows } = await reader.query(
          "SELECT string_agg(source_record_id, ',' ORDER BY source_record_id) AS ids FROM main",
        )
        seen.push(rows[0].ids)
      }
    })()
    await published('new', { replace_strategy })
    await expect.poll(() => seen.at(-1)).toBe(NEW.join())
    isDone = true
    await reading
    await reader.end()
    expect(new Set(seen)).toEqual(new Set(['old0,old1,old2,old3,old4,old5', NEW.join()]))
  })

  test('a reader in the middle of a transaction is not cut off', async () => {
    await published('old', { replace_strategy })
    const reader = new Client({ connectionString: url })
    await reader.connect()
    const count = async () =>
      (await reader.query("SELECT count(*)::int AS n FROM main WHERE source_record_id LIKE 'old%'")).rows[0].n
    await reader.query('BEGIN')
    expect(await count()).toBe(6)
    const publishing = published('new', { replace_strategy })
    // Renaming waits for the reader; the rows of the same table are replaced under it, and it sees what it should.
    if (replace_strategy === 'rename') {
      await expect
        .poll(() => psql(url, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'main'::regclass"))
        .toBe('1\n')
      expect(await count()).toBe(6)
    } else await publishing
    await reader.query('COMMIT')
    await publishing
    await reader.end()
    expect(await idsIn(url, 'main')).toEqual(NEW)
  })
})

test('truncate_insert: a snapshot that is older than the publish still sees the rows of its time', async () => {
  await published('old')
  await psql(url, 'CREATE TABLE noted AS SELECT 1 AS n')
  const reader = new Client({ connectionString: url })
  await reader.connect()
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await reader.query('SELECT n FROM noted')
  await published('new', { replace_strategy: 'truncate_insert' })
  await load(
    postgresDestination({ url, options: { replace_strategy: 'truncate_insert' } }),
    runOf('none', 'full_refresh', 9),
    [{ records: [], next: null }],
  )
  const { rows } = await reader.query('SELECT source_record_id AS id FROM main ORDER BY ctid')
  expect(rows.map(({ id }) => id)).toEqual(['old0', 'old1', 'old2', 'old3', 'old4', 'old5'])
  await reader.query('COMMIT')
  await reader.end()
  expect(await idsIn(url, 'main')).toEqual([])
})

test('rename gives back no right that was taken away, also where new tables have it by default', async () => {
  const name = `denied_${process.pid}`
  await psql(url, `CREATE ROLE ${name}; ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT ON TABLES TO ${name}, PUBLIC`)
  await published('old')
  await psql(url, `REVOKE ALL ON main FROM ${name}, PUBLIC; GRANT SELECT (bizon_id) ON main TO ${name}`)
  await published('new')
  const may = (right: string, who = name) => psql(url, `SELECT has_table_privilege('${who}', 'main', '${right}')`)
  expect([await may('SELECT'), await may('INSERT'), await may('SELECT', 'public')]).toEqual(['f\n', 'f\n', 'f\n'])
  expect(await psql(url, `SELECT has_column_privilege('${name}', 'main', 'bizon_id', 'SELECT')`)).toBe('t\n')
  await psql(url, `DROP OWNED BY ${name}; DROP ROLE ${name}`)
})

describe('what is tied to the table itself', () => {
  test.each([
    ['view seen', 'CREATE VIEW seen AS SELECT * FROM main'],
    ['view stored', 'CREATE MATERIALIZED VIEW stored AS SELECT * FROM main'],
    [
      'trigger noted',
      'CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; CREATE TRIGGER noted BEFORE INSERT ON main FOR EACH ROW EXECUTE FUNCTION nothing()',
    ],
    ['row security', 'ALTER TABLE main ENABLE ROW LEVEL SECURITY'],
    ['policy own', 'CREATE POLICY own ON main'],
    ['publication feed', 'CREATE PUBLICATION feed FOR TABLE main; ALTER TABLE main REPLICA IDENTITY FULL'],
    ['sequence main_n_seq', 'ALTER TABLE main ADD COLUMN n serial'],
    ['function of(main)', 'CREATE FUNCTION of(main) RETURNS text LANGUAGE sql AS $$ SELECT $1.bizon_id $$'],
    ['column it of table holder', 'CREATE TABLE holder (it main)'],
    ['inheritance', 'CREATE TABLE child () INHERITS (main)'],
  ])('%s: renaming is refused before anything is loaded, and truncate_insert keeps it', async (what, sql) => {
    await published('old')
    await psql(url, sql)
    await expect(published('new')).rejects.toMatchObject({
      code: 'destination',
      message: `public.main cannot be replaced by another table: ${what} would be lost`,
      hint: expect.stringContaining('truncate_insert'),
    })
    expect(await psql(url, 'SELECT checkpoint IS NULL OR (checkpoint->>$$end$$)::bool FROM _bizon_state')).toBe('t\n')
    await published('new', { replace_strategy: 'truncate_insert' })
    expect(await psql(url, "SELECT count(*) FROM main WHERE source_record_id LIKE 'new%'")).toBe('6\n')
  })

  test('a foreign key from it is a reason too, and goes on holding with truncate_insert', async () => {
    await published('old')
    await psql(
      url,
      'ALTER TABLE main ADD COLUMN of int; CREATE TABLE one (id int PRIMARY KEY); ALTER TABLE main ADD CONSTRAINT fk FOREIGN KEY (of) REFERENCES one',
    )
    await expect(published('new')).rejects.toThrow('constraint fk of main would be lost')
    await published('new', { replace_strategy: 'truncate_insert' })
    expect(await psql(url, "SELECT count(*) FROM pg_constraint WHERE conname = 'fk'")).toBe('1\n')
  })

  test('a view that comes while the run is under way fails the publish; the next run publishes what was loaded', async () => {
    await published('old')
    const destination = postgresDestination({ url })
    await load(destination, runOf('new', 'full_refresh', 5), pagesOf('new', 2), { publish: false })
    const again = postgresDestination({ url })
    await again.open(runOf('new', 'full_refresh', 6), new AbortController().signal)
    await psql(url, 'CREATE VIEW seen AS SELECT * FROM main')
    await expect(again.publish()).rejects.toThrow('view seen would be lost')
    await again.close()
    expect(await idsIn(url, 'main')).toEqual(['old0', 'old1', 'old2', 'old3', 'old4', 'old5'])
    await load(
      postgresDestination({ url, options: { replace_strategy: 'truncate_insert' } }),
      runOf('new', 'full_refresh', 7),
      [],
    )
    expect(await idsIn(url, 'main')).toEqual(NEW)
  })
})

test('a run waits for a lock no longer than lock_timeout, and the next one goes on', async () => {
  await published('old')
  const holder = new Client({ connectionString: url })
  await holder.connect()
  await holder.query('BEGIN; LOCK TABLE main')
  await expect(published('new', { lock_timeout: 1 })).rejects.toMatchObject({
    code: 'destination',
    retriable: true,
    hint: expect.stringContaining('lock_timeout'),
  })
  await holder.end()
  await load(postgresDestination({ url }), runOf('new', 'full_refresh', 9), pagesOf('new', 2))
  expect(await idsIn(url, 'main')).toEqual(NEW)
})

test('a transaction that the server undoes because of another one is done again', async () => {
  await published('old', {}, 'incremental')
  // A trigger that fails as a conflict would, the first two times.
  await psql(
    url,
    `CREATE SEQUENCE tries;
     CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF nextval('tries') <= 2 THEN RAISE EXCEPTION 'clash' USING ERRCODE = 'serialization_failure'; END IF; RETURN NULL; END $$;
     CREATE TRIGGER clash AFTER INSERT ON main FOR EACH STATEMENT EXECUTE FUNCTION clash()`,
  )
  await published('new', {}, 'incremental')
  expect(await psql(url, 'SELECT last_value FROM tries')).toBe('3\n')
  expect(await psql(url, 'SELECT count(*), count(DISTINCT bizon_id) FROM main')).toBe('12|12\n')
})

test('staged rows that somebody took away are missed', async () => {
  for (const [mode, complete] of [
    ['full_refresh', true],
    ['incremental', false],
  ] as const) {
    await published(`${mode}old`, { destinationId: mode })
    const options = { destinationId: mode }
    await load(postgresDestination({ url, mode, options }), runOf('x', mode, 10, complete), pagesOf('x', 2), {
      publish: false,
    })
    const staging = (await psql(url, `SELECT relname FROM pg_class WHERE relname LIKE '${mode}\\_\\_bizon%'`)).trim()
    await psql(url, `DELETE FROM ${staging} WHERE source_record_id = 'x3'`)
    await expect(
      load(postgresDestination({ url, mode, options }), runOf('x', mode, 11, complete), []),
    ).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('has 5 rows, and this run put 6 there'),
    })
  }
})

test.each(['incremental', 'stream'] as const)(
  '%s: rows are added to a table with columns of somebody else',
  async (mode) => {
    await published('old', {}, 'stream')
    await psql(
      url,
      'ALTER TABLE main ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ADD COLUMN at timestamptz NOT NULL DEFAULT now()',
    )
    await psql(url, 'DELETE FROM _bizon_state')
    const key = { primary_key: ['id'] }
    for (const [n, options] of [{}, key].entries()) {
      const run = { ...runOf(`${mode}${n}`, mode, 5 + n), startOver: true }
      await load(postgresDestination({ url, mode, options }), run, pagesOf(`new${n}`, 2))
    }
    expect(await psql(url, 'SELECT count(*), count(DISTINCT n), count(at) FROM main')).toBe('18|18|18\n')
  },
)

test('a column that was added while the run was staging is not lost', async () => {
  await published('old')
  await load(postgresDestination({ url }), runOf('new', 'full_refresh', 5), pagesOf('new', 2), { publish: false })
  await psql(url, 'ALTER TABLE main ADD COLUMN note text')
  const again = (options: Partial<PostgresOptions>) =>
    load(postgresDestination({ url, options }), runOf('new', 'full_refresh', ++epoch + 5), [])
  await expect(again({})).rejects.toMatchObject({
    code: 'destination',
    message: expect.stringContaining('its column note was changed after this run began'),
  })
  await again({ replace_strategy: 'truncate_insert' })
  expect(await psql(url, 'SELECT count(note IS NULL) FROM main')).toBe('6\n')
})

test('a program that is not ours takes the place of the tables that it names, by rows or by a page without any', async () => {
  for (const table of ['named', 'emptied', 'kept']) {
    const page = { ...(pagesOf(table, 1)[0] as Page), stream: { name: table } }
    const run = { ...runOf(table, 'full_refresh', ++epoch), keepsOthers: true }
    await load(postgresDestination({ url, options: { destinationId: '{stream}' } }), run, [page])
  }
  const pages: Page[] = [
    { records: [], next: { n: 1 }, stream: { name: 'emptied' } },
    { ...(pagesOf('new', 1)[0] as Page), stream: { name: 'named' } },
  ]
  const run = { ...runOf('next', 'full_refresh', ++epoch), keepsOthers: true }
  await load(postgresDestination({ url, options: { destinationId: '{stream}' } }), run, pages)
  expect(await idsIn(url, 'named')).toEqual(['new0', 'new1', 'new2'])
  expect(await idsIn(url, 'emptied')).toEqual([])
  expect(await idsIn(url, 'kept')).toEqual(['kept0', 'kept1', 'kept2'])
})

test('what a run that was given up has added is taken back, because it comes again', async () => {
  await load(postgresDestination({ url, mode: 'incremental' }), runOf('one', 'incremental', 1), pagesOf('a', 1))
  const next = { ...runOf('two', 'incremental', 2), givenUp: ['one'] }
  await load(postgresDestination({ url, mode: 'incremental' }), next, pagesOf('a', 2))
  expect(await psql(url, 'SELECT count(*), count(DISTINCT source_record_id) FROM main')).toBe('6|6\n')
})
