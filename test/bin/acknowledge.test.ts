// The way back of a pipe: the source is told what the loader has made durable, whichever way that is said.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CHECKOUT } from '../support/sandbox.ts'
import { addPrograms, type Line, startLine } from '../support/shell.ts'

const PAGES = 12
let folder: string
let running: Line[] = []

/**
 * A queue, as it were: a page every 100 ms. Of each acknowledgement it notes how many rows the output had then. Where
 * `stalls` is set, the page behind the last one never comes.
 */
const QUEUE = `
import { appendFileSync, readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { defineSource, z } from 'bizon'

const rows = () => {
  try {
    return readFileSync('out/jobs.json', 'utf8').split('\\n').length - 1
  } catch {
    return 0
  }
}
export default defineSource({
  summary: 'A queue.',
  config: z.strictObject({ pages: z.number(), stalls: z.boolean().default(false) }),
  streams: () => [{ name: '*', resumable: true }],
  create: ({ pages, stalls }) => ({
    async *read({ position }, signal) {
      for (let page = position?.page ?? 0; page < pages && !signal.aborted; page++) {
        yield { records: [{ id: String(page), data: { page } }], next: { page: page + 1 } }
        await wait(100)
      }
      while (stalls && !signal.aborted) await wait(50)
    },
    async acknowledge({ page }) {
      appendFileSync('acknowledged', JSON.stringify({ page, rows: rows() }) + '\\n')
    },
  }),
})
`

const pipelineFile = (source: object): string =>
  JSON.stringify({
    name: 'queue',
    source: { name: 'queue', stream: 'jobs', source_file_path: 'queue.mjs', sync_mode: 'stream', ...source },
    destination: {
      name: 'file',
      config: { destination_id: 'out/jobs', metadata: 'none', buffer_size: 0 },
    },
    engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
  })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-acknowledge-'))
  await addPrograms(folder)
  await writeFile(join(folder, 'queue.mjs'), QUEUE)
  await writeFile(join(folder, 'p.yml'), pipelineFile({ pages: PAGES }))
  await writeFile(join(folder, 'stalls.yml'), pipelineFile({ pages: PAGES, stalls: true }))
})
afterEach(async () => {
  for (const line of running) line.kill()
  running = []
  await rm(folder, { recursive: true, force: true })
})

function start(script: string): Line {
  const line = startLine(folder, script)
  running.push(line)
  return line
}

interface Acknowledged {
  readonly page: number
  readonly rows: number
}

async function acknowledged(): Promise<Acknowledged[]> {
  const text = await readFile(join(folder, 'acknowledged'), 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Acknowledged)
}

/** In order, never before the rows are there, and the last page in the end. */
async function expectAcknowledged(last: number): Promise<void> {
  const all = await acknowledged()
  const pages = all.map(({ page }) => page)
  expect(pages).toEqual([...new Set(pages)].sort((a, b) => a - b))
  expect(all.filter(({ page, rows }) => rows < page)).toEqual([])
  expect(pages.at(-1)).toBe(last)
}

const PIPE = 'bizon-extract p.yml --quiet'
const LOAD = 'bizon-load p.yml --quiet'
const BIZON = `node ${join(CHECKOUT, 'dist/bin/bizon.js')}`

test.each([
  ['in one process', `${BIZON} run p.yml --quiet`],
  ['by the state store', `${PIPE} | ${LOAD} > /dev/null`],
  ['by a FIFO', `mkfifo acks; ${PIPE} --ack acks | ${LOAD} > acks`],
  ['by a file that grows', `${PIPE} --ack acks | ${LOAD} > acks`],
  ['by standard input', `mkfifo acks; ${PIPE} --ack - < acks | ${LOAD} > acks`],
  ['of Airbyte messages', `mkfifo acks; ${PIPE} --format airbyte --ack acks | ${LOAD} > acks`],
  ['of the runner process', `${BIZON} run p.yml --quiet --runner process`],
])('%s the source learns what is durable, and not before', async (_how, script) => {
  const { codes, stderr } = await start(script).ended
  expect({ codes: codes.filter((code) => code !== 0), stderr }, stderr).toEqual({
    // A run of mode stream is at its end only when it is told to stop: what it gave is loaded all the same.
    codes: [],
    stderr: '',
  })
  await expectAcknowledged(PAGES)
})

test.each([
  ['in one process', `${BIZON} run ends.yml --quiet`],
  ['by the state store', `bizon-extract ends.yml --quiet | bizon-load ends.yml --quiet > /dev/null`],
  ['by a FIFO', `mkfifo acks; bizon-extract ends.yml --quiet --ack acks | bizon-load ends.yml --quiet > acks`],
  ['of the runner process', `${BIZON} run ends.yml --quiet --runner process`],
])('%s a source with an end is told the last place it gave', async (_how, script) => {
  const source = { name: 'queue', stream: 'jobs', source_file_path: 'ends.mjs', sync_mode: 'full_refresh', pages: 3 }
  // Checkpoints are far apart, and all is read before anybody looks.
  const engine = { backend: { type: 'sqlite', config: { database: 'state', schema: '' } } }
  await writeFile(join(folder, 'ends.yml'), JSON.stringify({ ...JSON.parse(pipelineFile(source)), source, engine }))
  const ends = QUEUE.replace('await wait(100)', '').replace(
    'while (stalls',
    'yield { records: [], next: null }\n      while (stalls',
  )
  await writeFile(join(folder, 'ends.mjs'), ends)
  const { codes, stderr } = await start(script).ended
  expect({ codes: codes.filter((code) => code !== 0), stderr }, stderr).toEqual({ codes: [], stderr: '' })
  expect((await acknowledged()).at(-1)).toMatchObject({ page: 3 })
})

test('what was durable when the producer died is told by the next one', async () => {
  const line = start('bizon-extract stalls.yml --quiet | bizon-load p.yml --quiet > said')
  const said = (): Promise<string> => readFile(join(folder, 'said'), 'utf8').catch(() => '')
  while (!(await said()).includes('"page":3,')) await new Promise((done) => setTimeout(done, 20))
  await line.signal('SIGKILL', 'bizon-extract')
  await line.ended
  const before = await acknowledged()
  const held = JSON.parse((await said()).trimEnd().split('\n').at(-1) ?? '').bizon.page as number
  await rm(join(folder, 'acknowledged'), { force: true })
  expect(before.every(({ page }) => page <= held)).toBe(true)
  const next = start('bizon-extract stalls.yml --quiet | bizon-load p.yml --quiet > said')
  while (!(await acknowledged()).some(({ page }) => page === PAGES)) await new Promise((done) => setTimeout(done, 50))
  await next.signal('SIGTERM')
  await next.ended
  await expectAcknowledged(PAGES)
})

test.each(['singer', 'airbyte'])(
  'a source with nothing to give notices that its loader is gone, %s',
  async (format) => {
    const line = start(`bizon-extract stalls.yml --quiet --format ${format} | bizon-load p.yml --quiet > said`)
    while (!(await acknowledged()).some(({ page }) => page === PAGES)) await new Promise((done) => setTimeout(done, 50))
    await new Promise((done) => setTimeout(done, 4000)) // a line or two that say nothing are no harm
    await line.signal('SIGKILL', 'bizon-load')
    expect((await line.ended).codes).toEqual([141, 137])
    await expectAcknowledged(PAGES)
  },
)

test('lines that no loader printed are refused by name', async () => {
  const { codes, stderr } = await start(`echo '{"a": 1}' > acks; ${PIPE} --ack acks > /dev/null`).ended
  expect(codes).toEqual([2])
  expect(stderr).toBe(
    'Error: --ack: acks does not hold a STATE value of bizon\nTry: It is what bizon-load prints; its last line counts.\n',
  )
})

test('lines of another run say nothing of this one', async () => {
  await start(`${PIPE} | ${LOAD} > acks`).ended
  await start('rm -rf out state.sqlite3 .out* acknowledged; true').ended
  const { codes } = await start(`${PIPE} --ack acks > /dev/null`).ended
  expect(codes).toEqual([0])
  expect(await acknowledged()).toEqual([])
})
