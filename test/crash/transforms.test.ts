// Kills with transforms in the pipeline, of which one drops and one doubles: rows are counted after them, positions
// before, and both must still fit when the run goes on.

import { afterAll, describe, expect, test } from 'vitest'
import { crash, finish, prepare } from './kill.ts'
import { buildCountingTwin, occurrences, passesOf } from './points.ts'
import { pipelineFile, type Scenario } from './scenario.ts'
import { eachOf, TEST_LIMIT_MS } from './workspace.ts'

const ROWS = 240

const given = (n: number): string =>
  `{"n":${n},"exact":${n}.10,"big":90071992547409${930 + n},"pad":"${'é'.repeat(n % 60)}"}\n`

function rows(from: number, to: number, make: (n: number) => string): string {
  return Array.from({ length: to - from }, (_, at) => make(from + at)).join('')
}

/** What the scripts make of row `n`. */
function made(n: number): string {
  if (n % 5 === 0) return ''
  const marked = given(n).replace(/\}\n$/, ',"seen":true}\n')
  return n % 7 === 0 ? `${marked}{"copy":${n}.10}\n` : marked
}

const TRANSFORMS = `transforms:
  - label: drop
    javascript: |
      if (data.n % 5 === 0) return null
      data.seen = true
  - label: double
    python: |
      if data['n'] % 7 == 0:
          data = [data, {'copy': data['exact']}]
`

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
  },
  {
    title: 'incremental, appending',
    earlier: { 'pipeline.yml': file('incremental'), 'source.ndjson': rows(0, 80, given) },
    files: { 'source.ndjson': rows(0, ROWS, given) },
    targets: [{ ...target, before: rows(0, 80, made), after: rows(0, ROWS, made) }],
    meanwhile: 'part of what was added',
    sidecar,
  },
]

const counting = await buildCountingTwin()
afterAll(() => counting.remove())

describe.each(cases)('$title through transforms', (scenario) => {
  test(
    'killed at every fault point, it is resumed to the exact content',
    async () => {
      const place = await prepare(scenario)
      try {
        const passes = await passesOf(place, counting, (copy, how) => finish(copy, scenario, how))
        expect(passes.get('cursor.after')).toBeGreaterThan(3)
        const failpoints = [...passes].flatMap(([point, times]) =>
          occurrences(times, true).map((at) => `${point}@${at}`),
        )
        expect(await eachOf(failpoints, (failpoint) => crash(place, scenario, [failpoint]))).toEqual([])
      } finally {
        await place.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})
