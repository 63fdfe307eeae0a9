// What a person sees who writes a pipeline in an editor: the real language server, with an example open.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { type Completion, LanguageServer } from '../support/language-server.ts'
import { CHECKOUT } from '../support/sandbox.ts'
import { EXAMPLES } from './config-page.ts'
import { everyConnector, exampleOf } from './connector-pages.ts'
import { SCHEMA_LINE } from './page.ts'
import { complaintsOf } from './verdicts.ts'

const FOLDER = join(CHECKOUT, 'examples')
const examples = (await readdir(FOLDER)).filter((name) => name.endsWith('.yml'))
const connectors = await everyConnector()

let server: LanguageServer
beforeAll(async () => {
  server = await LanguageServer.start()
})
afterAll(() => server.stop())

/** Opens a text in which `|` is the cursor, as if it were in examples/. */
async function at(marked: string, name: string): Promise<{ path: string; line: number; character: number }> {
  const before = marked.slice(0, marked.indexOf('|')).split('\n')
  const path = join(FOLDER, name)
  await server.open(path, marked.replace('|', ''))
  return { path, line: before.length - 1, character: before.at(-1)?.length ?? 0 }
}

let texts = 0

async function proposed(marked: string): Promise<readonly Completion[]> {
  const { path, line, character } = await at(SCHEMA_LINE + marked, `proposed-${++texts}.yml`)
  return server.complete(path, line, character)
}

const labels = (completions: readonly Completion[]): string[] => completions.map(({ label }) => label)
const documentation = ({ documentation: said }: Completion): string =>
  typeof said === 'object' ? said.value : (said ?? '')

async function shown(marked: string): Promise<string> {
  const { path, line, character } = await at(SCHEMA_LINE + marked, `shown-${++texts}.yml`)
  return server.hover(path, line, character)
}

const complaints = (text: string): Promise<string[]> => complaintsOf(SCHEMA_LINE + text, server, FOLDER)

const FILE = 'name: x\nsource:\n  name: file\n  stream: orders\n'
const LOGGER = 'destination:\n  name: logger\n'

describe('an example', () => {
  test.each(examples)('%s has nothing wrong with it', async (name) => {
    const text = await readFile(join(FOLDER, name), 'utf8')
    const path = join(FOLDER, name)
    expect(await server.open(path, text)).toEqual([])
    // That it was looked at at all: the same file with one letter too many is complained of.
    expect(await complaintsOf(text.replace(/\n(source|destination):/, '\n$1e:'), server, FOLDER)).not.toEqual([])
  })

  test.each(connectors)('of $kind $name has nothing wrong with it', async (connector) => {
    expect(await complaints(exampleOf(connector))).toEqual([])
  })

  test.each(Object.entries(EXAMPLES))('of %s in docs/config.md has nothing wrong with it', async (_, text) => {
    const rest = { source: 'source: {name: dummy, stream: creatures}\n', destination: LOGGER }
    const others = Object.entries(rest).filter(([key]) => !Object.hasOwn(parseYaml(text), key))
    expect(await complaints(`name: x\n${others.map(([, block]) => block).join('')}${text}`)).toEqual([])
  })
})

describe('what is proposed', () => {
  test('the blocks of a pipeline', async () => {
    expect(labels(await proposed('name: x\n|\n'))).toEqual(expect.arrayContaining(['source', 'destination', 'engine']))
  })

  test('the names of all connectors, with what each is', async () => {
    for (const kind of ['source', 'destination'] as const) {
      const found = await proposed(`name: x\n${kind}:\n  name: |\n`)
      const expected = connectors.filter((connector) => connector.kind === kind)
      expect(labels(found).sort()).toEqual(expected.map(({ name }) => name).sort())
      for (const completion of found) {
        const { summary, release } = expected.find(({ name }) => name === completion.label) ?? {}
        expect(documentation(completion)).toContain(summary)
        if (release !== undefined) expect(documentation(completion)).toContain(`comes with bizon ${release}`)
      }
    }
  })

  test('the keys of the connector that was chosen and the common ones, with their descriptions', async () => {
    const found = await proposed(`${FILE}  |\n${LOGGER}`)
    expect(labels(found)).toEqual(expect.arrayContaining(['path', 'format', 'on_invalid', 'sync_mode']))
    expect(labels(found)).not.toContain('record_bytes')
    const path = found.find(({ label }) => label === 'path')
    expect(path && documentation(path)).toContain('`-` is standard input')
    const bytes = found.find(({ label }) => label === 'page_bytes')
    expect(bytes?.insertText).toContain('1048576')
  })

  test('the keys of the destination that was chosen', async () => {
    const found = await proposed('destination:\n  name: file\n  config:\n    metadata: none\n    |\n')
    expect(labels(found)).toEqual(expect.arrayContaining(['destination_id', 'on_empty', 'buffer_size']))
    expect(labels(found)).not.toContain('metadata')
  })

  test('the words that a key takes, and no null', async () => {
    expect(labels(await proposed(`${FILE}  on_invalid: |\n`))).toEqual(['fail', 'skip', 'dead_letter'])
    expect(labels(await proposed(`${FILE}  reset: |\n`)).sort()).toEqual(['false', 'true'])
    expect(labels(await proposed('engine:\n  backend:\n    type: |\n'))).toContain('sqlite_in_memory')
  })

  test('the streams of a source, with what each can do', async () => {
    const found = await proposed('name: x\nsource:\n  name: dummy\n  stream: |\n')
    expect(found.map((one) => [one.label, documentation(one)])).toEqual([
      ['creatures', 'Full refresh only.'],
      ['plants', 'Full refresh only.'],
      ['generator', 'Full refresh and incremental.'],
    ])
  })

  test('the types of authentication', async () => {
    const found = await proposed('name: x\nsource:\n  name: hubspot\n  authentication:\n    type: |\n')
    expect(labels(found).sort()).toEqual(['api_key', 'oauth'])
  })

  test('none of the keys that are known to do nothing', async () => {
    expect(labels(await proposed('name: x\nsource:\n  name: kafka\n  |\n'))).not.toContain('nb_bytes_schema_id')
    expect(labels(await proposed('name: x\n|\n'))).not.toContain('pipeline')
  })
})

describe('what is shown over a key', () => {
  test.each([
    ['of the connector', `${FILE}  on_in|valid: skip\n`, /source file\n.*not valid: fail, skip and count/s],
    ['that all sources have', `${FILE}  sync_|mode: stream\n`, /Default full\\_refresh/],
    ['with a reference for a value', `${FILE}  page_|bytes: env://SIZE\n`, /read and passed on together/],
    ['of a backend', 'engine:\n  backend:\n    type: sqlite\n    config:\n      data|base: x\n', /state file/],
  ])('%s', async (_, text, expected) => {
    expect(await shown(text)).toMatch(expected)
  })

  test('the name of a connector: what it is, and that it is not built yet', async () => {
    expect(await shown('name: x\nsource:\n  name: hub|spot\n')).toMatch(/Contacts, companies .* not built yet/)
  })
})

describe('what is complained of', () => {
  test.each([
    ['a misspelt key', `${FILE}  path: a.csv\n  fromat: csv\n${LOGGER}`, ['7:3 Property fromat is not allowed.']],
    ['a missing key', `${FILE}${LOGGER}`, ['3:1 Missing property "path".']],
    [
      'a wrong type',
      `${FILE}  path: a.csv\n  page_bytes: many\n${LOGGER}`,
      ['7:15 Incorrect type. Expected "integer".'],
    ],
    [
      'a word that is not one of those',
      `${FILE}  path: a.csv\n  on_invalid: ignore\n${LOGGER}`,
      ['7:15 Value is not accepted. Valid values: "fail", "skip", "dead_letter".'],
    ],
    [
      'a stream that the source does not have, though another has it',
      `name: x\nsource:\n  name: dummy\n  stream: users\n${LOGGER}`,
      ['5:11 Value is not accepted. Valid values: "creatures", "plants", "generator".'],
    ],
    [
      'a key beside config that belongs in it',
      `${FILE}  path: a.csv\n${LOGGER}  metadata: none\n`,
      ['9:3 Property metadata is not allowed.'],
    ],
    [
      'a column without a type',
      `${FILE}  path: a.csv\n${LOGGER}  config:\n    record_schemas: [{destination_id: a, record_schema: [{name: b}]}]\n`,
      ['10:58 Missing property "type".'],
    ],
  ])('%s', async (_, text, expected) => {
    expect(await complaints(text)).toEqual(expected)
  })

  test('a connector that there is not: with all there are', async () => {
    const [only = '', ...more] = await complaints(`name: x\nsource:\n  name: fiel\n  stream: a\n  path: b\n${LOGGER}`)
    expect(more).toEqual([])
    for (const { kind, name } of connectors) if (kind === 'source') expect(only).toContain(`"${name}"`)
  })

  test.each([
    ['numbers and booleans as text', '  path: a\n  page_bytes: "10"\n  reset: yes\n'],
    ['references, also in a text', '  path: ${env://DIR}/a.csv\n  page_bytes: env://SIZE\n  sync_mode: gsm://mode\n'],
    ['a key without a value', '  path: a\n  sync_mode:\n  page_bytes: ~\n'],
  ])('not: %s', async (_, keys) => {
    expect(await complaints(`${FILE}${keys}${LOGGER}`)).toEqual([])
  })
})
