// bizon run --runner process: the source in a child. What becomes of the child arrives as one message, and nothing of
// it is left behind.

import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CHECKOUT, runIn } from '../support/sandbox.ts'

const BIZON = `node ${join(CHECKOUT, 'dist/bin/bizon.js')}`
const OUTPUT = 'out/records.json'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-process-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const pipeline = (source: object): string =>
  JSON.stringify({
    name: 'p',
    source,
    destination: { name: 'file', config: { destination_id: 'out/records', metadata: 'none', buffer_size: 0 } },
    engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
  })
const generator = { name: 'dummy', stream: 'generator', records: 500, page_size: 50 }

/** A source that gives a page and then does what `then` says. */
const custom = (then: string): string => `
import { defineSource, z } from 'bizon'
export default defineSource({
  summary: 'One page.',
  config: z.object({}),
  streams: () => [{ name: 's' }],
  create: () => ({
    async *read(from, signal) {
      yield { records: [{ id: '1', data: { n: 1 } }], next: { after: 1 } }
      ${then}
    },
  }),
})
`

/** Processes that were started for this test. */
async function left(): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
    if (environment.includes(`MARK=${folder}\0`)) found.push(pid)
  }
  return found
}

test('gives the bytes that the runner thread gives, and goes on with a run that it began', async () => {
  await writeFile(join(folder, 'pipeline.yml'), pipeline(generator))
  await writeFile(join(folder, 'some.yml'), pipeline({ ...generator, max_iterations: 4 }))
  const whole = await runIn(folder, `${BIZON} run pipeline.yml --quiet && mv out whole && rm state.sqlite3`)
  expect(whole, whole.stderr).toMatchObject({ code: 0 })
  const two = await runIn(
    folder,
    `${BIZON} run some.yml --quiet && ${BIZON} run pipeline.yml --runner process && cmp whole/records.json ${OUTPUT}`,
  )
  expect(two, two.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('Went on after record 200') })
})

test('transforms of the file are done once', async () => {
  await writeFile(join(folder, 'rows.ndjson'), '{"n":1}\n{"n":2}\n')
  const config = JSON.parse(pipeline({ name: 'file', stream: 's', path: 'rows.ndjson' }))
  config.transforms = [{ label: 'more', javascript: 'data.n += 1; return data' }]
  await writeFile(join(folder, 'pipeline.yml'), JSON.stringify(config))
  const finished = await runIn(folder, `${BIZON} run pipeline.yml --runner process --quiet && cat ${OUTPUT}`)
  expect(finished, finished.stderr).toMatchObject({ code: 0, stdout: '{"n":2}\n{"n":3}\n' })
})

test.each([
  ['throws', "throw new Error('no more today')", /^Error: source\.mjs:\d+: no more today\n$/],
  [
    'is killed',
    "process.kill(process.pid, 'SIGKILL')\n      await new Promise(() => {})",
    /^Error: the process that reads the source was killed by SIGKILL; perhaps there was too little memory\n$/,
  ],
  ['leaves', 'process.exit(7)', /^Error: the process that reads the source ended with exit code 7\n$/],
  ['just stops', '', /^Error: source s stopped without a last page.*\nTry: .*\n$/],
])('a source that %s is told of once, and nothing is published', async (_what, then, said) => {
  await writeFile(join(folder, 'source.mjs'), custom(then))
  await writeFile(join(folder, 'pipeline.yml'), pipeline({ name: 's', stream: 's', source_file_path: 'source.mjs' }))
  const { code, stderr } = await runIn(folder, `${BIZON} run pipeline.yml --runner process --quiet`)
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(said) })
  expect(await readdir(join(folder, 'out'))).not.toContain('records.json')
})

test.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)('%s to the parent alone ends both, and the next run goes on', async (signal, expected) => {
  await writeFile(join(folder, 'pipeline.yml'), pipeline({ ...generator, records: 2000, sleep: 0.02 }))
  const child = spawn(
    'node',
    [join(CHECKOUT, 'dist/bin/bizon.js'), 'run', 'pipeline.yml', '--runner', 'process', '-q'],
    {
      cwd: folder,
      env: { ...process.env, MARK: folder },
      stdio: 'ignore',
      detached: true,
    },
  )
  const ended = new Promise<number | null>((done) => child.once('close', done))
  const staging = async (): Promise<boolean> => (await readdir(join(folder, 'out')).catch(() => [])).length > 1
  while (!(await staging())) await sleep(20)
  await sleep(150)
  child.kill(signal)
  expect(await ended).toBe(expected)
  expect(await left()).toEqual([])
  const next = await runIn(folder, `${BIZON} run pipeline.yml --runner process --quiet; jq -s length ${OUTPUT}`)
  expect(next, next.stderr).toMatchObject({ code: 0, stdout: '2000\n' })
})

test('a config that came from no file has nothing for a second process to read', async () => {
  await writeFile(
    join(folder, 'script.mjs'),
    `import { loadConfig, runPipeline } from ${JSON.stringify(join(CHECKOUT, 'dist/lib/index.js'))}
const config = await loadConfig(${pipeline(generator)}, ['source', 'destination'], { runner: 'process' })
await runPipeline(config).catch((error) => console.log(error.message))
`,
  )
  const { stdout } = await runIn(folder, 'node script.mjs')
  expect(stdout).toBe('the runner process reads the pipeline file once more, and there is none\n')
})
