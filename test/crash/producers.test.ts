// Producers that know by themselves where they go on: taps, Airbyte sources, programs that print the same once more, and
// bizon-extract without a state store in common. Whichever point the loader is killed at, the same line is run again until
// it ends well, and every row is there once.

import { describe, expect, test } from 'vitest'
import { occurrences } from './points.ts'
import { buildTwin, type Replacement } from './twin.ts'
import { eachOf, fewOf, NIGHTLY, ROOT, TEST_LIMIT_MS, Workspace } from './workspace.ts'

const EXTRACT = `${process.execPath} ${ROOT}/dist/bin/bizon-extract.js`
const LOAD = `${ROOT}/dist/bin/bizon-load.js`
/** Rows of the first input, and of all. */
const FIRST = 5
const ALL = 8

/**
 * `tap.mjs <dialect> <last>`: rows up to the last one. A tap goes on behind the last STATE in `said`, and says where it is
 * behind each second row and at its end; what is told nothing prints the rows of its input.
 */
const TAP = `
import { readFileSync } from 'node:fs'
const [, , dialect, last] = process.argv
const read = (name) => { try { return readFileSync(name, 'utf8').trimEnd() } catch { return '' } }
const said = read('said').split('\\n').at(-1)
const print = (value) => console.log(typeof value === 'string' ? value : JSON.stringify(value))
const known = said === '' ? 0 : dialect === 'airbyte' ? JSON.parse(said).state.stream.stream_state.after : JSON.parse(said).after
const rows = []
for (let n = (dialect === 'singer' || dialect === 'airbyte' ? known : Number(read('from') || 0)) + 1; n <= last; n++) rows.push(n)
if (dialect === 'ndjson') for (const n of rows) print({ n })
if (dialect === 'csv') print(['n', ...rows].join('\\n'))
if (dialect === 'singer') {
  print({ type: 'SCHEMA', stream: 'rows', schema: { type: 'object', properties: { n: { type: 'integer' } } }, key_properties: ['n'] })
  for (const n of rows) {
    print({ type: 'RECORD', stream: 'rows', record: { n } })
    if (n % 2 === 0 || n === rows.at(-1)) print({ type: 'STATE', value: { after: n } })
  }
}
if (dialect === 'airbyte') {
  const status = (status) =>
    print({ type: 'TRACE', trace: { type: 'STREAM_STATUS', emitted_at: 1, stream_status: { stream_descriptor: { name: 'rows' }, status } } })
  status('STARTED')
  for (const n of rows) {
    print({ type: 'RECORD', record: { stream: 'rows', emitted_at: 1, data: { n } } })
    const stream = { stream_descriptor: { name: 'rows' }, stream_state: { after: n } }
    if (n % 2 === 0 || n === rows.at(-1)) print({ type: 'STATE', state: { type: 'STREAM', stream } })
  }
  status('COMPLETE')
}
`
/** `buffer`: MiB between two checkpoints; 0: one behind each page. */
const to = (buffer: number): string =>
  JSON.stringify({
    name: 'to',
    destination: { name: 'file', config: { destination_id: 'out/rows', metadata: 'none', buffer_size: buffer } },
    engine: {
      backend: {
        type: 'sqlite',
        config: { database: 'loader', schema: '', syncCursorInDBEvery: buffer > 0 ? 100 : 1 },
      },
    },
  })
const fromFile = (mode: string): string =>
  JSON.stringify({
    name: 'to',
    source: { name: 'file', stream: 'rows', path: 'source.ndjson', sync_mode: mode, page_bytes: 20 },
    engine: { backend: { type: 'sqlite', config: { database: 'extractor', schema: '' } } },
  })

interface Producer {
  readonly title: string
  /** The line of a shell; `last`: the last row there is. */
  line(last: number, load: string): string
  /**
   * Killed here, what came since the last STATE may come a second time: it was durable, and nobody had been told. Of a
   * program that is told nothing: all of it, once it was loaded.
   */
  readonly twice?: RegExp
  /** What the last row of the first input is written to, for those that are told nothing. */
  readonly next?: string
  readonly mode?: string
  /** Of the loader. Default 0. */
  readonly buffer?: number
}

const tap = (dialect: string, twice: RegExp, options = ''): Producer => ({
  title: dialect,
  line: (last, load) => `node tap.mjs ${dialect} ${last} | ${load} to.yml -q ${options} >> said`,
  next: 'from',
  twice,
})
const stateFile = (mode: string): Producer => ({
  title: `bizon-extract --state, ${mode}`,
  line: (last, load) =>
    `[ -s rows-${last} ] || (touch rows-${last}; node tap.mjs ndjson ${last} > rows-${last}; tail -n +$(($(cat source.ndjson | wc -l) + 1)) rows-${last} >> source.ndjson)
    ${EXTRACT} from.yml -q --state said | ${load} to.yml -q >> said`,
  mode,
})
/** By day the first three. */
const producers = fewOf([
  tap('singer', /^cursor\./),
  tap('ndjson', /^status\.after/),
  stateFile('incremental'),
  tap('airbyte', /^cursor\./),
  tap('csv', /^status\.after/, '--from csv'),
  stateFile('full_refresh'),
])

async function prepare({ mode = 'full_refresh', buffer = 0 }: Producer): Promise<Workspace> {
  return Workspace.create({ 'tap.mjs': TAP, 'to.yml': to(buffer), 'from.yml': fromFile(mode), 'source.ndjson': '' })
}

async function run(place: Workspace, script: string): Promise<{ codes: number[]; stderr: string }> {
  const { stdout, stderr } = await place.execute(['bash', '-c', `${script}; echo "\${PIPESTATUS[@]}"`])
  return { codes: stdout.trim().split(' ').map(Number), stderr }
}

const loadWith = (program: string, env = ''): string => `env ${env} ${process.execPath} ${program}`

async function rows(place: Workspace): Promise<number[]> {
  const text = (await place.read('out/rows.json'))?.toString() ?? ''
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Number(JSON.parse(line).n))
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1)

/** Killed at the point, run again to its end, and then run with what is new. */
async function crash(producer: Producer, point: string, program = LOAD): Promise<string[]> {
  const place = await prepare(producer)
  try {
    const killed = await run(place, producer.line(FIRST, loadWith(program, `BIZON_FAILPOINT=${point}:kill`)))
    if (killed.codes.at(-1) !== 137) return [`${point} did not fire: ${killed.codes} ${killed.stderr}`]
    const complaints: string[] = []
    const finish = async (last: number): Promise<void> => {
      const ended = await run(place, producer.line(last, loadWith(program)))
      if (ended.codes.some((code) => code !== 0)) complaints.push(`${point}: ${ended.codes} ${ended.stderr}`)
      const found = await rows(place)
      const there = producer.twice?.test(point) ? [...new Set(found)].sort() : found
      if (there.join() !== upTo(last).join()) complaints.push(`${point}: rows ${there}, expected up to ${last}`)
    }
    await finish(FIRST)
    if (producer.next) await place.write({ [producer.next]: String(FIRST) })
    await finish(ALL)
    return complaints
  } finally {
    await place.remove()
  }
}

/** How often a load passes each point. */
async function passesOf(producer: Producer): Promise<[string, number][]> {
  const place = await prepare(producer)
  try {
    const { codes, stderr } = await run(place, producer.line(FIRST, loadWith(LOAD, 'BIZON_FAULTS_TO=points')))
    if (codes.some((code) => code !== 0)) throw new Error(stderr)
    const passes = new Map<string, number>()
    for (const name of (await place.read('points'))?.toString().split('\n').slice(0, -1) ?? []) {
      passes.set(name, (passes.get(name) ?? 0) + 1)
    }
    return [...passes]
  } finally {
    await place.remove()
  }
}

/** By day those between two facts that must agree. */
const SOME = /^(?:stage|cursor|publish|status)\.after$/

const points = new Map<Producer, string[]>()
for (const producer of producers) {
  const passed = (await passesOf(producer)).filter(([name]) => NIGHTLY || SOME.test(name))
  points.set(
    producer,
    passed.flatMap(([name, times]) => occurrences(times, true).map((at) => `${name}@${at}`)),
  )
}

describe('killed at every point, the same line ends with every row once:', () => {
  test.each(producers)(
    '$title',
    async (producer) => {
      const chosen = points.get(producer) ?? []
      expect(chosen.length).toBeGreaterThan(3)
      expect(await eachOf(chosen, (point) => crash(producer, point))).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

describe('a broken twin is caught:', () => {
  test.each<[string, Producer, string, readonly Replacement[]]>([
    [
      'the last STATE is forgotten with the process',
      { ...tap('singer', /^cursor\./), buffer: 50 },
      'publish.before@1',
      [
        {
          file: 'lib/pipe/echo.ts',
          find: 'return told.length === 0 ? {} : { watermark: { told } }',
          replace: 'return {}',
        },
      ],
    ],
    [
      'what was added is not taken back',
      tap('ndjson', /^status\.after/),
      'status.before@1',
      [
        {
          file: 'connectors/destinations/recovery.ts',
          find: '!run.givenUp?.includes(publisher)',
          replace: 'run.givenUp !== null',
        },
      ],
    ],
    [
      'a run that is published already is taken for a strange one',
      stateFile('incremental'),
      'status.after@1',
      [{ file: 'lib/run.ts', find: 'return end?.end ? end : undefined', replace: 'return end && undefined' }],
    ],
  ])(
    '%s',
    async (_title, producer, point, replacements) => {
      const twin = await buildTwin('producer', replacements)
      try {
        expect(await crash(producer, point, twin.load)).not.toEqual([])
        expect(await crash(producer, point)).toEqual([])
      } finally {
        await twin.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})
