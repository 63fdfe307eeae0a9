// --report: what it says of a run is what can be counted outside of it, however the run ended.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig, type PipelineConfig } from '../../lib/config.ts'
import { runPipeline } from '../../lib/index.ts'
import { Meter } from '../../lib/meter.ts'
import { type RunReport, reportOf, reportText } from '../../lib/report.ts'
import { sleep } from '../../lib/wait.ts'
import { testConfig } from '../support/engine.ts'
import { committed } from '../support/recorded.ts'
import { CHECKOUT, runIn } from '../support/sandbox.ts'
import { scriptedSource, shelf, shelfDestination } from '../support/shelf.ts'

const [BIZON, EXTRACT, LOAD] = ['bizon', 'bizon-extract', 'bizon-load'].map(
  (name) => `node ${join(CHECKOUT, 'dist/bin', `${name}.js`)}`,
) as [string, string, string]

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-report-'))
  await writeFile(join(folder, 'events.ndjson'), [1, 2, 3].map((n) => `{"n":${n}}\n`).join(''))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const PIPELINE = {
  name: 'p',
  source: { name: 'file', stream: 'events', path: 'events.ndjson', sync_mode: 'incremental', page_bytes: 8 },
  transforms: [{ label: 'odd', javascript: 'return data.n % 2 ? [data] : []' }],
  destination: { name: 'file', config: { destination_id: 'out/events', metadata: 'none', buffer_size: 0 } },
  engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
}
const write = (config: object): Promise<void> => writeFile(join(folder, 'p.yml'), JSON.stringify(config))
const reported = async (name = 'report.json'): Promise<RunReport> =>
  JSON.parse(await readFile(join(folder, name), 'utf8'))

/** Runs in this process, and reports as the commands do. */
async function measured(config: PipelineConfig): Promise<RunReport> {
  const meter = new Meter()
  const ending = { command: 'run', version: '0', startedAt: new Date(), configs: [config], meter } as const
  const end = await runPipeline(config, { meter }).then(
    ({ outputs }) => ({ outcome: 'succeeded', exitCode: 0, outputs }) as const,
    (error: unknown) => ({ outcome: 'failed', exitCode: 1, error }) as const,
  )
  return JSON.parse(reportText(reportOf({ ...ending, ...end }), config.secrets))
}

/** Every key, by its path. */
function keysOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => keysOf(item, `${path}[]`))
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([key, inner]) => [`${path}.${key}`, ...keysOf(inner, `${path}.${key}`)])
}

/** Without those of what may be null, or is the source's own. */
const fixed = (report: unknown): string[] => [
  ...new Set(keysOf(report).filter((path) => !/(error|resumed_from|before|after)\./.test(path))),
]

const STARTED = { started_at: expect.any(String), ended_at: expect.any(String), seconds: expect.any(Number) }

describe('a run that succeeds', () => {
  test.for(['thread', 'process'])('says what was read, written and published: runner %s', async (runner) => {
    await write({ ...PIPELINE, engine: { ...PIPELINE.engine, runner: { type: runner } } })
    const command = `${BIZON} run p.yml --quiet --report report.json`
    const done = await runIn(folder, `mkdir tmp && TMPDIR=$PWD/tmp ${command} && ls -A && cat out/events.json`)
    expect(done.code, done.stderr).toBe(0)
    expect(done.stdout).toContain('\nreport.json\n')
    const output = '{"n":1}\n{"n":3}\n'
    expect(done.stdout.endsWith(output)).toBe(true)
    const report = await reported()
    expect(report).toMatchObject({
      ...STARTED,
      report_version: 1,
      command: 'run',
      pipeline: 'p',
      outcome: 'succeeded',
      exit_code: 0,
      error: null,
      streams: [
        {
          source: 'file',
          stream: 'events',
          destination: 'file',
          mode: 'incremental',
          attempt: 1,
          resumed_from: null,
          read: { rows: 3, bytes: 21 },
          written: { rows: 2, bytes: output.length - 2 },
          durable: { rows: 2, end: true },
          published: true,
          outputs: ['out/events.json'],
          retries: { http: 0 },
          parsed: [{ step: 'transform', records: 3 }],
        },
      ],
    })
    const [stream] = report.streams
    expect(stream?.watermark.before).toBe(null)
    const { published } = JSON.parse((await runIn(folder, `${BIZON} state show p.yml --json`)).stdout)
    expect(stream?.run).toBe(published.id)
    expect(stream?.watermark.after).toEqual({ time: published.since, value: published.watermark })
    expect(report.peak_memory.source_process === null).toBe(runner === 'thread')
    expect(fixed(report)).toEqual(fixed(await documented()))

    const again = await runIn(folder, `echo '{"n":5}' >> events.ndjson && ${BIZON} run p.yml --report -`)
    expect(again.stderr).toContain('Pipeline finished successfully.')
    const next = JSON.parse(again.stdout) as RunReport
    expect(next.streams[0]).toMatchObject({ read: { rows: 1 }, watermark: { before: stream?.watermark.after } })
    expect(await readdir(join(folder, 'tmp'))).toEqual([])
  })

  /** The example of the docs. */
  async function documented(): Promise<unknown> {
    const [, json = ''] = /```json\n(.*?)```/s.exec(await committed('docs/report.md')) ?? []
    return JSON.parse(json)
  }

  test('says how much memory it took at most, as the system does', async () => {
    await write(PIPELINE)
    const measure = `import resource, subprocess; subprocess.run('${BIZON} run p.yml --quiet --report report.json', shell=True, check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)`
    const { stdout, stderr } = await runIn(folder, `python3 -c "${measure}"`)
    const { peak_memory } = await reported()
    expect(peak_memory.process / Number(stdout), stderr).toBeGreaterThan(0.9)
    // Two counts of the system, brought up to date at different moments.
    expect(peak_memory.process / Number(stdout)).toBeLessThan(1.1)
  })
})

describe('both ends of a pipe', () => {
  test('report for themselves', async () => {
    await write(PIPELINE)
    const done = await runIn(
      folder,
      `${EXTRACT} p.yml --quiet --report extract.json | ${LOAD} p.yml --quiet --report load.json`,
    )
    expect(done.code, done.stderr).toBe(0)
    const [extracted, loaded] = [await reported('extract.json'), await reported('load.json')]
    expect(extracted).toMatchObject({
      command: 'extract',
      outcome: 'succeeded',
      streams: [{ destination: null, attempt: null, published: false, read: { rows: 3 }, written: { rows: 2 } }],
    })
    expect(loaded).toMatchObject({
      command: 'load',
      outcome: 'succeeded',
      streams: [{ attempt: 1, published: true, read: { rows: 2 }, written: { rows: 2 }, parsed: [] }],
    })
    expect(loaded.streams[0]?.run).toBe(extracted.streams[0]?.run)
  })

  test('of several streams have an entry for each', async () => {
    await write({ name: 'p', source: { name: 'dummy', stream: 'creatures' }, destination: { name: 'logger' } })
    const script = `
      ${EXTRACT} p.yml --discover | jq '.streams[].metadata[0].metadata.selected = true' > catalog.json
      ${EXTRACT} --config p.yml --catalog catalog.json --quiet --report report.json | grep -c '"RECORD"'`
    const done = await runIn(folder, script)
    const { streams } = await reported()
    expect(streams.length, done.stderr).toBeGreaterThan(1)
    expect(streams.reduce((sum, { written }) => sum + written.rows, 0)).toBe(Number(done.stdout))
  })
})

describe('a run that does not succeed', () => {
  const SOURCE = `
import { defineSource, z } from 'bizon'
// With nothing to wait for Node would end the process.
const hang = (signal) => new Promise((end) => {
  process.stderr.write('READY\\n')
  const alive = setInterval(() => {}, 1000)
  signal.addEventListener('abort', () => end(clearInterval(alive)))
})
export default defineSource({
  summary: 'Two pages, and then what the test says.',
  config: z.object({ token: z.string() }),
  streams: () => [{ name: 's', resumable: true }],
  create: ({ token }) => ({
    async *read({ position }, signal) {
      for (let n = position?.n ?? 0; n < 4; n++) {
        if (n === 2 && process.env.THEN === 'fail') throw new Error('refused with ' + token)
        if (n === 2 && process.env.THEN === 'hang') await hang(signal)
        yield { records: [{ id: String(n), data: { n } }], next: n === 3 ? null : { n: n + 1 } }
      }
    },
  }),
})
`
  const custom = {
    ...PIPELINE,
    transforms: [],
    source: { name: 'mine', stream: 's', source_file_path: 'mine.mjs', token: '${env://SECRET}' },
  }
  const secret = 'correct-horse'

  test('says why, without the secret, and the next one how it went on', async () => {
    await write(custom)
    await writeFile(join(folder, 'mine.mjs'), SOURCE)
    const linked = `mkdir node_modules && ln -s ${CHECKOUT} node_modules/bizon && export SECRET=${secret}`
    const failed = await runIn(folder, `${linked}; THEN=fail ${BIZON} run p.yml --quiet --report report.json`)
    expect(failed.code, failed.stderr).toBe(1)
    const text = await readFile(join(folder, 'report.json'), 'utf8')
    expect(text).not.toContain(secret)
    expect(JSON.parse(text)).toMatchObject({
      outcome: 'failed',
      exit_code: 1,
      error: { message: expect.stringContaining('refused with ***') },
      streams: [{ published: false, written: { rows: 2 }, durable: { page: 2, rows: 2, end: false } }],
    })
    const done = await runIn(folder, `SECRET=${secret} ${BIZON} run p.yml --quiet --report report.json`)
    expect(done.code, done.stderr).toBe(0)
    const { streams, outcome } = await reported()
    expect(outcome).toBe('succeeded')
    expect(streams).toMatchObject([
      { attempt: 2, resumed_from: { page: 2, rows: 2, end: false }, written: { rows: 2 }, durable: { rows: 4 } },
    ])
  })

  test('says that a signal stopped it; one that is killed leaves the report before as it was', async () => {
    await write(custom)
    await writeFile(join(folder, 'mine.mjs'), SOURCE)
    const script = (signal: string): string => `
      mkdir -p node_modules && ln -sfn ${CHECKOUT} node_modules/bizon
      SECRET=${secret} THEN=hang ${BIZON} run p.yml --quiet --report report.json 2> said & run=$!
      until grep -q READY said; do sleep 0.05; kill -0 $run; done
      kill -${signal} $run; wait $run`
    const stopped = await runIn(folder, script('TERM'))
    expect(stopped.code, stopped.stderr).toBe(143)
    const report = await reported()
    expect(report).toMatchObject({ outcome: 'stopped', exit_code: 143, streams: [{ durable: { rows: 2 } }] })
    expect((await runIn(folder, script('KILL'))).code).toBe(137)
    expect(await reported()).toEqual(report)
    expect((await readdir(folder)).filter((name) => name.includes('report'))).toEqual(['report.json'])
  })

  test('is an exit code of its own where the report cannot be written', async () => {
    await write(PIPELINE)
    const script = `
      mkdir gone
      BIZON_FAILPOINT=status.after:stop ${BIZON} run p.yml --quiet --report gone/report.json & run=$!
      while kill -0 $run && [ "$(ps -o state= $run)" != T ]; do sleep 0.05; done
      rmdir gone && kill -CONT $run && wait $run`
    const done = await runIn(folder, script)
    expect(done.code).toBe(1)
    expect(done.stderr).toContain('Error: --report: cannot write gone/report.json')
    expect(await readFile(join(folder, 'out/events.json'), 'utf8')).toBe('{"n":1}\n{"n":3}\n')
  })

  test('never takes the place of what the run has loaded', async () => {
    await write(PIPELINE)
    await runIn(folder, 'mkdir out')
    const done = await runIn(folder, `${BIZON} run p.yml --quiet --report out/events.json`)
    expect(done).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('out/events.json is there and is no report'),
    })
    expect(await readFile(join(folder, 'out/events.json'), 'utf8')).toBe('{"n":1}\n{"n":3}\n')
  })

  test('begins only where the report can be written', async () => {
    await write(PIPELINE)
    for (const [program, path, message] of [
      [BIZON, 'no/report.json', '--report: there is no folder no'],
      [BIZON, '.', '--report: . is a folder; a file is needed'],
      [BIZON, 'events.ndjson', '--report: events.ndjson is there and is no report, whose place it would take'],
      [BIZON, './p.yml', '--report: ./p.yml is the pipeline; the report would take its place'],
      [EXTRACT, '-', '--report -: standard output carries data here; name a file'],
    ] as const) {
      const done = await runIn(folder, `${program} ${program === BIZON ? 'run' : ''} p.yml --report ${path}`)
      expect(done).toMatchObject({ code: 2, stdout: '' })
      expect(done.stderr).toContain(`Error: ${message}`)
    }
    expect((await readdir(folder)).sort()).toEqual(['events.ndjson', 'p.yml'])
  })
})

describe('what only the engine knows', () => {
  const scripted = (source: object, destination: () => Promise<void>, runner: 'thread' | 'stream' = 'thread') =>
    testConfig({
      folder,
      source: scriptedSource({ pages: [1, 1, 1, 1], ...source }),
      destination: shelfDestination(shelf(), (step) => (step === 'write' ? destination() : undefined)),
      runner,
    })

  test.for(['thread', 'stream'] as const)('which side the other one waited for: runner %s', async (runner) => {
    const soon = async (): Promise<void> => {}
    const late = (): Promise<void> => sleep(0.25, new AbortController().signal)
    const slow = { interfere: (step: string) => (step === 'fetch' ? late() : undefined) }
    const [source] = (await measured(await scripted(slow, soon, runner))).streams
    expect(source?.waits).toMatchObject({ slower: 'source' })
    if (runner === 'thread') return
    await rm(join(folder, 'state.sqlite3'))
    const [destination] = (await measured(await scripted({}, late, runner))).streams
    expect(destination?.waits).toMatchObject({ slower: 'destination' })
  })

  test('how many requests were sent again', async () => {
    let requests = 0
    const server = createServer((_, response) => {
      requests += 1
      response.writeHead(requests <= 2 ? 503 : 200, { 'content-type': 'application/json' })
      response.end('[{"id":1}]')
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    try {
      const { port } = server.address() as AddressInfo
      const config = await loadConfig(
        {
          ...PIPELINE,
          transforms: [],
          source: {
            name: 'rest',
            stream: 'items',
            base_url: `http://127.0.0.1:${port}/`,
            endpoints: { items: { path: 'items', id: 'id' } },
          },
          destination: { name: 'file', config: { destination_id: join(folder, 'out') } },
          engine: { backend: { type: 'sqlite_in_memory' } },
        },
        ['source', 'destination'],
      )
      const report = await measured(config as PipelineConfig)
      expect(report).toMatchObject({ error: null, streams: [{ retries: { http: requests - 1 }, read: { rows: 1 } }] })
      expect(requests).toBe(3)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
