// Kills with transforms in the pipeline, of which one drops, one doubles and one puts records aside: rows are counted
// after them, positions before, and both must still fit when the run goes on. No record is passed over without a trace.

import { describe, expect, test } from 'vitest'
import { crash, finish, prepare, resume } from './kill.ts'
import { occurrences, passesOf } from './points.ts'
import { pipelineFile, type Scenario } from './scenario.ts'
import { callsOf, canTrace, interfere } from './strace.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS } from './workspace.ts'

const ROWS = 240

const given = (n: number): string =>
  `{"n":${n},"exact":${n}.10,"big":90071992547409${930 + n},"pad":"${'é'.repeat(n % 60)}"}\n`

function rows(from: number, to: number, make: (n: number) => string): string {
  return Array.from({ length: to - from }, (_, at) => make(from + at)).join('')
}

const isPutAside = (n: number): boolean => n % 11 === 3

/** What the scripts make of row `n`. */
function made(n: number): string {
  if (n % 5 === 0 || isPutAside(n)) return ''
  const marked = given(n).replace(/\}\n$/, ',"seen":true}\n')
  return n % 7 === 0 ? `${marked}{"copy":${n}.10}\n` : marked
}

const TRANSFORMS = `transforms:
  - label: put aside
    javascript: |
      if (data.n % 11 === 3) throw new Error('eleven')
    on_error: dead_letter
  - label: drop
    javascript: |
      if (data.n % 5 === 0) return null
      data.seen = true
  - label: double
    python: |
      if data['n'] % 7 == 0:
          data = [data, {'copy': data['exact']}]
`

const deadLetters = {
  path: 'crash.dead_letter.ndjson',
  records: Array.from({ length: ROWS }, (_, n) => n).filter(isPutAside),
}

const file = (mode: 'full_refresh' | 'incremental'): string =>
  pipelineFile({ mode, destination: ['metadata: none'] }) + TRANSFORMS
const target = { path: 'out/records.json', holds: 'bytes' } as const
const sidecar = 'out/.records.state.json'

const cases: readonly Scenario[] = [
  {
    title: 'full refresh',
    files: { 'pipeline.yml': file('full_refresh'), 'source.ndjson': rows(0, ROWS, given) },
    targets: [{ ...target, after: rows(0, ROWS, made) }],
    sidecar,
    deadLetters,
  },
  {
    title: 'incremental, appending',
    earlier: { 'pipeline.yml': file('incremental'), 'source.ndjson': rows(0, 80, given) },
    files: { 'source.ndjson': rows(0, ROWS, given) },
    targets: [{ ...target, before: rows(0, 80, made), after: rows(0, ROWS, made) }],
    meanwhile: 'part of what was added',
    sidecar,
    deadLetters,
  },
]

/** By day those where rows are counted and positions kept. */
const SOME = /^(?:fetch|stage|commit|cursor|publish)\.after$|^publish\.mid$/

/** By day the second alone: it has what the first has, and a run before it. */
describe.each(NIGHTLY ? cases : cases.slice(1))('$title through transforms', (scenario) => {
  test(
    'killed at its fault points, it is resumed to the exact content',
    async () => {
      const place = await prepare(scenario)
      try {
        const passes = await passesOf(place, (copy, how) => finish(copy, scenario, how))
        expect(passes.get('cursor.after')).toBeGreaterThan(3)
        const points = [...passes].filter(([point]) => NIGHTLY || SOME.test(point))
        expect(points.length).toBeGreaterThan(5)
        const failpoints = points.flatMap(([point, times]) => occurrences(times, true).map((at) => `${point}@${at}`))
        expect(await eachOf(failpoints, (failpoint) => crash(place, scenario, [failpoint]))).toEqual([])
      } finally {
        await place.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})

describe.runIf(await canTrace())('dead letters', () => {
  test(
    'are synced before a checkpoint, and none is lost by a kill at a write or a sync',
    async () => {
      const [scenario] = cases as [Scenario, ...Scenario[]]
      const place = await prepare(scenario)
      try {
        const calls = (await callsOf(place, scenario)).filter(({ path }) => path === deadLetters.path)
        expect(calls.map(({ name }) => name).sort()).toEqual(['fsync', 'write'])
        const kills = calls.flatMap((call) => (NIGHTLY ? [1, 2, call.times] : [2]).map((at) => ({ call, at })))
        const complaints = await eachOf(kills, async ({ call, at }) => {
          const copy = await place.copy()
          try {
            const { signal } = await interfere(copy, scenario, call, at, 'signal=SIGKILL')
            if (signal !== 'SIGKILL') return [`${call.name}@${at} was not passed`]
            return await resume(copy, scenario)
          } finally {
            await copy.remove()
          }
        })
        expect(complaints).toEqual([])
      } finally {
        await place.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})
