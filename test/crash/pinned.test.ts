// Kills that a number chooses, at every destination, in one process and as a pipe: a few by day, a thousand by night. Where
// they landed is printed as a histogram: kills that all fell where nothing is written would prove little.

import { describe, expect, test } from 'vitest'
import { randomOf } from '../../lib/chaos/points.ts'
import { formatScenarios } from './formats.ts'
import * as files from './kill.ts'
import { PipedWorkspace } from './piped.ts'
import { passesOf } from './points.ts'
import { crash as crashTrial, postgresScenarios, Trial } from './postgres.ts'
import { type Scenario, scenarios } from './scenario.ts'
import * as sqlite from './sqlite.ts'
import { type Execution, eachOf, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const KILLS = Number(process.env.BIZON_KILLS ?? (NIGHTLY ? 1000 : 5))
const SEED = Number(process.env.BIZON_SEED ?? 6)

/** A scenario of one destination, as one process or as a pipe. */
interface Subject {
  readonly destination: string
  readonly way: 'one process' | 'pipe'
  /** Each fault point once for each passing. */
  points(): Promise<string[]>
  crash(point: string): Promise<string[]>
  remove(): Promise<void>
}

/** In the opening of a run the two halves pass some points both, and recoveries pass those of others. */
const PINNED = /^(?:fetch|pipe|stage|fsync|commit|cursor|publish|cleanup|status)\./

function pointsOf(passes: ReadonlyMap<string, number>): string[] {
  return [...passes]
    .filter(([name]) => PINNED.test(name))
    .flatMap(([name, times]) => Array.from({ length: times }, (_, at) => `${name}@${at + 1}`))
}

type Runs<S> = {
  prepare(scenario: S): Promise<Workspace>
  finish(place: Workspace, scenario: S, how: Execution): Promise<unknown>
  crash(place: Workspace, scenario: S, points: readonly string[]): Promise<string[]>
}

async function inFolder<S>(
  destination: string,
  way: Subject['way'],
  scenario: S,
  { prepare, finish, crash }: Runs<S>,
): Promise<Subject> {
  const prepared = await prepare(scenario)
  const place = way === 'pipe' ? PipedWorkspace.of(prepared) : prepared
  return {
    destination,
    way,
    points: async () => pointsOf(await passesOf(place, (copy, how) => finish(copy, scenario, how))),
    crash: (point) => crash(place, scenario, [point]),
    remove: () => place.remove(),
  }
}

async function inDatabase(way: Subject['way'], name: keyof typeof postgresScenarios): Promise<Subject> {
  const scenario = postgresScenarios[name]
  const { place, database } = await Trial.prepare(scenario)
  const trial = new Trial(way === 'pipe' ? PipedWorkspace.of(place) : place, database)
  return {
    destination: 'postgres',
    way,
    async points() {
      const copy = await trial.copy()
      try {
        return pointsOf(
          await passesOf(copy.place, (inner, how) => new Trial(inner, copy.database).finish(scenario, how)),
        )
      } finally {
        await copy.remove()
      }
    },
    crash: (point) => crashTrial(trial, scenario, [point]),
    remove: () => trial.remove(),
  }
}

type Way = Subject['way']
interface Planned {
  readonly title: string
  readonly create: () => Promise<Subject>
}

const ofFiles = (destination: string, scenario: Scenario, way: Way = 'one process'): Planned => ({
  title: `${destination}, ${scenario.title}, ${way}`,
  create: () => inFolder<Scenario>(destination, way, scenario, files),
})
const ofSqlite = (name: keyof typeof sqlite.sqliteScenarios, way: Way = 'one process'): Planned => ({
  title: `sqlite, ${sqlite.sqliteScenarios[name].title}, ${way}`,
  create: () => inFolder<sqlite.SqliteScenario>('sqlite', way, sqlite.sqliteScenarios[name], sqlite),
})
const ofPostgres = (name: keyof typeof postgresScenarios, way: Way = 'one process'): Planned => ({
  title: `postgres, ${postgresScenarios[name].title}, ${way}`,
  create: () => inDatabase(way, name),
})

const { csvFullRefresh, csvAppend, csvStream, parquetFullRefresh, parquetAppend, parquetStream } = formatScenarios
/** One of each by day: that of a pipe, since the others have tests of their own. */
const BY_DAY = [
  ofFiles('ndjson', scenarios.incrementalAppend, 'pipe'),
  ofFiles('csv', csvAppend, 'pipe'),
  ofFiles('parquet', parquetFullRefresh, 'pipe'),
  ofSqlite('sqliteAppend', 'pipe'),
  ofPostgres('postgresAppend', 'pipe'),
]
const BY_NIGHT = [
  ofFiles('ndjson', scenarios.fullRefreshOver),
  ofFiles('ndjson', scenarios.incrementalAppend),
  ofFiles('ndjson', scenarios.stream),
  ofFiles('ndjson', scenarios.fullRefreshOver, 'pipe'),
  ...[csvFullRefresh, csvAppend, csvStream].map((scenario) => ofFiles('csv', scenario)),
  ofFiles('csv', csvFullRefresh, 'pipe'),
  ...[parquetFullRefresh, parquetAppend, parquetStream].map((scenario) => ofFiles('parquet', scenario)),
  ofFiles('parquet', parquetAppend, 'pipe'),
  ...(Object.keys(sqlite.sqliteScenarios) as (keyof typeof sqlite.sqliteScenarios)[]).map((name) => ofSqlite(name)),
  ofSqlite('sqliteFullRefresh', 'pipe'),
  ...(Object.keys(postgresScenarios) as (keyof typeof postgresScenarios)[]).map((name) => ofPostgres(name)),
  ofPostgres('postgresMerge', 'pipe'),
]
const subjects = NIGHTLY ? [...BY_DAY, ...BY_NIGHT] : BY_DAY

const landed = new Map<string, Map<string, number>>()
function note(row: string, point: string): void {
  const [step = ''] = point.split('.')
  const counts = landed.get(row) ?? new Map<string, number>()
  landed.set(row, counts.set(step, (counts.get(step) ?? 0) + 1))
}

const STEPS = ['fetch', 'pipe', 'stage', 'fsync', 'commit', 'cursor', 'publish', 'cleanup', 'status']

function histogram(): string {
  const cells = (row: ReadonlyMap<string, number>): string =>
    STEPS.map((step) => String(row.get(step) ?? 0).padStart(8)).join('')
  const head = `${''.padEnd(24)}${STEPS.map((step) => step.padStart(8)).join('')}`
  return [head, ...[...landed].map(([name, counts]) => `${name.padEnd(24)}${cells(counts)}`)].join('\n')
}

describe(`${KILLS} kills that BIZON_SEED=${SEED} chooses`, () => {
  test.each(subjects.map(({ title, create }, at) => [title, at, create] as const))(
    'of %s: each time it is resumed to the exact rows',
    async (_, at, create) => {
      const subject = await create()
      try {
        const random = randomOf(SEED * 1000 + at)
        const points = await subject.points()
        expect(points.length).toBeGreaterThan(NIGHTLY ? 20 : 10)
        const share = Math.ceil(KILLS / subjects.length)
        const chosen = Array.from({ length: share }, () => points[Math.floor(random() * points.length)] as string)
        expect(await eachOf(chosen, (point) => subject.crash(point))).toEqual([])
        for (const point of chosen) note(`${subject.destination}, ${subject.way}`, point)
      } finally {
        await subject.remove()
      }
    },
    TEST_LIMIT_MS,
  )

  test('a quarter of them, or more, landed where something is written', () => {
    process.stdout.write(`killed at, of ${KILLS}:\n${histogram()}\n`)
    const all = [...landed.values()].flatMap((counts) => [...counts])
    const sum = (steps: readonly string[]): number =>
      all.filter(([step]) => steps.includes(step)).reduce((total, [, count]) => total + count, 0)
    expect(sum(STEPS)).toBeGreaterThanOrEqual(KILLS)
    expect(sum(['stage', 'fsync', 'commit', 'cursor', 'publish'])).toBeGreaterThanOrEqual(KILLS / 4)
  })
})
