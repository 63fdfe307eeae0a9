// What the docs tell a reader to type is typed here, in a throw-away copy; what they show is compared with the program.

import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { GENERATED } from './docs/page.ts'
import { CHECKOUT, QUICK_NPX, Sandbox } from './support/sandbox.ts'
import { freePort } from './support/services/ports.ts'

const docs = (await readdir(join(CHECKOUT, 'docs'), { recursive: true }))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`)
  .sort()
const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'examples/data/README.md', ...docs]
const texts = new Map<string, string>()
for (const page of pages) texts.set(page, await readFile(join(CHECKOUT, page), 'utf8'))
/** The YAML of generated pages is tested beside what generates them: it needs no files and no network there. */
const written = ['README.md', ...docs].filter((page) => !texts.get(page)?.startsWith(GENERATED))
const manifest = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'))

interface Block {
  readonly language: string
  readonly text: string
  /** Named by a comment before the block: the reader writes the block into this file. */
  readonly file: string | undefined
}

const FENCE = /(?:^<!-- file: (\S+) -->\n)?^```(\w+)\n(.*?)^```$/gms

/** Every fenced block, in order. */
function allBlocks(page: string): Block[] {
  return [...(texts.get(page) ?? '').matchAll(FENCE)].map(([, file, language = '', text = '']) => ({
    language,
    text,
    file,
  }))
}

/** The blocks of a language that are no files, in order. */
function blocks(page: string, language: string): string[] {
  return allBlocks(page).flatMap((block) => (block.language === language && !block.file ? [block.text] : []))
}

/** A command that only works in a checkout with a network, and so is not run again inside the tests. */
function npmPart(command: string): string | undefined {
  return /^npm (ci|test|run (\S+))/.exec(command)?.[0]
}

describe('the README', () => {
  test('begins with a run line and a test line, and CI runs that test line', async () => {
    const [run, testLine] = blocks('README.md', 'sh').map((block) => block.trim())
    expect(run).toBe('npm ci && npm run build && npx bizon run examples/weather.yml')
    expect(testLine).toBe('npm ci && npm test')
    const ci = await readFile(join(CHECKOUT, '.ci/run'), 'utf8')
    expect(ci.split('\n').map((line) => line.trim())).toContain(testLine)
  })

  test('shows the pipeline that its run line runs', async () => {
    const [shown = ''] = blocks('README.md', 'yaml')
    const file = parseYaml(await readFile(join(CHECKOUT, 'examples/weather.yml'), 'utf8'))
    const { sync_mode, ...source } = file.source
    expect(sync_mode).toBe('full_refresh')
    expect(parseYaml(shown)).toEqual({ ...file, source })
  })
})

/** Which is not there, as the broker is not. */
const ONE_FOR_MANY_LOADERS = { name: 'postgres', config: { url: 'postgresql://loader@127.0.0.1:1/warehouse' } }

describe('the pages', () => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await Sandbox.create()
  })
  afterAll(() => sandbox.remove())

  test.each(['README.md', ...docs])('%s: every command works, in the order given', async (page) => {
    // Pages that start a server write 8099.
    const port = String(await freePort())
    const own = (text: string): string => text.replaceAll('8099', port)
    try {
      for (const { language, text, file } of allBlocks(page)) {
        if (file) await writeFile(sandbox.path(file), own(text))
        if (file || language !== 'sh') continue
        const commands = own(text)
          .split(/\n|&&/)
          .map((command) => command.trim())
        const script = commands.filter((command) => !npmPart(command)).join('\n')
        const finished = await sandbox.run(`${QUICK_NPX}\n${script}`)
        expect(finished, text).toMatchObject({ code: 0 })
      }
    } finally {
      // What the page started is ended by the page, unless it failed half way.
      await sandbox.run('if [ -f api.pid ]; then kill "$(cat api.pid)" 2> /dev/null || true; rm api.pid; fi')
    }
  })

  test.each(['README.md', ...docs])('%s: every script runs', async (page) => {
    for (const [index, block] of blocks(page, 'js').entries()) {
      await writeFile(sandbox.path(`block-${index}.mjs`), block)
      const finished = await sandbox.run(`node block-${index}.mjs`)
      expect(finished, block).toMatchObject({ code: 0 })
    }
  })

  test.each(written)('%s: every piece of YAML is valid in a pipeline', async (page) => {
    const whole = parseYaml(await readFile(join(CHECKOUT, 'examples/weather.yml'), 'utf8'))
    for (const [index, block] of blocks(page, 'yaml').entries()) {
      const shared = block.includes('partitions:') && { destination: ONE_FOR_MANY_LOADERS }
      await writeFile(sandbox.path(`block-${index}.yml`), JSON.stringify({ ...whole, ...shared, ...parseYaml(block) }))
      const { code, stdout } = await sandbox.run(`${QUICK_NPX}\nnpx bizon check block-${index}.yml`)
      expect(stdout, block).toContain(`ok  block-${index}.yml is valid`)
      // A broker of a page is not there.
      if (!/type: (?:kafka|rabbitmq)$/m.test(block)) expect(code, block).toBe(0)
    }
  })

  test.each(pages)('%s: every npm script that is named exists', (page) => {
    const named = [...(texts.get(page) ?? '').matchAll(/npm run ([\w:]+)/g)].map((match) => match[1])
    expect(named.filter((script) => !(String(script) in manifest.scripts))).toEqual([])
    expect(existsSync(join(CHECKOUT, 'package-lock.json'))).toBe(true)
  })

  test.each(pages)('%s: every link to a file leads somewhere', (page) => {
    const links = [...(texts.get(page) ?? '').matchAll(/\]\(([^)#]+)[^)]*\)/g)].map((match) => String(match[1]))
    const missing = links.filter((link) => !/^https?:/.test(link) && !existsSync(join(CHECKOUT, dirname(page), link)))
    expect(missing).toEqual([])
  })
})
