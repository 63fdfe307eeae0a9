// Both halves of a pipeline as two processes, either of them killed at every point it passes: the same line run again
// goes on, and what is published is the old content or the new, byte for byte. What the loader said was durable is.

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { prepare } from './kill.ts'
import { complaintsAfter, complaintsBetween, sidecarOf, stateOf } from './oracle.ts'
import { occurrences } from './points.ts'
import { type Scenario, scenarios } from './scenario.ts'
import { buildTwin, type Replacement, type Twin } from './twin.ts'
import { type Ended, eachOf, fewOf, NIGHTLY, ROOT, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

type Half = 'extract' | 'load'
type Programs = Pick<Twin, Half>

const BUILT: Programs = {
  extract: join(ROOT, 'dist/bin/bizon-extract.js'),
  load: join(ROOT, 'dist/bin/bizon-load.js'),
}
/** Beside the folder, in which nothing may be left behind. */
const saidIn = ({ folder }: Workspace): string => `${folder}.said`

interface Line {
  readonly programs?: Programs
  /** Variables of one of the halves. */
  readonly env?: Readonly<Partial<Record<Half, Readonly<Record<string, string>>>>>
  /** Of the lines. Default singer. */
  readonly format?: string
  /** A program between. */
  readonly between?: string
}

/** `bizon-extract pipeline.yml | bizon-load pipeline.yml`; the exit code is that of the first half that failed. */
function runLine(place: Workspace, line: Line = {}): Promise<Ended> {
  const { programs = BUILT, env = {}, format = 'singer', between } = line
  const half = (name: Half): string => {
    const variables = Object.entries(env[name] ?? {}).map(([key, value]) => `${key}=${value}`)
    return ['env', ...variables, process.execPath, programs[name], 'pipeline.yml', '--quiet'].join(' ')
  }
  const through = between === undefined ? '' : `| ${between} `
  const script = `${half('extract')} --format ${format} ${through}| ${half('load')} >> ${saidIn(place)}; codes=("\${PIPESTATUS[@]}"); echo "\${codes[@]}"`
  return place.execute(['bash', '-c', script])
}

async function removeAll(place: Workspace): Promise<void> {
  await place.remove()
  await rm(saidIn(place), { force: true })
}

const codesOf = ({ stdout }: Ended): number[] => stdout.trim().split(' ').map(Number)

/** How often each half passes each point. */
async function passesOf(scenario: Scenario): Promise<Map<string, number>> {
  const place = await prepare(scenario)
  try {
    const env = { extract: { BIZON_FAULTS_TO: 'extract.points' }, load: { BIZON_FAULTS_TO: 'load.points' } }
    const ended = await runLine(place, { env })
    if (codesOf(ended).join() !== '0,0') throw new Error(ended.stderr)
    const passes = new Map<string, number>()
    for (const half of ['extract', 'load'] as const) {
      for (const name of (await place.read(`${half}.points`))?.toString().split('\n').slice(0, -1) ?? []) {
        passes.set(`${half} ${name}`, (passes.get(`${half} ${name}`) ?? 0) + 1)
      }
    }
    return passes
  } finally {
    await removeAll(place)
  }
}

/** What was printed as durable must be: a caller may start the next producer from it. */
async function saidTooEarly(place: Workspace, { sidecar }: Scenario): Promise<string[]> {
  const said = (await readFile(saidIn(place), 'utf8')).split('\n').slice(0, -1)
  const value = JSON.parse(said.at(-1) ?? '{}')
  const last = (value.state?.stream.stream_state ?? value).bizon
  const held = await sidecarOf(place, sidecar)
  if (last === undefined || held?.run !== last.run) return []
  const page = held?.checkpoint?.page ?? 0
  return last.page > page ? [`page ${last.page} was said to be durable, the files hold ${page}`] : []
}

/** Kills one half where it passes the point, then runs the line again to its end. */
async function crashLine(
  scenario: Scenario,
  half: Half,
  failpoint: string,
  { programs = BUILT, format = 'singer' }: Pick<Line, 'programs' | 'format'> = {},
): Promise<string[]> {
  const place = await prepare(scenario)
  try {
    const killed = await runLine(place, { programs, format, env: { [half]: { BIZON_FAILPOINT: `${failpoint}:kill` } } })
    const codes = codesOf(killed)
    if (codes[half === 'extract' ? 0 : 1] !== 137) return [`${failpoint} did not fire: ${codes} ${killed.stderr}`]
    const before = await stateOf(place)
    const complaints = [...(await complaintsBetween(place, scenario, before)), ...(await saidTooEarly(place, scenario))]
    const again = await runLine(place, { programs, format })
    if (codesOf(again).join() !== '0,0') return [...complaints, `the line run again: ${codesOf(again)} ${again.stderr}`]
    return [...complaints, ...(await complaintsAfter(place, scenario, before))]
  } finally {
    await removeAll(place)
  }
}

const { fullRefresh, fullRefreshOver, incrementalAppend } = scenarios
/** By day the first scenario is killed where a step ends, the others at some points only. */
const MOST = /^(?:pipe|stage|cursor|publish|status)\.after$|^end|^publish\.mid/
const SOME = /^(?:pipe\.after|cursor\.after)$/
const all = [
  { scenario: fullRefresh, format: 'singer', points: MOST },
  { scenario: fullRefreshOver, format: 'airbyte', points: SOME },
  { scenario: incrementalAppend, format: 'singer', points: SOME },
  { scenario: fullRefreshOver, format: 'singer', points: SOME },
]
const cases = fewOf(all, 2).map((each) => ({
  ...each,
  title: each.scenario.title,
  points: NIGHTLY ? /./ : each.points,
}))

const passes = new Map<Scenario, Map<string, number>>()
for (const { scenario } of cases) if (!passes.has(scenario)) passes.set(scenario, await passesOf(scenario))

describe.each(cases)('a pipe of $format messages, $title', ({ scenario, format, points: chosen }) => {
  test.each(['extract', 'load'] as const)(
    'killed at every point on the side of bizon-%s, the same line goes on',
    async (half) => {
      const points = [...(passes.get(scenario) ?? [])]
        .filter(([name]) => name.startsWith(`${half} `))
        .map(([name, times]) => [name.slice(half.length + 1), times] as const)
        .filter(([name]) => chosen.test(name))
        .flatMap(([name, times]) => occurrences(times, true).map((at) => `${name}@${at}`))
      expect(points.length).toBeGreaterThan(0)
      expect(await eachOf(points, (point) => crashLine(scenario, half, point, { format }))).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

describe('a broken twin is caught:', () => {
  test.each<[string, readonly Replacement[], Half, string]>([
    [
      'state that is told before it is durable',
      [
        {
          file: 'lib/load.ts',
          find: 'const receipt = await this.#destination.flush(item)',
          replace:
            'if (item.position) await this.#source.acknowledge(item.position)\n    const receipt = await this.#destination.flush(item)',
        },
      ],
      'load',
      'stage.after@2',
    ],
    [
      'an end that is invented where the pipe ends',
      [
        {
          file: 'lib/pipe/own.ts',
          find: '    const { page, rows } = this.#state\n    throw new BizonError(',
          replace:
            '    const { page, rows } = this.#state\n    this.#gathering.end({ next: null })\n    if (page >= 0) return this.take()\n    throw new BizonError(',
        },
      ],
      'extract',
      'fetch.before@3',
    ],
    [
      'a place to go on that is not looked at',
      [
        {
          file: 'lib/pipe/own.ts',
          find: 'if (this.#state.page >= this.#held.page) this.#gathering.add',
          replace: 'this.#gathering.add',
        },
        {
          file: 'lib/pipe/standing.ts',
          find: 'const from = job && (await store.lastCheckpoint(job))',
          replace: 'const from = job && Date.now() < 0 ? await store.lastCheckpoint(job) : undefined',
        },
      ],
      'load',
      'cursor.after@2',
    ],
  ])(
    '%s',
    async (_title, replacements, half, point) => {
      const twin = await buildTwin('pipe', replacements)
      try {
        expect(await crashLine(fullRefresh, half, point, { programs: twin })).not.toEqual([])
        expect(await crashLine(fullRefresh, half, point)).toEqual([])
      } finally {
        await twin.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})

/** What becomes of a line that is lost between the two. */
async function loseLine(programs: Programs): Promise<number[]> {
  const place = await prepare(fullRefresh)
  try {
    return codesOf(await runLine(place, { programs, between: `sed '4{/RECORD/d}'` }))
  } finally {
    await removeAll(place)
  }
}

test(
  'a broken twin is caught: a gap that is not checked',
  async () => {
    const twin = await buildTwin('gap', [
      {
        file: 'lib/pipe/own.ts',
        find: 'if (missing > 0 && !this.#options.allowEdited) throw lost(number, missing, `record',
        replace: 'if (missing > 9e9) throw lost(number, missing, `record',
      },
      {
        file: 'lib/pipe/own.ts',
        find: 'if (missing > 0 && !this.#options.allowEdited)\n',
        replace: 'if (missing > 9e9)\n',
      },
    ])
    try {
      expect(await loseLine(twin)).toEqual([0, 0, 0])
      expect(await loseLine(BUILT)).toEqual([0, 0, 1])
    } finally {
      await twin.remove()
    }
  },
  TEST_LIMIT_MS,
)

async function killedBothAgainAndAgain(): Promise<void> {
  const place = await prepare(fullRefresh)
  try {
    const before = await stateOf(place)
    let kills = 0
    for (let n = 0; n < 30; n++) {
      const ended = await runLine(place, {
        env: {
          extract: { BIZON_FAILPOINT: `pipe.after@${1 + (n % 3)}:kill` },
          load: { BIZON_FAILPOINT: `cursor.after@${1 + (n % 2)}:kill` },
        },
      })
      // The other half may have been killed behind the end that it gave.
      if (codesOf(ended)[1] === 0) break
      kills += 1
    }
    expect(kills).toBeGreaterThan(2)
    expect(await complaintsAfter(place, fullRefresh, before)).toEqual([])
  } finally {
    await removeAll(place)
  }
}
test('both halves killed at once, again and again, it ends', killedBothAgainAndAgain, TEST_LIMIT_MS)
