// What is wrong on the other side, or in the config: each is told in one error that says where and what to do, and no
// password is part of it.

import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { linksOf } from '../../../connectors/destinations/child-tables.ts'
import type { PostgresOptions } from '../../../connectors/destinations/postgres/config.ts'
import { withChildTables } from '../../../lib/child-tables.ts'
import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { RawJson } from '../../../lib/record.ts'
import { idPrefixOf } from '../../../lib/row-id.ts'
import type { Page } from '../../../lib/source.ts'
import { load, never, pagesOf, runOf } from '../../support/load.ts'
import { idsIn, postgresDestination } from '../../support/postgres-destination.ts'
import { freshDatabase, PostgresServer, psql } from '../../support/services/postgres.ts'

let url = ''
beforeEach(async () => {
  url = (await freshDatabase()).url
})

const loaded = (options: Partial<PostgresOptions> = {}, run: Run = runOf('run', 'full_refresh', 2)) =>
  load(postgresDestination({ url, mode: run.mode, options }), run, pagesOf('a', 2))

/** A role of this test alone. */
async function role(): Promise<string> {
  const name = new URL(url).pathname.slice(1).replace('t_', 'r_')
  await psql(url, `CREATE ROLE ${name} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
  return name
}

describe('told by the run, and by check', () => {
  test('a schema that is missing', async () => {
    const options = { schema: 'no such' }
    await expect(loaded(options)).rejects.toMatchObject({
      code: 'destination',
      message: expect.stringContaining('schema "no such" does not exist'),
      hint: expect.stringContaining('create_schema'),
    })
    await expect(postgresDestination({ url, options }).check(never)).rejects.toThrow('there is no schema no such')
    await expect(
      postgresDestination({ url, options: { ...options, create_schema: true } }).check(never),
    ).resolves.toBeUndefined()
    expect(await psql(url, "SELECT count(*) FROM pg_namespace WHERE nspname = 'no such'")).toBe('0\n')
  })

  test('a schema that may not be created', async () => {
    const options = { url: url.replace('postgres@', `${await role()}@`), schema: 'new', create_schema: true }
    const refusal = {
      code: 'destination',
      message: expect.stringMatching(/^r_\w+ may not create schema new in database t_/),
      hint: expect.stringMatching(/^GRANT CREATE ON DATABASE "t_\w+" TO "r_\w+"$/),
    }
    await expect(loaded(options)).rejects.toMatchObject(refusal)
    await expect(postgresDestination({ url, options }).check(never)).rejects.toMatchObject(refusal)
  })

  test('a schema in which nothing may be created', async () => {
    const options = { url: url.replace('postgres@', `${await role()}@`) }
    await expect(loaded(options)).rejects.toMatchObject({
      code: 'destination',
      message: expect.stringContaining('permission denied for schema public'),
      hint: expect.stringContaining('GRANT'),
    })
    await expect(postgresDestination({ url, options }).check(never)).rejects.toMatchObject({
      code: 'destination',
      hint: expect.stringMatching(/^GRANT CREATE, USAGE ON SCHEMA "public" TO "r_/),
    })
  })

  test.each(['VIEW main AS SELECT 1 AS n', 'MATERIALIZED VIEW main AS SELECT 1 AS n', 'SEQUENCE main'])(
    'a target that is another thing: %s',
    async (what) => {
      await psql(url, `CREATE ${what}`)
      await expect(loaded()).rejects.toMatchObject({ code: 'destination', message: 'public.main is not a table' })
      await expect(postgresDestination({ url }).check(never)).rejects.toThrow('public.main is not a table')
    },
  )

  test('a column of another type', async () => {
    await psql(url, 'CREATE TABLE main (source_data text)')
    for (const mode of ['full_refresh', 'incremental', 'stream'] as const) {
      await expect(loaded({}, runOf(mode, mode, 2))).rejects.toMatchObject({
        code: 'destination',
        message: 'public.main: column source_data is text, not jsonb',
      })
    }
    await expect(postgresDestination({ url }).check(never)).rejects.toThrow('column source_data is text, not jsonb')
  })
})

test('a table of another owner: replacing it is refused before anything is loaded, filling it needs its grants', async () => {
  await psql(url, 'CREATE TABLE main ()')
  const name = await role()
  await psql(url, `GRANT CREATE ON SCHEMA public TO ${name}`)
  const options = { url: url.replace('postgres@', `${name}@`) }
  await expect(loaded(options)).rejects.toMatchObject({
    code: 'destination',
    message: 'public.main belongs to postgres: only its owner may replace it',
    hint: expect.stringContaining('truncate_insert'),
  })
  await expect(loaded({ ...options, replace_strategy: 'truncate_insert' })).rejects.toMatchObject({
    code: 'destination',
    message: 'permission denied for table public.main, which belongs to postgres',
    hint: expect.stringContaining('GRANT INSERT, DELETE'),
  })
  await psql(url, `DROP TABLE main`)
  await loaded(options, runOf('mine', 'full_refresh', 3))
  await psql(url, `ALTER TABLE main OWNER TO postgres; GRANT SELECT, INSERT, DELETE ON main TO ${name}`)
  await loaded({ ...options, replace_strategy: 'truncate_insert' }, runOf('theirs', 'full_refresh', 4))
  expect(await psql(url, 'SELECT count(*) FROM main')).toBe('6\n')
})

describe('a first incremental run', () => {
  test('does not replace rows that nobody says are its own', async () => {
    await loaded({}, runOf('stream', 'stream', 1))
    await psql(url, 'DELETE FROM _bizon_state')
    const run = runOf('first', 'incremental', 2, true)
    await expect(loaded({}, run)).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('public.main exists'),
      hint: expect.stringContaining('--reset'),
    })
    await psql(url, 'TRUNCATE main')
    await loaded({}, run)
    expect(await psql(url, 'SELECT count(*) FROM main')).toBe('6\n')
  })
})

describe('the state row', () => {
  const begun = async (): Promise<void> => {
    await load(postgresDestination({ url }), runOf('run', 'full_refresh', 1), pagesOf('a', 2).slice(0, 1), {
      publish: false,
    })
  }
  const stored = { run: 'run', page: 1, rows: 3, position: null, end: false, receipt: { state: 'public._bizon_state' } }

  test.each([
    'run = $$other$$',
    'epoch = 0',
    'rows',
    'phase = $$published$$',
    'tables = $${}$$',
    'checkpoint = NULL',
    'previous = $$x$$',
    'complete = false',
    'sha256 = $$0$$',
  ])('edited (%s) is damaged, never a fresh start', async (edit) => {
    await begun()
    await psql(
      url,
      `UPDATE _bizon_state SET ${edit === 'rows' ? 'checkpoint = replace(checkpoint::text, \'"rows":3\', \'"rows":2\')::json' : edit}`,
    )
    await expect(loaded()).rejects.toMatchObject({
      code: 'edited',
      message: 'the row of "main" in public._bizon_state is damaged: it is not as this program wrote it',
    })
  })

  test('missing, while the state store knows of one', async () => {
    await begun()
    await psql(url, 'DELETE FROM _bizon_state')
    await expect(loaded({}, { ...runOf('run', 'full_refresh', 2), stored })).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('is missing, so how many of the rows count is not known'),
    })
  })

  test('of another pipeline', async () => {
    await begun()
    await expect(loaded({}, { ...runOf('run', 'full_refresh', 2), pipeline: 'another' })).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('belongs to pipeline trial/test/main, not to another/test/main'),
    })
  })

  test('and a staging table that was dropped', async () => {
    await begun()
    const staging = (await psql(url, "SELECT relname FROM pg_class WHERE relname LIKE 'main\\_\\_bizon%'")).trim()
    await psql(url, `DROP TABLE ${staging}`)
    await expect(loaded()).rejects.toMatchObject({
      code: 'edited',
      message: `public.${staging} is missing, where rows of this run were`,
    })
  })

  test('changed or restored from a copy while a run is under way: nothing more is committed', async () => {
    await psql(url, 'CREATE TABLE copy AS SELECT 1')
    const destination = postgresDestination({ url, mode: 'stream' })
    const run = runOf('run', 'stream', 1)
    await destination.open(run, never)
    await psql(url, 'DROP TABLE copy; CREATE TABLE copy AS TABLE _bizon_state')
    const pages = pagesOf('a', 3)
    for (const [n, page] of pages.slice(0, 2).entries()) {
      await destination.write(page, never)
      if (n === 1) await psql(url, 'DELETE FROM _bizon_state; INSERT INTO _bizon_state TABLE copy')
      const flushed = destination.flush({ run: 'run', page: n + 1, rows: 3 * n + 3, position: page.next, end: false })
      if (n === 0) await flushed
      else
        await expect(flushed).rejects.toMatchObject({
          code: 'edited',
          message: expect.stringContaining('was removed or changed while this run was writing'),
        })
    }
    await destination.close()
    expect(await idsIn(url, 'main')).toEqual(['a0', 'a1', 'a2'])
  })
})

describe('an older copy of the state row, put back between two runs', () => {
  const run = runOf('run', 'stream', 1)
  const begun = async (
    options: Partial<PostgresOptions> = {},
    pages: readonly Page[] = pagesOf('a', 3),
    again: readonly Page[] = pages,
  ) => {
    await load(postgresDestination({ url, mode: 'stream', options }), run, pages.slice(0, 1), { publish: false })
    await psql(url, 'CREATE TABLE copy AS TABLE _bizon_state')
    const stored = await load(
      postgresDestination({ url, mode: 'stream', options }),
      { ...run, epoch: 2 },
      pages.slice(0, 2),
      {
        publish: false,
      },
    )
    await psql(url, 'DELETE FROM _bizon_state; INSERT INTO _bizon_state TABLE copy')
    const receipt = { state: 'public._bizon_state' }
    const next = { ...run, epoch: 3, ...(stored && { stored: { ...stored, receipt } }) }
    await load(postgresDestination({ url, mode: 'stream', options }), next, again, { publish: false })
  }
  /** As rows, with those of the lists of each record. */
  const rowsOf = async (pages: readonly (readonly string[])[]): Promise<Page[]> => {
    async function* given(): AsyncGenerator<Page, void, void> {
      for (const [page, texts] of pages.entries())
        yield { records: texts.map((text) => ({ id: text, data: RawJson.from(text) })), next: { page } }
    }
    const split = { depth: 10, names: {}, links: linksOf({ metadata: 'bizon' }), rows: 0, usual: () => 'main' }
    const rows: Page[] = []
    for await (const page of withChildTables(given(), { ...split, idPrefix: idPrefixOf(run.id, run) })) rows.push(page)
    return rows
  }

  test('of a stream: what comes again is there once', async () => {
    await begun()
    expect(await idsIn(url, 'main')).toEqual(Array.from({ length: 9 }, (_, n) => `a${n}`))
  })

  test('of a stream of merged records: each has its own lists, though it has the number of another one now', async () => {
    const options: Partial<PostgresOptions> = { unnest: 'columns', unnestDepth: 10, primary_key: ['id'] }
    const first = ['{"id":0,"items":[0]}']
    const before = ['{"id":1,"items":[1]}', '{"id":2,"items":[2]}', '{"id":3,"items":[3]}']
    const again = [['{"id":1,"items":[1,1,1]}', '{"id":2,"items":[2]}'], ['{"id":3,"items":[3]}']]
    await begun(options, await rowsOf([first, before]), await rowsOf([first, ...again]))
    const items = 'SELECT id, value FROM main JOIN main__items ON _bizon_root_id = main.bizon_id ORDER BY 1, 2'
    expect(await psql(url, items)).toBe('0|0\n1|1\n1|1\n1|1\n2|2\n3|3\n')
    expect(await psql(url, 'SELECT count(*) FROM main')).toBe('4\n')
  })

  test('of a stream whose rows do not say whose they are: refused', async () => {
    await expect(begun({ metadata: 'none' })).rejects.toMatchObject({
      code: 'edited',
      message: 'the state of public.main is an older copy: it ends at row 3, and 6 were durable',
    })
    expect(await psql(url, 'SELECT count(*) FROM main')).toBe('6\n')
  })

  test('of a full refresh: the staged rows are too many, and are not published', async () => {
    const pages = pagesOf('a', 2)
    await load(postgresDestination({ url }), runOf('run', 'full_refresh', 1), pages.slice(0, 1), { publish: false })
    await psql(url, 'CREATE TABLE copy AS TABLE _bizon_state')
    await load(postgresDestination({ url }), runOf('run', 'full_refresh', 2), pages, { publish: false })
    await psql(url, 'DELETE FROM _bizon_state; INSERT INTO _bizon_state TABLE copy')
    await expect(load(postgresDestination({ url }), runOf('run', 'full_refresh', 3), pages)).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringContaining('has 9 rows, and this run put 6 there'),
    })
    expect(await idsIn(url, 'main')).toBeUndefined()
  })
})

describe('the server', () => {
  const PASSWORD = 'pa55 word%/@:é'
  let server: PostgresServer
  let port = 0
  beforeAll(async () => {
    server = await PostgresServer.create()
    port = server.port
    await psql(server.url(), `CREATE ROLE loader LOGIN SUPERUSER PASSWORD '${PASSWORD}'`)
    await psql(server.url(), 'CREATE DATABASE loader')
    await server.requirePasswords()
    return () => server.remove()
  })
  /** Undefined: it opened. */
  const failure = async (options: Partial<PostgresOptions>): Promise<BizonError | undefined> => {
    const destination = postgresDestination({ url: server.url(), options: { url: undefined, ...options } })
    const opened = destination.open(runOf('run', 'full_refresh', 1), never)
    const error = await opened.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    await destination.close()
    expect(error === undefined || error instanceof BizonError).toBe(true)
    return error as BizonError | undefined
  }
  const shown = (error: BizonError | undefined): string =>
    `${error?.message} ${error?.hint} ${error?.stack} ${JSON.stringify(error?.cause)}`

  test('takes the password, in a key or in a URL', async () => {
    expect(await failure({ host: '127.0.0.1', port, user: 'loader', password: PASSWORD })).toBeUndefined()
    expect(
      await failure({
        url: `postgres://loader:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/loader?sslmode=disable`,
      }),
    ).toBeUndefined()
  })

  test.each([
    ['a wrong password', { password: 'hunter2hunter2' }],
    ['no password', {}],
  ])('%s is refused and never shown', async (_, given) => {
    const error = await failure({ host: '127.0.0.1', port, user: 'loader', ...given })
    expect(error).toMatchObject({
      code: 'destination',
      message: `PostgreSQL at 127.0.0.1:${port} (destination): user loader was refused: wrong password, or none`,
    })
    expect(shown(error)).not.toContain('hunter2')
  })

  test('a wrong password in a URL is never shown either', async () => {
    expect(shown(await failure({ url: `postgres://loader:hunter2hunter2@127.0.0.1:${port}/loader` }))).not.toContain(
      'hunter2',
    )
    for (const wrong of [
      'mysql://loader:hunter2hunter2@h/x',
      'postgres://loader:hunter2hunter2@127.0.0.1:99999/x',
      'postgres://loader:hunter2hunter2@h/x?ssl=1',
      'postgres://loader:hunter2hunter2@h/x?sslmode=maybe',
      // A password with characters that end the host: what follows them is not to be taken for something else.
      'postgres://loader:12/hunter2hunter2@127.0.0.1/x',
      'postgres://loader:12?hunter2hunter2@127.0.0.1/x',
      'postgres://loader:12#hunter2hunter2@127.0.0.1/x',
      'postgres://loader:12?hunter2hunter2=1',
    ]) {
      expect(() => postgresDestination({ url: wrong })).toThrow(BizonError)
      try {
        postgresDestination({ url: wrong })
      } catch (error) {
        expect(shown(error as BizonError)).not.toContain('hunter2')
      }
    }
  })

  test.each([
    ['a database that is not there', { database: 'nowhere' }, /there is no database nowhere/],
    [
      'a server that is not there',
      { port: 1 },
      /PostgreSQL at 127.0.0.1:1 \(destination\): cannot connect: connect ECONNREFUSED/,
    ],
    [
      'a host that has no address',
      { host: 'nowhere.invalid' },
      /PostgreSQL at nowhere.invalid:\d+ \(destination\): cannot connect: getaddrinfo/,
    ],
    ['TLS where there is none', { sslmode: 'require' }, /it does not speak TLS, which sslmode require asks for/],
    [
      'a certificate that cannot be read',
      { sslmode: 'verify-full', sslrootcert: '/no/such/file' },
      /cannot read \/no\/such\/file/,
    ],
  ] as const)('%s', async (_, given, message) => {
    expect(await failure({ host: '127.0.0.1', port, user: 'loader', password: PASSWORD, ...given })).toMatchObject({
      code: 'destination',
      message: expect.stringMatching(message),
    })
  })

  test('an address given twice is refused', () => {
    expect(() => postgresDestination({ url, options: { host: 'elsewhere' } })).toThrow(
      'destination.config.url: stands beside host',
    )
  })
})
