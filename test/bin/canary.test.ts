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
  // Repeats a harmless parameter, escaped as a form is, in the link to the next page.
  api.on('/linked', ({ query }) => {
    const page = Number(query.page ?? 0) + 1
    const next = new URLSearchParams({ page: String(page), said: String(query.said) })
    return { json: { items: [{ id: page }], next: page === 3 ? null : `?${next}` } }
  })
  api.on('/elsewhere', (asked) => ({ json: { items: `${echo(asked)}` } }))
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-canary-'))
  await writeFile(join(folder, 'token.txt'), `${CANARY}\n`)
  return () => rm(folder, { recursive: true, force: true })
})
afterAll(() => api.close())

interface Parts {
  /** Of the endpoint. */
  readonly endpoint?: string
  readonly source?: string
  readonly script?: string
  readonly destination?: string
  readonly more?: string
}

const FILE = `
  name: file
  config: {destination_id: out/things, metadata: none}`

const pipeline = (
  path: string,
  { endpoint = '', source = '', script = 'return data', destination = FILE, more = '' }: Parts = {},
): string => `
name: pipeline
source:
  name: rest
  stream: things
  ${source}
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
      params: {key: env://CANARY, said: env://CANARY, list: [env://CANARY, plain]}
      ${endpoint}
transforms:
  - label: label \${env://CANARY}
    ${script.includes('\n') ? script : `javascript: ${script}`}
destination: ${destination}
alerting:
  type: slack
  config: {webhook_url: env://CANARY}
monitoring:
  type: datadog
  config: {datadog_agent_host: env://CANARY, tags: {tag: env://CANARY}}
${more}`

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

const LETTERS = `
    javascript: if (data.id === 1) throw new Error(JSON.stringify(process.env)); return data
    on_error: dead_letter`
const LINKED: Parts = { endpoint: 'pagination: {type: next_link}', source: 'max_iterations: 1' }
const INCREMENTAL: Parts = {
  endpoint: 'id: id\n      incremental: {cursor_field: id, param: since, start_value: 0}',
  source: 'sync_mode: incremental',
}
const RESET = 'bizon run pipeline.yml\nbizon stream reset pipeline.yml\nbizon run pipeline.yml --log-level TRACE'
const STATE = [
  'bizon run pipeline.yml',
  ...['show', 'show --json', 'log', 'log --json', 'log --runs', 'export', 'export --format airbyte', 'clear --yes'].map(
    (words) => `bizon state ${words.replace(' ', ' pipeline.yml ').replace(/^\w+$/, '$& pipeline.yml')}`,
  ),
].join('\n')
const BIGQUERY = `
  name: bigquery
  config:
    project_id: env://CANARY
    dataset_id: env://CANARY
    authentication: {service_account_key: env://CANARY}`
const POSTGRES = `engine:
  backend:
    type: postgres
    config: {host: env://CANARY, port: 5432, database: env://CANARY, schema: s, username: u, password: env://CANARY}`
const GSM: Parts = {
  source: 'cursor_field: gsm://nothing',
  more: 'secrets: {gsm: {project_id: env://CANARY, endpoint: "127.0.0.1:9"}}',
}
const QUEUE = 'engine: {queue: {type: python_queue, config: {max_nb_messages: env://CANARY}}}'

const TRACE = '--log-level TRACE --log-format json'
test.each<[string, string, Parts, string, number]>([
  ['a run that works', '/good', {}, `bizon run pipeline.yml ${TRACE} --record tape`, 0],
  ['a replay', '/good', {}, 'bizon run pipeline.yml --record tape && bizon run pipeline.yml --replay tape', 0],
  ['a run that is refused', '/denied', {}, `bizon run pipeline.yml ${TRACE} --record tape`, 1],
  ['an answer that is not JSON', '/broken', {}, `bizon run pipeline.yml ${TRACE}`, 1],
  ['an answer of another shape', '/elsewhere', {}, `bizon run pipeline.yml ${TRACE}`, 1],
  ['a transform that fails', '/good', { script: 'throw new Error("no")' }, `bizon run pipeline.yml ${TRACE}`, 1],
  ['dead letters', '/good', { script: LETTERS }, `bizon run pipeline.yml ${TRACE}`, 0],
  ['a position that repeats it', '/linked', LINKED, 'bizon run pipeline.yml; bizon run pipeline.yml', 0],
  ['a state with such a position', '/linked', LINKED, STATE, 0],
  ['a state of a run that was refused', '/denied', INCREMENTAL, STATE.replace('\n', ' || true\n'), 0],
  ['a check', '/good', {}, 'bizon check pipeline.yml', 0],
  ['a check with a sample', '/good', {}, 'bizon check pipeline.yml --sample 1', 0],
  ['a check that is refused', '/denied', {}, 'bizon check pipeline.yml --sample 1', 1],
  ['secrets check', '/good', {}, 'bizon secrets check pipeline.yml', 0],
  ['explain', '/good', {}, 'bizon run pipeline.yml --explain', 0],
  ['a transform on trial', '/good', {}, `echo '{"id":1}' | bizon transform try pipeline.yml`, 0],
  ['a stream reset that is refused', '/good', {}, 'bizon run pipeline.yml\nbizon stream reset pipeline.yml', 2],
  ['a stream reset', '/good', INCREMENTAL, RESET, 0],
  [
    'a source file that is not there',
    '/good',
    { source: 'source_file_path: env://CANARY' },
    'bizon run pipeline.yml',
    2,
  ],
  ['a destination of a later release', '/good', { destination: BIGQUERY }, 'bizon run pipeline.yml', 2],
  ['a state store out of reach', '/good', { more: POSTGRES }, `bizon run pipeline.yml ${TRACE}`, 1],
  ['a secret manager out of reach', '/good', GSM, 'bizon run pipeline.yml', 2],
  ['a wrong choice', '/good', { more: 'engine: {runner: {type: env://CANARY}}' }, 'bizon run pipeline.yml', 2],
  ['a wrong number', '/good', { more: QUEUE }, 'bizon run pipeline.yml', 2],
  ['a list with a wrong item', '/good', { more: 'streams: [env://CANARY]' }, 'bizon run pipeline.yml', 2],
])('%s shows nothing', async (_title, path, parts, command, code) => {
  const finished = await leaks(pipeline(path, parts), command)
  expect(finished, finished.shown).toMatchObject({ found: [], code })
})

test('a read goes on behind a position from which the secret was taken out', async () => {
  const finished = await leaks(pipeline('/linked', LINKED), 'for n in 1 2 3; do bizon run pipeline.yml; done')
  expect(finished, finished.shown).toMatchObject({ found: [], code: 0 })
  const asked = api.asked('/linked')
  expect(asked.map(({ query }) => query.page).slice(-3)).toEqual(['1', undefined, '2']) // each run checks first
  expect(new Set(asked.map(({ query }) => query.said))).toEqual(new Set([CANARY]))
})

test('a canary that is printed, or left in a file, is found', async () => {
  const finished = await leaks(
    pipeline('/good'),
    'echo "$CANARY"\nmkdir deep\necho "x $CANARY" > deep/log\necho "$CANARY" >&2',
  )
  expect(finished.found.sort()).toEqual(['deep/log', 'stderr', 'stdout'])
})
