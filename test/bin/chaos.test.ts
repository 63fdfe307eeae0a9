// bizon chaos on pipelines of a user: it tells a good program from a broken one, and leaves everything that is the user's as
// it was.

import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inScratch } from '../../lib/chaos/scratch.ts'
import { loadConfig } from '../../lib/config.ts'
import type { SourceContext, SourceDefinition } from '../../lib/source.ts'
import { mutants } from '../crash/mutants.ts'
import { lines, pipelineFile } from '../crash/scenario.ts'
import { canTrace } from '../crash/strace.ts'
import { buildTwin, type Twin } from '../crash/twin.ts'
import { BIZON, type Ended, NIGHTLY, TEST_LIMIT_MS, Workspace } from '../crash/workspace.ts'
import { dropDatabase, freshDatabase, psql, type TestDatabase } from '../support/services/postgres.ts'

const LINE =
  /^durable operations (\d+) · killed at (?:each \1|(\d+) of \1) · lost (\d+) · doubled (\d+) · changed (\d+)$/m
/** By day a few kills of each kind show that the command works; that the program is right, test/crash shows. */
const kills = (byDay: number): string[] => ['--kills', NIGHTLY ? '20' : `${byDay}`, '--seed', '5']

const places: Workspace[] = []
let twin: Twin
let hasty: Twin
let lossy: Twin
let scratch: string
beforeAll(async () => {
  twin = await buildTwin('chaos', [
    ...mutants.checkpointBeforeData.replacements,
    ...mutants.appendTwice.replacements,
    {
      file: 'connectors/destinations/postgres/batch.ts',
      find: 'this.#sent = { transaction, count: 0, into: new Map() }',
      replace: 'this.#sent = { transaction, count: this.#sent?.count ?? 0, into: new Map() }',
    },
  ])
  hasty = await buildTwin('hasty', [
    {
      file: 'lib/load.ts',
      find: 'if (!(await this.#publish())) return this.#open.pause()',
      replace: 'await this.#open.succeed(this.#durable)\n      if (!(await this.#publish())) return this.#open.pause()',
    },
  ])
  lossy = await buildTwin('lossy', [
    {
      file: 'connectors/destinations/file/rows.ts',
      find: 'let raw = rawOf(record.data)',
      replace: "if (record.id.endsWith('7')) continue\n      let raw = rawOf(record.data)",
    },
  ])
  scratch = await mkdtemp(join(tmpdir(), 'bizon-scratch-'))
}, TEST_LIMIT_MS)
afterAll(async () => {
  for (const place of places) await place.remove()
  await twin.remove()
  await hasty.remove()
  await lossy.remove()
  await rm(scratch, { recursive: true, force: true })
})

async function folder(config: string, rows = 60): Promise<Workspace> {
  const place = await Workspace.create({ 'pipeline.yml': config, 'source.ndjson': lines(0, rows) })
  places.push(place)
  return place
}

function chaos(
  place: Workspace,
  args: readonly string[],
  program = BIZON,
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  return place.execute([process.execPath, program, 'chaos', 'pipeline.yml', ...args], { ...env, TMPDIR: scratch })
}

/** Names and content of all that is there. */
async function fingerprint(path: string): Promise<string> {
  const hash = createHash('sha256')
  const found = await readdir(path, { recursive: true, withFileTypes: true })
  for (const entry of found.sort((one, other) =>
    join(one.parentPath, one.name) < join(other.parentPath, other.name) ? -1 : 1,
  )) {
    hash.update(join(entry.parentPath, entry.name))
    if (entry.isFile()) hash.update(await readFile(join(entry.parentPath, entry.name)))
  }
  return hash.digest('hex')
}

const plain = pipelineFile({ mode: 'full_refresh' })

describe('a pipeline to a file', () => {
  test(
    'loses nothing; what was published before, and the state, stay as they were',
    async () => {
      const place = await folder(plain)
      expect(await place.bizon()).toMatchObject({ code: 0 })
      await place.write({ 'source.ndjson': lines(0, 70) })
      const before = await fingerprint(place.folder)
      const { code, stdout, stderr } = await chaos(place, kills(2))
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(LINE) })
      expect(stderr).toContain('each with the 70 rows of an undisturbed run')
      expect(stdout.split('\n').slice(1)).toEqual([
        'SIGTERM 2 · lost 0 · doubled 0 · changed 0',
        'disk full 3 · lost 0 · doubled 0 · changed 0',
        'pipe cut 2 · lost 0 · doubled 0 · changed 0',
        '',
      ])
      expect(stderr).toContain('not tried: connections cut: the destination has none that are known')
      expect(await fingerprint(place.folder)).toBe(before)
      expect(await readdir(scratch)).toEqual([])
    },
    TEST_LIMIT_MS,
  )

  test(
    'of a program that commits the checkpoint before its rows: the loss is found, and the report says where',
    async () => {
      const place = await folder(plain)
      const { code, stdout, stderr } = await chaos(
        place,
        ['--kills', '5', '--seed', '1', '--with', 'none', '--report', 'report.json'],
        twin.program,
      )
      expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('did not end with the rows') })
      const [, , , lost] = LINE.exec(stdout) ?? []
      expect(Number(lost)).toBeGreaterThan(0)
      const report = JSON.parse((await place.read('report.json'))?.toString() ?? '')
      expect(report).toMatchObject({ rows: 60, killed: 5, lost: Number(lost) })
      expect(
        report.faulty.some((trial: { kind: string; lost: number }) => trial.kind === 'kill' && trial.lost > 0),
      ).toBe(true)
    },
    TEST_LIMIT_MS,
  )

  test(
    'of a program whose job counts as done before it is published: it is told, although the next run publishes everything',
    async () => {
      const args = ['--only', 'status.after@1', '--kills', 'all', '--with', 'none']
      const { code, stdout } = await chaos(await folder(plain), args, hasty.program)
      expect({ code, stdout }).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/status\.after@1: the run counts as done, and readers saw 0 of 60 rows/),
      })
    },
    TEST_LIMIT_MS,
  )

  test('of a program that never writes some rows: it is told, although all of its runs load the same', async () => {
    const { code, stderr } = await chaos(await folder(plain), ['--kills', '1', '--with', 'none'], lossy.program)
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('an undisturbed run loads 60 rows, and 54 are read back'),
    })
  })

  test('records that name a target of their own do not reach the real one', async () => {
    const config = pipelineFile({ mode: 'stream', destination: ['metadata: none'] })
      .replace(/name: file\n {2}stream: records/, 'name: dummy\n  stream: creatures')
      .replaceAll(/ {2}(path|page_bytes|poll_interval): .*\n/g, '')
    const place = await folder(config)
    await place.write({ 'routed.json': 'mine\n' })
    const before = await fingerprint(place.folder)
    const tried = join(scratch, 'tried')
    expect(await place.bizon({ args: ['--scratch', tried] })).toMatchObject({ code: 0 })
    expect(await fingerprint(place.folder)).toBe(before)
    const lines = (await readdir(join(tried, 'out'))).filter((name) => /_(?:creatures|routed)\.json$/.test(name))
    expect(lines).toHaveLength(2)
    await rm(tried, { recursive: true })
  })

  test('records that are not valid, and what a source is told, stay in the scratch folder', async () => {
    const place = await folder(pipelineFile({ mode: 'full_refresh', source: ['on_invalid: dead_letter'] }))
    await place.write({ 'source.ndjson': `${lines(0, 3)}{no\n`, 'crash.dead_letter.ndjson': 'mine\n' })
    const before = await fingerprint(place.folder)
    const tried = join(scratch, 'tried')
    expect(await place.bizon({ args: ['--scratch', tried] })).toMatchObject({ code: 0 })
    expect(await fingerprint(place.folder)).toBe(before)
    expect(await readFile(join(tried, 'dead-letters.ndjson'), 'utf8')).toContain('{no')
    const config = await loadConfig(join(place.folder, 'pipeline.yml'), ['source', 'destination'])
    const create: SourceDefinition['create'] = () => ({ async *read() {}, acknowledge: async () => {} })
    const source = { ...config.source, definition: { ...config.source.definition, create } }
    const placed = await inScratch({ ...config, source }, tried)
    const made = placed.source.definition.create(placed.source.options, {} as SourceContext)
    expect(made.acknowledge).toBeUndefined()
    await rm(tried, { recursive: true })
  })

  test(
    'as a pipe, either side is killed',
    async () => {
      const place = await folder(plain)
      const { code, stdout, stderr } = await chaos(place, [...kills(4), '--pipe', '--with', 'sigterm'])
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(LINE) })
      expect(stderr).toMatch(/killed at:.*extract: /)
      expect(stderr).toMatch(/killed at:.*load: /)
    },
    TEST_LIMIT_MS,
  )

  test(
    'by system calls',
    async () => {
      if (!(await canTrace())) return
      const place = await folder(plain, 20)
      const { code, stdout, stderr } = await chaos(place, [...kills(1), '--engine', 'strace'])
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(LINE) })
      expect(stderr).toMatch(/killed at:.*(?:fsync|fdatasync|rename|unlink|ftruncate) \d/)
    },
    TEST_LIMIT_MS,
  )
})

describe('a run that finds something loaded', () => {
  const adds = pipelineFile({ mode: 'incremental' })

  test(
    'of a program that adds once more what it was killed in adding: rows are doubled, which a first run cannot show',
    async () => {
      const place = await folder(adds)
      const args = ['--only', 'second run: publish.mid', '--with', 'none', '--report', 'report.json']
      const { code, stdout } = await chaos(place, args, twin.program)
      expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringMatching(/ doubled [1-9]/) })
      const report = JSON.parse((await place.read('report.json'))?.toString() ?? '')
      expect(report).toMatchObject({
        rows: 60,
        killed: 1,
        histogram: { 'second run: publish.mid': 1 },
        faulty: expect.arrayContaining([
          expect.objectContaining({ kind: 'kill', at: 'second run: publish.mid@1', doubled: 30 }),
        ]),
      })
    },
    TEST_LIMIT_MS,
  )
})

describe('other files', () => {
  const to = (format: string): string => pipelineFile({ mode: 'full_refresh', destination: [`format: ${format}`] })

  test(
    'Parquet: nothing is lost',
    async () => {
      const { code, stdout, stderr } = await chaos(await folder(to('parquet')), [...kills(1), '--with', 'enospc'])
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(LINE) })
    },
    TEST_LIMIT_MS,
  )

  test(
    'CSV, of a program that commits the checkpoint before its rows: the loss is found',
    async () => {
      const { code, stdout } = await chaos(
        await folder(to('csv')),
        ['--kills', '3', '--seed', '1', '--with', 'none'],
        twin.program,
      )
      expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringMatching(/ lost [1-9]/) })
    },
    TEST_LIMIT_MS,
  )
})

test(
  'a pipeline that merges in SQLite loses nothing; the real file stays as it was',
  async () => {
    const place = await folder(
      pipelineFile({ mode: 'incremental' }).replace(
        /^destination:\n(.*\n)*?(?=engine:)/m,
        'destination:\n  name: sqlite\n  config:\n    path: data.sqlite3\n    buffer_size: 0\n    primary_key: [id]\n',
      ),
    )
    expect(await place.bizon()).toMatchObject({ code: 0 })
    const before = await fingerprint(place.folder)
    const { code, stdout, stderr } = await chaos(place, [...kills(1), '--with', 'enospc'])
    expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(LINE) })
    expect(stdout).toContain('disk full 3 · lost 0')
    expect(await fingerprint(place.folder)).toBe(before)
    expect(await readdir(scratch)).toEqual([])
  },
  TEST_LIMIT_MS,
)

test(
  'a pipeline that replaces by scope is tried with whole scopes',
  async () => {
    const config = pipelineFile({ mode: 'incremental' }).replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      'destination:\n  name: sqlite\n  config:\n    path: data.sqlite3\n    buffer_size: 0\n    replace_scope: [zero]\n',
    )
    const args = ['--only', 'second run: publish.mid', '--kills', '1', '--with', 'none']
    const { code, stdout, stderr } = await chaos(await folder(config), args)
    expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(LINE) })
    expect(stderr).toContain('killed at: second run: publish.mid 1')
  },
  TEST_LIMIT_MS,
)

describe('a pipeline to PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await freshDatabase()
  })
  afterAll(() => dropDatabase(database))
  const toPostgres = (): string =>
    plain.replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      'destination:\n  name: postgres\n  config:\n    url: env://PG_URL\n    buffer_size: 0\n',
    )

  test(
    'loses nothing, in a schema that is gone afterwards; the real one stays as it was',
    async () => {
      const place = await folder(toPostgres())
      const env = { PG_URL: database.url }
      expect(await place.bizon({ env })).toMatchObject({ code: 0 })
      const look = (): Promise<string> =>
        psql(
          database.url,
          `SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1;
           SELECT relname, relfilenode, oid FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1;
           SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM records t; SELECT * FROM _bizon_state`,
        )
      const before = await look()
      const args = [...kills(1), '--with', 'connections,enospc']
      const { code, stdout, stderr } = await chaos(place, args, BIZON, env)
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(LINE) })
      expect(stdout).toContain('connections cut 3 · lost 0 · doubled 0 · changed 0')
      expect(stderr).toContain('not tried: disk full: it is one of the server')
      expect(stderr).not.toContain(database.url)
      expect(await look()).toBe(before)
    },
    TEST_LIMIT_MS,
  )

  test('without the right to create schemas it is told what to grant', async () => {
    await psql(database.url, 'DROP ROLE IF EXISTS "no maker"; CREATE ROLE "no maker" LOGIN')
    const place = await folder(toPostgres())
    const url = database.url.replace('postgres@', 'no%20maker@')
    const args = ['--kills', '0', '--with', 'none', '-q']
    const { code, stderr } = await chaos(place, args, BIZON, { PG_URL: url })
    const name = new URL(url).pathname.slice(1)
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('no maker may not create') })
    expect(stderr).toContain(`Try: GRANT CREATE ON DATABASE "${name}" TO "no maker"\n`)
    expect(await readdir(scratch)).toEqual([])
    await psql(database.url, `GRANT CREATE ON DATABASE "${name}" TO "no maker"`)
    expect(await chaos(place, args, BIZON, { PG_URL: url })).toMatchObject({ code: 0 })
    await psql(database.url, 'DROP OWNED BY "no maker"; DROP ROLE "no maker"')
  })

  test(
    'of a program that does not send again what a cut connection took along: the loss is found',
    async () => {
      const place = await folder(toPostgres())
      const args = ['--kills', '0', '--seed', '5', '--with', 'connections']
      const { code, stdout } = await chaos(place, args, twin.program, { PG_URL: database.url })
      expect({ code, stdout }).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/^connections cut 3 · lost [1-9]/m),
      })
      expect(stdout).toMatch(/^ {2}connections cut at (?:second run: )?(?:stage|commit)\.\w+@\d+: /m)
    },
    TEST_LIMIT_MS,
  )
})

test('the report never takes the place of another file; it is refused before anything is tried', async () => {
  const place = await folder(plain)
  const before = await fingerprint(place.folder)
  for (const path of ['pipeline.yml', 'source.ndjson']) {
    const { code, stderr } = await chaos(place, ['--report', path])
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(`--report: ${path} is `) })
  }
  expect(await fingerprint(place.folder)).toBe(before)
})

test('what else is to be tried has one of the names', async () => {
  const { code, stderr } = await chaos(await folder(plain), ['--with', 'sigterm,flood'])
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('"flood" is none of sigterm, enospc'),
  })
})

describe('what cannot be tried is told', () => {
  test.each([
    [
      'a destination without a scratch target',
      plain.replace(/name: file\n {2}config:\n(?: {4}.*\n)*/, 'name: logger\n'),
      'has no scratch target',
    ],
    ['a stream', pipelineFile({ mode: 'stream' }), 'a stream has no end'],
    ['standard input', plain.replace('path: source.ndjson', 'path: "-"\n  format: ndjson'), 'loads no rows'],
  ])('%s', async (_, config, says) => {
    const place = await folder(config)
    const ended = await chaos(place, ['--kills', '1'])
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining(says) })
    expect(ended.stderr).toMatch(/\nTry: /)
  })

  test('a source that gives other rows each time', async () => {
    const config = plain.replace(
      'destination:',
      'transforms:\n  - label: now\n    javascript: data.now = Math.random()\ndestination:',
    )
    const place = await folder(config)
    const { code, stderr } = await chaos(place, ['--kills', '1'])
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('do not load the same rows') })
  })

  test('a server that cannot be reached; no folder is left', async () => {
    const config = plain.replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      'destination:\n  name: postgres\n  config:\n    url: postgresql://nobody@127.0.0.1:9/none\n',
    )
    const { code, stderr } = await chaos(await folder(config), ['--kills', '1', '-q'])
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/an undisturbed run in a scratch folder fails: .*127\.0\.0\.1/),
    })
    expect(await readdir(scratch)).toEqual([])
  })
})
