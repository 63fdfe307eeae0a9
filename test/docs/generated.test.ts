// Everything in docs/ that is written by the program itself is as the program would write it now.
// `npm run docs` writes it.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { pipelineJsonSchema } from '../../lib/config/json-schema.ts'
import { committed, expectRecorded } from '../support/recorded.ts'
import { CHECKOUT } from '../support/sandbox.ts'
import { cliPage, everyHelp, type Help, summaryOf } from './cli-page.ts'
import { configPage, EXAMPLES } from './config-page.ts'
import { connectorPage, everyConnector, exampleOf, indexPage, pageOf } from './connector-pages.ts'
import { SCHEMA_LINE } from './page.ts'
import { problemsOf } from './verdicts.ts'

const connectors = await everyConnector()
const examples = (await readdir(join(CHECKOUT, 'examples'))).filter((name) => name.endsWith('.yml'))
const PAGES = ['docs/config.md', 'docs/cli.md', 'docs/connectors/README.md', ...connectors.map(pageOf)]

describe('what is generated is up to date', () => {
  test('docs/bizon.schema.json', async () => {
    await expectRecorded('docs/bizon.schema.json', `${JSON.stringify(await pipelineJsonSchema(), null, 2)}\n`)
  })

  test('docs/config.md', async () => {
    await expectRecorded('docs/config.md', configPage())
  })

  test('docs/cli.md', async () => {
    await expectRecorded('docs/cli.md', cliPage(await everyHelp()))
  })

  test('docs/connectors/README.md', async () => {
    await expectRecorded('docs/connectors/README.md', indexPage(connectors))
  })

  test.each(connectors)('the page of $kind $name', async (connector) => {
    const page = pageOf(connector)
    await expectRecorded(page, connectorPage(connector, await committed(page)))
  })

  test.each(examples)('the first line of examples/%s, which tells an editor where the schema is', async (name) => {
    const text = await committed(`examples/${name}`)
    await expectRecorded(`examples/${name}`, text.startsWith(SCHEMA_LINE) ? text : `${SCHEMA_LINE}#\n${text}`)
  })

  test('no page is left of a connector that is gone', async () => {
    const pages = await readdir(join(CHECKOUT, 'docs/connectors'))
    const known = ['README.md', ...connectors.map((connector) => pageOf(connector).replace('docs/connectors/', ''))]
    expect(pages.filter((page) => !known.includes(page))).toEqual([])
  })
})

describe('the generated pages', () => {
  test.each(PAGES)('%s: every link to a place on a page leads there', async (page) => {
    const text = await committed(page)
    const links = [...text.matchAll(/\]\(([^)#\s]*)#([^)]+)\)/g)]
    for (const [link, file = '', place = ''] of links) {
      const target = file === '' ? text : await committed(join(page, '..', file))
      expect(placesOf(target), link).toContain(place)
    }
  })
})

const NO_EXAMPLE = 'what the schema says is not enough: add a file to examples/, or examples to its keys with .meta()'

describe('an example', () => {
  test.each(connectors)('of $kind $name is a valid pipeline', async (connector) => {
    expect(await problemsOf(parseYaml(exampleOf(connector))), NO_EXAMPLE).toEqual([])
  })

  test.each(Object.entries(EXAMPLES))('of %s is valid in a pipeline', async (_, text) => {
    const whole = {
      name: 'example',
      source: { name: 'dummy', stream: 'creatures' },
      destination: { name: 'logger' },
      ...parseYaml(text),
    }
    expect(await problemsOf(whole)).toEqual([])
  })
})

describe('every command', () => {
  let help: readonly Help[]
  beforeAll(async () => {
    help = await everyHelp()
  })

  test('says in one sentence what it does', () => {
    expect(help.length).toBeGreaterThan(9)
    for (const { command, text } of help) expect(summaryOf(text), command).toMatch(/^[A-Z].*[.;]/)
  })

  test('shows an example that names it', () => {
    for (const { command, text, isGroup } of help) {
      const [, examples = ''] = text.split('\nExamples:\n')
      if (!text.includes('Not available')) expect(examples, command).toContain(isGroup ? `${command} ` : command)
    }
  })

  test('explains every argument and option', () => {
    for (const { command, text } of help) {
      const listed = [...text.matchAll(/^ {2}(-[\w-]+|<\w+>|\w+)[^\n]*\n/gm)]
      const bare = listed.map(([line]) => line).filter((line) => /^ {2}\S+(?: <\w+>)?\s*$/.test(line))
      expect(bare, command).toEqual([])
    }
  })
})

/** The anchors of a page: those it sets itself, and those that GitHub makes of its headings. */
function placesOf(text: string): string[] {
  const set = [...text.matchAll(/<a id="([^"]+)">/g)].map((match) => String(match[1]))
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map((match) => String(match[1]))
  return [
    ...set,
    ...headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    ),
  ]
}
