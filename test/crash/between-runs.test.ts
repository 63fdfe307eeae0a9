// What happens between two runs: the state store lags or is gone, the output is gone, the configuration is another, a
// run failed. The next run makes up for it, or says what is wrong and changes nothing; no row is lost or there twice.

import { describe, expect, test } from 'vitest'
import { finish, killAt, prepare } from './kill.ts'
import { sidecarOf, sourceLines } from './oracle.ts'
import { lines, pipelineFile, ROWS, type Scenario, scenarios, type Target } from './scenario.ts'
import { type Ended, type Execution, eachOf, fewOf, inTurn, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const { fullRefresh, fullRefreshOver, incrementalAppend, stream } = scenarios
const [records] = incrementalAppend.targets as readonly [Target]
const STORE = ['state.sqlite3', 'state.sqlite3-wal', 'state.sqlite3-shm']
const FORCED = pipelineFile({ mode: 'incremental', source: ['force_ignore_checkpoint: true'] })

async function inFolder(scenario: Scenario, work: (place: Workspace) => Promise<void>): Promise<void> {
  await inTurn(async () => {
    const place = await prepare(scenario)
    try {
      await work(place)
    } finally {
      await place.remove()
    }
  })
}

async function run(place: Workspace, execution?: Execution): Promise<void> {
  const { code, stderr } = await place.bizon(execution)
  expect({ code, stderr }).toMatchObject({ code: 0 })
}

/** The run says so, with an advice, and leaves the published file as it is. */
async function refused(place: Workspace, says: string, execution?: Execution): Promise<Ended> {
  const before = await place.read(records.path)
  const ended = await place.bizon(execution)
  expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining(says) })
  expect(ended.stderr).toMatch(/\nTry: /)
  expect(await place.read(records.path)).toEqual(before)
  return ended
}

async function keepStore(place: Workspace): Promise<() => Promise<void>> {
  const kept = await Promise.all(STORE.map((name) => place.read(name)))
  return async () => {
    await place.execute(['rm', '-f', ...STORE])
    for (const [at, name] of STORE.entries()) {
      const content = kept[at]
      if (content) await place.write({ [name]: content })
    }
  }
}

/** Adds lines to the source and loads them. */
async function grow(place: Workspace, rows: number, execution?: Execution): Promise<void> {
  await place.write({ 'source.ndjson': lines(0, rows) })
  await run(place, execution)
}

describe.concurrent('a state store that does not know of the last publish', () => {
  test('because it was set back by one run: that run is taken back, and loaded again', async () => {
    await inFolder(incrementalAppend, async (place) => {
      const setBack = await keepStore(place)
      await run(place)
      await setBack()
      await grow(place, ROWS + 5)
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS + 5))
      await grow(place, ROWS + 9)
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS + 9))
    })
  })

  test('because it was set back by two runs: the run stops, and a reset helps', async () => {
    await inFolder(incrementalAppend, async (place) => {
      const setBack = await keepStore(place)
      await run(place)
      await grow(place, ROWS + 5)
      await setBack()
      await refused(place, 'was last published by run')
      await run(place, { args: ['--reset'] })
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS + 5))
    })
  })

  test('because another one loads into the same output: each stops where the other has been', async () => {
    await inFolder(incrementalAppend, async (place) => {
      const first = await place.read('pipeline.yml')
      await run(place)
      await place.write({
        'pipeline.yml': pipelineFile({ mode: 'incremental' }).replace('database: state', 'database: two'),
      })
      await run(place)
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS))
      await place.write({ 'pipeline.yml': first as Buffer, 'source.ndjson': lines(0, ROWS + 5) })
      await refused(place, 'is an older copy')
    })
  })

  test.each(fewOf(['publish.after', 'status.before', 'cleanup.mid'], 2))(
    'because the run was killed at %s and is not gone on with: it is taken back, and loaded again',
    async (failpoint) => {
      await inFolder(incrementalAppend, async (place) => {
        expect(await killAt(place, incrementalAppend, failpoint)).toEqual([])
        await place.write({ 'pipeline.yml': FORCED })
        await run(place)
        expect(await sourceLines(place, records)).toBe(lines(0, ROWS))
      })
    },
  )

  test('because the power took what it had not synced: nothing is there twice', async () => {
    await inFolder(incrementalAppend, async (place) => {
      expect(await killAt(place, incrementalAppend, 'publish.after')).toEqual([])
      await place.execute(['rm', '-f', ...STORE.slice(1)])
      await run(place)
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS))
    })
  })

  test(
    'and a kill at each step of taking it back, or at two: the next run ends exact',
    async () => {
      const points = fewOf(
        ['commit.mid', 'recover.truncate', 'commit.after', 'run.created', 'commit.before', 'commit.before@2'],
        2,
      )
      const pairs = ['commit.after', 'recover.truncate'].flatMap((one) =>
        fewOf(['commit.mid', 'commit.after'], 1).map((two) => [one, two]),
      )
      const complaints = await eachOf([...points.map((one) => [one]), ...pairs], async (kills) => {
        const place = await prepare(incrementalAppend)
        try {
          const setBack = await keepStore(place)
          await run(place)
          await setBack()
          // The second point may lie behind the place where the run goes on.
          for (const kill of kills) await place.bizon({ failpoint: `${kill}:kill` })
          await run(place)
          const found = await sourceLines(place, records)
          return found === lines(0, ROWS) ? [] : [`${kills}: ${found?.split('\n').length} lines`]
        } finally {
          await place.remove()
        }
      })
      expect(complaints).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

describe.concurrent('a stream whose state store', () => {
  const [target] = stream.targets as readonly [Target]

  test.each<[title: string, lose: (place: Workspace, older: () => Promise<void>) => Promise<unknown>]>([
    ['is gone', (place) => place.execute(['rm', '-f', ...STORE])],
    ['lost what was not synced', (place) => place.execute(['rm', '-f', ...STORE.slice(1)])],
    ['is an older copy', (_, older) => older()],
  ])('%s goes on where its files are', async (_, lose) => {
    await inFolder(stream, async (place) => {
      expect(await killAt(place, stream, 'cursor.after@2')).toEqual([])
      const older = await keepStore(place)
      expect(await killAt(place, stream, 'cursor.after@2')).toEqual([])
      expect((await sidecarOf(place, stream.sidecar))?.checkpoint?.rows).toBeGreaterThan(0)
      await lose(place, older)
      expect(await finish(place, stream)).toMatchObject({ code: 143 })
      expect(await sourceLines(place, target)).toBe(target.after)
    })
  })

  test('is gone reads everything again when that is what force_ignore_checkpoint asks for', async () => {
    await inFolder(stream, async (place) => {
      expect(await killAt(place, stream, 'cursor.after@2')).toEqual([])
      const committed = (await sidecarOf(place, stream.sidecar))?.checkpoint?.rows ?? 0
      await place.execute(['rm', '-f', ...STORE])
      await place.write({ 'pipeline.yml': pipelineFile({ mode: 'stream', source: ['force_ignore_checkpoint: true'] }) })
      const failpoint = 'commit.after@4'
      expect(await killAt(place, stream, failpoint)).toEqual([])
      const rows = (await sourceLines(place, target))?.split('\n') ?? []
      expect(rows.slice(committed, 2 * committed)).toEqual(rows.slice(0, committed))
    })
  })

  test('knows of it does not let an incremental run add what is there already', async () => {
    await inFolder(incrementalAppend, async (place) => {
      await place.write({ 'pipeline.yml': pipelineFile({ mode: 'stream' }) })
      expect(await killAt(place, stream, 'cursor.after@2')).toEqual([])
      await place.write({ 'pipeline.yml': pipelineFile({ mode: 'incremental' }) })
      await run(place)
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS))
    })
  })
})

describe.concurrent('an output that is not there any more', () => {
  test.each([
    ['is missing with its state file', (place: Workspace) => place.execute(['rm', '-rf', 'out'])],
    [
      'is another, by the configuration',
      (place: Workspace) =>
        place.write({
          'pipeline.yml': pipelineFile({ mode: 'incremental' }).replace('out/records', 'elsewhere/records'),
        }),
    ],
  ])('%s: the run does not add the rest to nothing, and a reset brings it all', async (_, lose) => {
    await inFolder(incrementalAppend, async (place) => {
      await lose(place)
      const { stderr } = await refused(place, 'is missing, and this run would only add what is new')
      expect(stderr).toContain('--reset')
      await run(place, { args: ['--reset'] })
      const path = stderr.includes('elsewhere') ? 'elsewhere/records.json' : records.path
      expect(await sourceLines(place, { ...records, path })).toBe(lines(0, ROWS))
    })
  })

  test('is taken over when only its state file is missing', async () => {
    await inFolder(incrementalAppend, async (place) => {
      await place.execute(['rm', incrementalAppend.sidecar])
      await run(place)
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS))
    })
  })
})

describe.concurrent('a configuration that was changed after a kill', () => {
  const other = lines(0, ROWS, 'other')

  test.each([
    ['full refresh', fullRefresh, 'cursor.after@2', other],
    ['full refresh, staged whole', fullRefresh, 'publish.before', other],
  ])('of what is read (%s): nothing of what the first one read is published', async (_, scenario, failpoint, after) => {
    await inFolder(scenario, async (place) => {
      expect(await killAt(place, scenario, failpoint)).toEqual([])
      const config = (await place.read('pipeline.yml'))?.toString() ?? ''
      await place.write({ 'pipeline.yml': config.replace('source.ndjson', 'other.ndjson'), 'other.ndjson': other })
      await run(place)
      expect(await sourceLines(place, records)).toBe(after)
    })
  })

  test('of how rows are written: all are written in the same way', async () => {
    await inFolder(fullRefreshOver, async (place) => {
      expect(await killAt(place, fullRefreshOver, 'cursor.after@2')).toEqual([])
      await place.write({ 'pipeline.yml': pipelineFile({ mode: 'full_refresh' }) })
      await run(place)
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS))
    })
  })

  test('in the speed alone: the run is gone on with', async () => {
    await inFolder(fullRefresh, async (place) => {
      expect(await killAt(place, fullRefresh, 'cursor.after@2')).toEqual([])
      const { run: begun } = (await sidecarOf(place, fullRefresh.sidecar)) ?? {}
      const config = pipelineFile({ mode: 'full_refresh', destination: ['durability: process'] })
      await place.write({ 'pipeline.yml': config.replace('page_bytes: 4096', 'page_bytes: 8192') })
      await run(place)
      expect((await sidecarOf(place, fullRefresh.sidecar))?.run).toBe(begun)
      expect(await sourceLines(place, records)).toBe(lines(0, ROWS))
    })
  })
})

test('an append that fails leaves nothing of its rows, and is done by the next run', async () => {
  await inFolder(incrementalAppend, async (place) => {
    const before = await place.read(records.path)
    // All rows have been added, and the state file does not say so yet.
    const { code, stderr } = await place.bizon({ failpoint: 'publish.mid:throw' })
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('publish.mid') })
    expect((await sidecarOf(place, incrementalAppend.sidecar))?.phase).toBe('publishing')
    expect(await place.read(records.path)).toEqual(before)
    await run(place)
    expect(await sourceLines(place, records)).toBe(lines(0, ROWS))
  })
})
