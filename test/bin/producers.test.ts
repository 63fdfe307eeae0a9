// What producers may do that are not ours, or do not know of each other, and what becomes of the rows that are there.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CHECKOUT, runIn } from '../support/sandbox.ts'
import { activate, record, schemaOf, state } from '../support/singer.ts'

const LOAD = `node ${join(CHECKOUT, 'dist/bin/bizon-load.js')} --quiet`
const EXTRACT = `node ${join(CHECKOUT, 'dist/bin/bizon-extract.js')} --quiet`

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-producers-'))
  await write('to.yml', loader())
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const write = (name: string, content: string | readonly object[]): Promise<void> =>
  writeFile(
    join(folder, name),
    typeof content === 'string' ? content : content.map((line) => `${JSON.stringify(line)}\n`).join(''),
  )
const loader = (keys: object = {}): string =>
  JSON.stringify({
    name: 'to',
    destination: { name: 'file', config: { destination_id: join(folder, 'out/{stream}'), metadata: 'none', ...keys } },
  })
const run = (script: string) => runIn(folder, script)

/** What is published, by the names of the files. */
async function published(): Promise<Record<string, string>> {
  const names = (await readdir(join(folder, 'out')).catch(() => [])).filter((name) => /^[^.].*\.json$/.test(name))
  const contents = names.sort().map(async (name) => [name, await readFile(join(folder, 'out', name), 'utf8')] as const)
  return Object.fromEntries(await Promise.all(contents))
}

const users = (id: number): object[] => [schemaOf('users'), record('users', id), state({ after: id })]
const versioned = (stream: string, version: number, ...ids: number[]): object[] => [
  schemaOf(stream),
  ...ids.map((id) => record(stream, id, { version })),
  activate(stream, version),
]

describe('what comes is added', () => {
  test('whatever the state store of the loader knows', async () => {
    const load = (line: string): string => `echo '${line}' | ${LOAD} to.yml --stream ev`
    const { code, stderr } = await run(`${load('{"n":1}')}; rm bizon.sqlite3; ${load('{"n":2}')}; ${load('{"n":3}')}`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await published()).toEqual({ 'ev.json': '{"n":1}\n{"n":2}\n{"n":3}\n' })
  })

  test('also what was told to be durable before the configuration changed', async () => {
    await write('one', [...users(1)])
    await write('two', users(2))
    await write('changed.yml', loader({ metadata: 'bizon' }))
    const first = await run(`(cat one; echo broken) | ${LOAD} to.yml || true`)
    expect(first.stdout).toBe('{"after":1}\n')
    const refused = await run(`${LOAD} changed.yml < two`)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(
      /^Error: run \w+ is not published, and its producer was told that 1 row of it is durable; .*its configuration was another\nTry: .*--start-over\.\n$/,
    )
    expect(await run(`${LOAD} to.yml < two`)).toMatchObject({ code: 0, stdout: '{"after":2}\n' })
    expect(await published()).toEqual({ 'users.json': '{"id":1}\n{"id":2}\n' })
  })

  test('unless it is given up on purpose', async () => {
    await write('one', users(1))
    await write('two', users(2))
    await run(`(cat one; echo broken) | ${LOAD} to.yml || true`)
    expect(await run(`${LOAD} to.yml --start-over < two`)).toMatchObject({ code: 0, stdout: '{"after":2}\n' })
    expect(await published()).toEqual({ 'users.json': '{"id":2}\n' })
  })

  test('bare records of another input than that of a load which was killed take its place', async () => {
    const { code } = await run(
      `echo '{"n":1}' | BIZON_FAILPOINT=publish.before:kill ${LOAD} to.yml --stream ev || true; echo '{"n":2}' | ${LOAD} to.yml --stream ev`,
    )
    expect(code).toBe(0)
    expect(await published()).toEqual({ 'ev.json': '{"n":2}\n' })
  })
})

describe('tables that are sent whole', () => {
  test('take the place of themselves and of no others', async () => {
    await write('both', [...versioned('a', 1, 1), ...versioned('b', 1, 1)])
    await write('b', versioned('b', 2, 2, 3))
    await write('one', users(1))
    await run(`${LOAD} to.yml < both; ${LOAD} to.yml < one; ${LOAD} to.yml < b`)
    expect(await published()).toEqual({
      'a.json': '{"id":1}\n',
      'b.json': '{"id":2}\n{"id":3}\n',
      'users.json': '{"id":1}\n',
    })
  })

  test('are emptied when nothing is left of them, also by the run after a kill', async () => {
    await write('both', [...versioned('a', 1, 1), ...versioned('b', 1, 1)])
    await write('b', versioned('b', 2))
    await run(`${LOAD} to.yml < both; BIZON_FAILPOINT=publish.mid:kill ${LOAD} to.yml < b || true; ${LOAD} to.yml < b`)
    expect(await published()).toEqual({ 'a.json': '{"id":1}\n', 'b.json': '' })
  })
})

describe('lines', () => {
  test.each([
    ['BATCH', '{"type":"BATCH","stream":"users","manifest":["b.jsonl"'],
    ['SCHEMA', '{"type": "SCHEMA", "stream": "users", "schema": {'],
    ['STATE', '{"type":"STATE","value":{"a"'],
  ])('a %s that is no JSON is never passed over', async (_type, line) => {
    await write(
      'lines',
      `${users(1)
        .map((one) => `${JSON.stringify(one)}\n`)
        .join('')}${line}\n`,
    )
    const { code, stderr } = await run(`${LOAD} to.yml --on-invalid skip < lines`)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^Error: line 4 of the pipe: it is no JSON object/)
  })

  test('a record that is no JSON is', async () => {
    await write(
      'lines',
      `${users(1)
        .map((one) => `${JSON.stringify(one)}\n`)
        .join('')}{"type":"RECORD","stream":"users","rec\n`,
    )
    expect(await run(`${LOAD} to.yml --on-invalid skip < lines`)).toMatchObject({ code: 0 })
  })

  test.each([
    [
      'events for people',
      '--from singer',
      '{"type":"ORDER.PAID"}\n{"type":"ORDER.SHIPPED"}\n',
      'none of the 2 lines of the pipe is a message of a Singer tap',
    ],
    [
      'a first RECORD that is broken',
      '',
      '{"type":"RECORD","stream":"u","record":[1]}\n',
      'line 1 of the pipe: a RECORD has no record',
    ],
  ])('%s are not loaded as nothing, or as data', async (_what, option, lines, said) => {
    await write('lines', lines)
    const { code, stderr } = await run(`${LOAD} to.yml ${option} < lines`)
    expect(code).toBe(1)
    expect(stderr).toContain(`Error: ${said}`)
    expect(await published()).toEqual({})
  })

  test('that are compressed are told to be', async () => {
    await write('lines', users(1))
    const { code, stderr } = await run(`gzip -c lines | ${LOAD} to.yml`)
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        'Error: what comes through the pipe is compressed with gzip\nTry: Put gunzip between: gunzip | bizon-load FILE.\n',
    })
  })

  test('of CSV load where they were taken for bare records first', async () => {
    await write('lines', 'n,m\n1,2\n')
    const { code } = await run(`${LOAD} to.yml --stream ev < lines || ${LOAD} to.yml --stream ev --from csv < lines`)
    expect(code).toBe(0)
    expect(await published()).toEqual({ 'ev.json': '{"n":"1","m":"2"}\n' })
  })

  test('a message that nobody knows may come first', async () => {
    await write('lines', [{ type: 'HELLO', stream: 'users' }, ...users(1)])
    const { code, stderr } = await run(`${LOAD} to.yml < lines`)
    expect(code).toBe(0)
    expect(stderr).toContain('messages of type HELLO are passed over; the first is line 1')
    expect(await published()).toEqual({ 'users.json': '{"id":1}\n' })
  })

  test('records whose type nobody knows are records', async () => {
    await write('lines', [
      { type: 'CLICK', n: 1 },
      { type: 'CLICK', n: 2 },
    ])
    expect(await run(`${LOAD} to.yml --stream ev < lines`)).toMatchObject({ code: 0 })
    expect(await published()).toEqual({ 'ev.json': '{"type":"CLICK","n":1}\n{"type":"CLICK","n":2}\n' })
  })
})

describe('bizon-extract', () => {
  const SEVERAL = `
import { defineSource, z } from 'bizon'
const schema = (type) => ({ type: 'object', properties: { n: { type } } })
export default defineSource({
  summary: 'Pages of several streams.',
  config: z.strictObject({}),
  streams: () => [{ name: 'all', resumable: true }],
  create: () => ({
    async *read() {
      const page = (stream, n, next) => ({ ...(stream && { stream }), records: [{ id: String(n), data: { n } }], next })
      const users = { name: 'users', schema: schema('integer'), primaryKey: ['n'] }
      yield page(users, 1, { after: 1 })
      yield page({ name: 'pets' }, 2, { after: 2 })
      yield page(users, 3, { after: 3 })
      yield page({ ...users, schema: schema('number') }, 4, { after: 4 })
      yield page(undefined, 5, null)
    },
  }),
})
`
  const several = (): Promise<void> =>
    write(
      'from.yml',
      JSON.stringify({ ...JSON.parse(loader()), source: { name: 's', stream: 'all', source_file_path: 's.mjs' } }),
    ).then(() => write('s.mjs', SEVERAL))
  const SPREAD = { 'all.json': '{"n":5}\n', 'pets.json': '{"n":2}\n', 'users.json': '{"n":1}\n{"n":3}\n{"n":4}\n' }

  test.each(['singer', 'airbyte'])('keeps the streams of pages apart in %s messages', async (format) => {
    await several()
    const { code, stderr } = await run(`${EXTRACT} from.yml --format ${format} | ${LOAD} from.yml > /dev/null`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await published()).toEqual(SPREAD)
  })

  test('says what a stream is before its records, again when it has changed', async () => {
    await several()
    const { stdout } = await run(
      `${EXTRACT} from.yml | jq -c 'select(.type == "SCHEMA" or .type == "RECORD") | [.stream, .schema.properties.n.type, .key_properties]' | grep -v 'null,null'`,
    )
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      ['all', null, []],
      ['users', 'integer', ['n']],
      ['pets', null, []],
      ['users', 'integer', ['n']],
      ['users', 'number', ['n']],
      ['all', null, []],
    ])
  })

  test('the runner process keeps them apart too', async () => {
    await several()
    const { code, stderr } = await run(
      `node ${join(CHECKOUT, 'dist/bin/bizon.js')} run from.yml --quiet --runner process`,
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await published()).toEqual(SPREAD)
  })

  test('begins anew where what is read has changed, the first time the line is run', async () => {
    const scripted = (text: string): string =>
      JSON.stringify({ ...JSON.parse(generator('g')), transforms: [{ label: 'mark', javascript: text }] })
    await write('from.yml', scripted('data.mark = 1; return data'))
    const pipe = `${EXTRACT} from.yml | ${LOAD} from.yml > said`
    await run(`BIZON_FAILPOINT=pipe.after@3:kill ${pipe} || true`)
    await write('from.yml', scripted('data.mark = 2; return data'))
    const { code, stderr } = await run(pipe)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect((await run(`jq -c .mark out/generator.json | sort | uniq -c | tr -s ' '`)).stdout).toBe(' 20 2\n')
  })

  const generator = (name: string, more: object = {}): string =>
    JSON.stringify({
      ...JSON.parse(loader()),
      name,
      source: { name: 'dummy', stream: 'generator', records: 20, page_size: 5, ...more },
    })

  test('gives bare records from the beginning, whatever a state store knows', async () => {
    await write('from.yml', generator('g'))
    const bizon = `node ${join(CHECKOUT, 'dist/bin/bizon.js')}`
    await run(`BIZON_FAILPOINT=publish.before:kill ${bizon} run from.yml --quiet || true`)
    expect((await run(`${EXTRACT} from.yml --format ndjson | wc -l`)).stdout.trim()).toBe('20')
    expect((await run(`${EXTRACT} from.yml | grep -c RECORD || true`)).stdout.trim()).toBe('0')
  })

  test('what the times of a page say is kept, however late it is loaded', async () => {
    await write('from.yml', generator('g'))
    await write('to.yml', loader({ metadata: 'bizon' }))
    const old = `sed 's/"time_extracted":"[^"]*"/"time_extracted":"2001-02-03T04:05:06.789Z"/'`
    await run(`${EXTRACT} from.yml | sed 's/"pipeline":"g"/"pipeline":"to"/' | ${old} | ${LOAD} to.yml`)
    const { stdout } = await run(`jq -r .bizon_extracted_at out/generator.json | sort -u`)
    expect(stdout).toBe('2001-02-03T04:05:06.789000+00:00\n')
  })

  test('a state of another stream or pipeline is refused', async () => {
    await write('from.yml', generator('g'))
    await write('other.yml', generator('other'))
    const { code, stderr } = await run(
      `(${EXTRACT} other.yml | head -n 8 || true) | jq -c 'select(.type == "STATE") | .value' | tail -n 1 > said; ${EXTRACT} from.yml --state said`,
    )
    expect(code).toBe(2)
    expect(stderr).toBe(
      'Error: said: it says where stream generator of pipeline other stands, and this is generator of g\nTry: Keep a file for each stream of each pipeline.\n',
    )
  })

  test.each(['{}', '', '\n'])('a state of %j says that nothing was loaded yet', async (text) => {
    await write('from.yml', generator('g'))
    await write('said', text)
    expect((await run(`${EXTRACT} from.yml --state said | grep -c RECORD`)).stdout.trim()).toBe('20')
  })

  test.each([
    ['"run":"[0-9a-f]*"', '"run":"abc"', 'a STATE of bizon is damaged: run: expected 32 hexadecimal digits, got "abc"'],
    [
      '"at":"[^"]*"',
      '"at":"yesterday"',
      'a STATE of bizon is damaged: at: expected a time as RFC 3339 has it, got "yesterday"',
    ],
    ['"at":"[^"]*",', '', 'a STATE of bizon is damaged: at: expected a time as RFC 3339 has it, got nothing'],
    ['"mode":"[a-z_]*"', '"mode":"weird"', 'begin.mode: expected full_refresh, incremental, stream, got "weird"'],
    ['"resumable":[a-z]*', '"resumable":1', 'begin.resumable: expected true or false, got 1'],
  ])('a first line with %s as %s is told by its key', async (what, instead, said) => {
    await write('from.yml', generator('g'))
    const { code, stderr } = await run(`${EXTRACT} from.yml | sed '1s/${what}/${instead}/' | ${LOAD} from.yml`)
    expect(code).toBe(1)
    expect(stderr).toContain(said)
    expect(stderr).toContain('Try: See docs/pipe-format.md for what it holds.')
  })

  test('options for other producers are told to have no effect', async () => {
    await write('from.yml', generator('g'))
    const { code, stderr } = await run(`${EXTRACT} from.yml | ${LOAD} from.yml --id a --on-invalid skip > /dev/null`)
    expect(code).toBe(0)
    expect(stderr).toContain('--id has no effect: what comes is the pipe of a bizon-extract')
    expect(stderr).toContain('--on-invalid skip has no effect')
  })

  test('the first line of a pipe does not choose a file outside', async () => {
    await write('from.yml', generator('g'))
    const { code, stderr } = await run(
      `${EXTRACT} from.yml | sed 's/"stream":"generator"/"stream":"..\\/..\\/evil"/' | ${LOAD} from.yml`,
    )
    expect(code).toBe(1)
    expect(stderr).toContain(
      'Error: the first line of the pipe names stream ../../evil, which is a path out of its folder',
    )
    expect(await published()).toEqual({})
  })

  test('the pipe of another run is not passed over in silence when one had only to be published', async () => {
    await write('from.yml', generator('g'))
    await write('to.yml', loader().replace('"to"', '"g"'))
    await run(`${EXTRACT} from.yml --state none > first; ${EXTRACT} from.yml --state none > second`)
    const { code, stderr } = await run(
      `BIZON_FAILPOINT=publish.before:kill ${LOAD} to.yml < first || true; ${LOAD} to.yml < second`,
    )
    expect(code).toBe(1)
    expect(stderr).toContain('nothing of this pipe was loaded (that was run ')
    expect(await run(`${LOAD} to.yml < second`)).toMatchObject({ code: 0 })
  })
})
