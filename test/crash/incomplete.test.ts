// Extracts that do not come to their end, for whatever reason: what was published stays as it is, and the job does not
// count as done. Only a source that says that it is exhausted is one, also when it had nothing.

import { describe, expect, test } from 'vitest'
import { stateOf } from './oracle.ts'
import { lines, pipelineFile } from './scenario.ts'
import { fewOf, until, Workspace } from './workspace.ts'

const OLD = lines(0, 20, 'old')
const ALL = lines(0, 110)

/** A full refresh of numbered records that the dummy source makes up. */
function generator(...source: readonly string[]): string {
  return pipelineFile({ mode: 'full_refresh', destination: ['metadata: none'], source })
    .replace(/name: file\n {2}stream: records/, 'name: dummy\n  stream: generator')
    .replaceAll(/ {2}(path|page_bytes|poll_interval): .*\n/g, '')
}

const fromFile = (...source: readonly string[]): string =>
  pipelineFile({ mode: 'full_refresh', destination: ['metadata: none'], source })

/** A folder in which the first run has published, and the second is about to start. */
async function afterFirst(first: string, second: string, source = ALL): Promise<Workspace> {
  const place = await Workspace.create({ 'pipeline.yml': first, 'source.ndjson': OLD })
  expect(await place.bizon()).toMatchObject({ code: 0 })
  await place.write({ 'pipeline.yml': second, 'source.ndjson': source })
  return place
}

interface Incomplete {
  readonly title: string
  readonly first: string
  readonly second: string
  readonly source?: string
  readonly code: number
  readonly says: string
  readonly status: string
}

const cases: readonly Incomplete[] = [
  ...fewOf([1, 5, 2, 10], 2).map((page) => ({
    title: `the source fails on page ${page} of 10`,
    first: generator('records: 20', 'page_size: 10'),
    second: generator('records: 100', 'page_size: 10', `fail_at_page: ${page}`),
    code: 1,
    says: `page ${page} fails`,
    status: 'failed',
  })),
  {
    title: 'a line in the middle is not JSON',
    first: fromFile(),
    second: fromFile(),
    source: `${lines(0, 50)}{"id": 50,\n${lines(51, 110)}`,
    code: 1,
    says: 'source.ndjson:51',
    status: 'failed',
  },
  {
    title: 'the last line is cut off',
    first: fromFile(),
    second: fromFile(),
    source: ALL.slice(0, -20),
    code: 1,
    says: 'source.ndjson:110',
    status: 'failed',
  },
  {
    title: 'max_iterations are used up',
    first: fromFile(),
    second: fromFile('max_iterations: 3'),
    code: 0,
    says: '',
    status: 'running',
  },
]

describe.each(cases)('$title', ({ first, second, source, code, says, status }) => {
  test('what was published stays, and the job is not done', async () => {
    const place = await afterFirst(first, second, source)
    try {
      const before = await place.read('out/records.json')
      expect(await place.bizon()).toMatchObject({ code, stderr: expect.stringContaining(says) })
      expect(await place.read('out/records.json')).toEqual(before)
      expect((await stateOf(place)).jobs.map((job) => job.status)).toEqual(['succeeded', status])
    } finally {
      await place.remove()
    }
  })
})

test.each(['SIGINT', 'SIGTERM'] as const)(
  'a run that %s stops publishes nothing, and the next one goes on',
  async (signal) => {
    const place = await afterFirst(
      generator('records: 20', 'page_size: 10'),
      generator('records: 60', 'page_size: 10', 'sleep: 0.2'),
    )
    try {
      const before = await place.read('out/records.json')
      const stopped = await place.bizon({
        async during(child) {
          await until('a page is durable', async () => (await stateOf(place)).checkpoints.length > 3, child)
          child.kill(signal)
        },
      })
      expect(stopped).toMatchObject({ code: signal === 'SIGINT' ? 130 : 143 })
      expect(await place.read('out/records.json')).toEqual(before)
      expect((await stateOf(place)).jobs.map((job) => job.status)).toEqual(['succeeded', 'running'])

      expect(await place.bizon()).toMatchObject({ code: 0 })
      const ids = await place.execute(['jq', '-s', '-c', 'map(.id)', 'out/records.json'])
      expect(JSON.parse(ids.stdout)).toEqual(Array.from({ length: 60 }, (_, id) => id))
      expect((await stateOf(place)).jobs.map((job) => job.status)).toEqual(['succeeded', 'succeeded'])
    } finally {
      await place.remove()
    }
  },
)

test('max_iterations, again and again, adds up to the whole', async () => {
  const place = await afterFirst(fromFile(), fromFile('max_iterations: 3'))
  try {
    for (let run = 0; run < 3; run++) expect(await place.bizon()).toMatchObject({ code: 0 })
    expect((await place.read('out/records.json'))?.toString()).toBe(ALL)
  } finally {
    await place.remove()
  }
})

test.each([
  ['publish', ''],
  ['keep', OLD],
])('a source that is complete and empty replaces what was published (on_empty: %s)', async (onEmpty, expected) => {
  const config = pipelineFile({ mode: 'full_refresh', destination: ['metadata: none', `on_empty: ${onEmpty}`] })
  const place = await afterFirst(config, config, '')
  try {
    expect(await place.bizon()).toMatchObject({ code: 0 })
    expect((await place.read('out/records.json'))?.toString()).toBe(expected)
    expect((await stateOf(place)).jobs.map((job) => job.status)).toEqual(['succeeded', 'succeeded'])
  } finally {
    await place.remove()
  }
})
