import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { everyHelp } from '../docs/cli-page.ts'
import { Sandbox } from '../support/sandbox.ts'

const COMMANDS = (await everyHelp()).filter(({ command }) => /^bizon( |$)/.test(command)).map(({ command }) => command)

describe('the examples of each help run as they stand', () => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await Sandbox.create()
    // What examples/incremental.yml asks its reader to do first.
    await sandbox.run('mkdir -p output/incoming && cp examples/data/events.ndjson output/incoming/day-1.ndjson')
  })
  afterAll(() => sandbox.remove())
  const run = (script: string) => sandbox.run(`bizon() { '${process.execPath}' dist/bin/bizon.js "$@"; }\n${script}`)

  test.for(COMMANDS)('%s --help', async (command) => {
    const help = await run(`${command} --help`)
    const [, examples = ''] = help.stdout.split('\nExamples:\n')
    expect(examples.trim()).not.toBe('')
    expect(await run(examples)).toMatchObject({ code: 0 })
  })
})

test('--help loads none of the packages that only a run needs', async () => {
  const { metafile } = await build({
    entryPoints: [fileURLToPath(new URL('../../bin/bizon.ts', import.meta.url))],
    outdir: 'unused',
    write: false,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    external: ['better-sqlite3'],
    metafile: true,
    logLevel: 'error',
  } satisfies BuildOptions)
  const { outputs } = metafile
  const reached = new Set(Object.keys(outputs).filter((name) => outputs[name]?.entryPoint === 'bin/bizon.ts'))
  for (const name of reached) {
    for (const { path, kind } of outputs[name]?.imports ?? []) if (kind === 'import-statement') reached.add(path)
  }
  const inputs = [...reached].flatMap((name) => Object.keys(outputs[name]?.inputs ?? {}))
  const packages = inputs.map((input) => /node_modules\/([^/]+)/.exec(input)?.[1]).filter((name) => name !== undefined)
  expect([...new Set(packages)]).toEqual(['commander'])
})
