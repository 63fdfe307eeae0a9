// No secret is shown: a canary stands behind every reference of a pipeline, real commands run, well and badly, and
// everything that they printed or left on disk is searched for it.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { FaultServer } from '../support/fault-server.ts'
import { CHECKOUT, runIn } from '../support/sandbox.ts'

const CANARY = 'canary-7f"3\\e9-tweet'
const MARKS = [CANARY, JSON.stringify(CANARY).slice(1, -1), encodeURIComponent(CANARY), 'canary-7f', btoa(CANARY)]
/** What holds the canary because the test put it there. */
const INPUT = new Set(['token.txt'])

let api: FaultServer
let folder: string
beforeAll(async () => {
  api = await FaultServer.start()
  api.on('/good', { json: { items: [{ id: 1 }, { id: 2 }] } })
  const echo = ({ headers, query }: { headers: unknown; query: unknown }) => JSON.stringify({ headers, query })
  api.on('/denied', (asked) => ({ status: 403, json: { message: `not with ${echo(asked)}` } }))
  api.on('/broken', (asked) => ({ body: `<p>${echo(asked)}` }))
  api.on('/elsewhere', (asked) => ({ json: { items: `${echo(asked)}` } }))
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-canary-'))
  await writeFile(join(folder, 'token.txt'), `${CANARY}\n`)
  return () => rm(folder, { recursive: true, force: true })
})
afterAll(() => api.close())

const pipeline = (path: string, more = ''): string => `
name: pipeline
source:
  name: rest
  stream: things
  base_url: ${api.url}
  api_config: {retry_limit: 1}
  authentication:
    type: api_key
    params: {token: 'file://token.txt', auth_method: '', auth_header: X-Key}
  headers: {X-Inline: 'key \${env://CANARY}', X-Legacy: BIZON_ENV_CANARY}
  endpoints:
    things:
      path: ${path}
      records: items
      params: {key: env://CANARY, list: [env://CANARY, plain]}
transforms:
  - label: label \${env://CANARY}
    javascript: ${more.includes('throw') ? 'throw new Error("no")' : 'return data'}
destination:
  name: file
  config: {destination_id: out/things, metadata: none}
alerting:
  type: slack
  config: {webhook_url: env://CANARY}
monitoring:
  type: datadog
  config: {datadog_agent_host: env://CANARY, tags: {tag: env://CANARY}}
${more.replace('throw', '')}`

/** Runs it, and finds the canary in what it printed and left. */
async function leaks(text: string, command: string): Promise<{ found: string[]; code: number | null; shown: string }> {
  await writeFile(join(folder, 'pipeline.yml'), text)
  const bizon = `bizon() { node ${join(CHECKOUT, 'dist/bin/bizon.js')} "$@"; }`
  const secret = 'export CANARY=$(cat token.txt); export BIZON_ENV_CANARY=$CANARY'
  const { code, stdout, stderr } = await runIn(folder, `${bizon}\n${secret}\n${command}`)
  const places = new Map([
    ['stdout', stdout],
    ['stderr', stderr],
  ])
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || INPUT.has(entry.name)) continue
    places.set(path.slice(folder.length + 1), `${path}\n${await readFile(path, 'latin1')}`)
  }
  const found = [...places].filter(([, held]) => MARKS.some((mark) => held.includes(mark))).map(([place]) => place)
  return { found, code, shown: stdout + stderr }
}

const TRACE = '--log-level TRACE --log-format json'
test.each([
  ['a run that works', '/good', '', `bizon run pipeline.yml ${TRACE} --record tape`, 0],
  ['a run that is refused', '/denied', '', `bizon run pipeline.yml ${TRACE} --record tape`, 1],
  ['an answer that is not JSON', '/broken', '', `bizon run pipeline.yml ${TRACE}`, 1],
  ['an answer of another shape', '/elsewhere', '', `bizon run pipeline.yml ${TRACE}`, 1],
  ['a transform that fails', '/good', 'throw', `bizon run pipeline.yml ${TRACE}`, 1],
  ['a check', '/good', '', 'bizon check pipeline.yml', 0],
  ['a check with a sample', '/good', '', 'bizon check pipeline.yml --sample 1', 0],
  ['a check that is refused', '/denied', '', 'bizon check pipeline.yml --sample 1', 1],
  ['secrets check', '/good', '', 'bizon secrets check pipeline.yml', 0],
  ['explain', '/good', '', 'bizon run pipeline.yml --explain', 0],
  ['a transform on trial', '/good', '', `echo '{"id":1}' | bizon transform try pipeline.yml`, 0],
  ['a stream reset that is refused', '/good', '', 'bizon run pipeline.yml\nbizon stream reset pipeline.yml', 2],
  ['a wrong choice', '/good', 'engine: {runner: {type: env://CANARY}}', 'bizon run pipeline.yml', 2],
  [
    'a wrong number',
    '/good',
    'engine: {queue: {type: python_queue, config: {max_nb_messages: env://CANARY}}}',
    'bizon run pipeline.yml',
    2,
  ],
  ['a list with a wrong item', '/good', 'streams: [env://CANARY]', 'bizon run pipeline.yml', 2],
])('%s shows nothing', async (_title, path, more, command, code) => {
  const finished = await leaks(pipeline(path, more), command)
  expect(finished, finished.shown).toMatchObject({ found: [], code })
})

test('a canary that is printed, or left in a file, is found', async () => {
  const finished = await leaks(
    pipeline('/good'),
    'echo "$CANARY"\nmkdir deep\necho "x $CANARY" > deep/log\necho "$CANARY" >&2',
  )
  expect(finished.found.sort()).toEqual(['deep/log', 'stderr', 'stdout'])
})
