// bizon plan: what it says comes true, what it refuses a run refuses in the same words, and it changes nothing.

import { createHash } from 'node:crypto'
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig, type PipelineConfig } from '../../lib/config.ts'
import { BizonError } from '../../lib/errors.ts'
import { runPipeline, silentLog } from '../../lib/index.ts'
import { planRun, type RunPlan } from '../../lib/plan/run.ts'
import type { SyncMode } from '../../lib/source.ts'
import { withState } from '../../lib/state/standing.ts'
import { CHECKOUT, runIn } from '../support/sandbox.ts'

const BIZON = `node ${join(CHECKOUT, 'dist/bin/bizon.js')}`

let folder: string
let settings: { source: object; destination: string; state: string; transforms: object[] }
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-plan-'))
  settings = { source: {}, destination: at('out/events'), state: at('state'), transforms: [] }
  await writeFile(at('events.ndjson'), [1, 2, 3].map((n) => `{"n":${n}}\n`).join(''))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const at = (name: string): string => join(folder, name)
const MAIN = 'out/events.json'

const pipeline = (mode: SyncMode) => ({
  name: 'p',
  source: {
    name: 'file',
    stream: 'events',
    path: at('events.ndjson'),
    sync_mode: mode,
    page_bytes: 8,
    ...settings.source,
  },
  destination: {
    name: 'file',
    config: { destination_id: settings.destination, metadata: 'none', buffer_size: 0, durability: 'process' },
  },
  transforms: settings.transforms,
  engine: { backend: { type: 'sqlite', config: { database: settings.state, schema: '', syncCursorInDBEvery: 1 } } },
})

async function configOf(mode: SyncMode, reset?: boolean): Promise<PipelineConfig> {
  return (await loadConfig(pipeline(mode), ['source', 'destination'], { reset })) as PipelineConfig
}

/** Every file and folder with its content, but for SQLite's index of its log, which is no data. */
async function fingerprint(): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    if (name.endsWith('-shm')) continue
    const content = (await stat(at(name))).isFile() ? await readFile(at(name)) : Buffer.from('a folder')
    found[name] = createHash('sha256').update(content).digest('hex')
  }
  return found
}

async function unchanged<Result>(work: () => Promise<Result>): Promise<Result> {
  const before = await fingerprint()
  try {
    return await work()
  } finally {
    expect(await fingerprint()).toEqual(before)
  }
}

async function run(mode: SyncMode, reset?: boolean): Promise<readonly string[]> {
  const said: string[] = []
  await runPipeline(await configOf(mode, reset), { log: { ...silentLog, info: (message) => void said.push(message) } })
  return said
}

async function killed(mode: SyncMode, point: string): Promise<void> {
  await writeFile(at(`${mode}.yml`), JSON.stringify(pipeline(mode)))
  const done = await runIn(folder, `BIZON_FAILPOINT=${point}:kill ${BIZON} run ${mode}.yml --quiet || exit $?`)
  expect(done).toMatchObject({ code: 137 })
}

const add = (): Promise<void> => appendFile(at('events.ndjson'), '{"n":4}\n')
const changesOf = ({ changes = [] }: RunPlan) =>
  changes.map(({ action, target }) => `${action} ${target.replace(/^.*bizon-plan-[^/]*\//, '')}`)

interface Situation {
  readonly name: string
  readonly before?: () => Promise<unknown>
  readonly mode: SyncMode
  readonly reset?: boolean
  readonly changes: readonly string[]
}

const SITUATIONS: readonly Situation[] = [
  { name: 'nothing is there yet', mode: 'full_refresh', changes: [`create ${MAIN}`] },
  {
    name: 'a full refresh was published',
    before: () => run('full_refresh'),
    mode: 'full_refresh',
    changes: [`replace ${MAIN}`],
  },
  {
    name: 'an increment was published, and more has come',
    before: () => run('incremental').then(add),
    mode: 'incremental',
    changes: [`append ${MAIN}`],
  },
  {
    name: 'an increment was published, and a reset is pending',
    async before() {
      await run('incremental')
      const request = ({ store, identity }: Parameters<Parameters<typeof withState>[1]>[0]) =>
        store.requestReset(identity)
      await withState(await configOf('incremental'), request)
    },
    mode: 'incremental',
    changes: [`replace ${MAIN}`],
  },
  {
    name: 'a reset is asked for',
    before: () => run('incremental'),
    mode: 'incremental',
    reset: true,
    changes: [`replace ${MAIN}`],
  },
  {
    name: 'a run was killed while its rows were staged',
    before: () => killed('full_refresh', 'commit.after@3'),
    mode: 'full_refresh',
    changes: [`create ${MAIN}`],
  },
  {
    name: 'a run was killed before what it wrote was committed',
    before: () => killed('full_refresh', 'commit.before@3'),
    mode: 'full_refresh',
    changes: ['cut out/events_temp.json', `create ${MAIN}`],
  },
  {
    name: 'a run was killed while it replaced',
    before: () =>
      run('full_refresh')
        .then(add)
        .then(() => killed('full_refresh', 'publish.mid')),
    mode: 'full_refresh',
    changes: [`replace ${MAIN}`],
  },
  {
    name: 'a run was killed while it added, and is given up',
    before: () =>
      run('incremental')
        .then(add)
        .then(() => killed('incremental', 'publish.mid')),
    mode: 'incremental',
    reset: true,
    changes: [`cut ${MAIN}`, 'remove out/events_incremental.json', `replace ${MAIN}`],
  },
  {
    name: 'a run was killed after it was published',
    before: () => killed('full_refresh', 'publish.after'),
    mode: 'full_refresh',
    changes: [],
  },
  {
    name: 'the state store is lost',
    before: () => run('full_refresh').then(() => rm(at('state.sqlite3'))),
    mode: 'full_refresh',
    changes: [`replace ${MAIN}`],
  },
  {
    name: 'the mode is another now',
    before: () => killed('full_refresh', 'commit.after@3'),
    mode: 'incremental',
    changes: ['remove out/events_temp.json', `create ${MAIN}`],
  },
]

describe('what a run would do', () => {
  test.for(SITUATIONS)('when $name', async ({ before, mode, reset, changes }) => {
    await before?.()
    const planned = await unchanged(async () => planRun(await configOf(mode, reset)))
    expect(changesOf(planned)).toEqual(changes)
    expect(await run(mode, reset)).toEqual(planned.reasons)
    // What a full fetch brings replaces, what an increment brings follows.
    expect(await readFile(at(MAIN), 'utf8')).toBe(await readFile(at('events.ndjson'), 'utf8'))
  })

  test('is told to people and to programs, and no file is created', async () => {
    await writeFile(at('p.yml'), JSON.stringify(pipeline('full_refresh')))
    const forPeople = await unchanged(() => runIn(folder, `${BIZON} plan p.yml`))
    expect(forPeople).toMatchObject({ code: 0, stderr: '' })
    expect(forPeople.stdout).toContain(`${MAIN} is created`)
    const forPrograms = await unchanged(() => runIn(folder, `${BIZON} plan p.yml --json`))
    expect(JSON.parse(forPrograms.stdout)).toMatchObject({ action: 'start', changes: [{ action: 'create' }] })
  })
})

describe('a lock that a run holds', () => {
  test('is told, and what that run changes is not looked at', async () => {
    await writeFile(at('p.yml'), JSON.stringify(pipeline('full_refresh')))
    const sums = "find . -type f ! -name '*-shm' ! -name 'said.*' -exec sha256sum {} + | sort"
    const script = `
      BIZON_FAILPOINT=commit.before@2:stop ${BIZON} run p.yml --quiet & run=$!
      while kill -0 $run && [ "$(ps -o state= $run)" != T ]; do sleep 0.05; done
      ${sums} > said.before
      ${BIZON} plan p.yml --json > said.planned
      ${sums} | diff said.before -
      ${BIZON} run p.yml --quiet 2> said.refused || echo $? > said.code
      kill -CONT $run && wait $run && cat ${MAIN}`
    const done = await runIn(folder, script)
    expect(done.code, done.stderr).toBe(0)
    const read = (name: string): Promise<string> => readFile(at(name), 'utf8')
    const planned = JSON.parse(await read('said.planned'))
    expect(planned).toMatchObject({ changes: null, action: 'resume' })
    expect(planned.locked_by).toMatch(/^pid \d+ on /)
    expect(await read('said.refused')).toContain(`is locked by ${planned.locked_by}`)
    expect(await read('said.code')).toBe('3\n')
    expect(done.stdout).toBe(await read('events.ndjson'))
  })
})

const REFUSALS: Record<string, () => unknown> = {
  'the data are missing': () => rm(at('events.ndjson')),
  async 'the destination writes what the source reads'() {
    await writeFile(at('main_temp.json'), '{}\n')
    settings = { ...settings, source: { path: at('main_temp.json') }, destination: at('main') }
  },
  'the state is damaged': () => writeFile(at('state.sqlite3'), 'no database'),
  async 'the state is of a newer version'() {
    await run('full_refresh')
    await runIn(folder, `sqlite3 state.sqlite3 'pragma user_version = 99'`)
  },
  'the state is a folder': () => mkdir(at('state.sqlite3')),
  'the folder of the state is missing'() {
    settings.state = at('no/state')
  },
  async 'the output was edited'() {
    await run('full_refresh')
    await appendFile(at('out/.events.state.json'), '\n')
  },
  async 'staged rows are gone'() {
    await killed('full_refresh', 'commit.after@3')
    await rm(at('out/events_temp.json'))
  },
  async 'the staging file is of somebody else'() {
    await mkdir(at('out'))
    await writeFile(at('out/events_temp.json'), '')
  },
  'the folder of the output is a file': () => writeFile(at('out'), ''),
  'a transform is not valid'() {
    settings.transforms = [{ label: 't', javascript: 'this is not a script' }]
  },
}

describe('what refuses a run', () => {
  test.for(Object.entries(REFUSALS))('%s', async ([, before]) => {
    await before()
    const config = await configOf('full_refresh')
    const told = (error: unknown) => {
      expect(error).toBeInstanceOf(BizonError)
      const { code, message, hint } = error as BizonError
      return { code, message, hint }
    }
    const planned = await unchanged(() => planRun(config)).then(() => 'a plan', told)
    expect(await runPipeline(config).then(() => 'a run', told)).toEqual(planned)
    expect(planned).toHaveProperty('message')
  })
})

test('a command that creates the state is noticed', async () => {
  const shown = async (): Promise<void> => withState(await configOf('full_refresh'), async () => {})
  await expect(unchanged(shown)).rejects.toThrow('deeply equal')
})
