// Files of one's own, loaded by the built program: Node itself must import them, and 'bizon' in them must be that program.

import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHECKOUT, runIn } from '../support/sandbox.ts'

const source = (body: string, imports = "import { BizonError, defineSource, RawJson, z } from 'bizon'"): string => `
${imports}
export default defineSource({
  summary: 'S.',
  config: z.strictObject({ page_size: z.number().int().min(1).default(3), kind: z.enum(['small', 'large']).optional() }),
  ${body}
})
`
const reading = (body: string): string =>
  source(`streams: () => [{ name: 'orders' }], create: () => ({ async *read() { ${body} } })`)
const works = reading("yield { records: [{ id: '1', data: RawJson.from('{}') }, { id: '2', data: {} }], next: null }")

const FILES: Readonly<Record<string, string>> = {
  'works.mjs': works,
  'works.js': works, // in a folder whose package.json says that it is a module
  'once.mjs': `globalThis.evaluated = (globalThis.evaluated ?? 0) + 1\n${works}`,
  'typed.ts': works.replace('async *read()', 'async *read(from: unknown, signal: AbortSignal): AsyncGenerator<any>'),
  'own-zod.mjs': source(
    "streams: () => [{ name: 'orders' }], create: () => ({ async *read() {} })",
    "import { defineSource } from 'bizon'\nimport * as z from 'zod'",
  ),
  'named.mjs': source('streams: (config) => [{ name: config.kind }], create: () => ({ async *read() {} })'),
  'words.mjs': source("streams: () => ['orders'], create: () => ({ async *read() {} })"),
  'methodless.mjs': source("streams: () => [{ name: 'orders' }], create: () => ({ reads() {} })"),
  'throws.mjs': reading("\n\n    throw new TypeError('oops')"),
  'refuses.mjs': reading("throw new BizonError('locked', 'busy', { hint: 'wait' })"),
  'failing.mjs': 'const settings = undefined\n\nexport default settings.a\n',
  'failing-text.mjs': "throw 'just text'\n",
  'failing-clear.mjs':
    "import { BizonError } from 'bizon'\nthrow new BizonError('source', 'no key', { hint: 'set KEY' })\n",
  'syntax.mjs': 'const a = {\n  b: 1\n  c: 2\n}\n',
  'imports-syntax.mjs': "import './syntax.mjs'\n",
  'imports-missing.mjs': "import 'no-such-package-here'\n",
  'imports-missing-file.mjs': "import './nowhere.mjs'\n",
  'imports-name.mjs': "import { defineSauce } from 'bizon'\n",
  'nothing.mjs': 'export const source = 1\n',
  'number.mjs': 'export default 1\n',
  'text.txt': 'x',
  none: 'x',
  'old.py': 'class Source: pass\n',
}

/** Loads a config with each custom file, and reads it: in one process, which prints what came of each. */
const LOADER = `
import { BizonError, extract, loadConfig } from 'bizon'
const results = {}
for (const [name, keys] of JSON.parse(process.argv[2])) {
  try {
    const config = await loadConfig({ name: 'p', source: { name: 'mine', stream: 'orders', ...keys } }, ['source'])
    const records = []
    for await (const page of extract(config)) records.push(...page.records.map((record) => record.id))
    results[name] = records
  } catch (error) {
    const { code, message, hint } = error
    results[name] = { code, message: message.replaceAll(process.cwd(), '<cwd>'), hint, ours: error instanceof BizonError }
  }
}
console.log(JSON.stringify({ results, evaluated: globalThis.evaluated }))
`

describe('a custom source', () => {
  let folder: string
  let printed: { results: Record<string, unknown>; evaluated: number }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bizon-custom-'))
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    for (const [name, text] of Object.entries(FILES)) await writeFile(join(folder, name), text)
    await mkdir(join(folder, 'folder.mjs'))
    // A zod of the user's own, which is not the one inside bizon.
    await mkdir(join(folder, 'node_modules'))
    await cp(join(CHECKOUT, 'node_modules/zod'), join(folder, 'node_modules/zod'), { recursive: true })
    // The script that uses bizon has it installed; the custom files have not.
    const script = join(folder, 'app/loader.mjs')
    await mkdir(join(dirname(script), 'node_modules'), { recursive: true })
    await symlink(CHECKOUT, join(dirname(script), 'node_modules/bizon'))
    await writeFile(script, LOADER)
    const file = (path: string, keys: object = {}): [string, object] => [path, { source_file_path: path, ...keys }]
    const cases = [
      ...[...Object.keys(FILES), 'folder.mjs', 'missing.mjs', './works.mjs'].map((path) => file(path)),
      ['once more', { source_file_path: 'once.mjs' }],
      ['wrong keys', { source_file_path: 'works.mjs', page_siz: 1, kind: 'lage' }],
      ['wrong keys, own zod', { source_file_path: 'own-zod.mjs', page_siz: 1, kind: 'lage' }],
      ['kept strict, own zod', { source_file_path: 'own-zod.mjs', page_size: '0' }],
      ['unknown stream', { source_file_path: 'works.mjs', stream: 'order' }],
      ['streams of the config', { source_file_path: 'named.mjs', kind: 'small', stream: 'small' }],
      ['invalid config', { source_file_path: 'named.mjs', page_size: 0 }],
    ]
    const finished = await runIn(folder, `node app/loader.mjs '${JSON.stringify(cases).replaceAll("'", `'\\''`)}'`)
    expect(finished).toMatchObject({ code: 0 })
    printed = JSON.parse(finished.stdout)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test.each(['works.mjs', 'works.js', './works.mjs', 'once.mjs'])('%s is read, whatever its name', (path) => {
    expect(printed.results[path]).toEqual(['1', '2'])
  })

  test('is evaluated once, however often it is loaded', () => {
    expect(printed.results['once more']).toEqual(['1', '2'])
    expect(printed.evaluated).toBe(1)
  })

  test('may be TypeScript where Node runs it; else that is said', () => {
    const runs = Boolean((process.features as { typescript?: unknown }).typescript)
    expect(printed.results['typed.ts']).toEqual(
      runs
        ? ['1', '2']
        : {
            code: 'config',
            message: `<config> source.source_file_path: typed.ts: this Node (${process.version}) does not run TypeScript`,
            hint: expect.stringContaining('Node 22.18 or later'),
            ours: true,
          },
    )
  })

  test('a zod of its own gives the same messages', () => {
    const expected = [
      '<config> source.page_siz: unknown key; did you mean "page_size"?',
      '<config> source.kind: expected one of small, large, got "lage"; did you mean "large"?',
    ]
    expect((printed.results['wrong keys'] as { message: string }).message.split('\n').sort()).toEqual(expected.sort())
    expect(printed.results['wrong keys, own zod']).toEqual(printed.results['wrong keys'])
    expect(printed.results['kept strict, own zod']).toMatchObject({
      message: '<config> source.page_size: expected an integer of 1 or more, got 0',
    })
  })

  test('may name its streams by its config', () => {
    expect(printed.results['streams of the config']).toMatchObject({ code: 'incomplete' })
    expect(printed.results['invalid config']).toMatchObject({
      message: '<config> source.page_size: expected an integer of 1 or more, got 0',
    })
  })

  const key = '<config> source.source_file_path: '
  test.each<[string, string, string?]>([
    ['failing.mjs', 'failing.mjs:3: it failed while it was loaded: TypeError: Cannot read properties of undefined'],
    ['failing-text.mjs', 'failing-text.mjs: it failed while it was loaded: just text'],
    ['failing-clear.mjs', 'failing-clear.mjs:2: no key', 'set KEY'],
    ['syntax.mjs', 'syntax.mjs:3: Unexpected identifier'],
    ['imports-syntax.mjs', 'imports-syntax.mjs: Unexpected identifier'],
    [
      'imports-missing.mjs',
      "imports-missing.mjs: Cannot find package 'no-such-package-here'",
      'npm install no-such-pa',
    ],
    ['imports-missing-file.mjs', "imports-missing-file.mjs: Cannot find module '<cwd>/nowhere.mjs'"],
    ['imports-name.mjs', "imports-name.mjs:1: The requested module 'bizon' does not provide an export named"],
    ['nothing.mjs', 'nothing.mjs: it has no default export', 'bizon new source NAME'],
    [
      'number.mjs',
      'number.mjs: its default export is a number where the result of defineSource',
      'bizon new source NAME',
    ],
    ['words.mjs', "words.mjs: streams() gave a list with a string where a list of { name: 'orders', … } was expected"],
    ['text.txt', 'text.txt ends in .txt; a custom source ends in .mjs, .js, .ts, .mts'],
    ['none', 'none has no extension; a custom source ends in'],
    [
      'old.py',
      'old.py: a custom source is JavaScript or TypeScript here; see docs/writing-a-source.md',
      'bizon new sou',
    ],
    ['folder.mjs', 'folder.mjs is a folder; a file is needed'],
    ['missing.mjs', 'missing.mjs: no such file'],
  ])('%s is refused', (path, message, hint) => {
    expect(printed.results[path]).toMatchObject({ code: 'config', message: expect.stringContaining(key + message) })
    if (hint !== undefined) expect(printed.results[path]).toMatchObject({ hint: expect.stringContaining(hint) })
  })

  test('an unknown stream says how to see them', () => {
    expect(printed.results['unknown stream']).toMatchObject({
      message: '<config> source.stream: unknown stream "order" of mine; did you mean "orders"?',
      hint: 'bizon stream list --custom-source works.mjs',
    })
  })

  test('what fails while it reads is told with its place', () => {
    expect(printed.results['throws.mjs']).toMatchObject({
      code: 'source',
      message: expect.stringMatching(/^throws\.mjs:\d+: TypeError: oops$/),
    })
    expect(printed.results['methodless.mjs']).toMatchObject({
      code: 'source',
      message: 'methodless.mjs: create() returned an object without read()',
    })
  })

  test('its errors are those of the program', () => {
    expect(printed.results['refuses.mjs']).toEqual({ code: 'locked', message: 'busy', hint: 'wait', ours: true })
  })
})
